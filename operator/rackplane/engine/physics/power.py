"""Power flow: where one watt goes, up the power graph, under one contingency (DESIGN.md, section 5).

Every rack and every element splits its input by weight over its live Active parents, else it draws all of it
from its first live Standby.  An element is live if it is online, not lost, and a source or below a live parent.
``out = base + sum of the inputs of what it feeds``, ``in = out / efficiency``; so, with states given, everything
is linear and one watt at the bottom has a constant coefficient at every element above it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from rackplane.engine.model import Feed, PowerSpec, Role

Flow = Mapping[str, float]
"""Element name -> watts of output there, for each watt drawn below."""


def topological_order(powers: Mapping[str, PowerSpec]) -> tuple[list[str], set[str]]:
    """Parents before children, and the names that stand on or below a cycle (they are in no order).

    Parents that are unknown are ignored here; the compiler reports them.
    """
    waiting = {name: {f.power for f in spec.parents if f.power in powers} for name, spec in powers.items()}
    children: dict[str, list[str]] = {name: [] for name in powers}
    for name, parents in waiting.items():
        for parent in parents:
            children[parent].append(name)
    ready = [name for name, parents in waiting.items() if not parents]
    order: list[str] = []
    while ready:
        name = ready.pop()
        order.append(name)
        for child in children[name]:
            waiting[child].discard(name)
            if not waiting[child]:
                ready.append(child)
    return order, set(powers) - set(order)


def shares(feeds: Sequence[Feed], live: Collection[str]) -> dict[str, float]:
    """Element -> share of the input (summing to 1), or nothing if no feed is live.

    A feed without a positive weight is an error, reported elsewhere, and carries nothing.
    """
    usable = [f for f in feeds if f.power in live and f.weight > 0]
    active = [f for f in usable if f.role == Role.ACTIVE] or [f for f in usable if f.role == Role.STANDBY][:1]
    total = sum(f.weight for f in active)
    result: dict[str, float] = {}
    for f in active:
        result[f.power] = result.get(f.power, 0.0) + f.weight / total
    return result


class PowerFlow:
    """The solved graph of one contingency: which elements are live, and the flow above each of them."""

    def __init__(self, powers: Mapping[str, PowerSpec], order: Iterable[str]) -> None:
        """``order`` lists parents first; what is not in it (on or below a cycle) is not live.

        An element with another error is: it may carry nothing, yet what it does carry loads all that feeds it.
        """
        self.powers = powers
        self.live: set[str] = set()
        self._up: dict[str, dict[str, float]] = {}
        for name in order:
            if powers[name].online:
                self._energise(name)

    def _energise(self, name: str) -> None:
        spec = self.powers[name]
        split = shares(spec.parents, self.live)
        if spec.parents and not split:
            return
        self.live.add(name)
        up = {name: 1.0}
        basis_points = spec.efficiency_basis_points
        efficiency = basis_points / 10_000 if 1 <= basis_points <= 10_000 else 1.0
        for parent, share in split.items():
            add_scaled(up, self._up[parent], share / efficiency)
        self._up[name] = up

    def without(self, lost: str, below: Sequence[str]) -> PowerFlow:
        """This flow after the loss of one more element; ``below`` are all that it is an ancestor of, parents first.

        Only those are solved again, so the cost is theirs and not the whole graph's.
        """
        after = PowerFlow.__new__(PowerFlow)
        after.powers = self.powers
        after.live = self.live - {lost, *below}
        after._up = dict(self._up)
        for name in (lost, *below):
            after._up.pop(name, None)
        for name in below:
            if name in self.live:
                after._energise(name)
        return after

    def above(self, feeds: Sequence[Feed]) -> tuple[dict[str, float], dict[str, float]]:
        """For one watt drawn over these feeds: the output at every element above, and the share of each feed's element.

        Both are empty if nothing live feeds it.
        """
        split = shares(feeds, self.live)
        flow: dict[str, float] = {}
        for element, share in split.items():
            add_scaled(flow, self._up[element], share)
        return flow, split

    def above_element(self, name: str) -> Flow:
        """For one watt of output of ``name``: the output at it and at every element above; empty if it is not live."""
        return self._up.get(name, {})


def add_scaled(target: dict[str, float], flow: Mapping[str, float], factor: float) -> None:
    """``target += factor * flow``."""
    for name, value in flow.items():
        target[name] = target.get(name, 0.0) + factor * value


def topmost(targets: Collection[str], powers: Mapping[str, PowerSpec], order: Iterable[str]) -> list[str]:
    """Those of ``targets`` above which stands no other: summing them counts no watt twice along one path."""
    covered: set[str] = set()
    result: list[str] = []
    for name in order:
        below_target = any(f.power in covered for f in powers[name].parents)
        if name in targets and not below_target:
            result.append(name)
        if below_target or name in targets:
            covered.add(name)
    return result


def continuous_rating(spec: PowerSpec) -> float:
    """Watts the element carries for good: rated times continuousPercent, or what its modules still give if less."""
    return min(_capability(spec), spec.rated_watts * spec.continuous_percent / 100)


def emergency_rating(spec: PowerSpec) -> float:
    """Watts the element carries for a while after a loss, no less than for good; of modules, those that work count."""
    if spec.emergency_percent is None:
        return continuous_rating(spec)
    short = min(_capability(spec), spec.rated_watts) * spec.emergency_percent / 100
    return max(short, continuous_rating(spec))


def peak_rating(spec: PowerSpec) -> float:
    """Watts its protection allows at any moment; lost modules beyond redundancy lower it too."""
    capability = _capability(spec)
    if spec.peak_limit_watts is None:
        return float(capability)
    degraded = spec.modules is not None and module_count(spec) < spec.modules.needed
    return float(min(spec.peak_limit_watts, capability) if degraded else spec.peak_limit_watts)


def module_count(spec: PowerSpec) -> int:
    """Modules that work; 0 for an element without modules."""
    if spec.modules is None:
        return 0
    return (
        spec.modules.installed
        if spec.modules.online is None
        else min(spec.modules.online, spec.modules.installed)
    )


def _capability(spec: PowerSpec) -> int:
    if spec.modules is None:
        return spec.rated_watts
    return min(spec.rated_watts, min(spec.modules.needed, module_count(spec)) * spec.modules.module_watts)
