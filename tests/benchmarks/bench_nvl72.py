"""GPUs wasted against the share of nodes that are away, with and without spare nodes in each NVLink domain.

Gangs in power-of-two segments in racks of 18 nodes, as many waiting as it takes to keep the racks full. Beside it the
limit that such segments set without any failure (`nvl72/mix.py`).
"""

from __future__ import annotations

import os
import time
from statistics import fmean

import pytest

from tests.benchmarks.nvl72.cluster import LARGEST, run
from tests.benchmarks.nvl72.mix import structural_limit

SEEDS = range(1, 1 + int(os.environ.get("RACKPLANE_BENCH_SEEDS", "3")))
FAILING = (0.0, 0.005, 0.01, 0.02, 0.05)
SPARES = (0, 1, 2)


@pytest.mark.parametrize("mix", ["Kalos", "Seren"])
@pytest.mark.parametrize("failing", FAILING)
def test_wasted(mix: str, failing: float) -> None:
    limit = 100 - 100 * structural_limit(mix, LARGEST) * (1 - failing)
    began = time.process_time()
    print(f"\n{mix}, {100 * failing:.1f} % of the nodes away; wasted at least {limit:.1f} % of the GPUs")
    for spares in SPARES:
        runs = [run(mix, failing, spares, seed) for seed in SEEDS]
        wasted = fmean(r.wasted for r in runs)
        print(
            f"  {spares} spares: wasted {wasted:.2f} %  limit {limit:.2f} %  ratio "
            + (f"{wasted / limit:.2f}" if limit else "-")
            + f"  | away {fmean(r.down for r in runs):.2f}  done again {fmean(r.lost for r in runs):.2f}"
            f"  idle {fmean(r.idle for r in runs):.2f}  | nodes replaced {fmean(r.replaced for r in runs):.0f},"
            f" gangs moved {fmean(r.moved for r in runs):.0f}  | wasted by seed "
            + " ".join(f"{r.wasted:.2f}" for r in runs)
        )
    print(f"  seeds {SEEDS[0]} to {SEEDS[-1]}, {time.process_time() - began:.0f} s of CPU")
