"""What a facility may carry under every loss it is designed to survive, found by asking each world left by a loss.

An evaluator of its own beside the engine, for tests: see :mod:`tests.property.engine.oracle_world`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import inf

from rackplane.engine.model import FacilitySpec, Feed
from tests.property.engine.oracle_draws import Draws
from tests.property.engine.oracle_layout import Layout
from tests.property.engine.oracle_world import COOLING_KINDS, Loss, Row, World

Loads = Mapping[Loss, Mapping[Row, float]]

PEAK_KINDS = ("peak limit", "rack peak limit", "feed limit")


class Oracle:
    """One facility, under every loss it is designed to survive."""

    def __init__(self, spec: FacilitySpec) -> None:
        self.spec = spec
        self.layout = Layout(spec)
        self._risen: dict[str, set[str]] = {}
        self.worlds = {loss: World(self.layout, loss) for loss in self._losses()}

    # -- contingencies

    def _losses(self) -> Iterator[Loss]:
        yield Loss()
        normal = World(self.layout, Loss())
        for p in self.spec.powers:
            if p.survivable and normal.live(p.name):
                yield Loss(p.name)
        for zone in self.layout.zones.values():
            running = normal.running(zone.name)
            if len(running) > zone.needed_units:
                for unit in running:
                    yield Loss(unit.name, zone.name)

    def loads(self, draws: Draws) -> Loads:
        """The load of every row after every loss, in watts."""
        return {loss: world.loads(draws) for loss, world in self.worlds.items()}

    def violations(self, loads: Loads, *, tolerance: float) -> set[tuple[Loss, Row]]:
        """Every limit that is exceeded by more than the tolerance (watts)."""
        return {
            (loss, row)
            for loss, rows in loads.items()
            for row, load in rows.items()
            if load > self.worlds[loss].limit(row) + tolerance
        }

    def headrooms(
        self, loads: Loads, *, at: float | None = None, until: float | None = None, at_once: bool = True
    ) -> dict[str, tuple[float, float]]:
        """Watts that each rack may still add by the nominal limits, and by the peak ones.

        The least of (limit - load) / (what one watt in the rack adds), over all losses and limits that may hold back
        something that runs from ``at`` (None: now) ``until`` then (None: for ever); ``at_once``: over the limits of the
        moment only.
        """
        result = dict.fromkeys(self.layout.racks, (inf, inf))
        for loss, world in self.worlds.items():
            room = {
                row: world.limit(row) - load
                for row, load in loads[loss].items()
                if not self.permitted(loss, row)
                and not self._over(row, at)
                and (row.starts_at is None or (not at_once and (until is None or until > row.starts_at)))
            }
            for rack in self.layout.racks:
                nominal, peak = result[rack]
                for row, more in world.marginal(rack).items():
                    if more > 0 and row in room:
                        if row.kind in PEAK_KINDS:
                            peak = min(peak, room[row] / more)
                        else:
                            nominal = min(nominal, room[row] / more)
                result[rack] = nominal, peak
        return result

    def _over(self, row: Row, at: float | None) -> bool:
        """Whether the row is a budget that ends by then."""
        ends = [b.ends_at for b in self.spec.budgets if row == Row("budget", b.name, "", b.starts_at)]
        return at is not None and any(end is not None and end <= at for end in ends)

    # -- second losses

    def permitted(self, loss: Loss, row: Row) -> bool:
        """Whether the facility's policy lets admission go on although the row would be too much after the loss."""
        return self.spec.admit_after_loss and (bool(self.second(loss)) or self._spare_is_out(loss, row))

    def second(self, loss: Loss) -> tuple[str, ...]:
        """The survivable elements out of service whose reserve is the lost element's reserve too."""
        if loss == Loss() or loss.zone:
            return ()
        out = [p.name for p in self.spec.powers if p.survivable and not p.online]
        return tuple(n for n in out if n not in self.layout.bad_powers and self._share(n, loss.lost))

    def _share(self, one: str, other: str) -> bool:
        """Whether one is a reserve of the other, or something else is of both."""
        ones, others = self._rises(one), self._rises(other)
        return other in ones or one in others or bool(ones & others)

    def _rises(self, lost: str) -> set[str]:
        """What carries more of some rack or cooling unit if this is lost from a facility in full service."""
        if lost not in self._risen:
            powers = tuple(replace(p, online=True) for p in self.spec.powers)
            whole = Layout(replace(self.spec, powers=powers))
            before, after = World(whole, Loss()), World(whole, Loss(lost))
            rising: set[str] = set()
            for feeds in (
                *(r.feeds for r in self.spec.racks),
                *(u.feeds for z in self.spec.coolings for u in z.units),
            ):
                was, now = before.flow_of(feeds), after.flow_of(feeds)
                rising |= {n for n in now if now[n] > was[n] + 1e-9}
            carries = {n for n, watts in before.flow_of((Feed(lost),)).items() if watts}
            self._risen[lost] = rising - carries  # what stands above the lost element is no reserve for it
        return self._risen[lost]

    def _spare_is_out(self, loss: Loss, row: Row) -> bool:
        """Whether the row is a cooling zone whose reserve is out of service already, and this takes power from it."""
        if loss == Loss() or row.kind not in COOLING_KINDS:
            return False
        zone = self.layout.zones[row.element]
        units = [u for u in zone.units if u not in self.layout.bad_units]
        return len(units) > zone.needed_units and any(not u.online for u in units)
