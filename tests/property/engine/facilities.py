"""Random facilities and work, small and odd: power graphs of every shape, cooling on power, budgets, bad input.

All choices are read from one string of bytes: ten thousand facilities of a hundred choices each are then drawn in
seconds, and hypothesis still shrinks what fails, for byte 0 is the plainest choice everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from hypothesis import strategies as st

from rackplane.engine.model import (
    BudgetSpec,
    CoolingSpec,
    CoolingUnit,
    FacilitySpec,
    Feed,
    Medium,
    Modules,
    NodeSpec,
    NodeType,
    Placement,
    PowerCap,
    PowerSpec,
    RackSpec,
    Role,
)

T = TypeVar("T")

KINDS = (
    NodeType("mixed", "gpu", 4, 1_000, 6_000, 90, 120, 80, caps=(PowerCap("MaxQ", 3_100, 70),)),
    NodeType("liquid", "gpu", 3, 700, 5_000, 77, 100, 100),
    NodeType("air", "gpu", 8, 2_000, 10_200, 76, 137, 0, caps=(PowerCap("MaxQ", 5_000, 80),)),
)
TAGS = ("main-a", "main-b")
STARTS = (100.0, 200.0)
ENDS = (None, 100.0, 150.0, 300.0)
"""When bookings and requests are expected to end: at a start, between two, after all, never."""


class Tape:
    """Choices from bytes; after the last byte, the first option of everything."""

    def __init__(self, data: bytes) -> None:
        self._bytes = iter(data)

    def below(self, count: int) -> int:
        """A number from 0 to ``count - 1``."""
        return next(self._bytes, 0) % count

    def of(self, *options: T) -> T:
        """One of the options."""
        return options[self.below(len(options))]

    def rarely(self) -> bool:
        """True about once in ten."""
        return self.below(10) == 9

    def watts(self, least: int, most: int) -> int:
        """From ``least`` to ``most`` kW, in watts."""
        return 1_000 * (least + self.below(most - least + 1))

    def some(self, options: Sequence[T], least: int, most: int) -> list[T]:
        """Different options, in any order."""
        left = list(options)
        count = min(len(left), least + self.below(most - least + 1))
        return [left.pop(self.below(len(left))) for _ in range(count)]


def _feed(tape: Tape, power: str, limits: tuple[int | None, ...] = (None,)) -> Feed:
    role = tape.of(Role.ACTIVE, Role.ACTIVE, Role.STANDBY)
    return Feed(power, tape.of(1, 1, 2, 5), role, tape.of(*limits) if len(limits) > 1 else limits[0])


def _power(tape: Tape, name: str, above: Sequence[str]) -> PowerSpec:
    parents = tape.some(above, 0 if tape.rarely() else 1, 3) if above else []
    modules = Modules(3, tape.of(1, 2, 3), tape.watts(10, 60), tape.of(None, 0, 1, 2))
    return PowerSpec(
        name,
        tape.watts(15, 150),
        tape.of(100, 80),
        tape.of(None, None, 60_000, 100_000),
        tape.of(0, 0, 500, 3_000),
        tape.of(10_000, 10_000, 9_600, 9_000, 5_000),
        tuple(_feed(tape, p) for p in parents),
        tape.of(None, *TAGS),
        survivable=tape.of(False, True),
        modules=modules if tape.rarely() else None,
        online=not tape.rarely(),
        retired=tape.below(40) == 39,
    )


def _zone(
    tape: Tape, name: str, medium: Medium, powers: Sequence[str], parents: tuple[str, ...] = ()
) -> CoolingSpec:
    units = []
    for i in range(1 + tape.below(3)):
        feeds = tuple(_feed(tape, p) for p in tape.some(powers, 0, 2))
        draw = tape.of(0, 600, 2_000) if feeds else 0
        units.append(CoolingUnit(f"u{i}", tape.watts(10, 60), draw, feeds, online=not tape.rarely()))
    needed = 1 + tape.below(len(units))
    return CoolingSpec(
        name, medium, tuple(units), needed, tape.of(100, 100, 85, 40), parents, retired=tape.below(40) == 39
    )


def _rack(tape: Tape, name: str, powers: Sequence[str], zones: Sequence[CoolingSpec]) -> RackSpec:
    limit = tape.watts(12, 60)
    return RackSpec(
        name,
        tape.of(*KINDS).name,
        tape.of(0, 300, 2_000),
        limit,
        tuple(_feed(tape, p, (None, None, None, 9_000, 20_000)) for p in tape.some(powers, 1, 3)),
        tape.of(None, *(z.name for z in zones if z.medium == Medium.LIQUID)),
        tape.of(None, *(z.name for z in zones if z.medium == Medium.AIR)),
        peak_limit_watts=tape.of(None, limit + 5_000),
        retired=tape.below(40) == 39,
    )


def _budget(tape: Tape, name: str, powers: Sequence[str]) -> BudgetSpec:
    return BudgetSpec(
        name,
        tuple(tape.some(powers, 0, 2)),
        tuple(tape.some(TAGS, 0, 2)),
        tape.watts(15, 90),
        always=tape.of(False, True),
        starts_at=tape.of(None, None, *STARTS),
        ends_at=tape.of(None, 250.0),
    )


def facility(tape: Tape) -> FacilitySpec:
    """Up to 10 power elements, 3 zones, 3 racks and 2 budgets; one in ten with a cycle, a dangling name, no rating."""
    names = [f"p{i}" for i in range(1 + tape.below(10))]
    powers = []
    for i, name in enumerate(names):
        deep = tape.of(True, False)  # parents from near above make many levels
        powers.append(_power(tape, name, names[max(0, i - 3) if deep else 0 : i]))
    known, mistake = list(names), tape.below(30)
    wrong = powers[tape.below(len(powers))]
    if mistake == 29:
        known.append("nowhere")
    elif mistake == 28:
        powers[0] = replace(powers[0], parents=(Feed(tape.of(*names)), *powers[0].parents))
    elif mistake == 27:
        powers[powers.index(wrong)] = replace(wrong, rated_watts=0)
    elif mistake == 26:
        powers[powers.index(wrong)] = replace(wrong, parents=(*wrong.parents, Feed("nowhere")))
    zones: list[CoolingSpec] = []
    if tape.of(False, True):
        zones.append(_zone(tape, "plant", Medium.LIQUID, known, ("row",) if mistake == 25 else ()))
        zones.append(_zone(tape, "row", Medium.LIQUID, known, tape.of((), ("plant",))))
    if tape.of(False, True):
        zones.append(_zone(tape, "hall", Medium.AIR, known))
    racks = [_rack(tape, f"r{i}", known, zones) for i in range(1 + tape.below(3))]
    budgets = [_budget(tape, f"b{i}", known) for i in range(tape.below(3))]
    after = tape.of(False, True)
    return FacilitySpec(
        KINDS, tuple(racks), tuple(powers), tuple(zones), tuple(budgets), admit_after_loss=after
    )


@dataclass(frozen=True)
class Job:
    """What runs on a node: ours, with its profile and expected end, or not ours."""

    gpus: int
    ours: bool
    profile: str
    until: float | None

    def placement(self, *nodes: str) -> Placement:
        """The job as a booking of one slot on each of these."""
        return Placement(
            slots=nodes,
            groups=(),
            gpus_per_slot=self.gpus,
            power_profile=self.profile,
            nominal_watts=0,
            peak_watts=0,
            liquid_watts=0,
            air_watts=0,
        )


@dataclass(frozen=True)
class Case:
    """A facility, its nodes (one of them perhaps in a rack that is not there), and what runs on each."""

    spec: FacilitySpec
    nodes: tuple[tuple[NodeSpec, tuple[Job, ...]], ...]
    until: float | None
    """When something more, not yet there, would end."""
    at: float | None
    """When it would start; None is now."""


def job(tape: Tape) -> Job:
    """One or more GPUs of a node in use."""
    return Job(1 + tape.below(4), tape.of(True, True, False), tape.of("MaxP", "MaxQ"), tape.of(*ENDS))


def case(data: bytes) -> Case:
    """The facility and the work that these bytes stand for."""
    tape = Tape(data)
    spec = facility(tape)
    nodes = []
    for i in range(tape.below(6)):
        racks = len(spec.racks) + (1 if tape.rarely() else 0)
        node = NodeSpec(f"n{i}", f"r{tape.below(racks)}")
        nodes.append((node, tuple(job(tape) for _ in range(tape.below(3)))))
    return Case(spec, tuple(nodes), tape.of(*ENDS), tape.of(None, 50.0, 250.0))


CASES = st.binary(min_size=360, max_size=360).map(case)
