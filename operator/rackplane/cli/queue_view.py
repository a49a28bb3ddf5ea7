"""Queues and who waits in them, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console

from rackplane.cli.queue_data import QueueState, Waiter
from rackplane.cli.table import show_table
from rackplane.cli.view import Branch, Gauge, Tree, paragraph, share, show
from rackplane.core.gangs.statuses import seconds
from rackplane.engine.explaining.times import when
from rackplane.figures import count, kilowatts, lasting

__all__ = ["show_queues", "show_waiting"]

_FIGURES = ("GPUs", "quota", "share", "waiting", "oldest", "placed", "kW", "of kW", "weight", "priority")
_SPARE = 5
"""Of these so many at the end are left out of a narrow terminal."""
_WHY = 48
"""With less room for reasons beside the columns they have lines of their own."""


def show_queues(queues: Sequence[QueueState], console: Console, *, now: float, every: bool) -> None:
    """Print the tree: what is held of the quota, and what those who wait would add.

    Args:
        every: all queues there are, not some.
    """
    names = {queue.name for queue in queues}
    below: dict[str | None, list[QueueState]] = {}
    for queue in queues:
        below.setdefault(queue.parent if queue.parent in names else None, []).append(queue)
    roots = [_branch(queue, below, now) for queue in below.get(None, ())]
    headings = ("queue", "held, {worst} waiting", "remarks")
    remarks = [] if queues else ["There are no queues: create one (docs/queues.md)."]
    if every and queues:
        # A queue counts those below it, so the roots have them all.
        waiting = sum(queue.status["pending"] for queue in below.get(None, ()))
        verb = "waits" if waiting == 1 else "wait"
        remarks.append(f"{count(waiting, 'gang')} {verb} for a place." if waiting else "Nobody waits.")
    remarks += [
        f"Queue {queue.name}: {problem}." for queue in queues if queue.exists for problem in queue.problems
    ]
    show(Tree(headings, _FIGURES, roots, remarks, spare=_SPARE), console)


def _branch(queue: QueueState, below: Mapping[str | None, Sequence[QueueState]], now: float) -> Branch:
    status, quota = queue.status, queue.quota_gpus
    used, oldest = status.get("usedGpus", 0), status.get("oldestWait")
    figures = (
        f"{used:,}",
        "" if quota is None else f"{quota:,}",
        f"{status['sharePermille'] / 10:.1f} %" if "sharePermille" in status else "",
        f"{status['pending']:,}",
        "" if oldest is None else lasting(now - seconds(oldest)),
        f"{status.get('admitted', 0):,}",
        kilowatts(status.get("usedWatts", 0)),
        "" if queue.quota_watts is None else kilowatts(queue.quota_watts),
        str(queue.weight),
        str(queue.priority),
    )
    gauge = None if quota is None else Gauge(share(used, quota), share(used + queue.asked_gpus, quota))
    return Branch(
        queue.name,
        gauge=gauge,
        figures=figures,
        note="; ".join(_notes(queue)),
        alarm=queue.hold or bool(queue.problems),
        children=[_branch(child, below, now) for child in below.get(queue.name, ())],
    )


def _notes(queue: QueueState) -> Iterator[str]:
    if queue.hold:
        yield "on hold"
    if borrowed := queue.status.get("borrowedGpus"):
        yield f"borrows {count(borrowed, 'GPU')}"
    if not queue.exists:
        yield from queue.problems


def show_waiting(waiting: Sequence[Waiter], console: Console, *, now: float, wide: bool) -> None:
    """Print who waits, in order, and why."""
    console.print()
    if not waiting:
        paragraph(console, "Nobody waits here.")
        return
    headings = ["POS", "GANG", "GPUS", "WAITED", "START", "WHY"]
    right = [0, 2, 3]
    if wide:
        headings[1:2] = ["GANG", "QUEUE", "PRIORITY", "PODS"]
        right = [0, 3, 4, 5, 6]
    rows = []
    for waiter in waiting:
        found = waiter.standing
        gang = f"{found.gang.metadata.namespace}/{found.gang.metadata.name}"
        more = [waiter.queue, str(waiter.priority), f"{found.gang.spec.slots:,}"] if wide else []
        waited = "" if waiter.since is None else lasting(now - seconds(waiter.since))
        position = "" if found.position is None else f"{found.position:,}"
        rows.append([position, gang, *more, f"{waiter.gpus:,}", waited, _start(waiter, now), found.why])
    styles = ["green" if w.standing.could_start else "" if w.standing.position else "dim" for w in waiting]
    show_table(console, headings, rows, right=right, styles=styles, own_lines_under=_WHY)
    if any(w.standing.position is None for w in waiting):
        paragraph(console, "Without a position: not in line for a place, for the reason that stands there.")


def _start(waiter: Waiter, now: float) -> str:
    found = waiter.standing
    if found.could_start:
        return "now"
    if found.start is None:
        return ""
    return when(found.start, now) + (", held" if found.held else "")
