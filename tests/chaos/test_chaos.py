"""Random events by the hundred and thousand: whatever befalls hall, API and operators, what is promised is kept.

`RACKPLANE_CHAOS_SEED=7` replays one run; RACKPLANE_CHAOS_SEEDS, _EVENTS and _GANGS say how many and how long
(`make chaos`).
"""

from __future__ import annotations

import os

import pytest

from tests.chaos.storm import Storm
from tests.support.virtualtime import run

GANGS = int(os.environ.get("RACKPLANE_CHAOS_GANGS", "60"))
EVENTS = int(os.environ.get("RACKPLANE_CHAOS_EVENTS", "500"))
SEEDS = (
    [int(os.environ["RACKPLANE_CHAOS_SEED"])]
    if "RACKPLANE_CHAOS_SEED" in os.environ
    else list(range(1, 1 + int(os.environ.get("RACKPLANE_CHAOS_SEEDS", "1"))))
)
#: Of each of these every longer run has seen some; or it shows nothing.
MET = ("admissions checked", "power profiles changed", "looks that found an element over its limit")


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_promised_is_kept_whatever_happens(seed: int) -> None:
    storm = Storm(seed=seed, gangs=GANGS, events=EVENTS)
    try:
        run(storm.run(), replayable=True)
    except BaseException:
        print("\n".join(storm.log[-60:]))
        print(
            f"again: RACKPLANE_CHAOS_SEED={seed} RACKPLANE_CHAOS_EVENTS={EVENTS} RACKPLANE_CHAOS_GANGS={GANGS}"
        )
        raise
    print(f"seed {seed}: {dict(storm.happened)}; {dict(storm.judge.counts)}")
    if EVENTS >= 1_000:
        assert [what for what in MET if not storm.judge.counts[what]] == [], "the run met less than it is for"
