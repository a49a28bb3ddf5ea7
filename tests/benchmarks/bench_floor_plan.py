"""The floor plan of a campus: what a look costs the operator, what an hour of it takes, and how it scrolls.

22 halls, 1,056 racks, 19,008 nodes, gangs on half of the racks and 300 that wait. Processor time for what the operator
does; frames a second, as Chromium draws them without a GPU, while the halls are scrolled from top to bottom.
"""

from __future__ import annotations

import resource
import statistics
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.state import State
from rackplane.floorplan import model as m
from rackplane.floorplan.history import History, compressed
from rackplane.floorplan.page import ASSETS, asset, standalone
from rackplane.floorplan.taking import frame_of, layout_of
from tests.benchmarks.bench_physics import gang
from tests.benchmarks.campus import RACK_NODES, campus, campus_nodes
from tests.support import floors
from tests.support.browser import CHROMIUM, browser

LOOK_MS, RING_MB, FRAMES, PAGE_KB = 100.0, 30.0, 30.0, 150.0
HOUR = 3600


def report(what: str, value: float, limit: float, unit: str) -> None:
    print(f"{what:<52} {value:8.1f} {unit}   limit {limit:.0f} {unit}   ratio {value / limit:.2f}")


@pytest.fixture(scope="module")
def state() -> State:
    spec = campus(22)
    state = State(compile_facility(spec), campus_nodes(spec))
    for rack in state.facility.racks[::2]:
        state.book(rack.name, gang(rack.name, RACK_NODES))
    return state


def gangs(state: State) -> dict[str, m.Gang]:
    placed = [rack.name for rack in state.facility.racks[::2]]
    words = "needs 128 nodes of 4 GPUs in segments of 16 in one leaf; {} has 9 free; other gangs have to end first"
    return {
        **{f"t/{r}": m.Gang(namespace="t", name=r, phase="Running", gpus=72, racks={r: 72}) for r in placed},
        **{
            f"t/w-{i}": m.Gang(namespace="t", name=f"w-{i}", gpus=512, position=i, message=words.format(i))
            for i in range(300)
        },
    }


def test_a_look(state: State) -> None:
    layout = layout_of(state.facility, where=lambda _: ("", "", "", ""), kind=lambda _: "")
    rows = gangs(state)
    looks, packed, deltas = [], [], []
    before = frame_of(state, at=0.0, layout=layout.id, gangs=rows)
    for i in range(1, 11):
        began = time.process_time()
        frame = frame_of(state, at=float(i), layout=layout.id, gangs=rows)
        looks.append(1e3 * (time.process_time() - began))
        began = time.process_time()
        entry = compressed(frame)
        packed.append(1e3 * (time.process_time() - began))
        began = time.process_time()
        m.encode(m.changes(before, frame))
        deltas.append(1e3 * (time.process_time() - began))
        before = frame
    print()
    report("a look, on the event loop", statistics.median(looks), LOOK_MS, "ms")
    report("its delta for those who listen", statistics.median(deltas), LOOK_MS, "ms")
    report("its entry in the history, in a thread", statistics.median(packed), LOOK_MS, "ms")
    print(f"a frame: {len(m.encode(frame)):,} bytes, {len(entry.body):,} in the history")


def test_an_hour_in_memory() -> None:
    history, frames = History(), []
    for i in range(20):
        frames.append(floors.campus(busy=i))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i, at in enumerate([*range(0, HOUR, 10), *range(HOUR, HOUR + 60, 2)]):
        layout, frame = frames[i % 20]
        history.add(compressed(msgspec.structs.replace(frame, at=float(at))), layout)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print()
    report(f"{len(history.moments())} frames of an hour", history.size / 1e6, RING_MB, "MB")
    report("growth of the process meanwhile", grown, RING_MB, "MB")


def test_the_page_itself() -> None:
    print()
    report("the page, not compressed", sum(len(asset(n).encode()) for n in ASSETS) / 1e3, PAGE_KB, "kB")


#: Scrolls the halls down and up again and tells the time between two frames, in milliseconds.
SCROLL = """new Promise((done) => {
  const halls = document.getElementById("halls"), times = [];
  const end = halls.scrollHeight - halls.clientHeight, total = 240;
  let last = performance.now(), n = 0;
  const next = (now) => {
    times.push(now - last);
    last = now;
    n += 1;
    halls.scrollTop = end * (n < total / 2 ? n : total - n) / (total / 2);
    n < total ? requestAnimationFrame(next) : done(times.slice(1));
  };
  requestAnimationFrame(next);
})"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH")
async def test_scrolling_1056_racks(tmp_path: Path) -> None:
    layout, frame = floors.campus()
    file = tmp_path / "campus.html"
    file.write_text(standalone([layout], [frame]), encoding="utf-8")
    print()
    async with browser() as page:
        for width, height in ((1440, 900), (2560, 1440)):
            await page.open(file.as_uri(), width=width, height=height)
            await page.until("document.querySelectorAll('.tile[data-step]').length === 1056")
            times: list[Any] = await page.evaluate(SCROLL)
            mean, worst = 1e3 / statistics.mean(times), sorted(times)[int(len(times) * 0.95)]
            report(f"scrolling at {width} x {height}", mean, FRAMES, "frames/s")
            print(f"{'':<52} 95 % of the frames within {worst:.0f} ms")
        assert page.errors == []
