"""Elastic gangs under random growth, loss, ends, leaders and refused writes: what they hold is what runs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rackplane.api.labels import COMPLETIONS_EQUAL, GRANTED_PARALLELISM, MIN_SLOTS, REQUESTED_PARALLELISM
from rackplane.controller.requests import requests_for
from rackplane.core import events as e
from rackplane.core.gangs.slots import parse_slots
from rackplane.core.instructions import CommitGang, ResizeJob, WriteGangStatus
from rackplane.core.queues.counting import counted_by_gang
from rackplane.core.settings import MachineSettings
from rackplane.localcluster import Request
from tests.support.harness import GROUP, facility, started, thing
from tests.support.thorough import some

NODES = [f"r{r}-n{n}" for r in (1, 2) for n in range(3)]
QUOTA = 20
"""GPUs of 24."""
order = st.lists(st.sampled_from([0, 1, 1, 2, 3, 4, 5, 5, 6, 6, 6]), min_size=1, max_size=30)
steps = st.one_of(
    st.tuples(
        st.just("elastic"),
        st.integers(2, 6),  # slots
        st.integers(1, 4),  # the fewest
        st.sampled_from([2, 4]),  # GPUs of each
        st.sampled_from(["ranks", "queue", "more"]),
        st.integers(4, 25),  # seconds that a pod runs
    ),
    st.tuples(st.just("plain"), st.integers(1, 4), st.integers(2, 12)),
    st.tuples(st.just("advance"), st.integers(1, 8)),
    st.tuples(st.just("advance"), st.integers(1, 8)),
    st.tuples(st.just("micro"), order),
    st.tuples(st.just("micro"), order),
    st.tuples(st.just("leader")),
    st.tuples(st.just("late")),
    st.tuples(st.just("refuse"), st.integers(1, 3), st.sampled_from(["CONFLICT", "UNAVAILABLE", "lost"])),
    st.tuples(st.sampled_from(["lose", "return"]), st.integers(0, len(NODES) - 1)),
    st.tuples(st.just("evict"), st.integers(0, 5)),
)


class History:
    """One random run."""

    def __init__(self, row_watts: int) -> None:
        quick = MachineSettings(validate=True, status_seconds=1e9, resize_seconds=4)
        self.h = started(facility(racks=2, nodes=3, row_watts=row_watts), settings=quick)
        self.h.apply(thing("Queue", "research", quota={"gpus": QUOTA}))
        self.h.settle()
        self.wanted: dict[str, tuple[int, int]] = {}
        #: writes that a former leader has sent and that have not arrived
        self.late: list[Any] = []
        self.h.check = self.check

    # -- what must never be

    def check(self) -> None:
        machine, state = self.h.machine, self.h.machine.state
        if state is None:
            return
        assert state.violations() == [] and state.overbooked() == []
        used: Counter[str] = Counter()
        for pod in self.h.pods():
            if pod["spec"].get("nodeName") and pod["status"].get("phase") not in ("Succeeded", "Failed"):
                limits = pod["spec"]["containers"][0]["resources"]["limits"]
                used[pod["spec"]["nodeName"]] += int(limits["nvidia.com/gpu"])
        assert all(gpus <= 4 for gpus in used.values()), f"a GPU is used twice: {used}"
        promised: Counter[str] = Counter()
        for gang in self.h.cluster.store.items((GROUP, "gangs")):
            status, spec = gang.get("status", {}), gang["spec"]
            if status.get("phase") not in ("Admitted", "Running", "Stopping"):
                continue
            record = machine.gangs.get(("default", gang["metadata"]["name"]))
            if record is None or record.decision is None or record.decision.id != status["decision"]["id"]:
                continue  # not seen yet, or a former leader's, which does not count
            slots = [name for group in status["assignment"] for name in group["nodes"]]
            over = parse_slots(status.get("releasedSlots", ""))
            assert spec.get("minSlots", spec["slots"]) <= status["slots"] <= spec["slots"]
            assert len(slots) - len(over) <= spec["slots"]
            for slot, name in enumerate(slots):
                promised[name] += 0 if slot in over else spec["gpusPerSlot"]
            for pod in self.h.pods_of(gang["spec"]["workload"]["name"]):
                slot = pod["metadata"].get("annotations", {}).get("rackplane.dev/slot")
                if slot is not None and pod["status"].get("phase") not in ("Succeeded", "Failed"):
                    assert int(slot) not in over, "a slot was given up with its pod there"
                    assert pod["spec"]["nodeSelector"]["kubernetes.io/hostname"] == slots[int(slot)]
        assert all(gpus <= 4 for gpus in promised.values()), f"a GPU is promised twice: {promised}"
        assert sum(promised.values()) <= QUOTA

    def at_rest(self) -> None:
        """Nobody has anything to do: what is held is what runs, and what the Gang says of it is so."""
        state = self.h.machine.state
        assert state is not None
        for gang in self.h.cluster.store.items((GROUP, "gangs")):
            name, status = gang["metadata"]["name"], gang.get("status", {})
            record = self.h.machine.gangs["default", name]
            if status.get("phase") != "Running" or record.failures or self.h.down:
                continue
            pods = [
                pod
                for pod in self.h.pods_of(gang["spec"]["workload"]["name"])
                if pod["status"].get("phase") == "Running"
            ]
            held, there = state.held(f"default/{name}"), Counter(pod["spec"]["nodeName"] for pod in pods)
            assert there <= Counter(held.values()), name
            if not self._is_owed_pods(gang["spec"]["workload"]["name"], len(pods)):
                assert there == Counter(held.values()), name
            assert len(held) <= status["slots"]
            watts = state.reserved(f"default/{name}").nominal_watts
            assert watts == status["reservedNominalWatts"], name
            usage = [u for key, u in counted_by_gang(self.h.machine.world) if key == ("default", name)]
            assert [(u.gpus, u.nominal_watts) for u in usage] == [
                (len(held) * gang["spec"]["gpusPerSlot"], watts)
            ]

    def _is_owed_pods(self, name: str, count: int) -> bool:
        """Whether the Job has yet to make pods anew: after one that failed it waits before it does."""
        job = self.h.get("batch", "jobs", name)
        spec, succeeded = job["spec"], job["status"].get("succeeded", 0)
        if "completions" not in spec:
            return not succeeded and count < int(spec["parallelism"])
        return count < int(min(spec["parallelism"], spec["completions"] - succeeded))

    # -- what happens

    def step(self, kind: str, *arguments: Any) -> None:
        getattr(self, f"do_{kind}")(*arguments)

    def do_elastic(self, slots: int, fewest: int, gpus: int, kind: str, run: int) -> None:
        name, fewest = f"e{len(self.wanted)}", min(fewest, slots)
        self.wanted[name] = (slots, fewest)
        notes = {MIN_SLOTS: str(fewest)}
        spec: dict[str, Any] = {"completions": None, "indexed": False}
        if kind == "ranks":
            notes[COMPLETIONS_EQUAL], spec = "true", {}
        elif kind == "more":
            spec = {"completions": slots + 3, "indexed": bool(run % 2)}
        self.h.job(name, slots=slots, gpus=gpus, run=run, annotations=notes, **spec)

    def do_plain(self, slots: int, run: int) -> None:
        name = f"p{len(self.wanted)}"
        self.wanted[name] = (slots, slots)
        self.h.job(name, slots=slots, run=run)

    def do_advance(self, seconds: int) -> None:
        self.h.advance(seconds)
        self.at_rest()

    def do_micro(self, order: list[int]) -> None:
        self.h.one_by_one(order)

    def do_leader(self) -> None:
        """Another leads; what the former one has sent is on its way still."""
        fenced = (CommitGang, WriteGangStatus, ResizeJob)
        self.late += [each for each in self.h._todo if isinstance(each, fenced)]
        self.h.restart_machine()

    def do_late(self) -> None:
        for each in self.late:
            request = requests_for(each, now=self.h.time.now)
            body = msgspec.json.decode(msgspec.json.encode(request.body))
            self.h.cluster.handle(
                Request(
                    request.method,
                    request.path,
                    body=body,
                    content_type=request.content_type,
                    user="operator",
                )
            )
        self.late.clear()

    def do_refuse(self, count: int, how: str) -> None:
        """The next writes fail; of those whose answer is lost some have taken effect."""
        for _ in range(count):
            if not self.h._todo:
                return
            instruction = self.h._todo[0]
            if how == "lost":
                self.late.append(instruction)
                self.do_late()
            self.h._todo.popleft()
            reason = e.FailureReason.UNAVAILABLE if how == "lost" else e.FailureReason[how]
            self.h._feed(e.WriteFailed(instruction, reason, "for the test"))

    def do_lose(self, index: int) -> None:
        self.h.node_ready(NODES[index], False)
        for pod in self.h.pods():
            if pod["spec"].get("nodeName") == NODES[index]:
                self._remove(pod)

    def do_return(self, index: int) -> None:
        self.h.node_ready(NODES[index], True)

    def do_evict(self, index: int) -> None:
        pods = [p for p in self.h.pods() if p["spec"].get("nodeName")]
        if pods:
            self._remove(pods[index % len(pods)])

    def _remove(self, pod: dict[str, Any]) -> None:
        path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
        self.h.request("DELETE", path, {"gracePeriodSeconds": 0})

    def finish(self) -> None:
        """Everything returns, and all come to their end with their users' own numbers."""
        self.do_late()
        for index in range(len(NODES)):
            self.do_return(index)
        self.h.advance(1)
        self.h.until(lambda: set(self.h.gangs().values()) <= {"Finished"}, seconds=900, step=2)
        self.h.advance(2)
        assert self.h.gangs() == dict.fromkeys((f"job-{name}" for name in self.wanted), "Finished")
        assert self.h.machine.state is not None and list(self.h.machine.state.keys()) == []
        for job in self.h.cluster.store.items(("batch", "jobs")):
            meta, spec = job["metadata"], job["spec"]
            slots, fewest = self.wanted[meta["name"]]
            if COMPLETIONS_EQUAL in meta.get("annotations", {}):
                assert fewest <= spec["parallelism"] == spec["completions"] <= slots  # its ranks that ran
            else:
                assert spec["parallelism"] == slots
                assert not {REQUESTED_PARALLELISM, GRANTED_PARALLELISM} & meta.get("annotations", {}).keys()


@settings(max_examples=some(75), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    # Idle the hall draws 11 kW; all of it at work needs 24 kW more.
    row_watts=st.sampled_from([10_000 + 5 * 4_000, 60_000]),
    history=st.lists(steps, min_size=3, max_size=16),
)
def test_what_elastic_gangs_hold_is_what_runs(row_watts: int, history: list[tuple[Any, ...]]) -> None:
    run = History(row_watts)
    for kind, *arguments in history:
        run.step(kind, *arguments)
    run.finish()
