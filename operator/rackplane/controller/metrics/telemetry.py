"""What racks and power domains draw by telemetry, beside the books."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric

from rackplane.controller.metrics.families import Section, gauge
from rackplane.core.site.observed import Observed
from rackplane.engine.reporting.carried import carried, heat_carried
from rackplane.engine.state import State

__all__ = ["TELEMETRY", "UP", "observed_metrics"]

UP: Final = gauge(
    "telemetry_up",
    "1 if the last question was answered with readings of nodes that there are. Every replica tells it.",
)
RACK: Final = gauge(
    "rack_observed_watts",
    "Draw of a rack by telemetry; nodes without a fresh reading count at their reserved peak.",
    "rack",
)
UNOBSERVED: Final = gauge("rack_unobserved_nodes", "Nodes of a rack without a fresh reading.", "rack")
DRIFTS: Final = gauge(
    "rack_drifts",
    "1 while a rack draws more than its reserved nominal watts and the margin allow.",
    "rack",
)
POWER: Final = gauge(
    "power_observed_watts",
    "Load of a power domain by telemetry.",
    "power_domain",
    only="where every node below it has a fresh reading",
)
HEAT: Final = gauge(
    "cooling_observed_heat_watts",
    "Heat that a zone takes by telemetry.",
    "cooling_zone",
    only="where every node that heats it has a fresh reading",
)

TELEMETRY: Final = Section(
    "Telemetry",
    "Only with `telemetry.url`; see [telemetry.md](telemetry.md).",
    (UP, RACK, UNOBSERVED, DRIFTS, POWER, HEAT),
)


def observed_metrics(state: State, observed: Observed) -> Iterator[Metric]:
    """All of the section but for `UP`."""
    racks = observed.racks
    yield RACK.of(([name], seen.watts) for name, seen in racks.items())
    yield UNOBSERVED.of(([name], seen.unobserved_nodes) for name, seen in racks.items())
    yield DRIFTS.of(([name], seen.drifts) for name, seen in racks.items())
    watts = observed.watts()
    yield POWER.of(([name], load.watts) for name, load in carried(state.facility, watts).items())
    yield HEAT.of(([name], load.watts) for name, load in heat_carried(state.facility, watts).items())
