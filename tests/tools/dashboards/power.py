"""Power and cooling: load against limit, the worst contingency, and what a loss would do."""

from __future__ import annotations

from tests.tools.dashboards.panels import (
    BAD_ABOVE_0,
    BAD_BELOW_0,
    GREEN,
    LOAD,
    NEUTRAL,
    ORANGE,
    RED,
    Dashboard,
    Query,
    dashboard,
    row,
    stat,
    table,
    timeseries,
    variable,
)

__all__ = ["power"]

_OF = '{power_domain=~"$power_domain"}'
_NOMINAL = '{power_domain=~"$power_domain",basis="nominal"}'
_ZONE = '{cooling_zone=~"$cooling_zone"}'


def _unless(label: str, words: str, value: int = 0) -> str:
    """What is shown where there is nothing, but the operator is there: the words, with that value."""
    return f' or on () label_replace(sum(rackplane_leader) * 0 + {value}, "{label}", "{words}", "", "")'


def power() -> Dashboard:
    return dashboard(
        "power",
        "Power and cooling",
        "What every power domain and cooling zone carries by the books, what it may, what is left now and "
        "after the worst loss, and what each loss would do.",
        [
            row("Power domains"),
            stat(
                "Over a limit now",
                "Power domains that carry more than they may.",
                f"count(rackplane_power_headroom_watts{_OF} < 0) or count(rackplane_power_headroom_watts{_OF}) * 0",
                steps=BAD_ABOVE_0, width=6,
            ),
            stat(
                "Over a limit after a loss",
                "Power domains that would carry more than they may after the loss that is worst for them.",
                f"count(rackplane_power_worst_headroom_watts{_OF} < 0) or "
                f"count(rackplane_power_worst_headroom_watts{_OF}) * 0",
                steps=BAD_ABOVE_0, width=6,
            ),
            stat(
                "Out of service or not fed",
                "Power domains that carry nothing: offline, or nothing above them is on.",
                f"count(rackplane_power_live{_OF} == 0) or count(rackplane_power_live{_OF}) * 0",
                steps=((None, GREEN), (1, ORANGE)), width=6,
            ),
            stat(
                "Stranded",
                "Headroom that no free node can use, of the power domains chosen. Where one feeds another it counts at "
                "both.",
                f"sum(rackplane_power_stranded_watts{_OF})",
                unit="watt", width=6,
            ),
            timeseries(
                "Load against limit",
                "Nominal load by the books as part of what the domain may carry. Above 100 % it is over its limit.",
                [
                    Query(
                        f"rackplane_power_reserved_watts{_NOMINAL} / (rackplane_power_limit_watts{_NOMINAL} > 0)",
                        "{{power_domain}}",
                    )
                ],
                unit="percentunit", steps=LOAD, line_at=True,
            ),
            timeseries(
                "Headroom after the worst loss",
                "What each domain could still take after the loss that is worst for it. Below 0 it would be over its "
                "limit.",
                [Query(f"rackplane_power_worst_headroom_watts{_OF}", "{{power_domain}}")],
                unit="watt", steps=BAD_BELOW_0, low=None, line_at=True,
            ),
            table(
                "Each power domain",
                "Load, limit, what is left now and after the worst loss; least left first.",
                ["power_domain"],
                {
                    "load": (f"max by (power_domain) (rackplane_power_reserved_watts{_NOMINAL})", "watt", NEUTRAL),
                    "limit": (f"max by (power_domain) (rackplane_power_limit_watts{_NOMINAL})", "watt", NEUTRAL),
                    "left now": (
                        f"min by (power_domain) (rackplane_power_headroom_watts{_OF})", "watt", BAD_BELOW_0,
                    ),
                    "left after the worst loss": (
                        f"min by (power_domain) (rackplane_power_worst_headroom_watts{_OF})", "watt", BAD_BELOW_0,
                    ),
                },
                sort="left after the worst loss",
            ),
            row("What a loss would do"),
            table(
                "If it were lost",
                "Of each element that the facility is built to survive the loss of: the limit with least left "
                "then, racks that would have no feed, cooling zones that could carry less. survived is 1 where "
                "all goes on within its limits.",
                ["power_domain"],
                {
                    "survived": (
                        f"min by (power_domain) (rackplane_power_loss_survived{_OF})"
                        f"{_unless('power_domain', 'none is built to be lost')}", "none",
                        ((None, RED), (1, GREEN)),
                    ),
                    "least left then": (
                        f"min by (power_domain) (rackplane_power_loss_headroom_watts{_OF})", "watt", BAD_BELOW_0,
                    ),
                    "racks without a feed": (
                        f"max by (power_domain) (rackplane_power_loss_unfed_racks{_OF})", "none", BAD_ABOVE_0,
                    ),
                    "cooling zones reduced": (
                        f"max by (power_domain) (rackplane_power_loss_reduced_cooling_zones{_OF})", "none",
                        ((None, GREEN), (1, ORANGE)),
                    ),
                },
                sort="least left then",
            ),
            row("Cooling zones"),
            timeseries(
                "Heat against limit",
                "Heat by the books as part of what the zone can carry off with the units that it needs.",
                [
                    Query(
                        f"rackplane_cooling_heat_watts{_ZONE} / (rackplane_cooling_limit_watts{_ZONE} > 0)",
                        "{{cooling_zone}}",
                    )
                ],
                unit="percentunit", steps=LOAD, line_at=True,
            ),
            timeseries(
                "Cooling after the worst loss",
                "What each zone could still take after the loss that is worst for it: of power, a unit or a pump.",
                [Query(f"rackplane_cooling_worst_headroom_watts{_ZONE}", "{{cooling_zone}}")],
                unit="watt", steps=BAD_BELOW_0, low=None, line_at=True,
            ),
            table(
                "Each cooling zone",
                "Heat, what can be carried off, what is left, and units: least left first.",
                ["cooling_zone"],
                {
                    "heat": (f"max by (cooling_zone) (rackplane_cooling_heat_watts{_ZONE})", "watt", NEUTRAL),
                    "limit": (f"max by (cooling_zone) (rackplane_cooling_limit_watts{_ZONE})", "watt", NEUTRAL),
                    "left now": (
                        f"min by (cooling_zone) (rackplane_cooling_headroom_watts{_ZONE})", "watt", BAD_BELOW_0,
                    ),
                    "left after the worst loss": (
                        f"min by (cooling_zone) (rackplane_cooling_worst_headroom_watts{_ZONE})", "watt",
                        BAD_BELOW_0,
                    ),
                    "units that run": (
                        'max by (cooling_zone) (rackplane_cooling_units{cooling_zone=~"$cooling_zone",'
                        'state="running"})', "none", NEUTRAL,
                    ),
                    "units needed": (
                        'max by (cooling_zone) (rackplane_cooling_units{cooling_zone=~"$cooling_zone",'
                        'state="needed"})', "none", NEUTRAL,
                    ),
                },
                sort="left after the worst loss",
            ),
            row("Racks"),
            timeseries(
                "Racks with least headroom",
                "What a rack may still add under every loss, of the ten that may add least.",
                [Query("bottomk(10, rackplane_rack_worst_headroom_watts)", "{{rack}}")],
                unit="watt", steps=BAD_BELOW_0, low=None, line_at=True,
            ),
            timeseries(
                "Free nodes that may not start",
                "Free nodes that some limit does not let start, by the kind of limit.",
                [Query("rackplane_unfed_nodes", "{{cause}}")],
                stacked=True,
            ),
            timeseries(
                "Stranded watts by cause",
                "Headroom that no free node can use, summed over the power domains chosen. NoIdleNode: no node "
                "below is idle. Unavailable: idle ones take no gang. Remainder: less than a node needs. "
                "Others: what holds nodes back.",
                [Query(f"sum by (cause) (rackplane_power_stranded_watts{_OF})", "{{cause}}")],
                unit="watt", stacked=True,
            ),
            timeseries(
                "Booked and measured",
                "What all racks draw by the books, and by telemetry where there is any: nodes without a "
                "reading count at their peak.",
                [
                    Query('sum(rackplane_rack_reserved_watts{basis="nominal"})', "booked, nominal"),
                    Query('sum(rackplane_rack_reserved_watts{basis="peak"})', "booked, peak"),
                    Query("sum(rackplane_rack_observed_watts)", "measured"),
                ],
                unit="watt",
            ),
            row("Orders, and what is given up for them"),
            timeseries(
                "Budgets in force",
                "What is left of each power budget in force. Below 0 it is exceeded.",
                [
                    Query(
                        "max by (power_budget) (rackplane_budget_headroom_watts)"
                        f"{_unless('power_budget', 'none in force')}",
                        "{{power_budget}}",
                    )
                ],
                unit="watt", steps=BAD_BELOW_0, low=None, line_at=True, width=8,
            ),
            timeseries(
                "Compliance",
                "Part of the time in force for which each budget was kept, in the last hour.",
                [
                    Query(
                        "1 - sum by (power_budget) (increase(rackplane_budget_exceeded_seconds_total[1h])) / "
                        "(sum by (power_budget) (increase(rackplane_budget_in_force_seconds_total[1h])) > 0)"
                        f"{_unless('power_budget', 'none in force', 1)}",
                        "{{power_budget}}",
                    )
                ],
                unit="percentunit", width=8,
            ),
            timeseries(
                "Gangs that give way",
                "Running gangs that are capped, or about to be stopped, while an element is over its limit.",
                [Query("sum by (action) (rackplane_shed_gangs)", "{{action}}")],
                width=8,
            ),
        ],
        [
            variable("power_domain", "Power domain", "label_values(rackplane_power_live, power_domain)"),
            variable("cooling_zone", "Cooling zone", "label_values(rackplane_cooling_limit_watts, cooling_zone)"),
        ],
    )  # fmt: skip
