"""Jobs come and go in a small hall where gangs are moved: no GPU is lost, no limit broken, and nobody to and fro."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rackplane.core.settings import Defragmentation, MachineSettings
from tests.support.harness import GROUP, facility, started, thing
from tests.support.thorough import some

NVLINK = {"rackplane.dev/required-topology": "nvlink"}
REST = 3_600.0
NODES = [f"r{r}-n{n}" for r in (1, 2, 3) for n in range(3)]
QUOTA = 28
"""GPUs of 36."""
jobs = st.tuples(
    st.just("job"),
    st.sampled_from([1, 2, 3, 3]),  # slots
    st.sampled_from([2, 4]),  # GPUs of each
    st.sampled_from([5, 20, 400]),  # seconds that it runs
    st.sampled_from([None, NVLINK, NVLINK]),
    st.sampled_from(["Checkpointable", "Checkpointable", "Protected", "Sheddable"]),
    st.booleans(),  # may run with one slot
)
steps = st.one_of(
    jobs,
    jobs,
    jobs,
    st.tuples(st.just("advance"), st.integers(1, 12)),
    st.tuples(st.just("advance"), st.integers(1, 12)),
    st.tuples(
        st.just("micro"), st.lists(st.sampled_from([0, 1, 1, 2, 3, 4, 5, 5, 6, 6]), min_size=1, max_size=25)
    ),
    st.tuples(st.just("leader")),
    st.tuples(st.sampled_from(["lose", "return"]), st.integers(0, len(NODES) - 1)),
    st.tuples(st.sampled_from(["delete", "suspend", "resume"]), st.integers(0, 5)),
)


class History:
    """One random run."""

    def __init__(self, price: float, row_watts: int) -> None:
        eager = MachineSettings(
            validate=True,
            status_seconds=1e9,
            resize_seconds=4,
            defragmentation=Defragmentation.MOVE,
            proposing_seconds=2.0,
            moves_per_hour=6,
            domain_gpu_hours=price,
            rest_seconds=REST,
            least_gain=0.01,
        )
        self.h = started(facility(racks=3, nodes=3, cooling=False), settings=eager)
        self.wanted: dict[str, str] = {}
        self.moved: dict[str, str] = {}
        # In each rack a gang of one node is left over, which could be anywhere.
        for i in range(3):
            self.do_job(2, 4, 4, NVLINK, "Checkpointable", False)
            self.h.settle()
            self.do_job(1, 4, 400 + 10 * i, None, "Checkpointable", False)
            self.h.settle()
        self.h.apply(
            thing("Queue", "research", quota={"gpus": QUOTA}),
        )
        self.h.advance(6)
        row = f"/apis/{GROUP}/v1alpha1/powerdomains/row"
        self.h.patch(row, {"spec": {"ratedWatts": row_watts}})
        self.h.settle()
        self.h.check = self.check

    def check(self) -> None:
        state = self.h.machine.state
        if state is None:
            return
        assert state.violations() == [] and state.overbooked() == []
        used: Counter[str] = Counter()
        for pod in self.h.pods():
            if pod["spec"].get("nodeName") and pod["status"].get("phase") not in ("Succeeded", "Failed"):
                limits = pod["spec"]["containers"][0]["resources"]["limits"]
                used[pod["spec"]["nodeName"]] += int(limits["nvidia.com/gpu"])
        assert all(gpus <= 4 for gpus in used.values()), f"a GPU is used twice: {used}"
        world = self.h.machine.world
        assert sum(u.gpus for u in world.ledger.usages()) <= QUOTA
        # One plan at a time.
        assert sum(bool(held.moves) for held in world.held_places.values()) <= 1
        for gang in self.h.cluster.store.items((GROUP, "gangs")):
            name, last = gang["metadata"]["uid"], gang.get("status", {}).get("lastMove")
            if last is not None and last["time"] != self.moved.get(name):
                assert name not in self.moved, "it was moved again before it had rested"
                assert self.wanted[gang["spec"]["workload"]["name"]] == "Checkpointable"
                self.moved[name] = last["time"]

    def step(self, kind: str, *arguments: Any) -> None:
        getattr(self, f"do_{kind}")(*arguments)

    def do_job(
        self, slots: int, gpus: int, run: int, near: dict[str, str] | None, disruption: str, elastic: bool
    ) -> None:
        name = f"j{len(self.wanted)}"
        self.wanted[name] = disruption
        notes = {"rackplane.dev/disruption": disruption, **(near or {})}
        spec: dict[str, Any] = {}
        if elastic:
            notes["rackplane.dev/min-slots"], spec = "1", {"completions": None, "indexed": False}
        self.h.job(name, slots=slots, gpus=gpus, run=run, annotations=notes, **spec)

    def do_advance(self, seconds: int) -> None:
        self.h.advance(seconds)

    def do_micro(self, order: list[int]) -> None:
        self.h.one_by_one(order)

    def do_leader(self) -> None:
        self.h.restart_machine()

    def do_lose(self, index: int) -> None:
        self.h.node_ready(NODES[index], False)

    def do_return(self, index: int) -> None:
        self.h.node_ready(NODES[index], True)

    def _job(self, index: int) -> str | None:
        names = sorted(job["metadata"]["name"] for job in self.h.cluster.store.items(("batch", "jobs")))
        return names[index % len(names)] if names else None

    def do_delete(self, index: int) -> None:
        name = self._job(index)
        if name is not None:
            path = f"/apis/batch/v1/namespaces/default/jobs/{name}"
            self.h.request("DELETE", path, {"propagationPolicy": "Background"})

    def do_suspend(self, index: int, value: bool = True) -> None:
        name = self._job(index)
        if name is not None:
            self.h.suspend(name, value)

    def do_resume(self, index: int) -> None:
        self.do_suspend(index, False)

    def finish(self) -> None:
        """Everything returns, and whoever was moved comes to its end like everybody else."""
        for index in range(len(NODES)):
            self.do_return(index)
        self.h.settle()
        for job in self.h.cluster.store.items(("batch", "jobs")):
            theirs = "rackplane.dev/suspended-by" not in job["metadata"].get("annotations", {})
            if job["spec"].get("suspend") and theirs:
                self.h.suspend(job["metadata"]["name"], False)
        self.h.until(lambda: set(self.h.gangs().values()) <= {"Finished"}, seconds=6_000, step=10)
        assert self.h.machine.state is not None and list(self.h.machine.state.keys()) == []
        assert self.h.machine.world.held_places == {}
        assert not [j for j in self.h.cluster.store.items(("batch", "jobs")) if j["status"].get("failed")]


@settings(max_examples=some(36), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    price=st.sampled_from([0.0, 5.0]),
    # Idle the hall draws 15 kW; all of it at work needs 36 kW more.
    row_watts=st.sampled_from([15_000 + 6 * 4_000, 100_000]),
    history=st.lists(steps, min_size=5, max_size=20),
)
def test_moves_lose_no_gpu_break_no_limit_and_do_not_go_to_and_fro(
    price: float, row_watts: int, history: list[tuple[Any, ...]]
) -> None:
    run = History(price, row_watts)
    for kind, *arguments in history:
        run.step(kind, *arguments)
    run.finish()
