"""Each rule of the packing benchmark on racks small enough to see what it should choose, and what tells it apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.benchmarks.packing.policies import (
    first_fit,
    hived_buddy,
    kueue_best_fit,
    kueue_least_free,
    slurm_block,
    volcano_binpack,
)
from tests.benchmarks.packing.view import NONE_FREE, Job, Rule, View

RULES: dict[str, Rule] = {
    "first fit": first_fit.choose,
    "Kueue, best fit": kueue_best_fit.choose,
    "Kueue, least free": kueue_least_free.choose,
    "Volcano": volcano_binpack.choose,
    "Slurm": slurm_block.choose,
    "HiveD": hived_buddy.choose,
}
TWO_HALLS = (0, 0, 0, 0, 1, 1, 1, 1)


def view(
    free: Sequence[int], *, tightest: Sequence[int] | None = None, halls: Sequence[int] | None = None
) -> View:
    """Racks of 18 nodes with so many of them free; rows of two."""
    slots = np.array(free, dtype=np.int64)
    return View(
        slots=slots,
        used=(18 - slots) * 4,
        size=np.full(len(slots), 72),
        tightest=np.array(tightest) if tightest else np.where(slots > 0, 4, NONE_FREE),
        row=np.arange(len(slots)) // 2,
        hall=np.array(halls) if halls else np.zeros(len(slots), dtype=np.int64),
    )


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_rule_takes_the_only_place_there_is_and_no_other(rule: Rule) -> None:
    assert rule(view([3, 8, 3]), Job.of(32)) == {1: 8}
    assert rule(view([3, 7, 3]), Job.of(32)) is None
    segments = Job.of(128)
    assert rule(view([16, 9, 18, 0, 18, 0, 0, 0], halls=TWO_HALLS), segments) == {0: 16, 2: 16}
    assert rule(view([16, 9, 0, 0, 18, 0, 0, 0], halls=TWO_HALLS), segments) is None


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_short_last_segment_has_a_rack_of_its_own(rule: Rule) -> None:
    assert Job.of(160).parts == (16, 16, 8)
    assert rule(view([18, 18, 8, 4]), Job.of(160)) == {0: 16, 1: 16, 2: 8}
    assert rule(view([18, 18, 7, 4]), Job.of(160)) is None


def test_what_each_rule_prefers_for_a_job_of_four_nodes() -> None:
    racks = view([18, 9, 6, 4, 0, 12])
    chosen = {name: rule(racks, Job.of(16)) for name, rule in RULES.items()}
    assert chosen == {
        "first fit": {0: 4},
        "Kueue, best fit": {3: 4},
        "Kueue, least free": {3: 4},
        "Volcano": {3: 4},
        "Slurm": {3: 4},
        "HiveD": {2: 4},  # 6 free nodes are cells of 4 and 2: no larger cell is split, as in rack 3
    }


def test_kueues_least_free_takes_the_fullest_host_for_one_pod_whatever_its_rack() -> None:
    racks = view([18, 5], tightest=[2, 4])
    assert kueue_least_free.choose(racks, Job.of(1)) == {0: 1}
    assert kueue_best_fit.choose(racks, Job.of(1)) == {1: 1}


def test_volcano_packs_one_pod_by_the_use_of_all_tiers() -> None:
    racks = view([6, 18, 7, 0])  # rack 0 is fuller than rack 2, but rack 2 is in the fuller row
    assert volcano_binpack.choose(racks, Job.of(4)) == {2: 1}
    assert volcano_binpack.choose(racks, Job.of(8)) == {0: 2}


def test_slurm_takes_the_smallest_aligned_block_that_holds_the_job() -> None:
    racks = view([18, 9, 18, 18, 18, 18, 9, 18])
    assert slurm_block.choose(racks, Job.of(128)) == {2: 16, 3: 16}
    assert slurm_block.choose(racks, Job.of(192)) == {0: 16, 2: 16, 3: 16}  # of two blocks of four, the first


def test_hived_keeps_to_one_row_where_a_row_has_room() -> None:
    racks = view([18, 9, 18, 18])
    assert hived_buddy.choose(racks, Job.of(128)) == {2: 16, 3: 16}
    assert first_fit.choose(racks, Job.of(128)) == {0: 16, 2: 16}
