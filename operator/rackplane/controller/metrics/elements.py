"""What every rack, power domain and cooling zone carries and has left: the same figures as in its status.

Series are bounded by the facility: some for each element, and for a power domain or zone one for each cause of stranded
watts, 0 where there are none, so that no series comes and goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.core import Metric

from rackplane.controller.metrics.families import Family, Samples, Section, gauge
from rackplane.engine.reporting.reports import (
    CoolingReport,
    FacilityReport,
    OwnLoss,
    PowerReport,
    RackReport,
    Redundancy,
)
from rackplane.engine.reporting.stranded import Stranded, StrandedBy, Stranding

__all__ = ["FACILITY", "element_metrics"]

GPUS: Final = gauge("gpus", "GPUs of a rack.", "rack")
FREE_GPUS: Final = gauge("free_gpus", "GPUs of a rack that nobody holds.", "rack")
RACK_RESERVED: Final = gauge("rack_reserved_watts", "Draw of a rack by reservations.", "rack", "basis")
RACK_LIMIT: Final = gauge("rack_limit_watts", "What a rack may draw.", "rack")
RACK_HEADROOM: Final = gauge(
    "rack_headroom_watts",
    "What a rack could still add in the state as it is, whatever a loss would do.",
    "rack",
)
RACK_WORST: Final = gauge(
    "rack_worst_headroom_watts",
    "What a rack may still add under every loss (`status.headroomWatts`). Below 0: so much less it would have "
    "to draw.",
    "rack",
)
RACK_SURVIVES: Final = gauge(
    "rack_survives_loss", "1 if a feed reaches the rack after any one loss (condition `Survives`).", "rack"
)
RACK_UNFED: Final = gauge(
    "rack_unfed_nodes", "Free nodes of a rack that some limit does not let start.", "rack"
)
UNFED: Final = gauge("unfed_nodes", "Free nodes that some limit does not let start.", "cause")

POWER_RESERVED: Final = gauge(
    "power_reserved_watts", "Load of a power domain by reservations.", "power_domain", "basis"
)
POWER_LIMIT: Final = gauge("power_limit_watts", "What a power domain may carry.", "power_domain", "basis")
POWER_LIVE: Final = gauge("power_live", "1 if the power domain is online and fed.", "power_domain")
POWER_REDUNDANCY_LOST: Final = gauge(
    "power_redundancy_lost",
    "1 if no module is left in reserve (condition `RedundancyLost`).",
    "power_domain",
    only="power domains built with a reserve of modules",
)
_SURVIVABLE: Final = "survivable power domains that are live"
LOSS_SURVIVED: Final = gauge(
    "power_loss_survived",
    "1 if, were it lost, all that goes on running stayed within its limits and every rack kept a feed (condition "
    "`SurvivesLoss`).",
    "power_domain",
    only=_SURVIVABLE,
)
LOSS_HEADROOM: Final = gauge(
    "power_loss_headroom_watts",
    "What would be left, were it lost, at the limit that has least then. Below 0: over it.",
    "power_domain",
    only=f"{_SURVIVABLE} whose loss brings any limit nearer",
)
LOSS_UNFED: Final = gauge(
    "power_loss_unfed_racks",
    "Racks that no feed would reach, were it lost.",
    "power_domain",
    only=_SURVIVABLE,
)
LOSS_COOLING: Final = gauge(
    "power_loss_reduced_cooling_zones",
    "Cooling zones that could carry less, were it lost.",
    "power_domain",
    only=_SURVIVABLE,
)

HEAT: Final = gauge("cooling_heat_watts", "Heat that reservations send to a zone.", "cooling_zone")
COOLING_LIMIT: Final = gauge("cooling_limit_watts", "Heat that a zone can carry off.", "cooling_zone")
UNITS: Final = gauge(
    "cooling_units", "Units of a zone: running, needed or installed.", "cooling_zone", "state"
)
COOLING_REDUNDANCY_LOST: Final = gauge(
    "cooling_redundancy_lost",
    "1 if no unit is left in reserve (condition `RedundancyLost`).",
    "cooling_zone",
    only="zones built with a reserve of units",
)

_PREFIXES: Final = (("power", "power_domain"), ("cooling", "cooling_zone"))
HEADROOM: Final[Mapping[str, Family]] = {
    prefix: gauge(
        f"{prefix}_headroom_watts",
        f"What a {label.replace('_', ' ')} could still take now. Below 0: over its limit.",
        label,
    )
    for prefix, label in _PREFIXES
}
WORST: Final[Mapping[str, Family]] = {
    prefix: gauge(
        f"{prefix}_worst_headroom_watts",
        f"What a {label.replace('_', ' ')} could still take after the loss that is worst for it.",
        label,
    )
    for prefix, label in _PREFIXES
}
STRANDED: Final[Mapping[str, Family]] = {
    prefix: gauge(
        f"{prefix}_stranded_watts",
        f"Headroom of a {label.replace('_', ' ')} that no free node can use, by cause.",
        label,
        "cause",
    )
    for prefix, label in _PREFIXES
}

FACILITY: Final = Section(
    "Racks, power and cooling",
    "Watts are by the books; causes and losses are explained in [status.md](status.md).",
    (
        GPUS,
        FREE_GPUS,
        RACK_RESERVED,
        RACK_LIMIT,
        RACK_HEADROOM,
        RACK_WORST,
        RACK_SURVIVES,
        RACK_UNFED,
        UNFED,
        POWER_RESERVED,
        POWER_LIMIT,
        HEADROOM["power"],
        WORST["power"],
        STRANDED["power"],
        POWER_LIVE,
        POWER_REDUNDANCY_LOST,
        LOSS_SURVIVED,
        LOSS_HEADROOM,
        LOSS_UNFED,
        LOSS_COOLING,
        HEAT,
        COOLING_LIMIT,
        HEADROOM["cooling"],
        WORST["cooling"],
        STRANDED["cooling"],
        UNITS,
        COOLING_REDUNDANCY_LOST,
    ),
)


def element_metrics(report: FacilityReport, left: Stranded) -> Iterator[Metric]:
    """All of the section, of figures that were read together."""
    yield from _racks(report.racks, left)
    yield from _powers(report.powers, left.powers)
    yield from _coolings(report.coolings, left.coolings)


def _racks(racks: Mapping[str, RackReport], left: Stranded) -> Iterator[Metric]:
    yield GPUS.of(([n], r.gpus) for n, r in racks.items())
    yield FREE_GPUS.of(([n], r.free_gpus) for n, r in racks.items())
    yield RACK_RESERVED.of(_by_basis((n, r.nominal_watts, r.peak_watts) for n, r in racks.items()))
    yield RACK_LIMIT.of(([n], r.limit_watts) for n, r in racks.items())
    yield RACK_HEADROOM.of(([n], r.now_headroom_watts) for n, r in racks.items())
    yield RACK_WORST.of(([n], r.headroom_watts) for n, r in racks.items())
    yield RACK_SURVIVES.of(([n], not r.switched_off_by) for n, r in racks.items() if not r.problem)
    yield RACK_UNFED.of(([n], left.racks[n].nodes) for n in racks)
    by_cause = dict.fromkeys(StrandedBy, 0)
    for unfed in left.unfed:
        by_cause[unfed.cause] += unfed.nodes
    yield UNFED.of(([cause.value], nodes) for cause, nodes in by_cause.items() if cause.limits_nodes)


def _powers(powers: Mapping[str, PowerReport], left: Mapping[str, Stranding]) -> Iterator[Metric]:
    yield POWER_RESERVED.of(_by_basis((n, p.nominal_watts, p.peak_watts) for n, p in powers.items()))
    yield POWER_LIMIT.of(_by_basis((n, p.usable_watts, p.peak_limit_watts) for n, p in powers.items()))
    yield from _left("power", powers, left)
    yield POWER_LIVE.of(([n], p.live) for n, p in powers.items())
    yield POWER_REDUNDANCY_LOST.of(_lost((n, p.modules) for n, p in powers.items()))
    losses = {n: p.own_loss for n, p in powers.items() if p.own_loss is not None}
    yield LOSS_SURVIVED.of(([n], _survived(loss)) for n, loss in losses.items())
    worst = {n: loss.worst for n, loss in losses.items() if loss.worst is not None}
    yield LOSS_HEADROOM.of(([n], case.headroom_watts) for n, case in worst.items())
    yield LOSS_UNFED.of(([n], len(loss.switched_off)) for n, loss in losses.items())
    yield LOSS_COOLING.of(([n], len(loss.cooling_lost)) for n, loss in losses.items())


def _survived(loss: OwnLoss) -> bool:
    return loss.within_limits and not loss.switched_off


def _coolings(zones: Mapping[str, CoolingReport], left: Mapping[str, Stranding]) -> Iterator[Metric]:
    yield HEAT.of(([n], z.heat_watts) for n, z in zones.items())
    yield COOLING_LIMIT.of(([n], z.usable_watts) for n, z in zones.items())
    yield from _left("cooling", zones, left)
    yield UNITS.of(
        ([n, state], getattr(z.units, state))
        for n, z in zones.items()
        for state in ("running", "needed", "installed")
    )
    yield COOLING_REDUNDANCY_LOST.of(_lost((n, z.units) for n, z in zones.items()))


def _left(
    prefix: str,
    elements: Mapping[str, PowerReport] | Mapping[str, CoolingReport],
    left: Mapping[str, Stranding],
) -> Iterator[Metric]:
    yield HEADROOM[prefix].of(([n], x.headroom_watts) for n, x in elements.items())
    yield WORST[prefix].of(([n], x.worst.headroom_watts) for n, x in elements.items())
    yield STRANDED[prefix].of(
        ([n, cause.value], left[n].headroom.get(cause, 0)) for n in elements for cause in StrandedBy
    )


def _lost(reserves: Iterable[tuple[str, Redundancy | None]]) -> Samples:
    for name, reserve in reserves:
        if reserve is not None and reserve.designed:
            yield [name], reserve.lost


def _by_basis(pairs: Iterable[tuple[str, int, int]]) -> Samples:
    for name, nominal, peak in pairs:
        yield [name, "nominal"], nominal
        yield [name, "peak"], peak
