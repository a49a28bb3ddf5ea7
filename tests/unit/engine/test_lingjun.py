"""Decisions on the switches of a real training cluster: each access switch is one domain of so many free hosts."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from rackplane.engine.model import Placement, Request
from rackplane.engine.placing.placement import place
from tests.unit.engine.test_kueue_cases import GPU, facility_of

SWITCHES = Path(__file__).parents[2] / "data" / "lingjun" / "switches.csv"


def blocks() -> dict[str, list[int]]:
    """Hosts of each access switch, by the switches above."""
    found: dict[str, list[int]] = {}
    with SWITCHES.open() as lines:
        for row in csv.DictReader(lines):
            found.setdefault(f"{row['dsw']}-{row['psw']}-", []).append(int(row["hosts"]))
    return found


@pytest.mark.parametrize("slots", [1, 5, 20, 64, 150, 400, 847])
def test_a_gang_takes_as_few_access_switches_as_can_hold_it(slots: int) -> None:
    sizes = sorted((hosts for block in blocks().values() for hosts in block), reverse=True)
    fewest = next(n for n in range(1, len(sizes) + 1) if sum(sizes[:n]) >= slots)
    answer = place(facility_of(blocks()), Request(slots=slots, gpus_per_slot=4, resource=GPU))
    assert isinstance(answer, Placement)
    assert len({group.rack for group in answer.groups}) == fewest
    if fewest == 1:  # the smallest that holds it
        rack = answer.groups[0].rack
        names = {f"{block}{i}": hosts for block, own in blocks().items() for i, hosts in enumerate(own)}
        assert names[rack] == min(size for size in sizes if size >= slots)
