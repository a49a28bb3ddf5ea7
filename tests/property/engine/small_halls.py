"""Small random halls with gangs in them, and requests: what an integer program can solve two thousand times."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from rackplane.engine.model import (
    BudgetSpec,
    CoolingSpec,
    CoolingUnit,
    DomainSpec,
    FacilitySpec,
    Feed,
    Group,
    Medium,
    NodeSpec,
    NodeType,
    NvlinkScope,
    Placement,
    PowerCap,
    PowerSpec,
    RackSpec,
    Request,
)
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.state import State

SLOW = (PowerCap("MaxQ", 3_000, 80),)
TYPES = (
    NodeType("label", "gpu", 4, 1_000, 5_000, 90, 120, 75, NvlinkScope.LABEL, SLOW),
    NodeType("node", "gpu", 4, 800, 4_800, 100, 100, 0, NvlinkScope.NODE, SLOW),
)


def hall(random: Random, *, racks: int, nodes: int) -> State:
    """Racks on two UPSes that may each fail, with liquid and budgets; domains of a rack, of two, and of half a one.

    Args:
        racks: the most racks,
        nodes: and the most nodes in all.
    """
    count = random.randint(1, racks)
    sizes = [random.randint(1, min(8, max(1, nodes // count * 2))) for _ in range(count)]
    while sum(sizes) > nodes:
        sizes[sizes.index(max(sizes))] -= 1
    pattern = random.choice(["rack", "rack", "pair", "half", "mixed"] if count <= 6 else ["rack", "pair"])
    mixed = random.random() < 0.15
    idle = sum(500 + 1_000 * n for n in sizes)
    specs, members = [], []
    for r, size in enumerate(sizes):
        kind = "node" if mixed and random.random() < 0.5 else "label"
        feeds = random.choice([("a", "b"), ("a", "b"), ("b", "a"), ("a",)])
        limit = 500 + 1_000 * size + 1_000 * random.choice([40, 40, 4 * size, random.randint(4, 4 * size)])
        specs.append(
            RackSpec(
                f"r{r}",
                kind,
                500,
                limit,
                tuple(Feed(feed, random.choice([1, 1, 2])) for feed in feeds),
                "loop" if kind == "label" else None,
                None,
                schedulable=random.random() > 0.04,
                peak_limit_watts=limit + random.choice([2_000, 8_000, 40_000]),
            )
        )
        way = random.choice(["rack", "pair", "half"]) if pattern == "mixed" else pattern
        for i in range(size):
            domain = {"rack": f"d{r}", "pair": f"e{r // 2}", "half": f"d{r}-{i % 2}"}[way]
            fabric = (("leaf", f"leaf{r // 3}"), ("hall", f"hall{r // 6}"))
            members.append(
                NodeSpec(
                    f"r{r}n{i}",
                    f"r{r}",
                    domain if kind == "label" else None,
                    fabric,
                    healthy=random.random() > 0.05,
                )
            )
    kilowatts = sum(sizes) * 4
    tight = random.choice([0.6, 0.8, 1.0, 1.5, 2.5])

    def above_idle(of: float) -> int:
        return round(idle + 1_000 * max(2.0, kilowatts * of * random.uniform(0.7, 1.3)))

    spec = FacilitySpec(
        TYPES,
        tuple(specs),
        (
            PowerSpec("utility", above_idle(1.2 * tight), efficiency_basis_points=9_500),
            PowerSpec("a", above_idle(tight), parents=(Feed("utility"),), survivable=True),
            PowerSpec("b", above_idle(tight), 100, None, 0, 9_700, (Feed("utility"),), survivable=True),
        ),
        (
            CoolingSpec(
                "loop",
                Medium.LIQUID,
                (
                    CoolingUnit("u", above_idle(tight), 300, (Feed("a"),)),
                    CoolingUnit("v", above_idle(tight), 300, (Feed("b"),)),
                ),
            ),
        ),
        (BudgetSpec("order", ("utility",), (), above_idle(random.choice([0.5, 1.0, 2.0]))),)
        if random.random() < 0.4
        else (),
        (DomainSpec("d0", spare_nodes=random.choice([0, 0, 1])),),
        ("leaf", "hall"),
    )
    state = State(compile_facility(spec), members)
    share = random.choice([0.0, 0.1, 0.2, 0.5])
    for node in members:
        if random.random() < share:
            state.set_unmanaged(node.name, random.choice([1, 2, 4, 4, 4]))
    return state


def with_ends(random: Random, state: State, gang: Request) -> Request:
    """The same request, of known duration mostly, and some of what is not ours made gangs that are expected to end."""
    start, lasts = 1_000.0, random.choice([1.0, 7.0, 30.0, 100.0, 400.0])
    for node in list(state.nodes()):
        gpus = state.unmanaged_gpus(node.name)
        if not gpus or random.random() < 0.3:
            continue
        state.set_unmanaged(node.name, 0)
        place = Placement(
            slots=(node.name,),
            groups=(Group(node.domain or "", node.rack or "", (node.name,)),),
            gpus_per_slot=gpus,
            power_profile=gang.power_profile,
            nominal_watts=0,
            peak_watts=0,
            liquid_watts=0,
            air_watts=0,
        )
        end = start + random.choice([-5.0, 1.0, 2.0, 7.0, 25.0, 100.0, 101.0, 400.0])
        state.book(f"on {node.name}", place, force=True, until=random.choice([end, end, end, None]))
    return replace(gang, until=start + lasts, lasts=random.choice([lasts, lasts, lasts, None]))


def request(random: Random, slots: int) -> Request:
    """A gang of up to so many slots; whole nodes mostly, in segments sometimes."""
    return Request(
        slots=random.randint(1, random.choice([slots // 2, slots, slots])),
        gpus_per_slot=random.choice([4, 4, 4, 4, 2, 1]),
        resource="gpu",
        required=random.choice([None, None, None, "nvlink", "leaf", "hall"]),
        preferred=random.choice([None, None, "nvlink", "leaf", "hall"]),
        segment_slots=random.choice([None, None, 2, 3, 4]),
        power_profile=random.choice(["MaxP", "MaxP", "MaxQ"]),
        strict=True,
    )
