"""What befalls the operators and their way to the API server, by chance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from rackplane.localcluster import Fault
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
from tests.chaos.books import slots_of
from tests.chaos.hall_events import HallEvents
from tests.chaos.replicas import Replica

__all__ = ["Trouble"]

Blow = Callable[[Replica], None]
#: For so long, in seconds, a successor whose predecessor is woken is held up itself, now and then.
HELD_UP_SECONDS = 0.3


@dataclass
class _Trap:
    """What befalls a replica, "before" or "after" so many writes from now; ``at_commit``: those that give a place."""

    when: str
    writes: int
    blow: Blow
    at_commit: bool


class Trouble:
    """Args: ``note``: writes down what is done; ``spawn``: runs what takes time; ``submit``: a job, if any is left."""

    def __init__(
        self,
        hall: HallEvents,
        replicas: Sequence[Replica],
        random: Random,
        note: Callable[[str], None],
        spawn: Callable[[Coroutine[Any, Any, None]], Any],
        submit: Callable[[], None],
    ) -> None:
        self.h = hall.h
        self.hall = hall
        self.replicas = replicas
        self.random = random
        self.note = note
        self.spawn = spawn
        self.submit = submit
        #: what befalls a replica at one of its next writes
        self._at_write: dict[str, _Trap] = {}
        #: who sleeps until the other has led for some writes
        self._asleep: set[str] = set()
        self._troubled = False
        #: the gang whose Job is suspended late once it is told to stop
        self._runs_on = ""
        #: by how likely each is
        self.usual: dict[Callable[[], None], int] = {
            self.fault: 14, self.strike: 6, self.outage: 1, self.kill: 2, self.kill_at_a_write: 3,
            self.hand_over: 2, self.pause: 2, self.pause_at_a_write: 2, self.outlast: 12, self.wake: 6,
            self.start: 8, self.set_clock: 1, self.slow_caps: 3,
        }  # fmt: skip
        self.calm: dict[Callable[[], None], int] = {self.slow_stop: 2}
        self.succession: dict[Callable[[], None], int] = {
            self.outlast: 20, self.kill: 1, self.hand_over: 1, self.wake: 4, self.start: 8,
        }  # fmt: skip

    @property
    def blinds(self) -> bool:
        """Whether an operator may not hear of something."""
        return self._troubled

    @property
    def slows(self) -> bool:
        """Whether what it does may take long."""
        return self.h.cluster.faults.armed

    def end(self) -> None:
        """Nothing goes wrong any more, and every operator runs."""
        faults = self.h.cluster.faults
        if faults.armed:
            self.note("the API is well again")
        faults.remove()
        faults.recover()
        if self._troubled:
            # Or an operator would hear of nothing until it notices that a watch is silent, which takes it 90 s.
            self._troubled = False
            faults.reset()
        self._runs_on = ""
        self.revive()

    def revive(self) -> None:
        """Every operator runs, and nothing befalls it at its next writes."""
        self._at_write.clear()
        self._asleep.clear()
        self.wake()
        for replica in self.replicas:
            replica.start()

    # -- the API

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
        self._troubled = True
        self.h.cluster.faults.add(fault)

    def strike(self) -> None:
        effects = [CutStream(), CutStream(mid_line=True), HalfOpen(), StreamError(410), StreamError(500)]
        effect = self.random.choice(effects)
        client = self.random.choice(["op-*", "op-0", "op-1"])
        self.note(f"watches, {type(effect).__name__}: {client}")
        self._troubled = True
        self.h.cluster.faults.strike(effect, client=client)

    def slow_caps(self) -> None:
        """Caps are written late, and something starts meanwhile."""
        self._late("nodes")
        self.submit()

    def slow_stop(self) -> None:
        """A large gang loses a node: it has to move, and runs on for a while after it was told to stop."""
        placed = self.hall.books.gangs
        sizes = {name: g["spec"]["slots"] for name, g in placed.items() if g["status"]["phase"] == "Running"}
        if not sizes or len(self.h.down) >= 12:
            return
        gang = max(sorted(sizes), key=lambda name: sizes[name])
        self.note(f"a gang that will run on: {gang}")
        self._runs_on = gang
        self.hall.lose_node(self.random.choice(slots_of(placed[gang])))

    def _late(self, resource: str) -> None:
        seconds = self.random.uniform(2, 8)
        self.note(f"writes of {resource} are late: {seconds:.1f} s")
        self.h.cluster.faults.add(
            Fault(Delay(before=seconds), "write", resource, client="op-*", times=None, seconds=seconds)
        )

    def outage(self) -> None:
        seconds, silent = self.random.uniform(1, 12), self.random.random() < 0.5
        self.note(f"no API server: {seconds:.1f} s, {silent}")
        self._troubled = True
        self.h.cluster.faults.outage(seconds, silent=silent)

    # -- the processes

    def pick(self) -> Replica:
        """The leader, mostly."""
        leaders = [replica for replica in self.replicas if replica.leads]
        return leaders[0] if leaders and self.random.random() < 0.8 else self.random.choice(self.replicas)

    def kill(self, replica: Replica | None = None) -> None:
        replica = replica or self.pick()
        if replica.alive:
            self.note(f"killed: {replica.name}")
            self._asleep.discard(replica.name)
            self.spawn(replica.kill())

    def start(self) -> None:
        for replica in self.replicas:
            if not replica.alive:
                self.note(f"started: {replica.name}")
                replica.start()

    def hand_over(self) -> None:
        replica = self.pick()
        if replica.alive and not replica.held:
            self.note(f"stopped: {replica.name}")
            self.spawn(replica.stop())

    def pause(self, replica: Replica | None = None) -> None:
        replica = replica or self.pick()
        if replica.link is not None:
            self.note(f"paused: {replica.name}")
            replica.pause()

    def wake(self) -> None:
        for replica in self.replicas:
            if replica.held and replica.name not in self._asleep:
                self.note(f"woken: {replica.name}")
                replica.wake()

    def kill_at_a_write(self) -> None:
        self._arm(self.pick(), self.kill)

    def pause_at_a_write(self) -> None:
        self._arm(self.pick(), self.pause)

    def outlast(self) -> None:
        """The leader stands still at one of its writes for longer than its Lease, and goes on between two steps of its
        successor; sometimes its clock has stood still too."""
        leader = self.pick()
        if leader.leads and not self._asleep:
            frozen, at_commit = self.random.random() < 0.4, self.random.random() < 0.6
            self._arm(leader, lambda replica: self._sleep(replica, frozen=frozen), at_commit=at_commit)
            if at_commit:
                self.submit()

    def _sleep(self, replica: Replica, *, frozen: bool) -> None:
        self.note(f"{'frozen' if frozen else 'paused'} for longer than its Lease: {replica.name}")
        replica.pause(frozen=frozen)
        self._asleep.add(replica.name)
        (other,) = (each for each in self.replicas if each is not replica)
        other.start()
        self._arm(other, lambda _: self._rouse(replica, other), soon=True)

    def _rouse(self, replica: Replica, successor: Replica) -> None:
        self._asleep.discard(replica.name)
        if not replica.held:
            return
        self.note(f"woken after another led: {replica.name}")
        replica.wake()
        if self.random.random() < 0.8 and not successor.held:
            # What its predecessor had still to send arrives before what it writes itself.
            self.note(f"held up: {successor.name}")
            successor.pause()
            self.spawn(self._wake_soon(successor, HELD_UP_SECONDS))

    @staticmethod
    async def _wake_soon(replica: Replica, seconds: float) -> None:
        await asyncio.sleep(seconds)
        replica.wake()

    def _arm(self, replica: Replica, blow: Blow, *, at_commit: bool = False, soon: bool = False) -> None:
        when, writes = self.random.choice(["before", "after"]), self.random.randint(1, 8)
        if at_commit or soon:
            when, writes = "before", self.random.choice([1, 1, 2])
        self._at_write[replica.name] = _Trap(when, writes, blow, at_commit)

    def written(self, replica: Replica, when: str) -> None:
        """A replica is about to write, or its write was answered."""
        told = (self._runs_on, "Stopping")
        if self._runs_on and when == "after" and replica.link and replica.link.told == told:
            self._runs_on = ""
            self._late("jobs")
        trap = self._at_write.get(replica.name)
        if trap is None or trap.when != when or replica.link is None:
            return
        if trap.at_commit and replica.link.told[1] != "Admitted":
            return
        trap.writes -= 1
        if not trap.writes:
            del self._at_write[replica.name]
            trap.blow(replica)

    def set_clock(self) -> None:
        """A replica's wall clock is off by so much from now on."""
        replica, seconds = self.random.choice(self.replicas), self.random.uniform(-20, 20)
        self.note(f"a clock: {replica.name} by {seconds:.0f} s")
        replica.skew(seconds)
