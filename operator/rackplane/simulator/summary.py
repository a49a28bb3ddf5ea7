"""The figures of a run as a whole, added up as it goes."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.reporting.spread import Spread
from rackplane.simulator.files import SERIES
from rackplane.simulator.gangs import Live
from rackplane.simulator.gauge import Gauge
from rackplane.simulator.limits import Meter

__all__ = ["SIZES", "Summary", "classes"]

SIZES: Final = (1, 8, 64, 256, 512)
"""Classes of jobs by GPUs: from each of these up to the next."""
_OF: Final[Mapping[str, int]] = {name: i for i, name in enumerate(SERIES)}


@dataclass(slots=True)
class Summary:
    """What has happened so far. Times are seconds of the run, work is in GPU-seconds.

    Args:
        busy: GPU-seconds that gangs have held.
        lost: of them the ones whose work was done again.
        held: GPUs that gangs hold.
        waits: of jobs that are over; ``gpus`` asked for by each, and of its last place the racks, how many of them are
            beyond the fewest that have as many GPUs (-1: not known), and the NVLink domains.
    """

    started: int = 0
    ended: int = 0
    stops: int = 0
    busy: int = 0
    lost: float = 0.0
    last: int = 0
    held: Gauge = field(default_factory=Gauge)
    waits: array[int] = field(default_factory=lambda: array("q"))
    gpus: array[int] = field(default_factory=lambda: array("q"))
    racks: array[int] = field(default_factory=lambda: array("q"))
    more_racks: array[int] = field(default_factory=lambda: array("q"))
    domains: array[int] = field(default_factory=lambda: array("q"))
    events: dict[str, int] = field(default_factory=dict)
    _sums: dict[str, float] = field(default_factory=dict)
    _samples: int = 0
    _since: dict[str, int] = field(default_factory=dict)

    def placed(self, now: int, gang: Live) -> None:
        if gang.request.name not in self._since:
            self._since[gang.request.name] = now
            self.started += 1
            self.held.set(now, self.held.value + _gpus(gang))

    def freed(self, now: int, gang: Live) -> None:
        since = self._since.pop(gang.request.name, None)
        if since is not None:
            self.busy += (now - since) * _gpus(gang)
            self.held.set(now, self.held.value - _gpus(gang))

    def over(self, now: int, gang: Live, lay: Spread | None = None) -> None:
        """It is over, and lay so."""
        self.ended, self.last = self.ended + 1, now
        self.stops += gang.progress.stops
        self.lost += gang.progress.lost * gang.request.gpus
        self.waits.append((gang.first or 0) - gang.request.job.submit)
        self.gpus.append(gang.request.gpus)
        self.racks.append(gang.racks)
        self.more_racks.append(-1 if lay is None else lay.racks - lay.fewest_racks)
        self.domains.append(gang.domains)

    def sampled(self, row: Sequence[Any]) -> None:
        """A row of the series."""
        self._samples += 1
        for name in ("gpus_busy", "fragmentation", "gangs_waiting", *_STRANDED):
            self._sums[name] = self._sums.get(name, 0.0) + float(row[_OF[name]] or 0)

    def as_data(self, now: int, gpus: int, reserved: Meter, drawn: Meter | None) -> dict[str, Any]:
        """For run.json.

        Args:
            now: the last second of the run.
            gpus: of the facility.
        """
        waits, sizes = np.array(self.waits, dtype=np.int64), np.array(self.gpus, dtype=np.int64)
        racks, more = (np.array(values, dtype=np.int64) for values in (self.racks, self.more_racks))
        by_size = {
            name: {**_waits(waits[chosen]), "racks": _mean(racks[chosen])} for name, chosen in classes(sizes)
        }
        samples = self._samples or 1
        return {
            "seconds": now,
            "jobs": {"over": self.ended, "starts": self.started, "stops": self.stops},
            "wait_seconds": _waits(waits),
            "wait_seconds_by_gpus": by_size,
            "racks_per_gang": _mean(racks),
            "racks_over_minimum": _mean(more[more >= 0]),
            "domains_per_gang": _mean(np.array(self.domains, dtype=np.int64)),
            "gpu_hours": {
                "there": round(gpus * now / 3600, 1),
                "held": round(self.busy / 3600, 1),
                "done_again": round(self.lost / 3600, 1),
                "occupancy": round(self.busy / (gpus * now), 4) if now else 0.0,
            },
            "reserved": _limits(reserved),
            "drawn": None if drawn is None else _limits(drawn),
            "means": {name: round(total / samples, 4) for name, total in self._sums.items()},
            "samples": self._samples,
            "events": dict(sorted(self.events.items())),
        }


def classes(gpus: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The classes of `SIZES` that any job is in, by name ("8-63", "512+"), and which jobs are in each."""
    for least, below in zip(SIZES, (*SIZES[1:], None), strict=True):
        chosen = (gpus >= least) & (gpus < (below or 2**62))
        if chosen.any():
            yield (f"{least}+" if below is None else f"{least}-{below - 1}"), chosen


_STRANDED: Final = tuple(name for name in SERIES if name.startswith("stranded_"))


def _gpus(gang: Live) -> int:
    return len(gang.nodes) * int(gang.request.spec["gpusPerSlot"])


def _mean(values: NDArray[np.int64]) -> float:
    return round(float(values.mean()), 4) if len(values) else 0.0


def _waits(waits: NDArray[np.int64]) -> dict[str, Any]:
    """Jobs, and of their waits mean, median, 95th percentile and the longest, in seconds."""
    if not len(waits):
        return {"jobs": 0, "mean": 0, "median": 0, "p95": 0, "longest": 0}
    return {
        "jobs": len(waits),
        "mean": round(float(waits.mean()), 1),
        "median": round(float(np.median(waits)), 1),
        "p95": round(float(np.percentile(waits, 95)), 1),
        "longest": int(waits.max()),
    }


def _limits(meter: Meter) -> dict[str, Any]:
    found = meter.exceeded
    return {
        "megawatt_hours": round(meter.joules / 3.6e9, 3),
        "seconds_over_a_limit": found.seconds,
        "seconds_over_a_limit_after_a_loss": found.after_a_loss_seconds,
        "worst_watts": found.worst_watts,
        "worst": found.worst,
        "seconds_by_limit": dict(sorted(found.by_element.items())),
    }
