"""How gangs come to their places: attempts, how long they wait for what, and how well they lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rackplane.controller.metrics.families import Family, Section, counter, histogram
from rackplane.core.measuring import INADMISSIBLE, SUCCESS, Measured

__all__ = [
    "ATTEMPT",
    "ATTEMPTS",
    "BY_QUEUE",
    "COUNTERS",
    "DECIDING",
    "ERROR",
    "FENCED",
    "HISTOGRAMS",
    "INADMISSIBLE",
    "RESULTS",
    "STALE",
    "SUCCESS",
]

STALE: Final = "stale"
FENCED: Final = "fenced"
ERROR: Final = "error"
RESULTS: Final = (SUCCESS, INADMISSIBLE, STALE, FENCED, ERROR)
"""How an attempt may end: the first two as Kueue calls them."""

ATTEMPT: Final = Measured.ATTEMPT

#: Kueue's buckets for waits: 1 s, then 2.5 s doubled thirteen times, to almost six hours; and a day.
_WAITS: Final = (1.0, *(2.5 * 2**i for i in range(14)), 86_400.0)
_SECONDS: Final = tuple(0.001 * 2**i for i in range(15))

ATTEMPTS: Final = counter(
    "admission_attempts",
    "Attempts to admit a gang, by result: success (committed), inadmissible (it was asked, and there is no "
    "place or quota, or it is not its turn), stale (the Gang changed or went during the commit), fenced "
    "(another leads by now), error (the API server refused the commit, or did not answer). Gangs that ask for "
    "the same as one that was refused are not asked.",
    "result",
)
COUNTERS: Final[Mapping[Measured, Family]] = {
    Measured.ADMITTED: counter("admitted_gangs", "Gangs that got a place.", "queue"),
    Measured.SHED: counter(
        "sheds",
        "Running gangs told to give way because an element was over its limit, by what they were told: Cap or Stop.",
        "action",
    ),
}
HISTOGRAMS: Final[Mapping[Measured, Family]] = {
    Measured.ATTEMPT: histogram(
        "admission_attempt_duration_seconds",
        "Time that deciding about one gang took, without the write, by result: success or inadmissible.",
        "result",
        buckets=_SECONDS,
    ),
    Measured.ADMISSION_WAIT: histogram(
        "admission_wait_time_seconds",
        "From when a gang was submitted, or queued again, until it got a place.",
        "queue",
        buckets=_WAITS,
    ),
    Measured.UNGATED_WAIT: histogram(
        "ungated_wait_time_seconds",
        "From when a gang was submitted, or queued again, until the gate of the last of its pods was gone.",
        "queue",
        buckets=_WAITS,
    ),
    Measured.READY_WAIT: histogram(
        "ready_wait_time_seconds",
        "From when a gang was submitted, or queued again, until all its pods ran.",
        "queue",
        buckets=_WAITS,
    ),
    Measured.ADMITTED_UNTIL_READY: histogram(
        "admitted_until_ready_wait_time_seconds",
        "From when a gang got its place until all its pods ran.",
        "queue",
        buckets=_WAITS,
    ),
    Measured.ESTIMATE_ERROR: histogram(
        "start_estimate_error_seconds",
        "By how much a gang was admitted earlier or later than it was told first.",
        "direction",
        buckets=_WAITS,
    ),
    Measured.OVER_MINIMUM: histogram(
        "placement_domains_over_minimum",
        "Racks, or NVLink domains, that an admitted gang lies in beyond the fewest that have so many GPUs in all.",
        "level",
        buckets=(0, 1, 2, 4, 8, 16, 32, 64),
    ),
}
BY_QUEUE: Final = frozenset(
    what for what, family in {**COUNTERS, **HISTOGRAMS}.items() if family.labels == ("queue",)
)

DECIDING: Final = Section(
    "Decisions",
    "Times are those of the API, which are whole seconds.",
    (ATTEMPTS, COUNTERS[Measured.ADMITTED], *HISTOGRAMS.values()),
)
