"""Random halls that gangs run in and more gangs are asked for: sound, crowded, and short of something."""

from __future__ import annotations

from rackplane.engine.model import (
    BudgetSpec,
    CoolingSpec,
    CoolingUnit,
    FacilitySpec,
    Feed,
    Medium,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    PowerCap,
    PowerSpec,
    RackSpec,
    Request,
    Role,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State
from tests.property.engine.facilities import Tape

GPUS = 4
SLOW = (PowerCap("MaxQ", 3_000, 70), PowerCap("Low", 1_800, 40))
TYPE = NodeType("t", "gpu", GPUS, 1_000, 5_000, 90, 120, 75, NvlinkScope.LABEL, SLOW)
ENDS = (None, 100.0, 150.0, 400.0)


def hall(tape: Tape) -> State:
    """Racks on pairs of UPSes, cooled by units on the same UPSes; here and there a node or a rack is out of service."""
    upses = ("a", "b", "c")[: 2 + tape.below(2)]
    names = [f"r{i}" for i in range(1 + tape.below(4))]
    nodes = {name: 2 + tape.below(4) for name in names}
    idle = sum(500 + 1_000 * n for n in nodes.values()) + 2_000
    powers = [PowerSpec("utility", idle * 2 + tape.watts(5, 80), efficiency_basis_points=9_500)]
    for ups in upses:
        rated = idle + tape.watts(2, 30)
        peak = tape.of(None, rated + tape.watts(0, 6))
        survivable = tape.of(True, True, False)
        efficiency = tape.of(10_000, 9_400)
        powers.append(
            PowerSpec(
                ups,
                rated,
                tape.of(100, 100, 80),
                peak,
                0,
                efficiency,
                (Feed("utility"),),
                "tag",
                survivable,
                online=not tape.rarely(),
            )
        )
    units = tuple(
        CoolingUnit(f"cdu-{u}", idle + tape.watts(0, 40), 300, (Feed(u),)) for u in tape.some(upses, 1, 2)
    )
    zones = (
        CoolingSpec("loop", Medium.LIQUID, units, 1 + tape.below(len(units)), tape.of(100, 90), ("plant",)),
        CoolingSpec("plant", Medium.LIQUID, (CoolingUnit("chiller", idle + tape.watts(5, 40)),)),
        CoolingSpec("air", Medium.AIR, (CoolingUnit("crah", idle // 4 + tape.watts(1, 12)),)),
    )
    racks = []
    for name in names:
        pair = tape.some(upses, 2, 2)
        limit = 500 + 1_000 * nodes[name] + tape.watts(3, 25)
        feeds = tuple(
            Feed(u, tape.of(1, 1, 3), role, tape.of(None, None, limit))
            for u, role in zip(pair, (Role.ACTIVE, tape.of(Role.ACTIVE, Role.STANDBY)), strict=True)
        )
        peak = limit + tape.of(0, 3_000, 6_000)
        racks.append(
            RackSpec(
                name,
                "t",
                500,
                limit,
                feeds,
                "loop",
                "air",
                schedulable=not tape.rarely(),
                peak_limit_watts=peak,
            )
        )
    budgets = tuple(_budget(tape, f"order-{i}", upses, idle) for i in range(tape.below(3)))
    spec = FacilitySpec((TYPE,), tuple(racks), tuple(powers), zones, budgets, levels=("leaf",))
    spread = tape.of(False, True)
    return State(
        compile_facility(spec),
        [
            NodeSpec(
                f"{name}-n{i}",
                name,
                f"nvl-{names.index(name) // 2 if spread else name}",
                (("leaf", f"leaf-{names.index(name) // 2}"),),
                healthy=not tape.rarely(),
            )
            for name in names
            for i in range(nodes[name])
        ],
    )


def _budget(tape: Tape, name: str, upses: tuple[str, ...], idle: int) -> BudgetSpec:
    starts, ends = tape.of((None, None), (None, 300.0), (120.0, 300.0), (120.0, None))
    powers, tags = tape.of((("utility",), ()), ((), ("tag",)), (upses[:1], ()))
    limit = idle + tape.watts(4, 40)
    return BudgetSpec(name, powers, tags, limit, always=tape.of(False, True), starts_at=starts, ends_at=ends)


def crowd(tape: Tape, state: State) -> None:
    """Let some gangs run, and things that are not ours."""
    for i in range(tape.below(6)):
        wanted = request(tape, 1 + tape.below(3), strict=False)
        answer = place(state, wanted)
        if isinstance(answer, Placement):
            state.book(f"gang-{i}", answer, until=wanted.until)
    if tape.rarely():
        names = state.inventory.names
        state.set_unmanaged(names[tape.below(len(names))], GPUS)


def request(tape: Tape, slots: int, *, strict: bool) -> Request:
    """A gang of whole nodes, or of halves of them."""
    return Request(
        slots=slots,
        gpus_per_slot=tape.of(GPUS, GPUS, GPUS // 2),
        resource="gpu",
        required=tape.of(None, "nvlink", "leaf"),
        power_profile=tape.of("MaxP", "MaxQ"),
        strict=strict,
        until=tape.of(*ENDS),
    )
