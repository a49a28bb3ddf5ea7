"""The cluster of the packing benchmark: halls of GB300 NVL72 racks whose power binds at every level.

18 nodes of 4 GPUs a rack, one NVLink domain each; 8 racks a row; up to 6 rows a hall, each row on two of the hall's
four UPS (AB, AC, AD, BC, BD, CD). A node in use draws 6.5 kW over idle. What can run at MaxP, of all GPUs there are:

- rack: every fourth one is limited to 16 of its 18 nodes, the others to all;
- row: each of its two busways carries, after the loss of the other side, 93 % of the row (or ``row_percent``);
- hall: each UPS carries, after the loss of any other, 93 % of what would then hang on it: rows and UPS are sized for
  each other. With 95 % a row may take more than its share, at the cost of others.

2 % of the nodes are down (drawn by the seed); they stay powered and draw idle.
"""

from __future__ import annotations

import random

from rackplane.engine.model import DomainSpec, FacilitySpec, Feed, NodeSpec, PowerSpec, RackSpec
from tests.benchmarks.campus import NODE_TYPE, PAIRS, RACK_NODES

ROW_RACKS, HALL_ROWS = 8, 6
SIZES = (8, 32, 64, 278)
DOWN = 0.02
GPUS = NODE_TYPE.gpus_per_node
GPU_WATTS = (NODE_TYPE.max_watts - NODE_TYPE.idle_watts) // GPUS
"""What one GPU in use adds: a share of a node's increment, exact (6,500 / 4)."""
OVERHEAD = 15_000
IDLE = OVERHEAD + RACK_NODES * NODE_TYPE.idle_watts
BUSY = RACK_NODES * GPUS * GPU_WATTS
"""A rack's draw: idle, and what all its GPUs add."""
WEAK_NODES, HALL_PERCENT = 16, 93


def _row_of(rack: int) -> tuple[int, int]:
    row = rack // ROW_RACKS
    return row // HALL_ROWS, row % HALL_ROWS


def _carried(idle_racks: float, percent: int) -> int:
    """Watts of so many racks, of which so many percent of the GPUs are in use."""
    return int(idle_racks * (IDLE + BUSY * percent / 100))


def facility(racks: int, *, row_percent: int = HALL_PERCENT) -> FacilitySpec:
    """So many racks, in rows and halls as they come."""
    rows: dict[tuple[int, int], int] = {}
    for r in range(racks):
        rows[_row_of(r)] = rows.get(_row_of(r), 0) + 1
    powers: list[PowerSpec] = []
    for hall in sorted({h for h, _ in rows}):
        here = {PAIRS[row]: count for (h, row), count in rows.items() if h == hall}
        for ups in "abcd":
            after = [
                sum(n * (1.0 if lost in pair else 0.5) for pair, n in here.items() if ups in pair)
                for lost in "abcd"
                if lost != ups
            ]
            powers.append(
                PowerSpec(f"h{hall}-ups-{ups}", _carried(max(after), HALL_PERCENT), survivable=True)
            )
    for (hall, row), count in rows.items():
        powers += [
            PowerSpec(
                f"h{hall}-row{row}-{x}", _carried(count, row_percent), parents=(Feed(f"h{hall}-ups-{x}"),)
            )
            for x in PAIRS[row]
        ]
    specs = []
    for r in range(racks):
        hall, row = _row_of(r)
        nodes = WEAK_NODES if r % 4 == 3 else RACK_NODES
        feeds = tuple(Feed(f"h{hall}-row{row}-{x}") for x in PAIRS[row])
        limit = IDLE + nodes * GPUS * GPU_WATTS
        specs.append(RackSpec(f"h{hall}-row{row}-r{r % ROW_RACKS}", NODE_TYPE.name, OVERHEAD, limit, feeds))
    return FacilitySpec(
        node_types=(NODE_TYPE,),
        racks=tuple(specs),
        powers=tuple(p for p in powers if p.rated_watts > 0),
        domains=tuple(DomainSpec(s.name) for s in specs),
        levels=("row", "hall"),
    )


def nodes(spec: FacilitySpec, seed: int) -> list[NodeSpec]:
    """Every rack's nodes, 2 % of them down."""
    names = [(rack.name, n) for rack in spec.racks for n in range(RACK_NODES)]
    down = set(random.Random(f"down {seed}").sample(range(len(names)), round(DOWN * len(names))))
    return [
        NodeSpec(
            f"{rack}-n{n:02}",
            rack,
            rack,
            (("row", rack.rpartition("-")[0]), ("hall", rack.partition("-")[0])),
            healthy=i not in down,
        )
        for i, (rack, n) in enumerate(names)
    ]
