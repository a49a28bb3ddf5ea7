"""What power elements would carry if racks drew something else than is booked, as by their meters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rackplane.engine.model import Medium
from rackplane.engine.physics.facility import Facility
from rackplane.engine.physics.rows import LimitRow, RowKind

__all__ = ["Carried", "carried", "heat_carried"]


@dataclass(frozen=True, slots=True)
class Carried:
    """Nominal load at an element's output, or heat of a zone, in watts, and the racks below it that it is of."""

    watts: int
    racks: tuple[str, ...]


def carried(facility: Facility, draws: Mapping[str, int]) -> dict[str, Carried]:
    """Loads in the normal state by power element: base loads, and every rack's draw by its share, through efficiencies.

    The same sums as those of what is reserved (DESIGN.md, 5), with other draws.

    Args:
        draws: watts by rack. An element above a rack that is not among them is left out, as is one above no rack.
    """
    rows = {name: LimitRow(RowKind.POWER_NOMINAL, name) for name in facility.powers}
    return _carried(facility, draws, rows)


def heat_carried(facility: Facility, draws: Mapping[str, int]) -> dict[str, Carried]:
    """The same of the heat that goes to cooling zones."""
    kinds = {Medium.LIQUID: RowKind.LIQUID, Medium.AIR: RowKind.AIR}
    rows = {name: LimitRow(kinds[zone.medium], name) for name, zone in facility.coolings.items()}
    return _carried(facility, draws, rows)


def _carried(
    facility: Facility, draws: Mapping[str, int], rows: Mapping[str, LimitRow]
) -> dict[str, Carried]:
    names = [rack.name for rack in facility.racks]
    watts = np.array([draws.get(name, math.nan) for name in names], dtype=np.float64)
    order, loaded, begins = facility.by_cell
    if not len(loaded):
        return {}
    of_entry = facility.entry_racks[order]
    sums = np.add.reduceat(watts[of_entry] * facility.coefficients[order], begins)
    ends = np.append(begins[1:], len(order))
    place = {cell: i for i, cell in enumerate(loaded.tolist())}
    result = {}
    for element, row in rows.items():
        cell = facility.row_index[row]
        i = place.get(cell)
        if i is None or math.isnan(sums[i]):
            continue
        below = of_entry[begins[i] : ends[i]].tolist()
        result[element] = Carried(
            round(float(facility.constant[cell]) + float(sums[i])), tuple(names[r] for r in below)
        )
    return result
