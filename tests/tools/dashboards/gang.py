"""One gang: where it lies, what it draws, how long it waits. Needs the metrics of single gangs."""

from __future__ import annotations

from tests.tools.dashboards.panels import (
    NEUTRAL,
    Dashboard,
    Query,
    dashboard,
    row,
    stat,
    table,
    timeseries,
    variable,
)

__all__ = ["gang"]

_ONE = '{namespace="$namespace",gang="$gang"}'


def gang() -> Dashboard:
    return dashboard(
        "gang",
        "One gang",
        "Where a gang lies, what it draws, how long it has waited. Needs metrics.gangs.enabled in the chart: "
        "by default single gangs have no series, and this shows nothing.",
        [
            row("Now"),
            stat(
                "Phase",
                "Pending waits, Admitted starts, Running has all its pods, Stopping gives its place up, Held "
                "is suspended by its user.",
                f"max by (phase) (rackplane_gang_info{_ONE})",
                legend="{{phase}}", words={"1": " "},
            ),
            stat("Slots", "Pods that run at the same time.", f"max(rackplane_gang_slots{_ONE})"),
            stat("Pods that run", "Of these slots.", f"max(rackplane_gang_running_pods{_ONE})"),
            stat("GPUs", "That it holds; 0 while it waits.", f"max(rackplane_gang_gpus{_ONE})"),
            stat(
                "Racks",
                "In how many racks its GPUs are.",
                f"count(rackplane_gang_rack_gpus{_ONE}) or max(rackplane_gang_gpus{_ONE}) * 0",
            ),
            stat(
                "Waited",
                "Since it was submitted or queued again, until it got the place that it has.",
                f"max(rackplane_gang_wait_seconds{_ONE})",
                unit="s",
            ),
            row("Over time"),
            timeseries(
                "Pods and slots",
                "Pods that run, of the slots that it has.",
                [
                    Query(f"max(rackplane_gang_slots{_ONE})", "slots"),
                    Query(f"max(rackplane_gang_running_pods{_ONE})", "pods that run"),
                ],
            ),
            timeseries(
                "Power",
                "What it adds over idle by the books, and what its nodes draw in all by telemetry, where there "
                "is any.",
                [
                    Query(f"max by (basis) (rackplane_gang_reserved_watts{_ONE})", "booked, {{basis}}"),
                    Query(f"max(rackplane_gang_observed_watts{_ONE})", "measured, with idle draw"),
                ],
                unit="watt",
            ),
            timeseries(
                "GPUs by rack",
                "Where it lies; other racks after a move or a lost node.",
                [Query(f"max by (rack) (rackplane_gang_rack_gpus{_ONE})", "{{rack}}")],
                stacked=True,
            ),
            timeseries(
                "Waiting",
                "How long it has waited, and how long it will by what is expected; while it waits and a start "
                "is foreseen.",
                [
                    Query(f"max(rackplane_gang_wait_seconds{_ONE})", "has waited"),
                    Query(f"max(rackplane_gang_estimated_wait_seconds{_ONE})", "until the start expected"),
                ],
                unit="s",
            ),
            timeseries(
                "Place in the queue",
                "In the order in which all that wait are asked; 1 is next.",
                [Query(f"max(rackplane_gang_position{_ONE})", "position")],
            ),
            timeseries(
                "Speed",
                "To expect at its power profile, as part of that without a cap: less while it gives way.",
                [Query(f"max(rackplane_gang_performance_ratio{_ONE})", "speed")],
                unit="percentunit",
            ),
            row("All gangs"),
            table(
                "Gangs with series",
                "Those with a place, then the first that wait.",
                ["namespace", "gang", "queue", "phase", "power_profile"],
                {
                    "present": (
                        "max by (namespace, gang, queue, phase, power_profile) (rackplane_gang_info)", "none", NEUTRAL,
                    ),
                },
            ),
            stat(
                "Gangs left out",
                "Gangs beyond the limit of metrics.gangs.limit, without series of their own.",
                "max(rackplane_gangs_left_out)",
                width=6,
            ),
        ],
        [
            variable("namespace", "Namespace", "label_values(rackplane_gang_info, namespace)", several=False),
            variable(
                "gang", "Gang", 'label_values(rackplane_gang_info{namespace="$namespace"}, gang)', several=False
            ),
        ],
        span="24h",
    )  # fmt: skip
