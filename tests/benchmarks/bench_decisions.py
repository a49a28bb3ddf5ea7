"""What it costs to tell the log of decisions, to keep the last of them, and to record all that the core is told.

The load of `bench_cycle`, on two machines that are told the same, one with and one without: each pass is done by one
and then by the other, in turns, and CPU time is compared. The log is written as JSON to a file that nobody reads.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rackplane.controller.collecting import tune
from rackplane.controller.decisions.journal import Journal
from rackplane.controller.decisions.ring import Ring
from rackplane.controller.logging import configure_logging
from rackplane.controller.recording import Recording
from rackplane.core import events as e
from rackplane.core.instructions import Instruction
from tests.benchmarks import bench_cycle
from tests.benchmarks.bench_cycle import SEED, Site, collector, loaded, one_ends

__all__ = ["collector"]

PASSES, LIMIT_PERCENT, RECORDING_LIMIT_PERCENT = 120, 2.0, 10.0


class Told(Site):
    """A site whose runtime tells a journal, as the operator's does."""

    def __init__(self) -> None:
        super().__init__()
        self.journal = Journal(Ring(entries=2_000, size=8 << 20), self.machine.world)
        self.machine.world.trace = self.journal

    def handle(self, *events: e.Event) -> list[Instruction]:
        self.journal.told(self.now, events)
        return super().handle(*events)


class Recorded(Site):
    """A site that is recorded."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.recording = Recording(str(file), self.machine.settings, bound=1 << 30, identity="bench")

    def handle(self, *events: e.Event) -> list[Instruction]:
        self.recording.told(self.now, events)
        asked = super().handle(*events)
        self.recording.asked(asked)
        return asked


@pytest.fixture(autouse=True)
def log(tmp_path: Path) -> Iterator[None]:
    with ExitStack() as stack:
        configure_logging(stream=stack.enter_context((tmp_path / "log").open("w")))
        yield


def compared(without: Site, with_it: Site) -> tuple[list[float], list[float]]:
    """What the passes of the second cost beyond those of the first, in percent: alone, and with all that follows."""
    tune()
    draws = [random.Random(SEED), random.Random(SEED)]
    sites = [without, with_it]
    for site, draw in zip(sites, draws, strict=True):
        loaded(site, draw)
    passes: list[tuple[float, float]] = []
    whole: list[tuple[float, float]] = []
    for number in range(PASSES):
        took, all_of_it = [0.0, 0.0], [0.0, 0.0]
        for which in (0, 1) if number % 2 else (1, 0):
            before = time.process_time()
            took[which], instructions = one_ends(sites[which], draws[which])
            sites[which].settle(instructions)
            all_of_it[which] = time.process_time() - before
        passes.append((took[0], took[1]))
        whole.append((all_of_it[0], all_of_it[1]))
    assert without.running == with_it.running
    return [(b / a - 1) * 100 for a, b in passes], [(b / a - 1) * 100 for a, b in whole]


def tell(what: str, percent: list[float], limit: float) -> None:
    value = statistics.median(percent)
    print(
        f"{what}: {value:+.1f} % of CPU time in the median of {len(percent)} pairs   limit {limit:.0f} %   "
        f"ratio {value / limit:.2f}"
    )


def test_telling_and_keeping_decisions() -> None:
    print(f"\n{bench_cycle.GANGS:,} gangs in the queue")
    alone, whole = compared(Site(), Told())
    tell("decisions told and kept, a pass", alone, LIMIT_PERCENT)
    tell("decisions told and kept, a pass and all that follows", whole, LIMIT_PERCENT)


def test_recording(tmp_path: Path) -> None:
    site = Recorded(tmp_path / "run.jsonl.gz")
    _, whole = compared(Site(), site)
    site.recording.close()
    tell("recorded, a pass and all that follows", whole, RECORDING_LIMIT_PERCENT)
    print(f"  {(tmp_path / 'run.jsonl.gz').stat().st_size / 2**20:.1f} MiB")
