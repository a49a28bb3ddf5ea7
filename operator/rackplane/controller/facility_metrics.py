"""What every element of the facility carries and has left, as gauges: the same figures as in its status.

Series are bounded by the facility: some for each rack, power domain, cooling zone and budget in force, and for a power
domain or zone one for each cause of stranded watts, 0 where there are none, so that no series comes and goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric

from rackplane.engine.reporting.reports import BudgetReport, CoolingReport, PowerReport, RackReport
from rackplane.engine.reporting.stranded import Stranded, StrandedBy, Stranding, stranded
from rackplane.engine.state import State

__all__ = ["facility_metrics"]

Samples = Iterable[tuple[list[str], float]]


def facility_metrics(state: State) -> Iterator[Metric]:
    """All of them, read in one pass."""
    report, left = state.report(), stranded(state)
    yield from _racks(report.racks, left)
    yield from _powers(report.powers, left.powers)
    yield from _coolings(report.coolings, left.coolings)
    yield from _budgets(report.budgets)


def _gauges(name: str, text: str, labels: list[str], samples: Samples) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _racks(racks: Mapping[str, RackReport], left: Stranded) -> Iterator[Metric]:
    yield _gauges(
        "rackplane_free_gpus",
        "GPUs that nobody holds.",
        ["rack"],
        (([n], r.free_gpus) for n, r in racks.items()),
    )
    yield _gauges("rackplane_gpus", "GPUs of all racks.", [], [([], sum(r.gpus for r in racks.values()))])
    yield _gauges(
        "rackplane_rack_reserved_watts",
        "Draw of a rack by reservations.",
        ["rack", "basis"],
        _by_basis((n, r.nominal_watts, r.peak_watts) for n, r in racks.items()),
    )
    yield _gauges(
        "rackplane_rack_limit_watts",
        "What a rack may draw.",
        ["rack"],
        (([n], r.limit_watts) for n, r in racks.items()),
    )
    yield _gauges(
        "rackplane_rack_headroom_watts",
        "What a rack may still add under every loss.",
        ["rack"],
        (([n], r.headroom_watts) for n, r in racks.items()),
    )
    yield _gauges(
        "rackplane_rack_unfed_nodes",
        "Free nodes of a rack that some limit does not let start.",
        ["rack"],
        (([n], left.racks[n].nodes) for n in racks),
    )
    by_cause = dict.fromkeys(StrandedBy, 0)
    for unfed in left.unfed:
        by_cause[unfed.cause] += unfed.nodes
    yield _gauges(
        "rackplane_unfed_nodes",
        "Free nodes that some limit does not let start.",
        ["cause"],
        (([cause.value], nodes) for cause, nodes in by_cause.items() if cause.limits_nodes),
    )


def _powers(powers: Mapping[str, PowerReport], left: Mapping[str, Stranding]) -> Iterator[Metric]:
    yield _gauges(
        "rackplane_power_reserved_watts",
        "Load of a power domain by reservations.",
        ["power_domain", "basis"],
        _by_basis((n, p.nominal_watts, p.peak_watts) for n, p in powers.items()),
    )
    yield _gauges(
        "rackplane_power_limit_watts",
        "What a power domain may carry.",
        ["power_domain", "basis"],
        _by_basis((n, p.usable_watts, p.peak_limit_watts) for n, p in powers.items()),
    )
    yield from _left("power", "power_domain", powers, left)


def _coolings(zones: Mapping[str, CoolingReport], left: Mapping[str, Stranding]) -> Iterator[Metric]:
    yield _gauges(
        "rackplane_cooling_heat_watts",
        "Heat that reservations send to a zone.",
        ["cooling_zone"],
        (([n], z.heat_watts) for n, z in zones.items()),
    )
    yield _gauges(
        "rackplane_cooling_limit_watts",
        "Heat that a zone can carry off.",
        ["cooling_zone"],
        (([n], z.usable_watts) for n, z in zones.items()),
    )
    yield from _left("cooling", "cooling_zone", zones, left)


def _left(
    prefix: str,
    label: str,
    elements: Mapping[str, PowerReport] | Mapping[str, CoolingReport],
    left: Mapping[str, Stranding],
) -> Iterator[Metric]:
    noun = label.replace("_", " ")
    yield from _headrooms(prefix, label, elements)
    yield _gauges(
        f"rackplane_{prefix}_stranded_watts",
        f"Headroom of a {noun} that no free node can use, by cause.",
        [label, "cause"],
        (([n, cause.value], left[n].headroom.get(cause, 0)) for n in elements for cause in StrandedBy),
    )


def _headrooms(
    prefix: str,
    label: str,
    elements: Mapping[str, PowerReport] | Mapping[str, CoolingReport] | Mapping[str, BudgetReport],
) -> Iterator[Metric]:
    noun = label.replace("_", " ")
    yield _gauges(
        f"rackplane_{prefix}_headroom_watts",
        f"What a {noun} could still take now.",
        [label],
        (([n], x.headroom_watts) for n, x in elements.items()),
    )
    yield _gauges(
        f"rackplane_{prefix}_worst_headroom_watts",
        f"What a {noun} could still take after the loss that is worst for it.",
        [label],
        (([n], x.worst.headroom_watts) for n, x in elements.items()),
    )


def _budgets(budgets: Mapping[str, BudgetReport]) -> Iterator[Metric]:
    yield _gauges(
        "rackplane_budget_reserved_watts",
        "Nominal load of a power budget in force.",
        ["power_budget"],
        (([n], b.nominal_watts) for n, b in budgets.items()),
    )
    yield _gauges(
        "rackplane_budget_limit_watts",
        "Limit of a power budget in force.",
        ["power_budget"],
        (([n], b.limit_watts) for n, b in budgets.items()),
    )
    yield from _headrooms("budget", "power_budget", budgets)


def _by_basis(pairs: Iterable[tuple[str, int, int]]) -> Samples:
    for name, nominal, peak in pairs:
        yield [name, "nominal"], nominal
        yield [name, "peak"], peak
