"""The overview: is the facility well, is it used, does anybody wait."""

from __future__ import annotations

from tests.tools.dashboards.panels import (
    BAD_ABOVE_0,
    BAD_BELOW_0,
    GREEN,
    LOAD,
    ORANGE,
    RED,
    Dashboard,
    Query,
    dashboard,
    row,
    stat,
    timeseries,
)

__all__ = ["overview"]


def overview() -> Dashboard:
    return dashboard(
        "overview",
        "Overview",
        "Is the facility within its limits, would it survive a loss, are its GPUs used, and does anybody wait?",
        [
            row("Now"),
            stat(
                "GPUs in use",
                "Part of all GPUs that gangs or others hold.",
                "1 - sum(rackplane_free_gpus) / sum(rackplane_gpus)",
                unit="percentunit", decimals=1,
            ),
            stat("GPUs free", "GPUs of all racks that nobody holds.", "sum(rackplane_free_gpus)"),
            stat(
                "Gangs that run", "Gangs all of whose pods run.", 'sum(rackplane_gangs{phase="Running"})'
            ),
            stat(
                "Gangs that wait",
                "Gangs that wait for a decision, in all queues.",
                "sum(rackplane_gangs{phase=\"Pending\"})",
            ),
            stat(
                "Longest wait",
                "How long the gang has waited that waits longest.",
                "max(rackplane_oldest_pending_seconds)",
                unit="s", steps=((None, GREEN), (3600, ORANGE), (86_400, RED)),
            ),
            stat(
                "Elements over a limit",
                "Racks, power domains, cooling zones and budgets that carry more than they may.",
                "sum(rackplane_overloaded_elements)",
                steps=BAD_ABOVE_0,
            ),
            stat(
                "Least headroom now",
                "What the power domain or cooling zone with least could still take. Below 0 it is over its limit.",
                "min(rackplane_power_headroom_watts and on (power_domain) rackplane_power_live == 1 or "
                "rackplane_cooling_headroom_watts)",
                unit="watt", steps=BAD_BELOW_0,
            ),
            stat(
                "Least after the worst loss",
                "The same after the loss that is worst for each. Below 0 the facility would not survive it.",
                "min(rackplane_power_worst_headroom_watts and on (power_domain) rackplane_power_live == 1 or "
                "rackplane_cooling_worst_headroom_watts)",
                unit="watt", steps=BAD_BELOW_0,
            ),
            stat(
                "Losses not survived",
                "Power domains whose loss would put something over a limit, or leave a rack without a feed.",
                "count(rackplane_power_loss_survived == 0) or sum(rackplane_leader) * 0",
                steps=BAD_ABOVE_0,
            ),
            stat(
                "Gangs that give way",
                "Running gangs that are capped, or about to be stopped, because an element is over its limit.",
                "sum(rackplane_shed_gangs)",
                steps=BAD_ABOVE_0,
            ),
            stat(
                "Invalid objects",
                "Objects of the facility with Ready=False: they count as having no capacity.",
                "sum(rackplane_invalid_objects)",
                steps=BAD_ABOVE_0,
            ),
            stat(
                "Leader",
                "Whether one operator process decides.",
                "sum(rackplane_leader)",
                steps=((None, RED), (1, GREEN), (2, RED)),
                words={"0": "none", "1": "one"},
            ),
            row("Over time"),
            timeseries(
                "GPUs",
                "What gangs hold, by hardware profile, beside all that there are.",
                [
                    Query(
                        "sum by (hardware_profile) (rackplane_admitted_active_gpus)", "{{hardware_profile}}"
                    ),
                    Query("sum(rackplane_gpus)", "all"),
                ],
            ),
            timeseries(
                "Gangs by phase",
                "Pending gangs wait, Held ones are suspended by their users, Admitted ones start, Stopping ones give "
                "their place up.",
                [Query("sum by (phase) (rackplane_gangs)", "{{phase}}")],
                stacked=True,
            ),
            timeseries(
                "Fullest power domains",
                "Load by the books, as part of what each may carry, of the ten that are fullest.",
                [
                    Query(
                        'topk(10, max by (power_domain) (rackplane_power_reserved_watts{basis="nominal"} / '
                        '(rackplane_power_limit_watts{basis="nominal"} > 0)))',
                        "{{power_domain}}",
                    )
                ],
                unit="percentunit", steps=LOAD, line_at=True,
            ),
            timeseries(
                "Largest gang that could start",
                "GPUs of the largest gang of whole nodes at full power for which a trial fill finds room, within one "
                "domain of each level.",
                [
                    Query(
                        "max by (level, hardware_profile) (rackplane_largest_placeable_gang_gpus)",
                        "{{level}}, {{hardware_profile}}",
                    )
                ],
            ),
            timeseries(
                "Fragmentation",
                "Part of the largest gang of each level that is out of reach because free nodes do not lie "
                "together or power does not reach them.",
                [
                    Query(
                        "max by (level, hardware_profile) (rackplane_fragmentation_ratio)",
                        "{{level}}, {{hardware_profile}}",
                    )
                ],
                unit="percentunit",
            ),
            timeseries(
                "Starts and stops",
                "Gangs that got a place, and that gave theirs up before they were over, in each minute.",
                [
                    Query("60 * sum(rate(rackplane_admitted_gangs_total[$__rate_interval]))", "admitted"),
                    Query(
                        "60 * sum by (reason) (rate(rackplane_evicted_gangs_total[$__rate_interval]))",
                        "stopped: {{reason}}",
                    ),
                ],
                unit="cpm",
            ),
        ],
    )  # fmt: skip
