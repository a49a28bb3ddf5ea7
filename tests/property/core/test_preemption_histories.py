"""Jobs of random priorities come to queues of a small hall: who is stopped makes way by the rules, and it ends."""

from __future__ import annotations

import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rackplane.core.settings import MachineSettings
from tests.support.harness import Harness, facility, started, thing

jobs = st.lists(
    st.tuples(
        st.integers(1, 4),  # slots
        st.integers(0, 2),  # priority
        st.sampled_from(["Protected", "Checkpointable", "Sheddable"]),
        st.sampled_from([2, 4]),  # GPUs of a slot
        st.booleans(),  # in one NVLink domain
        st.integers(0, 8),  # seconds until the next one comes
        st.sampled_from(["research", "ours", "theirs"]),
    ),
    min_size=3,
    max_size=7,
)


@given(jobs, st.sampled_from(["Any", "LowerPriority"]))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_only_lower_priorities_make_way_and_all_run_in_the_end(
    wanted: list[tuple[int, int, str, int, bool, int, str]], reclaim: str
) -> None:
    quiet = MachineSettings(validate=True, status_seconds=1e9)
    # Six nodes' worth of watts for eight nodes: power has its say as well.
    h = started(facility(racks=2, row_watts=12_000 + 6 * 4_000), settings=quiet)
    policy = {"withinQueue": "LowerPriority", "reclaim": reclaim}
    h.apply(
        thing("Queue", "all", quota={"gpus": 24}),
        thing("Queue", "research", preemption={"withinQueue": "LowerPriority"}),
        thing("Queue", "ours", parent="all", quota={"gpus": 16}, preemption=policy),
        thing("Queue", "theirs", parent="all", quota={"gpus": 8}, preemption=policy),
    )
    for value in (1, 2):
        meta = {"name": f"p{value}"}
        h.apply(
            {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": meta, "value": value}
        )
    priorities: dict[str, int] = {}

    def check() -> None:
        assert h.machine.state is not None
        assert h.machine.state.violations() == [] and h.machine.state.overbooked() == []

    h.check = check
    for i, (slots, priority, disruption, gpus, near, pause, queue) in enumerate(wanted):
        notes = {"rackplane.dev/disruption": disruption}
        if near:
            notes["rackplane.dev/required-topology"] = "nvlink"
        template = {"priorityClassName": f"p{priority}", "priority": priority} if priority else {}
        h.job(f"j{i}", slots=slots, gpus=gpus, run=20, annotations=notes, template=template, queue=queue)
        priorities[f"j{i}"] = priority
        h.advance(pause)
    # Everybody gets a turn: who is stopped starts anew, but only ever for one that is above it and ends.
    h.until(lambda: set(h.gangs().values()) == {"Finished"}, seconds=600)
    _told_why(
        h, priorities, {f"j{i}": disruption for i, (_, _, disruption, *_) in enumerate(wanted)}, reclaim
    )
    assert h.machine.world.held_places == {}


def _told_why(h: Harness, priorities: dict[str, int], disruption: dict[str, str], reclaim: str) -> None:
    stops = [t for t in h.told if t.kind == "Job" and t.reason in ("Preempted", "Reclaimed")]
    for told in stops:
        winner = re.split("[,:]", told.message.split("gang default/job-")[1])[0]
        if told.reason == "Preempted" or reclaim == "LowerPriority":
            assert priorities[winner] > priorities[told.name], told
        assert disruption[told.name] != "Protected"
    # No more than every pair of them once and again for each restart of the higher: nobody is stopped without end.
    assert len(stops) <= len(priorities) ** 2
    failed = [j for j in h.cluster.store.items(("batch", "jobs")) if j["status"].get("failed")]
    assert not failed
