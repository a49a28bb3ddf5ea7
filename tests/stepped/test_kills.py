"""The operator killed at every write: before it is sent, and after it took effect but before the answer."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from rackplane.api.labels import GANG_LABEL, NODE_GANGS, POWER_CAP_WATTS, POWER_PROFILE
from tests.support.branching import Kill, killed_at
from tests.support.harness import QUEUE, RUN, Harness, facility, started


def scenario(h: Harness) -> None:
    """Two gangs that fill the facility, one that waits for them, bare pods, and a promise broken on the way."""
    h.job("alpha", slots=4, run=6, annotations={"rackplane.dev/required-topology": "nvlink"})
    h.job("beta", slots=2, gpus=2, completions=3, run=4, indexed=False)
    h.job("gamma", slots=4, run=5, annotations={"rackplane.dev/required-topology": "nvlink"})
    for i in range(2):
        h.pod(
            f"pair-{i}",
            gpus=2,
            labels={QUEUE: "research", "rackplane.dev/gang": "pair"},
            annotations={"rackplane.dev/gang-size": "2", RUN: "4"},
        )
    h.until(lambda: len(h.gangs()) == 4 and set(h.gangs().values()) == {"Finished"}, seconds=240)
    h.advance(2)


def watched(**options: Any) -> Harness:
    """A harness that looks after every write and every batch for what must never be."""
    h = started(facility(racks=2), **options)

    def check() -> None:
        assert h.machine.state is not None
        assert h.machine.state.violations() == []
        assert h.machine.state.overbooked() == []
        gpus: Counter[str] = Counter()
        for pod in h.pods():
            if pod["spec"].get("nodeName") and pod["status"].get("phase") not in ("Succeeded", "Failed"):
                wanted = pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
                gpus[pod["spec"]["nodeName"]] += int(wanted)
        assert all(used <= 4 for used in gpus.values()), gpus
        check_caps(h)

    h.check = check
    return h


def check_caps(h: Harness) -> None:
    """The cap of a pod that was let go is in force on its node from before that until the pod is over."""
    for pod in h.pods():
        if pod["spec"].get("schedulingGates") or pod["status"].get("phase") in ("Succeeded", "Failed"):
            continue
        of_pod = pod["metadata"]["annotations"]
        name = pod["spec"]["nodeSelector"]["kubernetes.io/hostname"]
        of_node = h.get("", "nodes", name, "")["metadata"].get("annotations", {})
        for key in (POWER_PROFILE, POWER_CAP_WATTS):
            assert of_node.get(key) == of_pod[key], (pod["metadata"]["name"], name, of_node)
        assert f"default/{of_pod[GANG_LABEL]}" in of_node[NODE_GANGS].split(",")


def verify(h: Harness) -> None:
    """Everything ended as if nothing had happened."""
    assert h.gangs() == dict.fromkeys(("job-alpha", "job-beta", "job-gamma", "pod-pair"), "Finished")
    for name in ("alpha", "beta", "gamma"):
        status = h.get("batch", "jobs", name)["status"]
        assert not status.get("failed"), (name, status)
        assert {"alpha": 4, "beta": 3, "gamma": 4}[name] == status["succeeded"]
    assert Counter(c.name for c in h.commits) == Counter(h.gangs().keys())
    assert all(record.decision is None for record in h.machine.gangs.values())
    assert h.machine.state is not None and set(h.machine.state.keys()) == set()
    assert not [
        n for n in h.cluster.store.items(("", "nodes")) if NODE_GANGS in n["metadata"].get("annotations", {})
    ]


@pytest.fixture(scope="module")
def writes() -> int:
    """How many writes one undisturbed run makes."""
    h = watched()
    scenario(h)
    verify(h)
    return h.writes


def test_undisturbed_runs_agree_whichever_is_heard_first(writes: int) -> None:
    h = watched(answers_first=False)
    scenario(h)
    verify(h)
    # The answer before or after the change itself: no write more or less but for the pace of facility status.
    assert abs(h.writes - writes) <= writes // 5


def test_killed_at_every_write_it_finishes_what_it_began(writes: int) -> None:
    def run(kill: Kill) -> Harness:
        h = watched(kill=kill)
        scenario(h)
        verify(h)
        return h

    # After each write, and before those ahead of which something else had changed.
    assert killed_at(lambda number, moment: True, run) >= writes


@pytest.mark.parametrize("period", [23, 29, 37])
def test_killed_again_and_again_it_still_gets_there(period: int) -> None:
    h = watched(kill=lambda n, w: n % period == 0 and w == ("before", "after")[n // period % 2])
    scenario(h)
    verify(h)
    assert h.restarts >= 2
