"""What the page is told, as values that are written as JSON: a layout, frames, and what has changed between two.

Field names in JSON are those of the page's JavaScript; a field at its default is left out. Watts, GPUs and counts are
integers; times are seconds since the epoch, or text as the API server has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

__all__ = [
    "Budget",
    "Delta",
    "Element",
    "ElementPlace",
    "Frame",
    "Gang",
    "Layout",
    "Rack",
    "RackPlace",
    "Totals",
    "Worst",
    "Zone",
    "ZonePlace",
    "applied",
    "changes",
    "encode",
    "identified",
]

Figures = TypeVar("Figures")


class _Value(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """Frozen, and compared by value."""


# -- what stands where: changes when somebody describes the facility anew ----------------------------


class RackPlace(_Value, frozen=True):
    name: str
    site: str = ""
    hall: str = ""
    row: str = ""
    position: str = ""
    profile: str = ""
    feeds: tuple[str, ...] = ()
    """Power domains above it, Active ones first."""
    liquid: str = ""
    air: str = ""


class ElementPlace(_Value, frozen=True):
    """A power domain. `parents` are those it is fed from, `standby` the ones that only stand by."""

    name: str
    type: str = ""
    tag: str = ""
    parents: tuple[str, ...] = ()
    standby: tuple[str, ...] = ()


class ZonePlace(_Value, frozen=True):
    name: str
    medium: str
    parents: tuple[str, ...] = ()


class Layout(_Value, frozen=True):
    """Everything in the order in which it is shown. `id` is the same for the same content, in every process."""

    id: str = ""
    racks: tuple[RackPlace, ...] = ()
    elements: tuple[ElementPlace, ...] = ()
    zones: tuple[ZonePlace, ...] = ()


# -- what it carries ---------------------------------------------------------------------------------


class Worst(_Value, frozen=True):
    """The nearest limit: `of` under the loss of `loss` ("" for the state as it is)."""

    of: str
    watts: int
    limit: int
    loss: str = ""
    second_to: tuple[str, ...] = ()
    """Elements out of service that make it a second loss."""


class Rack(_Value, frozen=True):
    """`watts` is its nominal draw; `headroom` what it may add under every loss; `feeds` watts by power domain."""

    gpus: int = 0
    used: int = 0
    down: int = 0
    """GPUs of nodes that are not healthy."""
    nodes: int = 0
    watts: int = 0
    limit: int = 0
    headroom: int = 0
    liquid: int = 0
    """Watts of heat in liquid, and in air."""
    air: int = 0
    state: str = "Active"
    problem: str = ""
    worst: Worst | None = None
    dropped: tuple[str, ...] = ()
    """Losses after which no feed reaches it."""
    feeds: Mapping[str, int] = {}


class Element(_Value, frozen=True):
    """`watts` at its output, `limit` its continuous rating now, `sources` watts that it takes from each parent."""

    watts: int = 0
    limit: int = 0
    headroom: int = 0
    live: bool = True
    survives: bool | None = None
    """Whether all goes on within limits if it is lost; None: it is not built to be lost, or carries nothing."""
    worst: Worst | None = None
    sources: Mapping[str, int] = {}


class Zone(_Value, frozen=True):
    """`watts` of heat against `limit`, what its units can carry off."""

    watts: int = 0
    limit: int = 0
    headroom: int = 0
    running: int = 0
    needed: int = 0
    installed: int = 0
    worst: Worst | None = None


class Budget(_Value, frozen=True):
    watts: int = 0
    limit: int = 0
    headroom: int = 0


class Gang(_Value, frozen=True):
    """A gang that has a place (`racks`: GPUs by rack) or waits for one (`position`, `message`, `estimate`)."""

    namespace: str
    name: str
    queue: str = ""
    phase: str = ""
    gpus: int = 0
    slots: int = 0
    watts: int = 0
    profile: str = ""
    shed: str = ""
    submitted: str = ""
    started: str = ""
    racks: Mapping[str, int] = {}
    position: int | None = None
    message: str = ""
    estimate: str = ""


class Totals(_Value, frozen=True):
    """Sums over everything, also of what a frame does not list."""

    gpus: int = 0
    used: int = 0
    down: int = 0
    watts: int = 0
    """Of racks, nominal."""
    running: int = 0
    waiting: int = 0
    waiting_gpus: int = 0


class Frame(_Value, frozen=True):
    """The figures of one moment, each table by name; gangs by namespace/name."""

    at: float
    layout: str
    leading: bool = False
    mode: str = "Active"
    totals: Totals = Totals()
    racks: Mapping[str, Rack] = {}
    elements: Mapping[str, Element] = {}
    zones: Mapping[str, Zone] = {}
    budgets: Mapping[str, Budget] = {}
    gangs: Mapping[str, Gang] = {}


class Delta(_Value, frozen=True):
    """What is another in a later frame: whole rows, None for those that are gone."""

    at: float
    layout: str
    leading: bool = False
    mode: str = "Active"
    totals: Totals = Totals()
    racks: Mapping[str, Rack | None] = {}
    elements: Mapping[str, Element | None] = {}
    zones: Mapping[str, Zone | None] = {}
    budgets: Mapping[str, Budget | None] = {}
    gangs: Mapping[str, Gang | None] = {}


def changes(before: Frame, after: Frame) -> Delta:
    """What turns one frame into the other."""
    return Delta(
        at=after.at,
        layout=after.layout,
        leading=after.leading,
        mode=after.mode,
        totals=after.totals,
        racks=_changed(before.racks, after.racks),
        elements=_changed(before.elements, after.elements),
        zones=_changed(before.zones, after.zones),
        budgets=_changed(before.budgets, after.budgets),
        gangs=_changed(before.gangs, after.gangs),
    )


def applied(before: Frame, delta: Delta) -> Frame:
    """The later frame."""
    return Frame(
        at=delta.at,
        layout=delta.layout,
        leading=delta.leading,
        mode=delta.mode,
        totals=delta.totals,
        racks=_with(before.racks, delta.racks),
        elements=_with(before.elements, delta.elements),
        zones=_with(before.zones, delta.zones),
        budgets=_with(before.budgets, delta.budgets),
        gangs=_with(before.gangs, delta.gangs),
    )


def encode(value: Any) -> bytes:
    """As JSON."""
    return msgspec.json.encode(value)


def identified(layout: Layout) -> Layout:
    """The layout with the id of its content."""
    content = encode(msgspec.structs.replace(layout, id=""))
    return msgspec.structs.replace(layout, id=hashlib.sha256(content).hexdigest()[:16])


def _changed(before: Mapping[str, Figures], after: Mapping[str, Figures]) -> dict[str, Figures | None]:
    found: dict[str, Figures | None] = {n: row for n, row in after.items() if before.get(n) != row}
    # In their order: a page is to be the same bytes whenever it is made of the same frames.
    found.update((name, None) for name in before if name not in after)
    return found


def _with(before: Mapping[str, Figures], changed: Mapping[str, Figures | None]) -> dict[str, Figures]:
    return {name: row for name, row in {**before, **changed}.items() if row is not None}
