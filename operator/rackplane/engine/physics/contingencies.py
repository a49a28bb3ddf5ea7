"""Which single losses a facility is designed to survive, and which of them would be a second loss now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rackplane.engine.model import CoolingSpec, Feed, PowerSpec
from rackplane.engine.physics import cooling
from rackplane.engine.physics.power import PowerFlow
from rackplane.engine.physics.rows import Contingency

_RISES = 1e-9


def designed_losses(
    powers: Mapping[str, PowerSpec], zones: Mapping[str, CoolingSpec], live: frozenset[str]
) -> Iterator[Contingency]:
    """Every survivable power domain that is live, then every running unit of a zone that has more than it needs.

    The loss of such a unit never lowers what its zone promises (the smallest ``needed_units`` of the rest are at least
    as large) and frees the watts it draws: these contingencies have no cells, and are there to be drilled.
    """
    for p in powers.values():
        if p.survivable and p.name in live:
            yield Contingency(p.name)
    for z in zones.values():
        running = cooling.running_units(z, live)
        if len(running) > z.needed_units:
            for unit in running:
                yield Contingency(unit.name, z.name)


class Downstream:
    """For each element, all that it is an ancestor of, parents first, by every role."""

    def __init__(self, powers: Mapping[str, PowerSpec], order: Sequence[str]) -> None:
        self._rank = {name: i for i, name in enumerate(order)}
        self._children: dict[str, list[str]] = {name: [] for name in order}
        for name in order:
            for feed in powers[name].parents:
                if feed.power in self._children:
                    self._children[feed.power].append(name)

    def below(self, name: str) -> list[str]:
        """Every element below ``name``, without it."""
        seen: set[str] = set()
        stack = [name]
        while stack:
            for child in self._children.get(stack.pop(), ()):
                if child not in seen:
                    seen.add(child)
                    stack.append(child)
        return sorted(seen, key=self._rank.__getitem__)


def second_losses(
    powers: Mapping[str, PowerSpec],
    order: Sequence[str],
    bad: set[str],
    *,
    consumers: Sequence[Sequence[Feed]],
    contingencies: Sequence[Contingency],
) -> dict[int, tuple[str, ...]]:
    """Contingency -> the survivable elements out of service whose redundancy it shares.

    Two elements share redundancy if, with everything in service, one would pick up load after the loss of the other, or
    some element after the loss of either.  Their common ancestors do not count: what they carry is not a reserve for
    either.

    Args:
        consumers: the feeds of every rack and every cooling unit.
    """
    out = [p.name for p in powers.values() if p.survivable and not p.online and p.name not in bad]
    if not out:
        return {}
    whole = {name: replace(p, online=True) for name, p in powers.items()}
    flow = PowerFlow(whole, order)
    downstream = Downstream(whole, order)

    def picks_up(lost: str) -> set[str]:
        below = downstream.below(lost)
        after = flow.without(lost, below)
        touched = {lost, *below}
        rising: set[str] = set()
        for feeds in consumers:
            if any(f.power in touched for f in feeds):
                before, now = flow.above(feeds)[0], after.above(feeds)[0]
                rising.update(n for n, w in now.items() if w > before.get(n, 0.0) + _RISES)
        return rising - flow.above_element(lost).keys()

    gone = {name: picks_up(name) for name in out}
    result: dict[int, tuple[str, ...]] = {}
    for i, c in enumerate(contingencies):
        if c.normal or c.zone:
            continue
        own = picks_up(c.lost)
        partners = tuple(n for n in out if c.lost in gone[n] or n in own or own & gone[n])
        if partners:
            result[i] = partners
    return result
