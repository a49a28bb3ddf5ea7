"""How well the engine packs: beside proven bounds and beside the rules of others. Value, limit and ratio.

Offline: a queue that asks for three times the cluster, in one pass, first come, skipping what does not fit; GPUs that
run over the most that any choice from that queue could run (CP-SAT up to 64 racks, a pattern LP beyond). Online: jobs
that come and go at 1.05 times what the power can feed; busy GPUs averaged over time, over the clairvoyant fluid bound:
the pattern LP with no more of each job at once than its work in that time allows. "With moves" is ours with the moves
of running jobs that the operator makes where it may, at what they cost. All else (what must share a rack,
watts, the queue's order) is the same for every rule; see `packing/view.py` and `packing/cluster.py`.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from math import nan
from statistics import fmean, stdev

import pytest

from tests.benchmarks.packing import bound, exact, jobs
from tests.benchmarks.packing.cluster import HALL_PERCENT, SIZES
from tests.benchmarks.packing.moving import Mover
from tests.benchmarks.packing.policies import (
    first_fit,
    hived_buddy,
    kueue_best_fit,
    kueue_least_free,
    rackplane,
    slurm_block,
    volcano_binpack,
)
from tests.benchmarks.packing.room import Decide, Room, by_rule
from tests.benchmarks.packing.runs import offline, online
from tests.benchmarks.packing.view import Job

SEED = 1
DEMAND = 3.0
LOAD = 1.05
LIMIT = 0.995
PROVED_RACKS = 64
"""Up to here CP-SAT bounds the queue."""
STREAMS = {8: (16, 600), 32: (8, 1_000), 64: (4, 1_500), 278: (1, 2_500)}
"""Racks -> streams (seeds from SEED on) and arrivals in each: the fewer racks, the more chance decides one stream."""
ASKED_STREAMS = int(os.environ.get("RACKPLANE_BENCH_STREAMS", "0"))
"""For every number of racks, if not 0."""
RULES: dict[str, Decide] = {
    "ours": rackplane.choose,
    "best fit": by_rule(kueue_best_fit.choose),
    "least free": by_rule(kueue_least_free.choose),
    "binpack": by_rule(volcano_binpack.choose),
    "block": by_rule(slurm_block.choose),
    "buddy": by_rule(hived_buddy.choose),
    "first fit": by_rule(first_fit.choose),
}
"""Ours, told how long jobs run, Kueue's two, Volcano's, Slurm's, HiveD's, and first fit."""
MOVES = "ours with moves"
GUESSES = {"ours": 0.0, "ours told roughly": 1.0, "ours not told": None, MOVES: 0.0}
"""How well ours knows how long jobs run: the standard deviation of the logarithm, 1 being a factor of 2.7."""

cases = pytest.mark.parametrize(
    ("racks", "mix"), [pytest.param(n, mix, id=f"racks{n}-{mix}") for n in SIZES for mix in jobs.MIXES]
)


@cases
@pytest.mark.parametrize("row_percent", [HALL_PERCENT, 95], ids=["sized", "uneven"])
def test_a_queue_in_one_go(racks: int, mix: str, row_percent: int) -> None:
    """``uneven``: rows may take more than the UPS above can carry for all of them at once."""
    began = time.perf_counter()
    queue = jobs.queue(mix, racks * 72, SEED, demand=DEMAND)
    rooms = {name: Room(racks, SEED, decide, row_percent=row_percent) for name, decide in RULES.items()}
    most = bound.most_gpus(limits := bound.Limits.of(rooms["ours"]), supply := Counter(queue))
    running = {name: offline(room, queue) for name, room in rooms.items()}
    best = int(most)
    if racks <= PROVED_RACKS:
        best = exact.most_gpus(limits, supply, at_most=most, reached=max(running.values()))
    value = running["ours"] / best
    print(
        f"offline {racks:>3} racks {mix:<6} row {row_percent} %: {running['ours']:>6} of {best:>6} GPUs"
        f"  {value:.4f}  limit {LIMIT}  ratio {value / LIMIT:.4f}  | "
        + "  ".join(f"{name} {gpus / best:.4f}" for name, gpus in running.items() if name != "ours")
        + f"  | {len(queue)} jobs, {time.perf_counter() - began:.1f} s"
    )
    assert max(running.values()) <= best


@cases
def test_jobs_that_come_and_go(racks: int, mix: str) -> None:
    began = time.perf_counter()
    seeds, count = STREAMS[racks]
    seeds = ASKED_STREAMS or seeds
    rules = {**dict.fromkeys(GUESSES, rackplane.choose), **RULES}
    shares: dict[str, list[float]] = {name: [] for name in rules}
    lost = moves = 0.0
    for seed in range(SEED, SEED + seeds):
        usable = racks * 72 * HALL_PERCENT / 100
        stream = jobs.stream(mix, racks * 72, usable, seed, load=LOAD, count=count)
        horizon = stream[-1].at
        offered: dict[Job, float] = {}
        for a in stream:
            offered[a.job] = offered.get(a.job, 0.0) + min(a.duration, horizon - a.at) / horizon
        rooms = {name: Room(racks, seed, decide) for name, decide in rules.items()}
        limits = bound.Limits.of(rooms["ours"])
        most = bound.most_gpus(limits, offered)
        fed = bound.most_gpus(limits, {Job.of(1): racks * 72})
        for name, room in rooms.items():
            mover = Mover(jobs.unit_seconds(mix)) if name == MOVES else None
            said = jobs.guesses(stream, seed, GUESSES.get(name))
            busy = online(room, stream, most=fed, guesses=said, mover=mover)
            lost += mover.lost_gpu_seconds / mover.unit / horizon / most / seeds if mover else 0.0
            moves += mover.moves / seeds if mover else 0.0
            assert busy <= most * (1 + 1e-6)
            shares[name].append(busy / most)
    share = {name: fmean(values) for name, values in shares.items()}
    best = max((name for name in RULES if name != "ours"), key=lambda name: share[name])
    best_other = share[best]
    lead = [ours - other for ours, other in zip(shares["ours"], shares[best], strict=True)]
    chance = stdev(lead) / seeds**0.5 if seeds > 1 else nan
    print(
        f"moving  {racks:>3} racks {mix:<6}: ours with moves {share[MOVES]:.4f}  limit {best_other:.4f}"
        f" (best other)  ratio {share[MOVES] / best_other:.4f}  | {moves:.1f} moves a stream, which lost {lost:.4f}"
    )
    print(
        f"online  {racks:>3} racks {mix:<6}: ours {share['ours']:.4f}  limit {best_other:.4f} (best other)"
        f"  ratio {share['ours'] / best_other:.4f} +- {chance / best_other:.4f} by chance  | "
        + "  ".join(f"{name} {value:.4f}" for name, value in share.items() if name != "ours")
        + f"  | {seeds} x {count} jobs, {time.perf_counter() - began:.1f} s"
    )
