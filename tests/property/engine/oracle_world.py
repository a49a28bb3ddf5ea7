"""The physics once more, the slow way: after a loss, every watt is pushed up what is left of the graph.

Written from the design alone, it shares nothing with the engine but the specs, and has no matrices: what is lost is
taken away, what is left is looked at afresh, and the flows of racks, base loads and cooling units are added up element
by element.  What one more watt in a rack does is found by pushing one watt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import NamedTuple

from rackplane.engine.model import (
    CoolingSpec,
    CoolingUnit,
    Feed,
    PowerSpec,
    Role,
)
from tests.property.engine.oracle_draws import Draws
from tests.property.engine.oracle_layout import Layout


class Row(NamedTuple):
    """A limited quantity: kind and detail as the engine names them; ``starts_at`` of a coming budget."""

    kind: str
    element: str
    detail: str = ""
    starts_at: float | None = None


class Loss(NamedTuple):
    """A contingency: nothing, a power domain, or (with ``zone``) a cooling unit is lost."""

    lost: str = ""
    zone: str = ""


COOLING_KINDS = ("liquid cooling", "air cooling")


class World:
    """The facility after one loss: what is live, how it splits, what it may carry."""

    def __init__(self, layout: Layout, loss: Loss) -> None:
        self.layout = layout
        self.loss = loss
        self._live: dict[str, bool] = {}
        self.drawing = {z.name: [u for u in z.units if self._runs(z, u)] for z in layout.zones.values()}
        """By zone, the units that are online and fed, with or without a mistake in them."""
        self._limits: dict[Row, float] = {}
        self._marginal: dict[str, dict[Row, float]] = {}
        self.fed = {r.name: bool(self.split(r.feeds)) for r in layout.racks.values()}

    def live(self, name: str) -> bool:
        """Online, not lost, and a source or with a live parent."""
        if name not in self._live:
            self._live[name] = False  # what feeds only itself is fed by nothing
            element = self.layout.powers.get(name)
            self._live[name] = (
                element is not None
                and element.online
                and (self.loss.zone != "" or self.loss.lost != name)
                and name not in self.layout.cyclic
                and (not element.parents or any(self.live(f.power) for f in element.parents))
            )
        return self._live[name]

    def split(self, feeds: Sequence[Feed]) -> list[tuple[str, float]]:
        """The part of its input that something draws from each of its feeds."""
        active = [f for f in feeds if f.role == Role.ACTIVE and self.live(f.power)]
        if active:
            whole = sum(f.weight for f in active)
            return [(f.power, f.weight / whole) for f in active]
        standby = [f for f in feeds if f.role == Role.STANDBY and self.live(f.power)]
        return [(f.power, 1.0) for f in standby[:1]]

    def _runs(self, zone: CoolingSpec, unit: CoolingUnit) -> bool:
        lost = (self.loss.lost, self.loss.zone) == (unit.name, zone.name)
        return unit.online and not lost and (not unit.feeds or any(self.live(f.power) for f in unit.feeds))

    def running(self, zone: str) -> list[CoolingUnit]:
        """The units that the zone can count on."""
        return [u for u in self.drawing[zone] if u not in self.layout.bad_units]

    def warm(self, rack: str) -> bool:
        """Whether its watts become heat: not without power, but what feeds a rack with a mistake is not known."""
        return self.fed[rack] or rack in self.layout.bad_racks

    # -- loads

    def flow(self, racks: Mapping[str, float], *, alone: bool = False) -> dict[str, float]:
        """Watts at the output of every element, if the racks draw these; ``alone`` leaves out what is always there."""
        out = dict.fromkeys(self.layout.powers, 0.0)
        if not alone:
            for element in self.layout.powers.values():
                if self.live(element.name):
                    out[element.name] += max(0, element.base_load_watts)
            for units in self.drawing.values():
                for unit in units:
                    self._push(out, max(0, unit.draw_watts), unit.feeds)
        for name, watts in racks.items():
            self._push(out, watts, self.layout.racks[name].feeds)
        return self._upwards(out)

    def _push(self, out: dict[str, float], watts: float, feeds: Sequence[Feed]) -> dict[str, float]:
        for name, part in self.split(feeds):
            out[name] += watts * part
        return out

    def _upwards(self, out: dict[str, float]) -> dict[str, float]:
        for element in self.layout.downmost_first:
            if out[element.name]:
                watts = out[element.name] * 10_000 / element.efficiency_basis_points
                self._push(out, watts, element.parents)
        return out

    def loads(self, draws: Draws, *, alone: bool = False) -> dict[Row, float]:
        """The load of every row; of a coming budget, that of what is left when it starts."""
        flow = self.flow(draws.nominal, alone=alone)
        result = {Row("continuous rating", n): w for n, w in flow.items()}
        result |= {Row("peak limit", n): w for n, w in self.flow(draws.peak, alone=alone).items()}
        for budget in self.layout.spec.budgets:
            if budget.always or self.loss == Loss():
                start = budget.starts_at
                out = flow if start is None else self.flow(draws.left[start], alone=alone)
                row = Row("budget", budget.name, "", start)
                result[row] = sum(out[n] for n in self.layout.topmost(budget))
        for rack in self.layout.racks.values():
            highest = draws.peak.get(rack.name, 0.0)
            if self.loss == Loss():
                result[Row("rack limit", rack.name)] = draws.nominal.get(rack.name, 0.0)
                result[Row("rack peak limit", rack.name)] = highest
            parts = dict(self.split(rack.feeds))
            for feed in rack.feeds:
                if feed.limit_watts is not None:
                    result[Row("feed limit", rack.name, feed.power)] = highest * parts.get(feed.power, 0.0)
        for zone in self.layout.zones.values():
            result[Row(f"{zone.medium} cooling".lower(), zone.name)] = sum(
                draws.nominal.get(rack.name, 0.0) * part
                for rack in self.layout.racks.values()
                for start, part in self.layout.heat(rack)
                if self.warm(rack.name) and zone.name in self.layout.zones_above(start)
            )
        return result

    def marginal(self, rack: str) -> dict[Row, float]:
        """What one watt more in the rack, nominal and peak, adds to every row."""
        if rack not in self._marginal:
            one = {rack: 1.0}
            self._marginal[rack] = self.loads(
                Draws(one, one, dict.fromkeys(self.layout.starts, one)), alone=True
            )
        return self._marginal[rack]

    def flow_of(self, feeds: Sequence[Feed]) -> dict[str, float]:
        """For one watt drawn over these feeds: watts at the output of every element."""
        return self._upwards(self._push(dict.fromkeys(self.layout.powers, 0.0), 1.0, feeds))

    # -- limits

    def limit(self, row: Row) -> float:
        """Watts that the row may carry."""
        if row not in self._limits:
            self._limits[row] = self._limit(row)
        return self._limits[row]

    def _limit(self, row: Row) -> float:
        o = self.layout
        if row.kind in ("continuous rating", "peak limit"):
            p = o.powers[row.element]
            if p.name in o.bad_powers or p.retired or not self.live(p.name):
                return 0.0
            if row.kind == "peak limit":
                return self._peak_limit(p)
            return min(p.rated_watts * p.continuous_percent / 100, self._modules(p))
        if row.kind == "budget":
            budget = next(b for b in o.spec.budgets if (b.name, b.starts_at) == (row.element, row.starts_at))
            return max(0, budget.limit_watts)
        if row.kind in COOLING_KINDS:
            return self._usable(o.zones[row.element])
        rack = o.racks[row.element]
        if row.kind == "feed limit":
            return next(f.limit_watts or 0 for f in rack.feeds if f.power == row.detail)
        if rack.name in o.bad_racks or rack.retired:
            return 0.0
        if row.kind == "rack peak limit" and rack.peak_limit_watts is not None:
            return rack.peak_limit_watts
        return rack.limit_watts

    @staticmethod
    def _modules(p: PowerSpec) -> float:
        """Watts of the modules that count: of those that work, as many as are needed."""
        if p.modules is None:
            return inf
        online = p.modules.installed if p.modules.online is None else p.modules.online
        return min(p.modules.needed, online) * p.modules.module_watts

    def _peak_limit(self, p: PowerSpec) -> float:
        """The element's own; but what fewer modules than needed cannot deliver, no breaker setting delivers."""
        if p.peak_limit_watts is None:
            return min(p.rated_watts, self._modules(p))
        short = p.modules is not None and p.modules.online is not None and p.modules.online < p.modules.needed
        return min(p.peak_limit_watts, p.rated_watts, self._modules(p)) if short else p.peak_limit_watts

    def _usable(self, zone: CoolingSpec) -> float:
        if zone.name in self.layout.bad_zones or zone.retired:
            return 0.0
        sizes = sorted(u.capacity_watts for u in self.running(zone.name))
        return sum(sizes[: zone.needed_units]) * zone.derating_percent / 100
