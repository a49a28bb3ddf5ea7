"""One run: random events from one seed, and after each a look at everything that must hold.

Times of trouble for the operator (faults of the API, kills, pauses, failovers) take turns with times in which only the
hall and its jobs have any, so that what the operator is to do within stated seconds can be held against it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from rackplane.localcluster import Fault, WallClock
from rackplane.localcluster.effects import (
    Compact,
    Cut,
    CutStream,
    Delay,
    Effect,
    HalfOpen,
    Hang,
    Lag,
    LoseAnswer,
    Refuse,
    StreamError,
)
from tests.chaos.hall import NODES, PUMPS, UPSES, hall
from tests.chaos.judge import Judge
from tests.chaos.replicas import Replica
from tests.support.harness import GROUP, Harness, Time, node, thing

__all__ = ["Storm"]

FACILITY = f"/apis/{GROUP}/v1alpha1"
#: Seconds of trouble for the operator, and of none, by turns.
TURN_SECONDS = 60.0
#: How long the last pod may take once nothing goes wrong any more.
END_SECONDS = 3_000


class VirtualTime(Time):
    """The harness's clock on the event loop's."""

    def __init__(self) -> None:
        self._clock = WallClock()

    @property
    def now(self) -> float:  # type: ignore[override]
        return self._clock()


class Storm:
    """Args: ``seed``: decides everything; ``gangs``, ``events``: how many of each."""

    def __init__(self, *, seed: int, gangs: int, events: int) -> None:
        self.random = Random(seed)
        self.gangs, self.events = gangs, events
        self.h = Harness(time=VirtualTime())
        self.judge = Judge(self.h)
        self.h.apply(*hall())
        self.replicas = [Replica(self.h.cluster, f"op-{i}", f"{seed}", self.written) for i in range(2)]
        self.happened: Counter[str] = Counter()
        self.log: list[str] = []
        self._made = 0
        self._orders = 0
        self._tasks: set[asyncio.Task[None]] = set()
        #: what befalls a replica at one of its next writes: "before" or "after", how many writes from now, and what
        self._at_write: dict[str, tuple[str, int, Callable[[Replica], None]]] = {}

    # -- the run

    async def run(self) -> None:
        await self.h.cluster.start(port=None)
        agents = self._task(self._agents())
        try:
            for replica in self.replicas:
                replica.start()
            quiet: dict[Callable[[], None], int] = {
                self.submit: 0, self.lose_node: 6, self.return_node: 8, self.delete_node: 1, self.lose_ups: 2,
                self.return_ups: 4, self.lose_pump: 2, self.return_pump: 4, self.order: 2, self.end_order: 3,
                self.suspend: 2, self.resume: 4,
            }  # fmt: skip
            rough: dict[Callable[[], None], int] = {
                self.fault: 14, self.strike: 6, self.outage: 1, self.kill: 2, self.kill_at_a_write: 3,
                self.hand_over: 2, self.pause: 2, self.pause_at_a_write: 4, self.wake: 6, self.start: 8,
                self.set_clock: 1,
            }  # fmt: skip
            for number in range(self.events):
                trouble = int(self.h.time.now / TURN_SECONDS) % 2 == 0
                if not trouble:
                    self.end_trouble()
                weights = {**quiet, **rough} if trouble else quiet
                left = self.gangs - self._made
                # Evenly over the run.
                weights[self.submit] = 40 * left // max(1, self.events - number) + bool(left)
                (event,) = self.random.choices(list(weights), list(weights.values()))
                event()
                await self.step(self.random.expovariate(2.5))
            await self.finish()
        finally:
            agents.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for replica in self.replicas:
                if replica.alive:
                    await replica.kill()
            await self.h.cluster.stop()

    async def step(self, seconds: float) -> None:
        """Let time pass, then look."""
        await asyncio.sleep(seconds)
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            task.result()
        for replica in self.replicas:
            replica.raise_its_problem()
        if self.h.cluster.faults.armed or not any(replica.leads for replica in self.replicas):
            self.judge.disturbed_at = self.h.time.now
        self.judge.look()

    async def finish(self) -> None:
        """Everything returns, and whatever can run runs to its end."""
        self.note("everything returns")
        self.end_trouble()
        while self._made < self.gangs:
            self.submit()
        for name in NODES:
            self.return_node(name)
        for ups in UPSES:
            self.set_ups(ups, "Online")
        for pump in PUMPS:
            self.set_pump(pump, "Online")
        for order in self.orders():
            self.h.request("DELETE", f"{FACILITY}/powerbudgets/{order}")
        for job in self.jobs():
            self.resume(job)
        end = self.h.time.now + END_SECONDS
        while set(self.h.gangs().values()) != {"Finished"} or len(self.h.gangs()) < self.gangs:
            assert self.h.time.now < end, f"not everything ran:\n{self.h.summary()}"
            await self.step(1)
        for each in self.h.cluster.store.items(("batch", "jobs")):
            done = {c["type"] for c in each["status"].get("conditions", ()) if c["status"] == "True"}
            assert "Complete" in done, (each["metadata"]["name"], each["status"])
        held = [n["metadata"]["name"] for n in self.judge.nodes() if "rackplane.dev/gangs" in str(n)]
        await self.step(30)
        leader = next(replica for replica in self.replicas if replica.leads)
        assert leader.operator is not None and leader.operator.machine.state is not None
        assert list(leader.operator.machine.state.keys()) == [], held
        leader.operator.machine.validate()

    async def _agents(self) -> None:
        while True:
            self.h.agents()
            await asyncio.sleep(0.5)

    def _task(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        return task

    def note(self, what: str) -> None:
        self.happened[what.partition(":")[0]] += 1
        self.log.append(f"{self.h.time.now - 1_700_000_000:8.2f} {what}")

    # -- jobs

    def submit(self) -> None:
        self._made += 1
        r = self.random
        slots, gpus = r.choice([1, 1, 2, 2, 3, 4, 4, 6, 6, 8, 12]), r.choice([4, 4, 4, 2, 1])
        annotations = {"rackplane.dev/disruption": r.choice(["Sheddable", "Checkpointable", "Protected"])}
        if slots <= 6 and r.random() < 0.4:
            annotations["rackplane.dev/required-topology"] = "nvlink"
        if r.random() < 0.2:
            annotations["rackplane.dev/power-strict"] = "true"
        run = r.choice([20, 40, 60, 90, 150])
        self.note(f"a job: j{self._made} of {slots} x {gpus} GPUs for {run} s {annotations}")
        self.h.job(
            f"j{self._made}", slots=slots, gpus=gpus, run=run, annotations=annotations,
            indexed=r.random() < 0.7, backoffLimit=10_000,
        )  # fmt: skip

    def jobs(self) -> list[str]:
        """Those that are not over."""
        jobs = self.h.cluster.store.items(("batch", "jobs"))
        return sorted(j["metadata"]["name"] for j in jobs if not j.get("status", {}).get("completionTime"))

    def suspend(self) -> None:
        jobs = self.jobs()
        if jobs:
            job = self.random.choice(jobs)
            self.note(f"a user suspends: {job}")
            self.h.suspend(job, True)

    def resume(self, job: str = "") -> None:
        jobs = [job] if job else self.jobs()
        name = self.random.choice(jobs) if jobs else ""
        if not name:
            return
        found = self.h.get("batch", "jobs", name)
        ours = "rackplane.dev/suspended-by" in found["metadata"].get("annotations", {})
        if found["spec"].get("suspend") and not ours:
            self.note(f"a user resumes: {name}")
            self.h.suspend(name, False)

    # -- the hall

    def exists(self, name: str) -> bool:
        return self.h.cluster.store.get(("", "nodes"), "", name) is not None

    def lose_node(self) -> None:
        name = self.random.choice([*NODES])
        if self.exists(name) and len(self.h.down) < 10:
            self.note(f"a node is lost: {name}")
            self.h.node_ready(name, False)

    def return_node(self, name: str = "") -> None:
        gone = [name] if name else sorted(self.h.down) or [n for n in NODES if not self.exists(n)]
        if not gone:
            return
        name = self.random.choice(gone)
        if not self.exists(name):
            self.note(f"a node is made anew: {name}")
            self.h.down.discard(name)
            self.h.apply(node(name, NODES[name]))
        elif name in self.h.down:
            self.note(f"a node returns: {name}")
            self.h.node_ready(name, True)

    def delete_node(self) -> None:
        name = self.random.choice([*NODES])
        if not self.exists(name) or sum(not self.exists(n) for n in NODES) > 3:
            return
        self.note(f"a node is deleted: {name}")
        self.h.down.discard(name)
        self.h.request("DELETE", f"/api/v1/nodes/{name}")
        for pod in self.h.pods():
            if pod["spec"].get("nodeName") == name:
                path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
                self.h.request("DELETE", path, {"gracePeriodSeconds": 0})

    def set_ups(self, name: str, state: str) -> None:
        self.h.patch(f"{FACILITY}/powerdomains/{name}", {"spec": {"state": state}})

    def out(self) -> list[str]:
        found = self.h.cluster.store.items((GROUP, "powerdomains"))
        return sorted(p["metadata"]["name"] for p in found if p["spec"].get("state", "Online") != "Online")

    def lose_ups(self) -> None:
        if len(self.out()) < 2:
            name = self.random.choice(UPSES)
            self.note(f"a UPS is lost: {name}")
            self.set_ups(name, "Offline")

    def return_ups(self) -> None:
        out = self.out()
        if out:
            name = self.random.choice(out)
            self.note(f"a UPS returns: {name}")
            self.set_ups(name, "Online")

    def set_pump(self, name: str, state: str) -> None:
        units = self.h.get(GROUP, "coolingzones", "liquid", "")["spec"]["units"]
        changed = [unit | ({"state": state} if unit["name"] == name else {}) for unit in units]
        self.h.patch(f"{FACILITY}/coolingzones/liquid", {"spec": {"units": changed}})

    def lose_pump(self) -> None:
        name = self.random.choice(PUMPS)
        self.note(f"a pump is lost: {name}")
        self.set_pump(name, "Offline")

    def return_pump(self) -> None:
        name = self.random.choice(PUMPS)
        self.note(f"a pump returns: {name}")
        self.set_pump(name, "Online")

    def orders(self) -> list[str]:
        found = self.h.cluster.store.items((GROUP, "powerbudgets"))
        return sorted(budget["metadata"]["name"] for budget in found)

    def order(self) -> None:
        if len(self.orders()) >= 2:
            return
        self._orders += 1
        kw, best = self.random.choice([160, 220, 280]), self.random.random() < 0.3
        self.note(f"an order: {kw} kW{', best effort' if best else ''}")
        self.h.apply(
            thing(
                "PowerBudget", f"order-{self._orders}", targets={"powerDomains": ["utility"]},
                limitWatts=kw * 1_000, bestEffort=best,
            )
        )  # fmt: skip

    def end_order(self) -> None:
        orders = self.orders()
        if orders:
            name = self.random.choice(orders)
            self.note(f"an order ends: {name}")
            self.h.request("DELETE", f"{FACILITY}/powerbudgets/{name}")

    # -- trouble for the operator

    def end_trouble(self) -> None:
        faults = self.h.cluster.faults
        if faults.armed:
            self.note("the API is well again")
        faults.remove()
        faults.recover()
        self._at_write.clear()
        self.wake()
        for replica in self.replicas:
            replica.start()

    def fault(self) -> None:
        """Something goes wrong with requests of one kind, of one replica or of both."""
        r = self.random
        effects: list[Effect] = [
            Refuse(409), Refuse(429, retry_after=r.randint(1, 3)), Refuse(500), Refuse(503), Cut(), LoseAnswer(),
            LoseAnswer(silent=True), Hang(), Delay(before=r.uniform(0.1, 3)), Delay(after=r.uniform(0.1, 3)), Compact(),
            Lag(r.uniform(0.1, 3)),
        ]  # fmt: skip
        effect = r.choice(effects)
        fault = Fault(
            effect,
            verb=r.choice(["", "read", "write", "write", "patch"]),
            resource=r.choice(["", "", "gangs*", "jobs", "pods", "leases", "nodes"]),
            client=r.choice(["op-*", "op-0", "op-1"]),
            times=r.choice([1, 3, 10, None]),
            probability=r.choice([1.0, 0.3]),
            seconds=r.uniform(1, 8),
        )
        self.note(f"{type(effect).__name__}: {fault}")
        self.h.cluster.faults.add(fault)

    def strike(self) -> None:
        effects = [CutStream(), CutStream(mid_line=True), HalfOpen(), StreamError(410), StreamError(500)]
        effect = self.random.choice(effects)
        client = self.random.choice(["op-*", "op-0", "op-1"])
        self.note(f"watches, {type(effect).__name__}: {client}")
        self.h.cluster.faults.strike(effect, client=client)

    def outage(self) -> None:
        seconds, silent = self.random.uniform(1, 12), self.random.random() < 0.5
        self.note(f"no API server: {seconds:.1f} s, {silent}")
        self.h.cluster.faults.outage(seconds, silent=silent)

    def pick(self) -> Replica:
        """The leader, mostly."""
        leaders = [replica for replica in self.replicas if replica.leads]
        return leaders[0] if leaders and self.random.random() < 0.8 else self.random.choice(self.replicas)

    def kill(self, replica: Replica | None = None) -> None:
        replica = replica or self.pick()
        if replica.alive:
            self.note(f"killed: {replica.name}")
            self._task(replica.kill())

    def start(self) -> None:
        for replica in self.replicas:
            if not replica.alive:
                self.note(f"started: {replica.name}")
                replica.start()

    def hand_over(self) -> None:
        replica = self.pick()
        if replica.alive and not replica.held:
            self.note(f"stopped: {replica.name}")
            self._task(replica.stop())

    def pause(self, replica: Replica | None = None) -> None:
        replica = replica or self.pick()
        if replica.link is not None:
            self.note(f"paused: {replica.name}")
            replica.link.hold()

    def wake(self) -> None:
        for replica in self.replicas:
            if replica.link is not None and replica.held:
                self.note(f"woken: {replica.name}")
                replica.link.let_go()

    def kill_at_a_write(self) -> None:
        self._arm(self.kill)

    def pause_at_a_write(self) -> None:
        self._arm(self.pause)

    def _arm(self, what: Callable[[Replica], None]) -> None:
        when, writes = self.random.choice(["before", "after"]), self.random.randint(1, 12)
        self._at_write[self.pick().name] = (when, writes, what)

    def written(self, replica: Replica, when: str) -> None:
        """A replica is about to write, or its write was answered."""
        wanted = self._at_write.get(replica.name)
        if wanted is None or wanted[0] != when:
            return
        left = wanted[1] - 1
        if left:
            self._at_write[replica.name] = (when, left, wanted[2])
        else:
            del self._at_write[replica.name]
            if replica.link is not None:
                # At once: the write itself is held, or its answer is.
                replica.link.hold()
            wanted[2](replica)

    def set_clock(self) -> None:
        """A replica's wall clock is off by so much from now on."""
        replica, seconds = self.random.choice(self.replicas), self.random.uniform(-20, 20)
        self.note(f"a clock: {replica.name} by {seconds:.0f} s")
        replica.skew(seconds)
