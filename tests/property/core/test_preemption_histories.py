"""Jobs of random priorities come to a small hall: whoever is stopped makes way for a higher priority, and it ends."""

from __future__ import annotations

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
    ),
    min_size=3,
    max_size=7,
)


@given(jobs)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_only_lower_priorities_make_way_and_all_run_in_the_end(
    wanted: list[tuple[int, int, str, int, bool, int]],
) -> None:
    quiet = MachineSettings(validate=True, status_seconds=1e9)
    # Six nodes' worth of watts for eight nodes: power has its say as well.
    h = started(facility(racks=2, row_watts=12_000 + 6 * 4_000), settings=quiet)
    h.apply(thing("Queue", "research", preemption={"withinQueue": "LowerPriority"}))
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
    for i, (slots, priority, disruption, gpus, near, pause) in enumerate(wanted):
        notes = {"rackplane.dev/disruption": disruption}
        if near:
            notes["rackplane.dev/required-topology"] = "nvlink"
        template = {"priorityClassName": f"p{priority}", "priority": priority} if priority else {}
        h.job(f"j{i}", slots=slots, gpus=gpus, run=20, annotations=notes, template=template)
        priorities[f"j{i}"] = priority
        h.advance(pause)
    # Everybody gets a turn: who is stopped starts anew, but only ever for one that is above it and ends.
    h.until(lambda: set(h.gangs().values()) == {"Finished"}, seconds=600)
    _told_why(h, priorities, {f"j{i}": disruption for i, (_, _, disruption, *_) in enumerate(wanted)})
    assert h.machine.world.holds == {}


def _told_why(h: Harness, priorities: dict[str, int], disruption: dict[str, str]) -> None:
    stops = [t for t in h.told if t.kind == "Job" and t.reason == "Preempted"]
    for told in stops:
        winner = told.message.split("gang default/job-")[1].split(",")[0]
        assert priorities[winner] > priorities[told.name], told
        assert disruption[told.name] != "Protected"
    # No more than every pair of them once and again for each restart of the higher: nobody is stopped without end.
    assert len(stops) <= len(priorities) ** 2
    failed = [j for j in h.cluster.store.items(("batch", "jobs")) if j["status"].get("failed")]
    assert not failed
