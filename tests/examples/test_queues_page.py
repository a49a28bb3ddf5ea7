"""The worked example of docs/queues.md, computed: what queues may take, their shares, who is asked in which order."""

from __future__ import annotations

import math
from pathlib import Path

from rackplane.engine.queueing.order import Line, Order, Place
from rackplane.engine.queueing.quotas import GPUS, WATTS, Limit, QueueSpec, QuotaTree, amounts_of
from rackplane.engine.queueing.shares import PARTS, Shares
from rackplane.engine.queueing.words import sentence

PAGE = Path(__file__).parents[2] / "docs" / "queues.md"
WEEK = 7 * 86_400.0


def table(heading: str) -> list[list[str]]:
    """The rows of the table of the page that starts with this heading."""
    lines = PAGE.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading} |")) + 2
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def hall() -> QuotaTree:
    """The page's queues."""
    queues = [QueueSpec("hall", limits={GPUS: Limit(128), WATTS: Limit(640_000)})]
    for name, weight, *figures in table("queue"):
        limit = Limit(*(int(f) if f else None for f in figures))
        queues.append(QueueSpec(name, "hall", {GPUS: limit}, int(weight)))
    return QuotaTree(queues)


def week() -> Shares:
    """What the queues have had, a week after the first gangs started; the clock stands at `WEEK`."""
    shares = Shares(WEEK)
    shares.shape(hall(), {}, 0)
    held = {row[0]: amounts_of(int(row[1]), int(row[2]) * 1000) for row in table("share of")}
    held["research"] = amounts_of(48, 200_000)
    for name, amounts in held.items():
        shares.add(name, amounts, 0)
    shares.add("research", held["research"], WEEK, -1)
    return shares


def test_what_each_may_still_take() -> None:
    tree = hall()
    rows = table("holder")
    for name, held, *_ in rows:
        tree.add(name, amounts_of(int(held)))
    for name, _, most, borrowed in rows:
        assert tree.left(name, GPUS) == int(most)
        tree.add(name, amounts_of(int(most)))
        assert tree.borrowed(name).get(GPUS, 0) == int(borrowed)
        tree.remove(name, amounts_of(int(most)))


def test_what_a_gang_that_waits_is_told() -> None:
    tree = hall()
    for name, held, *_ in table("holder"):
        tree.add(name, amounts_of(int(held)))
    short = tree.check("training", amounts_of(24))
    assert short is not None
    told = " ".join(line[2:] for line in PAGE.read_text().splitlines() if line.startswith("> "))
    assert sentence(short) == told


def test_shares() -> None:
    shares = week()
    for name, _, _, gpus, kilowatts, *parts in table("share of"):
        history = shares.history(name, WEEK)
        assert history is not None
        held = shares.held(name)
        halves = [
            (held[resource] + average) / 2
            for resource, average in (
                (GPUS, history.gpu_seconds * math.log(2) / WEEK),
                (WATTS, history.watt_seconds * math.log(2) / WEEK),
            )
        ]
        assert [f"{halves[0]:.0f}", f"{halves[1] / 1000:.0f}"] == [gpus, kilowatts]
        larger, by_weight = shares.share(name, WEEK), shares.rank(name, WEEK)[-1] / PARTS
        of_hall = [halves[0] / 128, halves[1] / 640_000]
        assert [f"{part:.3f}" for part in (*of_hall, larger, by_weight)] == parts


def test_order() -> None:
    order, shares = Order[str](), week()
    rows = table("gang")
    for name, queue, priority, since in sorted(rows):
        order.put(name, Place(Line(queue, None), int(priority), since))
    assert order.first(lambda queue: shares.rank(queue, WEEK)) == [row[0] for row in rows]
