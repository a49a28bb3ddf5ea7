"""Whether the chaos test would notice: each deliberate mistake must be found, and the operator as it is must pass.

Not among the tests, for it takes minutes: `make chaos-breaks`. RACKPLANE_CHAOS_SEEDS, _EVENTS and _GANGS as there.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.chaos.breaks import BREAKS
from tests.chaos.storm import Storm
from tests.support.virtualtime import run

SEEDS = range(1, 1 + int(os.environ.get("RACKPLANE_CHAOS_SEEDS", "8")))
EVENTS = int(os.environ.get("RACKPLANE_CHAOS_EVENTS", "500"))
GANGS = int(os.environ.get("RACKPLANE_CHAOS_GANGS", "60"))


def found(seed: int) -> tuple[int, str]:
    """After how many events something was found, and what; an empty text: nothing."""
    storm = Storm(seed=seed, gangs=GANGS, events=EVENTS)
    try:
        run(storm.run(), replayable=True)
    except AssertionError as problem:
        return storm.number + 1, str(problem)
    except ExceptionGroup as problems:
        # The process in whose request it was found, or one that could not go on.
        first = problems.exceptions[0]
        return storm.number + 1, str(
            storm.judge.problem or f"a process died of {type(first).__name__}: {first}"
        )
    finally:
        # What cut-off processes leave behind goes now, not in the midst of whatever runs next.
        gc.collect()
    return EVENTS, ""


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("mistake", BREAKS, ids=lambda mistake: mistake.__name__)
def test_each_mistake_is_found(mistake: Callable[[], AbstractContextManager[None]]) -> None:
    for seed in SEEDS:
        with mistake():
            events, what = found(seed)
        if what:
            print(
                f"  {mistake.__name__}: seed {seed}, {events} of {EVENTS} events: {what.splitlines()[0][:150]}"
            )
            return
    raise AssertionError(f"{mistake.__name__} was not found with {len(SEEDS)} seeds of {EVENTS} events")


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_mistake_nothing_is_found(seed: int) -> None:
    assert found(seed) == (EVENTS, "")
