"""Plots over the time of a run, as SVG that fits any width: letters stay as large as they are.

Only what lies between the axes is stretched (a nested svg without an aspect ratio); places of words are percents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rackplane.simulator.report.axes import Scale, linear, time_ticks
from rackplane.simulator.report.markup import Markup, join, tag

__all__ = ["Limit", "Line", "TimeChart", "Values"]

Values = Sequence[float | None]

_WIDE: Final = 1_000
"""Units of the stretched part, whatever its width."""
_APART: Final = 14
"""Pixels between two words at the right edge."""
_LETTERS: Final = 24
"""Of a name there."""


@dataclass(frozen=True, slots=True)
class Line:
    """One series: a value for each stretch of time.

    Args:
        tone: of the page's colours, from 1.
        low, high: what was least and most in each stretch, shown as a band.
        total: said while no moment is pointed at; "" for nothing.
        stretch: seconds that a value stands for; None: as of its chart.
        weight: of its stroke: the least is the widest, so that lines on each other are all seen; 0: as any.
    """

    label: str
    values: Values
    tone: int
    low: Values | None = None
    high: Values | None = None
    dashed: bool = False
    total: str = ""
    stretch: float | None = None
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """What must not, or cannot, be exceeded: one value, or one for each stretch."""

    label: str
    values: float | Values


@dataclass(frozen=True, slots=True)
class TimeChart:
    """One plot with its words.

    Args:
        reading: what is to be seen, in a sentence or two.
        seconds: of the run; ``stretch`` of what one value stands for.
        kind: "lines", "stack" (areas on each other) or "bars" (from 0, as wide as a stretch).
        top: what the axis reaches at least.
        zero: what the line at 0 is called, where it is a limit itself; what is below it is bad.
    """

    id: str
    title: str
    reading: str
    scale: Scale
    seconds: float
    stretch: float
    lines: Sequence[Line]
    limits: Sequence[Limit] = ()
    kind: str = "lines"
    zero: str = ""
    height: int = 180
    top: float = 0.0

    def figure(self) -> Markup:
        """The plot in a figure with its caption, and with what its lines are called and say."""
        least, most = self._range()
        low, high, ticks = linear(least, max(most, self.top), self.scale, most=max(5, self.height // 30))
        plot = tag(
            "div",
            tag(
                "svg",
                *self._grid(ticks),
                tag(
                    "svg",
                    *self._marks(low, high),
                    viewBox=f"0 0 {_WIDE} {self.height}",
                    preserveAspectRatio="none",
                    width="100%",
                    height=self.height,
                ),
                *self._edge(low, high),
                tag("line", class_="cursor", x1="-9", x2="-9", y1="0", y2=self.height),
                height=self.height,
                aria_hidden="true",
            ),
            class_="plot",
            role="img",
            aria_label=f"{self.title}. {self.reading}",
            data_chart=self.id,
        )
        heading = tag("div", tag("h3", self.title), tag("span", class_="moment"), class_="heading")
        caption = tag(
            "figcaption", heading, tag("p", self.reading, class_="reading") if self.reading else None
        )
        return tag("figure", caption, self._legend(), plot, class_="chart", id=self.id)

    def data(self) -> dict[str, Any]:
        """For the script, which says the values at a moment."""
        lines = []
        for line in self.lines:
            more: dict[str, Any] = {"low": line.low, "high": line.high} if line.low is not None else {}
            if line.stretch is not None:
                more["stretch"] = line.stretch
            lines.append({"label": line.label, "values": line.values, **more})
        lines += [{"label": limit.label, "values": limit.values} for limit in self.limits]
        return {
            "title": self.title,
            "seconds": self.seconds,
            "stretch": self.stretch,
            "size": self.scale.size,
            "unit": self.scale.unit,
            "digits": self.scale.digits,
            "lines": lines,
        }

    # -- parts ---------------------------------------------------------------------------------------

    def _range(self) -> tuple[float, float]:
        series = [line.values for line in self.lines]
        if self.kind == "stack":
            return 0.0, max((sum(v or 0 for v in at) for at in zip(*series, strict=True)), default=0.0)
        series += [more for line in self.lines for more in (line.low, line.high) if more is not None]
        found = [v for values in series for v in values if v is not None]
        for limit in self.limits:
            values = [limit.values] if isinstance(limit.values, int | float) else limit.values
            found += [v for v in values if v is not None]
        return min(found, default=0.0), max(found, default=0.0)

    def _grid(self, ticks: Sequence[Any]) -> Iterator[Markup]:
        for tick in ticks:
            y = self.height * (1 - tick.place)
            yield tag("line", class_="grid", x1="0", x2="100%", y1=y, y2=y)
            yield tag("text", tick.text, class_="tick y", x="-8", y=y + 4)
        for tick in time_ticks(self.seconds):
            x, size = f"{100 * tick.place:.3f}%", " minor" if tick.minor else ""
            yield tag("line", class_="grid" + size, x1=x, x2=x, y1=self.height, y2=self.height + 4)
            yield tag("text", tick.text, class_="tick x" + size, x=x, y=self.height + 18)

    def _y(self, value: float, low: float, high: float) -> float:
        return round(self.height * (1 - (value - low) / (high - low)), 1)

    def _x(self, number: int, line: Line | None = None) -> float:
        stretch = self.stretch if line is None or line.stretch is None else line.stretch
        return round(min(1.0, number * stretch / self.seconds if self.seconds else 0.0) * _WIDE, 2)

    def _marks(self, low: float, high: float) -> Iterator[Markup]:
        zero = self._y(0, low, high)
        if self.zero and low < 0:
            yield tag("rect", class_="bad", x="0", width=_WIDE, y=zero, height=self.height - zero)
        if self.kind == "stack":
            below: list[float] = [0.0] * max((len(line.values) for line in self.lines), default=0)
            for line in self.lines:
                above = [b + (v or 0) for b, v in zip(below, line.values, strict=True)]
                yield tag("path", class_=f"area tone-{line.tone}", d=self._band(below, above, low, high))
                below = above
        elif self.kind == "bars":
            for line in self.lines:
                none = [0.0 if v else None for v in line.values]
                yield tag("path", class_=f"bar tone-{line.tone}", d=self._band(none, line.values, low, high))
        else:
            for line in self.lines:
                if line.low is not None and line.high is not None:
                    d = self._band(line.low, line.high, low, high)
                    yield tag("path", class_=f"band tone-{line.tone}", d=d)
        for limit in self.limits:
            d = self._path(self._everywhere(limit), low, high)
            yield tag("path", class_="limit", d=d)
        yield tag("path", class_="zero" if self.zero else "base", d=f"M0 {zero}H{_WIDE}")
        if self.kind == "lines":
            for line in self.lines:
                more = (" dashed" if line.dashed else "") + (f" weight-{line.weight}" if line.weight else "")
                d = self._path(line.values, low, high, line)
                yield tag("path", class_=f"line tone-{line.tone}{more}", d=d)

    def _everywhere(self, limit: Limit) -> Values:
        if not isinstance(limit.values, int | float):
            return limit.values
        return [limit.values] * max((len(line.values) for line in self.lines), default=1)

    def _path(self, values: Values, low: float, high: float, line: Line | None = None) -> str:
        """Steps: each value holds for its stretch; where there is none the line is broken."""
        parts, before = [], None
        for i, value in enumerate(values):
            if value is None:
                before = None
                continue
            y = self._y(value, low, high)
            if before is None:
                parts.append(f"M{self._x(i, line):g} {y:g}")
            elif y != before:
                parts.append(f"V{y:g}")
            # A run of equal values is one stroke.
            if parts[-1].startswith("H"):
                parts.pop()
            parts.append(f"H{self._x(i + 1, line):g}")
            before = y
        return "".join(parts)

    def _band(self, lower: Values, upper: Values, low: float, high: float) -> str:
        """The area between two series, as pieces without gaps."""
        parts: list[str] = []
        piece: list[tuple[float, float, float, float]] = []
        for i, (a, b) in enumerate([*zip(lower, upper, strict=True), (None, None)]):
            if a is not None and b is not None:
                piece.append((self._x(i), self._x(i + 1), self._y(a, low, high), self._y(b, low, high)))
                continue
            if piece:
                there = "".join(f"L{x0:g} {b:g}L{x1:g} {b:g}" for x0, x1, _, b in _merged(piece, 3))
                back = "".join(f"L{x1:g} {a:g}L{x0:g} {a:g}" for x0, x1, a, _ in reversed(_merged(piece, 2)))
                parts.append(f"M{there[1:]}{back}Z")
            piece = []
        return "".join(parts)

    def _edge(self, low: float, high: float) -> Iterator[Markup]:
        """The names of lines and limits at the right, beside their last values, and none on another."""
        wanted: list[tuple[float, str, str]] = []
        base = 0.0
        for line in self.lines:
            known = [v for v in line.values if v is not None]
            if not known or self.kind == "bars":
                continue
            at = known[-1] if self.kind != "stack" else base + known[-1] / 2
            base += known[-1] if self.kind == "stack" else 0
            if self.kind != "stack" or max(known) > 0:
                label = line.label if len(line.label) <= _LETTERS else f"{line.label[: _LETTERS - 1]}…"
                wanted.append((self._y(at, low, high), label, f"tone-{line.tone}"))
        for limit in self.limits:
            known = [v for v in self._everywhere(limit) if v is not None]
            if known:
                wanted.append((self._y(known[-1], low, high), limit.label, "of-limit"))
        if self.zero:
            wanted.append((self._y(0, low, high), self.zero, "of-limit"))
        for y, (_, label, class_) in zip(_apart([w[0] for w in wanted], self.height), wanted, strict=True):
            yield tag("text", label, class_=f"edge {class_}", x="100%", dx="8", y=y + 4)

    def _legend(self) -> Markup:
        items = []
        for i, line in enumerate(self.lines):
            kind = {"stack": "patch", "bars": "patch"}.get(self.kind, "stroke") + (
                " dashed" if line.dashed else ""
            )
            items.append(_key(f"{kind} tone-{line.tone}", line.label, i, line.total))
        for i, limit in enumerate(self.limits, len(self.lines)):
            said = self.scale.words(limit.values) if isinstance(limit.values, int | float) else ""
            items.append(_key("stroke of-limit", limit.label, i, said))
        return tag("ul", *items, class_="legend")


def _key(class_: str, label: str, number: int, said: str) -> Markup:
    swatch = tag("i", class_=class_)
    return tag("li", swatch, join(label, " "), tag("output", said, data_line=number, data_total=said))


def _merged(
    piece: list[tuple[float, float, float, float]], of: int
) -> list[tuple[float, float, float, float]]:
    """Neighbours with the same value in that place as one."""
    found: list[tuple[float, float, float, float]] = []
    for one in piece:
        if found and found[-1][of] == one[of]:
            found[-1] = (found[-1][0], one[1], *one[2:])
        else:
            found.append(one)
    return found


def _apart(places: Sequence[float], height: float) -> list[float]:
    """Places moved as little as can be so that each is `_APART` from the next, in the order that they have."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    found = [0.0] * len(places)
    last = -float("inf")
    for i in order:
        last = found[i] = max(places[i], last + _APART)
    over = last - max(height, _APART * (len(places) - 1))
    limit = float("inf")
    for i in reversed(order):
        if over > 0:
            found[i] = min(found[i], limit, height)
            limit = found[i] - _APART
    return found
