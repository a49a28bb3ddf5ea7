"""Jobs of random priorities come to queues of a small hall: who is stopped makes way by the rules, and it ends."""

from __future__ import annotations

import re

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rackplane.api.labels import COMPLETIONS_EQUAL, MIN_SLOTS
from rackplane.core.queues.tally import STARTED
from rackplane.core.settings import MachineSettings
from tests.support.harness import Harness, facility, started, thing
from tests.support.thorough import some

JOBS = "/apis/batch/v1/namespaces/default/jobs"

jobs = st.lists(
    st.tuples(
        st.integers(1, 4),  # slots
        st.integers(0, 2),  # priority
        st.sampled_from(["Protected", "Checkpointable", "Sheddable"]),
        st.sampled_from([2, 4]),  # GPUs of a slot
        st.booleans(),  # in one NVLink domain
        st.integers(0, 8),  # seconds until the next one comes
        st.sampled_from(["research", "ours", "theirs"]),
        st.booleans(),  # with fewer ranks too
    ),
    min_size=3,
    max_size=7,
)
Wanted = list[tuple[int, int, str, int, bool, int, str, bool]]

QUOTAS = {"all": 24, "ours": 16, "theirs": 8}


def hall(reclaim: str) -> Harness:
    """Eight nodes with watts for six, and three queues, two of them under one parent."""
    quiet = MachineSettings(validate=True, status_seconds=1e9)
    h = started(facility(racks=2, row_watts=12_000 + 6 * 4_000), settings=quiet)
    policy = {"withinQueue": "LowerPriority", "reclaim": reclaim}
    h.apply(
        thing("Queue", "all", quota={"gpus": QUOTAS["all"]}),
        thing("Queue", "research", preemption={"withinQueue": "LowerPriority"}),
        thing("Queue", "ours", parent="all", quota={"gpus": QUOTAS["ours"]}, preemption=policy),
        thing("Queue", "theirs", parent="all", quota={"gpus": QUOTAS["theirs"]}, preemption=policy),
    )
    for value in (1, 2):
        meta = {"name": f"p{value}"}
        h.apply(
            {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": meta, "value": value}
        )
    ages: dict[str, str] = {}

    def check() -> None:
        assert h.machine.state is not None
        assert h.machine.state.violations() == [] and h.machine.state.overbooked() == []
        assert h.machine.world.ledger.tree.used("all").get("gpus", 0) <= QUOTAS["all"]
        for gang in h.cluster.store.items(("rackplane.dev", "gangs")):
            since = gang.get("status", {}).get("submittedAt")
            if since is not None:
                assert ages.setdefault(gang["metadata"]["uid"], since) == since

    h.check = check
    return h


def submit(h: Harness, wanted: Wanted) -> dict[str, int]:
    """The jobs, one after the other; their priorities by name."""
    priorities: dict[str, int] = {}
    for i, (slots, priority, disruption, gpus, near, pause, queue, elastic) in enumerate(wanted):
        notes = {"rackplane.dev/disruption": disruption}
        if near:
            notes["rackplane.dev/required-topology"] = "nvlink"
        if elastic:
            notes |= {MIN_SLOTS: "1", COMPLETIONS_EQUAL: "true"}
        template = {"priorityClassName": f"p{priority}", "priority": priority} if priority else {}
        h.job(f"j{i}", slots=slots, gpus=gpus, run=20, annotations=notes, template=template, queue=queue)
        priorities[f"j{i}"] = priority
        h.advance(pause)
    return priorities


# The pod of a slot that is given up goes before its booking does, while another slot of the gang runs on that node.
SHRINKS: Wanted = [
    (3, 0, "Protected", 4, True, 0, "research", True),
    (4, 0, "Checkpointable", 2, False, 0, "theirs", True),
    (2, 0, "Sheddable", 2, True, 0, "theirs", True),
    (4, 0, "Protected", 2, True, 0, "research", False),
    (3, 2, "Protected", 2, False, 2, "theirs", False),
    (1, 2, "Protected", 2, False, 1, "ours", True),
]


@given(jobs, st.sampled_from(["Any", "LowerPriority"]))
@example(SHRINKS, "LowerPriority")
@settings(max_examples=some(36), deadline=None, suppress_health_check=list(HealthCheck))
def test_only_lower_priorities_make_way_and_all_run_in_the_end(wanted: Wanted, reclaim: str) -> None:
    h = hall(reclaim)
    priorities = submit(h, wanted)
    # Everybody gets a turn: who is stopped starts anew, but only ever for one that is above it and ends.
    h.until(lambda: set(h.gangs().values()) == {"Finished"}, seconds=600)
    _told_why(h, priorities, {f"j{i}": w[2] for i, w in enumerate(wanted)}, reclaim)
    assert h.machine.world.held_places == {}
    # Where nobody interferes and nothing breaks, whoever has others stopped starts.
    assert {result for _, result in h.machine.tally.plans} <= {STARTED}


@given(
    jobs,
    st.lists(
        st.tuples(
            st.integers(0, 6),  # which job
            st.sampled_from(["delete", "suspend", "protect", "lower"]),
            st.integers(0, 40),  # steps of the operator and the cluster before that
        ),
        min_size=1,
        max_size=4,
    ),
)
@settings(max_examples=some(36), deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_users_do_meanwhile_nobody_stays_stopped_for_nothing(
    wanted: Wanted, deeds: list[tuple[int, str, int]]
) -> None:
    h = hall("Any")
    submit(h, wanted)
    suspended: set[str] = set()
    for which, deed, steps in deeds:
        for _ in range(steps):
            h.cluster.settle()
            if not (h.deliver(1) or h.write() or h.agents()):
                h.time.now += 0.25
        name = f"j{which % len(wanted)}"
        if h.cluster.store.get(("batch", "jobs"), "default", name) is None:
            continue
        match deed:
            case "delete":
                h.request("DELETE", f"{JOBS}/{name}", {"propagationPolicy": "Background"})
                suspended.discard(name)
            case "suspend":
                h.suspend(name, True)
                suspended.add(name)
            case "protect":
                note = {"rackplane.dev/disruption": "Protected"}
                h.patch(f"{JOBS}/{name}", {"metadata": {"annotations": note}})
            case "lower":
                h.apply(thing("Queue", "research", priority=-5, preemption={"withinQueue": "LowerPriority"}))
    h.advance(5)
    for name in suspended:
        h.suspend(name, False)
    h.until(lambda: set(h.gangs().values()) <= {"Finished"}, seconds=900)
    assert h.machine.world.held_places == {}
    assert not [j for j in h.cluster.store.items(("batch", "jobs")) if j["status"].get("failed")]


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
