"""A facility as configured, read once more: what stands above what, and what a mistake makes unusable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rackplane.engine.model import (
    BudgetSpec,
    FacilitySpec,
    Feed,
    RackSpec,
)


class Layout:
    """One facility as configured: what stands above what, and what has a mistake in it or in what it depends on."""

    def __init__(self, spec: FacilitySpec) -> None:
        self.spec = spec
        self.powers = {p.name: p for p in spec.powers}
        self.zones = {z.name: z for z in spec.coolings}
        self.racks = {r.name: r for r in spec.racks}
        self.kinds = {t.name: t for t in spec.node_types}
        self.above = {n: self._ancestors(n) for n in self.powers}
        self.cyclic = {n for n, above in self.above.items() if any(a in self.above[a] for a in (n, *above))}
        self.bad_powers = {n for n in self.powers if any(self._wrong(a) for a in (n, *self.above[n]))}
        self.bad_units = [u for z in spec.coolings for u in z.units if self._wrong_feeds(u.feeds)]
        self.bad_zones = {n for n in self.zones if any(self._wrong_zone(z) for z in self.zones_above(n))}
        self.bad_racks = {r.name for r in spec.racks if self._wrong_rack(r)}
        straight = [p for p in spec.powers if p.name not in self.cyclic]
        # An element has more above it than any of those has above itself.
        self.downmost_first = sorted(straight, key=lambda p: -len(self.above[p.name]))
        self.starts = {b.starts_at for b in spec.budgets if b.starts_at is not None}

    # -- what stands above, and what is wrong

    def _ancestors(self, name: str) -> set[str]:
        seen: set[str] = set()
        stack = [name]
        while stack:
            for feed in self.powers[stack.pop()].parents:
                if feed.power in self.powers and feed.power not in seen:
                    seen.add(feed.power)
                    stack.append(feed.power)
        return seen

    def _wrong(self, name: str) -> bool:
        p = self.powers[name]
        dangling = any(f.power not in self.powers for f in p.parents)
        return dangling or name in self.cyclic or p.rated_watts < 1

    def _wrong_feeds(self, feeds: Sequence[Feed]) -> bool:
        return any(f.power not in self.powers or f.power in self.bad_powers for f in feeds)

    def _wrong_zone(self, name: str) -> bool:
        parents = self.zones[name].parents
        return any(p not in self.zones for p in parents) or name in self._zones_over(name)

    def _wrong_rack(self, rack: RackSpec) -> bool:
        zones = [z for z in (rack.liquid, rack.air) if z is not None]
        return (
            rack.limit_watts < 1
            or rack.node_type not in self.kinds
            or not rack.feeds
            or self._wrong_feeds(rack.feeds)
            or any(z not in self.zones or z in self.bad_zones for z in zones)
        )

    def _zones_over(self, name: str) -> set[str]:
        seen: set[str] = set()
        stack = [name]
        while stack:
            zone = self.zones.get(stack.pop())
            for parent in zone.parents if zone else ():
                if parent in self.zones and parent not in seen:
                    seen.add(parent)
                    stack.append(parent)
        return seen

    def zones_above(self, name: str) -> set[str]:
        """The zone itself and all that take its heat in turn."""
        return {name, *self._zones_over(name)} if name in self.zones else set()

    def heat(self, rack: RackSpec) -> Iterator[tuple[str, float]]:
        """The part of a rack's watts that each of its zones takes."""
        kind = self.kinds.get(rack.node_type)
        liquid = kind.liquid_heat_percent / 100 if kind else 0.0
        if rack.liquid is not None:
            yield rack.liquid, liquid
        if rack.air is not None:
            yield rack.air, 1.0 - liquid

    def topmost(self, budget: BudgetSpec) -> list[str]:
        """The budget's power domains that have no other of them above."""
        targets = {
            p.name for p in self.spec.powers if p.name in budget.powers or p.feed_tag in budget.feed_tags
        }
        return sorted(n for n in targets if not self.above[n] & targets)
