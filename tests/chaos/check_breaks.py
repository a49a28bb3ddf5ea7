"""Whether the chaos test would notice: each deliberate mistake must be found, and the operator as it is must pass.

Most mistakes show in a small storm, of a few CPU seconds: those are tried first, of the seeds whose storm begins with
what the mistake is about. Not among the tests, for it takes minutes: `make chaos-breaks`. RACKPLANE_CHAOS_SEEDS,
_EVENTS and _GANGS as there, for the longer storms.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.chaos.breaks import BREAKS
from tests.chaos.storm import TURNS, Storm
from tests.support.virtualtime import run

SEEDS = range(1, 1 + int(os.environ.get("RACKPLANE_CHAOS_SEEDS", "8")))
EVENTS = int(os.environ.get("RACKPLANE_CHAOS_EVENTS", "1000"))
GANGS = int(os.environ.get("RACKPLANE_CHAOS_GANGS", "200"))
#: Of small storms: gangs, events, and how many seeds.
SMALL = (30, 120, 16)


def found(seed: int, gangs: int = GANGS, events: int = EVENTS) -> tuple[int, str]:
    """After how many events something was found, and what; an empty text: nothing."""
    storm = Storm(seed=seed, gangs=gangs, events=events)
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
    return events, ""


def storms(turn: str) -> Iterator[tuple[int, int, int]]:
    """Seed, gangs and events of each: four small ones that begin with such a turn, then long ones as in `make test`."""
    gangs, events, seeds = SMALL
    first = TURNS.index(turn)
    yield from ((seed, gangs, events) for seed in range(1, 1 + seeds) if seed % len(TURNS) == first)
    yield from ((seed, GANGS, EVENTS) for seed in SEEDS)


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    ("mistake", "turn"), BREAKS.items(), ids=lambda given: getattr(given, "__name__", given)
)
def test_each_mistake_is_found(mistake: Callable[[], AbstractContextManager[None]], turn: str) -> None:
    began, tried = time.process_time(), 0
    for seed, gangs, events in storms(turn):
        tried += 1
        with mistake():
            number, what = found(seed, gangs, events)
        if what:
            print(
                f"  {mistake.__name__}: storm {tried}, seed {seed}, {number} of {events} events over {gangs} gangs, "
                f"{time.process_time() - began:.0f} s of CPU in all: {what.splitlines()[0][:150]}"
            )
            return
    raise AssertionError(f"{mistake.__name__} was not found in {tried} storms")


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_mistake_nothing_is_found(seed: int) -> None:
    assert found(seed) == (EVENTS, "")
