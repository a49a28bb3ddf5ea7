"""What racks draw, computed once more: overhead, idle nodes, and the increments of all that runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from rackplane.engine.model import FacilitySpec, NodeType


@dataclass
class Draws:
    """P_r by rack: nominal and peak watts now, and the nominal watts left at the start of each coming budget."""

    nominal: Mapping[str, float]
    peak: Mapping[str, float]
    left: Mapping[float, Mapping[str, float]] = field(default_factory=dict)


class Work(NamedTuple):
    """GPUs of one node in use by a gang; ``profile`` None means that they are not ours."""

    gpus: int
    profile: str | None
    until: float | None = None


def increment(kind: NodeType, gpus: int, profile: str | None) -> tuple[int, int]:
    """Nominal and peak watts over idle, parts of a node and of a watt rounded up."""
    if gpus <= 0 or kind.gpus_per_node <= 0:
        return 0, 0
    caps = {"MaxP": kind.max_watts} | {c.name: c.node_watts for c in kind.caps}
    cap = kind.max_watts if profile is None else caps.get(profile, kind.max_watts)
    used = Fraction(100 if profile is None else kind.typical_utilization_percent, 100)
    nominal = ceil(used * (cap - kind.idle_watts))
    peak = max(nominal, ceil(Fraction(cap * kind.peak_percent, 100)) - kind.idle_watts)
    part = Fraction(gpus, kind.gpus_per_node)
    return ceil(nominal * part), ceil(peak * part)


def draws(spec: FacilitySpec, nodes: Iterable[tuple[str, Sequence[Work]]]) -> Draws:
    """Overhead, idle nodes and their work, by rack.

    Args:
        nodes: the rack of each node, and what runs on it.
    """
    kinds = {t.name: t for t in spec.node_types}
    types = {r.name: kinds.get(r.node_type) for r in spec.racks}
    nominal = {r.name: max(0, r.overhead_watts) for r in spec.racks}
    peak = dict(nominal)
    left = {b.starts_at: dict(nominal) for b in spec.budgets if b.starts_at is not None}
    for rack, works in nodes:
        kind = types.get(rack)
        if kind is None:
            continue
        for idle in (nominal, peak, *left.values()):
            idle[rack] += kind.idle_watts
        for work in works:
            more, most = increment(kind, work.gpus, work.profile)
            nominal[rack] += more
            peak[rack] += most
            for start, then in left.items():
                if work.until is None or work.until > start:
                    then[rack] += more
    return Draws(nominal, peak, left)
