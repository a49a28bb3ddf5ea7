"""Queues: who waits, why, how long, and who was stopped for whom."""

from __future__ import annotations

from tests.tools.dashboards.panels import (
    GREEN,
    NEUTRAL,
    ORANGE,
    RED,
    Dashboard,
    Query,
    dashboard,
    heatmap,
    row,
    stat,
    table,
    timeseries,
    variable,
)

__all__ = ["queues"]

_OF = '{queue=~"$queue"}'


def _quantile(of: float, name: str) -> str:
    rates = f"sum by (le) (rate(rackplane_{name}_bucket{_OF}[$__rate_interval]))"
    return f"histogram_quantile({of}, {rates})"


def queues() -> Dashboard:
    return dashboard(
        "queues",
        "Queues",
        "Who waits, for what and how long, what the queues hold of their quotas, and what was stopped for whom.",
        [
            row("Waiting"),
            stat("Gangs that wait", "In the queues chosen.", 'sum(rackplane_gangs{queue=~"$queue",phase="Pending"})'),
            stat("GPUs they ask for", "In the queues chosen.", f"sum(rackplane_pending_gpus{_OF})"),
            stat(
                "Longest wait",
                "Of the gang that waits longest.",
                f"max(rackplane_oldest_pending_seconds{_OF})",
                unit="s", steps=((None, GREEN), (3600, ORANGE), (86_400, RED)),
            ),
            stat(
                "Next start expected in",
                "By the expected ends of what runs, of the queue that starts next. No data where no start is "
                "foreseen, also because nobody waits.",
                f"min(rackplane_estimated_wait_seconds{_OF})",
                unit="s",
            ),
            stat(
                "Cannot ever start",
                "Gangs for which waiting does not help: they ask for what the facility does not have. Somebody "
                "has to change something.",
                f'sum(rackplane_pending_gangs{{queue=~"$queue",cause="misfit"}}) or '
                f"sum(rackplane_pending_gpus{_OF}) * 0",
                steps=((None, GREEN), (1, ORANGE)),
            ),
            stat(
                "Median wait",
                "From submission, or from when it was queued again, to a place: of half of the gangs that were "
                "admitted in the time shown it was shorter.",
                f"histogram_quantile(0.5, sum by (le) (increase(rackplane_admission_wait_time_seconds_bucket{_OF}"
                "[$__range])))",
                unit="s",
            ),
            timeseries(
                "Why they wait",
                "Gangs by what stands in their way. Nodes: no domain has enough free ones. Power, liquid, air: "
                "a limit, now or after a loss. Budget, quota: an order, or what the queue may hold. Reserved: "
                "it would delay another. Misfit: it can never start. Other: as its condition Admitted says.",
                [Query(f"sum by (cause) (rackplane_pending_gangs{_OF})", "{{cause}}")],
                stacked=True,
            ),
            timeseries(
                "Where they wait",
                "Gangs that wait, by queue.",
                [Query('sum by (queue) (rackplane_gangs{queue=~"$queue",phase="Pending"})', "{{queue}}")],
                stacked=True,
            ),
            timeseries(
                "How long",
                "Wait of the gang that waits longest, by queue.",
                [Query(f"max by (queue) (rackplane_oldest_pending_seconds{_OF})", "{{queue}}")],
                unit="s",
            ),
            timeseries(
                "Time to a place, and to running",
                "Median and 95th percentile of the gangs that were admitted, and of those all of whose pods "
                "came to run.",
                [
                    Query(_quantile(0.5, "admission_wait_time_seconds"), "a place, median"),
                    Query(_quantile(0.95, "admission_wait_time_seconds"), "a place, 95 %"),
                    Query(_quantile(0.5, "ready_wait_time_seconds"), "running, median"),
                    Query(_quantile(0.95, "ready_wait_time_seconds"), "running, 95 %"),
                ],
                unit="s",
            ),
            heatmap(
                "Waits of gangs that were admitted",
                "Darker where more gangs waited so long.",
                f"sum by (le) (increase(rackplane_admission_wait_time_seconds_bucket{_OF}[$__rate_interval]))",
            ),
            timeseries(
                "What was told and what happened",
                "By how much gangs were admitted earlier or later than they were told first, on average.",
                [
                    Query(
                        "sum by (direction) (rate(rackplane_start_estimate_error_seconds_sum[$__rate_interval])) / "
                        "sum by (direction) (rate(rackplane_start_estimate_error_seconds_count[$__rate_interval]))",
                        "{{direction}}",
                    )
                ],
                unit="s",
            ),
            row("Holding"),
            table(
                "Queues",
                "What each holds, with those below it, beside its quota. Share: what counts when it is decided "
                "who is asked first; the one with less for its weight goes first.",
                ["queue"],
                {
                    "GPUs": (f"max by (queue) (rackplane_queue_used_gpus{_OF})", "none", NEUTRAL),
                    "GPU quota": (f"max by (queue) (rackplane_queue_nominal_quota_gpus{_OF})", "none", NEUTRAL),
                    "GPUs borrowed": (f"max by (queue) (rackplane_queue_borrowed_gpus{_OF})", "none", NEUTRAL),
                    "watts": (f"max by (queue) (rackplane_queue_used_watts{_OF})", "watt", NEUTRAL),
                    "watt quota": (f"max by (queue) (rackplane_queue_nominal_quota_watts{_OF})", "watt", NEUTRAL),
                    "share": (f"max by (queue) (rackplane_queue_share_ratio{_OF})", "percentunit", NEUTRAL),
                    "GPUs waited for": (f"max by (queue) (rackplane_pending_gpus{_OF})", "none", NEUTRAL),
                },
            ),
            timeseries(
                "GPUs held",
                "By the gangs of each queue itself.",
                [Query(f"sum by (queue) (rackplane_admitted_active_gpus{_OF})", "{{queue}}")],
                stacked=True,
            ),
            timeseries(
                "Racks beyond the fewest",
                "How many more racks than it would have to an admitted gang lies in, on average.",
                [
                    Query(
                        "sum by (level) (rate(rackplane_placement_domains_over_minimum_sum[$__rate_interval])) / "
                        "sum by (level) (rate(rackplane_placement_domains_over_minimum_count[$__rate_interval]))",
                        "{{level}}",
                    )
                ],
            ),
            row("Stopped"),
            timeseries(
                "Stopped for others",
                "Gangs of a queue that were stopped so that those of another, or of the same, could start, "
                "each hour.",
                [
                    Query(
                        "sum by (preempting_queue, queue) "
                        "(increase(rackplane_preempted_gangs_total{queue=~\"$queue\"}[1h]))",
                        "{{queue}} for {{preempting_queue}}",
                    )
                ],
                width=8,
            ),
            timeseries(
                "Why gangs gave up their place",
                "Each hour, by the reason of their Event.",
                [
                    Query(
                        f"sum by (reason) (increase(rackplane_evicted_gangs_total{_OF}[1h]))",
                        "{{reason}}",
                    )
                ],
                width=8,
            ),
            timeseries(
                "Attempts",
                "Gangs that were asked, each minute, by what came of it: success, inadmissible (no place, "
                "quota or turn), stale, fenced or error of the write.",
                [
                    Query(
                        "60 * sum by (result) (rate(rackplane_admission_attempts_total[$__rate_interval]))",
                        "{{result}}",
                    )
                ],
                unit="cpm", width=8,
            ),
        ],
        [variable("queue", "Queue", "label_values(rackplane_gangs, queue)")],
    )  # fmt: skip
