"""One screen of `rackplane top`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rich.text import Text

from rackplane.cli.top_board import Board, Draw, Element, Operator
from rackplane.cli.view import Branch, Gauge, Tree, lines, share
from rackplane.cli.words import names
from rackplane.figures import count, kilowatts, lasting

__all__ = ["PANES", "screen"]

PANES: Final = ("overview", "power", "cooling", "racks", "gangs")
"""What may be looked at; the first letter of each is its key."""
_LIMITS: Final = {
    "ContinuousRating": "continuous rating",
    "PeakLimit": "peak limit",
    "Budget": "budget",
    "RackLimit": "rack limit",
    "RackPeakLimit": "rack peak limit",
    "FeedLimit": "feed limit",
    "LiquidCooling": "liquid cooling",
    "AirCooling": "air cooling",
}
_UNBOUNDED: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Section:
    title: str
    rows: Sequence[Branch]
    bars: str
    figures: tuple[str, ...]
    notes: str


def screen(
    board: Board,
    *,
    pane: str,
    width: int,
    height: int | None = None,
    ascii: bool = False,
    keys: str = "",
    trouble: str = "",
) -> list[Text]:
    """The lines, as many as there are, or as fit.

    Args:
        width, height: of the terminal, in characters; without a height there is no bound.
        keys: what can be pressed.
        trouble: why what is shown is old.
    """
    shown = [_title(board, keys, width)]
    if trouble:
        shown.append(Text(_cut(trouble, width), "bold red"))
    if board.operator is not None:
        shown.append(_operator(board.operator, board.at, width))
    shown.append(Text(_cut(_totals(board), width)))
    sections = [s for s in _sections(board, pane) if s.rows or pane != "overview"]
    # A line without anything and one of headings above each.
    room = _UNBOUNDED if height is None else height - len(shown) - 2 * len(sections)
    for section, rows in zip(sections, _shares([len(s.rows) for s in sections], room), strict=True):
        shown.append(Text())
        shown += _drawn(section, rows, width, ascii)
    return shown if height is None else shown[:height]


def _title(board: Board, keys: str, width: int) -> Text:
    moment = datetime.fromtimestamp(board.at, UTC).strftime("%H:%M:%S UTC")
    line = Text(f"rackplane top  {moment}", "bold")
    if keys and len(line) + 2 + len(keys) <= width:
        line.append(" " * (width - len(line) - len(keys)) + keys, "not bold dim")
    return line


def _operator(found: Operator, now: float, width: int) -> Text:
    age = "" if found.renewed is None else lasting(now - found.renewed)
    match found.state:
        case "Leads":
            words = f"{found.holder} leads, seen {age} ago"
        case "Silent":
            words = f"{found.holder} held the Lease and has not renewed it{f' for {age}' if age else ''}"
        case _:
            words = found.words
    return Text(_cut(f"operator: {words}", width), "" if found.state == "Leads" else "bold red")


def _totals(board: Board) -> str:
    gpus, free = sum(r.gpus or 0 for r in board.racks), sum(r.free_gpus or 0 for r in board.racks)
    draw = sum(r.load_watts or 0 for r in board.racks)
    return (
        f"{count(len(board.racks), 'rack')} at {kilowatts(draw)} kW, {gpus - free:,} of {count(gpus, 'GPU')} in use; "
        f"{count(len(board.gangs), 'gang')} placed, {board.waiting:,} waiting"
    )


def _sections(board: Board, pane: str) -> Iterator[_Section]:
    if pane in ("overview", "power"):
        yield _elements("power", board.powers)
    if pane in ("overview", "cooling"):
        yield _elements("cooling", board.coolings)
    if pane == "racks":
        yield _elements("racks", board.racks)
    if pane in ("overview", "gangs"):
        total = sum(draw.watts for draw in board.gangs)
        rows = [_gang(draw, total) for draw in board.gangs]
        yield _Section("gangs by draw", rows, "of all gangs", ("GPUs", "kW", "peak kW"), "where")


def _elements(title: str, elements: Sequence[Element]) -> _Section:
    figures = ("kW", "of kW", "left kW", "metered kW", "free GPUs")
    return _Section(
        title, [_branch(e) for e in elements], "load, {worst} worst loss", figures, "nearest limit"
    )


def _branch(element: Element) -> Branch:
    load, limit = element.load_watts, element.limit_watts
    gauge = None
    if load is not None and limit is not None:
        gauge = Gauge(share(load, limit), 0.0 if element.kind == "Rack" else element.fullness)
    watts = (load, limit, element.headroom_watts, element.observed_watts)
    free = "" if element.free_gpus is None else f"{element.free_gpus:,}"
    return Branch(
        element.name,
        gauge=gauge,
        figures=(*map(_kilowatts, watts), free),
        note=_note(element),
        alarm=bool(element.state) or (element.headroom_watts or 0) < 0,
    )


def _kilowatts(watts: int | None) -> str:
    return "" if watts is None else kilowatts(watts)


def _note(element: Element) -> str:
    if element.state:
        return element.state.lower()
    if element.load_watts is None:
        return "the operator has said nothing of it"
    return "" if element.worst is None else _nearest(element.worst, element.name)


def _nearest(worst: Mapping[str, Any], own: str) -> str:
    """As `rackplane.cli.words.nearest_limit`, of what a status says."""
    loss, element = str(worst.get("loss") or ""), str(worst.get("element") or "")
    kind = _LIMITS.get(str(worst.get("kind")), "limit")
    if not loss and element in ("", own):
        return f"own {kind}"
    figures = f"{kilowatts(worst['loadWatts'])} of {kilowatts(worst['limitWatts'])} kW"
    whose = "" if element in ("", own) else f"{element} "
    return f"losing {loss}: {whose}{figures}" if loss else f"{element}: {figures}"


def _gang(draw: Draw, total: int) -> Branch:
    return Branch(
        f"{draw.namespace}/{draw.name}",
        " ".join(filter(None, (draw.phase, draw.profile))),
        Gauge(share(draw.watts, total)),
        (f"{draw.gpus:,}", kilowatts(draw.watts), kilowatts(draw.peak_watts)),
        names(draw.racks),
    )


def _drawn(section: _Section, rows: int, width: int, ascii: bool) -> Iterator[Text]:
    title = section.title
    if rows < len(section.rows):
        title += f", {rows} of {len(section.rows):,}"
    if not section.rows:
        yield Text(f"{title}: none", "bold")
        return
    tree = Tree(
        (title, section.bars, section.notes), section.figures, list(section.rows[:rows]), one_line=True
    )
    for line in lines(tree, width=width, ascii=ascii):
        line.truncate(width)
        yield line


def _shares(wanted: Sequence[int], room: int) -> list[int]:
    """Lines for each section: all it wants where there is room, else the small ones whole and the rest alike."""
    given = [0] * len(wanted)
    left = max(room, 0)
    # The smallest first: what it leaves of its part is for the others.
    for done, i in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        given[i] = min(wanted[i], left // (len(wanted) - done))
        left -= given[i]
    return given


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
