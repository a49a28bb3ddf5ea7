"""GPUs that CPU and memory can still feed: where gangs go that take only a part of a node.

Nodes have 4 GPUs, 64 CPUs and 512 GiB; each lies in a rack of its own.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from rackplane.core.settings import MachineSettings
from tests.support.harness import GPU, Harness, facility, started


def asking(gpus: int, cpu: int, memory: str = "1Gi") -> dict[str, Any]:
    wanted = {"cpu": str(cpu), "memory": memory, **({GPU: str(gpus)} if gpus else {})}
    resources = {"requests": wanted, "limits": {GPU: str(gpus)} if gpus else {}}
    return {"containers": [{"name": "main", "image": "example.org/train", "resources": resources}]}


def start(h: Harness, name: str, gpus: int, cpu: int, memory: str = "1Gi", slots: int = 1) -> str:
    """The node that the gang gets."""
    h.job(name, slots=slots, gpus=gpus, run=None, template=asking(gpus, cpu, memory))
    h.until(lambda: h.phase(f"job-{name}") == "Running", seconds=10)
    (node,) = {p["spec"]["nodeName"] for p in h.pods_of(name)}
    return str(node)


def somebody_else(h: Harness, node: str, cpu: int, memory: str = "1Gi") -> None:
    """A pod that is not ours takes so much of the node, and no GPU."""
    h.pod("other", **asking(0, cpu, memory), nodeName=node, tolerations=[{"operator": "Exists"}])
    h.settle()


@pytest.mark.parametrize(("cpu", "memory"), [(24, "1Gi"), (1, "300Gi")])
def test_of_two_nodes_that_differ_only_in_what_is_left_the_one_that_stays_fed_is_taken(
    cpu: int, memory: str
) -> None:
    h = started(facility(racks=2, nodes=1))
    somebody_else(h, "r1-n0", cpu, memory)
    # The first asks for what GPUs need in the mean: the mean is its own.
    assert start(h, "lean", 1, 4, "4Gi") == "r1-n0"
    # With the two a GPU needs 12 CPUs, and 84 GiB, in the mean. 3 GPUs of r1-n0 would need 36 of the 36 that it has, or
    # 252 of 208 GiB: nothing is over for one that takes 20 and 164. Of r2-n0 48 of 64 and 336 of 512 are enough.
    assert start(h, "hungry", 1, 20, "164Gi") == "r2-n0"
    # Who needs no more than others goes where it is tightest, and fills what is left.
    assert start(h, "small", 2, 4, "4Gi") == "r1-n0"


def test_where_enough_is_left_the_tightest_place_is_taken_as_ever() -> None:
    h = started(facility(racks=2, nodes=1))
    assert start(h, "lean", 1, 4) == "r1-n0"
    # 3 GPUs need 36 of the 60 CPUs: one that takes 20 leaves 40 for 2, which need 24.
    assert start(h, "hungry", 1, 20) == "r1-n0"


def test_no_gang_waits_for_it() -> None:
    h = started(facility(racks=2, nodes=1))
    somebody_else(h, "r1-n0", 24)
    assert start(h, "lean", 1, 4) == "r1-n0"
    assert start(h, "whole", 4, 60) == "r2-n0"
    assert start(h, "hungry", 1, 20) == "r1-n0"


def test_one_without_gpus_keeps_away_from_those_that_need_its_cpus() -> None:
    h = started(facility(racks=2, nodes=1))
    # A GPU needs 20 CPUs. r2-n0 has 4 of them free and needs 80 of 64; r1-n0 has 2 free and needs 40 of 24.
    assert start(h, "pair", 2, 40) == "r1-n0"
    assert start(h, "rest", 2, 20) == "r1-n0"
    # Nobody can use a GPU of r1-n0 any more, for there is none: its 4 CPUs are for those who need none.
    assert start(h, "none", 0, 4) == "r1-n0"


def _history(seed: int, *, restarts: bool) -> tuple[Harness, list[str]]:
    """The nodes that gangs of all kinds get, while some of them end."""
    draw = random.Random(seed)
    h = started(facility(racks=3, nodes=1))
    somebody_else(h, "r1-n0", 24, "100Gi")
    found: list[str] = []
    for n in range(9):
        gpus, cpu, memory = draw.choice([0, 1, 1, 2]), draw.choice([2, 8, 16]), draw.choice(["1Gi", "90Gi"])
        h.job(f"g{n}", slots=1, gpus=gpus, run=draw.choice([6, 40]), template=asking(gpus, cpu, memory))
        h.until(lambda: "nodeName" in h.pods_of(f"g{n}")[0]["spec"], seconds=60)  # noqa: B023
        found.append(h.pods_of(f"g{n}")[0]["spec"]["nodeName"])
        if restarts:
            h.restart_machine()
            h.settle()
    return h, found


def test_a_new_process_decides_the_same() -> None:
    (h, found), (again, same) = _history(1, restarts=False), _history(1, restarts=True)
    assert same == found
    assert len(set(found)) > 1
    assert again.machine.world.appetite.needs({}) == h.machine.world.appetite.needs({}) != {}


def test_it_costs_gangs_on_whole_nodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    h = started(facility(racks=2, nodes=2), settings=MachineSettings())
    monkeypatch.setattr("rackplane.core.pods.leftover.Leftover.of", lambda *_: pytest.fail("nobody asks"))
    h.job("whole", slots=2, gpus=4, run=None, template=asking(4, 60))
    h.until(lambda: h.phase("job-whole") == "Running", seconds=10)
    assert h.machine.world.appetite.needs({}) == {}
