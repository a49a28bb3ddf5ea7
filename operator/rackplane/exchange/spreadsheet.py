"""A facility from a spreadsheet saved as CSV: a row is a power domain, a cooling unit or a rack.

The unit stands in the heading (``limit_kw``, ``limit_watts``), never in a cell. Commas, semicolons and tabs separate
cells; a decimal comma is refused, as it may as well be one of thousands.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from rackplane.api.cooling_zone import CoolingMedium
from rackplane.api.naming import object_name
from rackplane.api.numbers import whole_number
from rackplane.api.power_domain import PowerDomainType
from rackplane.exchange.building import Builder, Imported, Origin
from rackplane.exchange.foreign import Source
from rackplane.exchange.hostlist import HostlistError, expand
from rackplane.exchange.losses import Losses

__all__ = ["COLUMNS", "read"]

#: Heading -> what it says, by the kind of row that has it.
COLUMNS: Final[Mapping[str, str]] = {
    "kind": "PowerDomain (or its type: UPS, PDU ...), CoolingUnit or Rack",
    "name": "its name",
    "type": "of a PowerDomain: UPS, PDU, Busway ...; of a CoolingUnit: Liquid or Air",
    "limit_kw": "rating, capacity or limit; or limit_watts",
    "base_kw": "what is drawn beside nodes, always; or base_watts",
    "fed_by": "names of PowerDomains: ups-a; ups-b*2; gen-1 (standby)",
    "feed_tag": "of a PowerDomain",
    "survivable": "of a PowerDomain: yes or no",
    "continuous_percent": "of a PowerDomain",
    "efficiency_percent": "of a PowerDomain",
    "zone": "of a CoolingUnit: its zone",
    "needed": "of a CoolingUnit: how many units of the zone carry the heat (default: all)",
    "liquid": "of a Rack: the zone that takes the liquid part of its heat",
    "air": "of a Rack: the zone that takes the rest",
    "profile": "of a Rack: its HardwareProfile",
    "nodes": "of a Rack: names, tray[01-18], or how many",
    "domain": "of a Rack: its NVLinkDomain",
    "site": "of a Rack",
    "hall": "of a Rack",
    "row": "of a Rack",
    "position": "of a Rack",
}
_FEED: Final = re.compile(
    r"(?P<name>[^*()]+?)\s*(?:\*\s*(?P<weight>[0-9]{1,6}))?\s*(?:\(\s*(?P<role>\w+)\s*\))?"
)
_KINDS: Final = {"powerdomain": "PowerDomain", "coolingunit": "CoolingUnit", "rack": "Rack"}
_TYPES: Final = {kind.value.lower(): kind.value for kind in PowerDomainType}
_MEDIA: Final = {medium.value.lower(): medium.value for medium in CoolingMedium}
_FLAGS: Final = {"yes": True, "true": True, "1": True, "x": True, "no": False, "false": False, "0": False}
_OF: Final[Mapping[str, frozenset[str]]] = {
    kind: frozenset(columns.split())
    for kind, columns in {
        "PowerDomain": "kind name type limit base fed_by feed_tag survivable continuous_percent efficiency_percent",
        "CoolingUnit": "kind name type limit base fed_by zone needed",
        "Rack": "kind name limit base fed_by liquid air profile nodes domain site hall row position",
    }.items()
}
_KNOWN: Final = frozenset().union(*_OF.values())


def read(sources: Sequence[Source], builder: Builder, losses: Losses) -> Imported:
    """Rows of one or several files, in any order."""
    rows = [row for source in sources for row in _rows(source, losses)]
    for row in rows:
        if row.kind == "PowerDomain":
            _power(row, builder)
    zones: dict[str, list[_Row]] = {}
    for row in rows:
        if row.kind == "CoolingUnit":
            zones.setdefault(row.text("zone") or row.text("name"), []).append(row)
    for zone, units in zones.items():
        _zone(zone, units, builder)
    domains: dict[str, list[tuple[str, _Row]]] = {}
    for row in rows:
        if row.kind == "Rack":
            name = _rack(row, builder)
            if row.text("domain"):
                domains.setdefault(row.text("domain"), []).append((name, row))
    for domain, racks in domains.items():
        builder.domain(domain, [], racks[0][1].origin("domain"), racks=[name for name, _ in racks])
    for row in rows:
        row.tell_unread()
    return builder.finish()


class _Row:
    """One row; cells are taken by heading, and those that nobody took are told."""

    def __init__(self, cells: Mapping[str, str], file: str, line: int, losses: Losses) -> None:
        self._cells, self._file, self._line, self._losses = dict(cells), file, line, losses
        said = re.sub(r"[^a-z]", "", cells.get("kind", "").lower())
        self.kind = _KINDS.get(said, "PowerDomain" if said in _TYPES else "")
        if not self.kind:
            kinds = ", ".join((*_KINDS.values(), *_TYPES.values()))
            self.wrong("kind", f"{cells.get('kind', '')!r} is none of {kinds}")
        if not cells.get("name"):
            self.wrong("name", "is empty")

    def origin(self, heading: str) -> Origin:
        return Origin(self._file, f"row {self._line}, {heading}")

    def wrong(self, heading: str, why: str) -> None:
        self._losses.wrong(self._file, f"row {self._line}, {heading}", why)

    def text(self, heading: str) -> str:
        return self._cells.get(heading, "")

    def watts(self, quantity: str) -> int | None:
        """Of "limit" or "base"; None, which was told where it is not readable, if there is none."""
        given = [h for h in (f"{quantity}_kw", f"{quantity}_watts") if self.text(h)]
        if len(given) > 1:
            self.wrong(given[1], f"{given[0]} is given too: keep one")
            return None
        if not given:
            return None
        number = self.number(given[0])
        if number is None:
            return None
        watts = number * (1000 if given[0].endswith("_kw") else 1)
        if watts != watts.to_integral_value() or watts < 0:
            self.wrong(given[0], f"{self.text(given[0])} is no whole number of watts")
            return None
        return int(watts)

    def number(self, heading: str) -> Decimal | None:
        text = self.text(heading)
        try:
            number = Decimal(text)
            if number.is_finite():
                return number
        except InvalidOperation:
            pass
        hint = (
            ": write a decimal point, and no separator of thousands" if "," in text else ": write digits only"
        )
        self.wrong(heading, f"{text!r} is no number{hint}")
        return None

    def feeds(self) -> list[dict[str, Any]]:
        found = []
        for part in filter(None, (p.strip() for p in re.split(r"[;,|]", self.text("fed_by")))):
            match = _FEED.fullmatch(part)
            role = "active" if match is None else (match["role"] or "active").lower()
            if match is None or role not in ("active", "standby"):
                self.wrong("fed_by", f"{part!r} is no feed such as ups-a, ups-b*2 or gen-1 (standby)")
                continue
            found.append(
                {
                    "powerDomain": object_name(match["name"]),
                    "weight": int(match["weight"] or 1),
                    "role": role.capitalize(),
                }
            )
        return found

    def tell_unread(self) -> None:
        if not self.kind:
            return
        for heading, text in self._cells.items():
            plain = heading.removesuffix("_kw").removesuffix("_watts")
            if text and heading not in _OF[self.kind] and plain not in _OF[self.kind]:
                why = f"a {self.kind} has no {heading}" if plain in _KNOWN else "is not translated"
                self._losses.warn(self._file, f"row {self._line}, {heading}", why)


def _rows(source: Source, losses: Losses) -> list[_Row]:
    lines = source.text.splitlines()
    if not lines:
        losses.wrong(source.name, "the file", "is empty")
        return []
    separator = max(",;\t", key=lines[0].count)
    try:
        table = list(csv.reader(lines, delimiter=separator, strict=True))
    except csv.Error as error:
        losses.wrong(source.name, "the file", f"is no CSV: {error}")
        return []
    headings = [re.sub(r"[\s-]+", "_", cell.strip().lower()) for cell in table[0]]
    for needed in ("kind", "name"):
        if needed not in headings:
            losses.wrong(
                source.name, "row 1", f"there is no column {needed}; there are {', '.join(headings)}"
            )
            return []
    twice = sorted({h for h in headings if h and headings.count(h) > 1})
    if twice:
        losses.wrong(source.name, "row 1", f"column {', '.join(twice)} is there twice")
        return []
    rows = []
    for number, cells in enumerate(table[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(headings) and any(cell.strip() for cell in cells[len(headings) :]):
            losses.wrong(source.name, f"row {number}", f"has {len(cells)} cells, the heading {len(headings)}")
            continue
        named = dict(zip(headings, (cell.strip() for cell in cells), strict=False))
        rows.append(_Row(named, source.name, number, losses))
    return rows


def _power(row: _Row, builder: Builder) -> None:
    kind = row.text("type") or (row.text("kind") if row.text("kind").lower() != "powerdomain" else "")
    plain = re.sub(r"[^a-z]", "", kind.lower())
    if plain and plain not in _TYPES:
        row.wrong("type", f"{kind!r} is none of {', '.join(_TYPES.values())}")
    rated = row.watts("limit")
    if rated is None:
        if not row.text("limit_kw") and not row.text("limit_watts"):
            row.wrong("limit_kw", "is empty: what it may carry must be said")
        return
    spec: dict[str, Any] = {"type": _TYPES.get(plain, "Other"), "ratedWatts": rated}
    if base := row.watts("base"):
        spec["baseLoadWatts"] = base
    if feeds := row.feeds():
        spec["parents"] = feeds
    if row.text("feed_tag"):
        spec["feedTag"] = row.text("feed_tag")
    if said := row.text("survivable").lower():
        if said in _FLAGS:
            spec["survivable"] = _FLAGS[said]
        else:
            row.wrong("survivable", f"{said!r} is neither yes nor no")
    for heading, field, parts in (
        ("continuous_percent", "continuousPercent", 1),
        ("efficiency_percent", None, 100),
    ):
        if row.text(heading) and (number := row.number(heading)) is not None:
            value = number * parts
            if value != value.to_integral_value():
                row.wrong(heading, f"{row.text(heading)} has too many digits")
            else:
                spec[field or "efficiencyBasisPoints"] = int(value)
    builder.add("PowerDomain", row.text("name"), spec, row.origin("name"))


def _zone(zone: str, rows: Sequence[_Row], builder: Builder) -> None:
    units = []
    for row in rows:
        capacity = row.watts("limit")
        if capacity is None:
            if not row.text("limit_kw") and not row.text("limit_watts"):
                row.wrong("limit_kw", "is empty: the heat it takes must be said")
            continue
        unit: dict[str, Any] = {"name": object_name(row.text("name")), "capacityWatts": capacity}
        if draw := row.watts("base"):
            unit["drawWatts"] = draw
        if feeds := row.feeds():
            unit["feeds"] = feeds
        units.append(unit)
    media = {row.text("type").lower() for row in rows}
    medium = _MEDIA.get(next(iter(media)), "") if len(media) == 1 else ""
    if not medium:
        rows[0].wrong(
            "type",
            f"units of zone {zone} are of {', '.join(sorted(media)) or 'no type'}: write Liquid or Air",
        )
        return
    needed = len(units)
    said = {row.text("needed") for row in rows if row.text("needed")}
    if said:
        number = rows[0].number("needed") if rows[0].text("needed") else None
        if len(said) != 1 or number is None or number != number.to_integral_value():
            rows[0].wrong(
                "needed", f"zone {zone} needs {', '.join(sorted(said))} units: write one number, in each row"
            )
            return
        needed = int(number)
    spec = {"medium": medium, "neededUnits": needed, "units": units}
    builder.add("CoolingZone", zone, spec, rows[0].origin("zone"))


def _rack(row: _Row, builder: Builder) -> str:
    spec: dict[str, Any] = {}
    limit = row.watts("limit")
    if limit is not None:
        spec["limitWatts"] = limit
    elif row.text("limit_kw") or row.text("limit_watts"):
        return object_name(row.text("name"))
    if base := row.watts("base"):
        spec["overheadWatts"] = base
    if feeds := row.feeds():
        spec["feeds"] = feeds
    if row.text("profile"):
        spec["profile"] = row.text("profile")
    cooling = {part: object_name(row.text(part)) for part in ("liquid", "air") if row.text(part)}
    if cooling:
        spec["cooling"] = cooling
    location = {part: row.text(part) for part in ("site", "hall", "row", "position") if row.text(part)}
    if location:
        spec["location"] = location
    said = row.text("nodes")
    count = whole_number(said)
    nodes: list[str] = []
    if said and count is None:
        try:
            nodes = expand(said.replace(";", ",").replace(" ", ""))
        except HostlistError as error:
            row.wrong("nodes", str(error))
    return builder.rack(row.text("name"), nodes, spec, row.origin("name"), count=count)
