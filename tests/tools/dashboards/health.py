"""The operator itself: leader, watches, writes, how quick it decides."""

from __future__ import annotations

from tests.tools.dashboards.panels import (
    BAD_ABOVE_0,
    GREEN,
    ORANGE,
    RED,
    Dashboard,
    Query,
    dashboard,
    heatmap,
    row,
    stat,
    timeseries,
)

__all__ = ["health"]

_RATE = "[$__rate_interval]"


def _quantile(of: float, name: str, by: str = "le") -> str:
    return f"histogram_quantile({of}, sum by ({by}) (rate(rackplane_{name}_bucket{_RATE})))"


def health() -> Dashboard:
    return dashboard(
        "operator",
        "Operator health",
        "Whether the operator leads, hears everything, writes without errors, and decides quickly.",
        [
            row("Now"),
            stat(
                "Leader",
                "Whether one process decides.",
                "sum(rackplane_leader)",
                steps=((None, RED), (1, GREEN), (2, RED)), words={"0": "none", "1": "one"},
            ),
            stat(
                "Processes that could lead",
                "Those that have listed every watched kind.",
                "sum(rackplane_synced)",
                steps=((None, RED), (1, ORANGE), (2, GREEN)),
            ),
            stat(
                "Version",
                "That runs, and in how many processes.",
                "count by (version) (rackplane_build_info)",
                legend="{{version}}",
            ),
            stat(
                "Oldest watch",
                "Time since the last sign of life of the watch that is silent for longest. The API server "
                "sends one a minute.",
                "max(rackplane_informer_age_seconds)",
                unit="s", steps=((None, GREEN), (300, ORANGE), (600, RED)),
            ),
            stat(
                "Kinds it may not list",
                "Their workloads are not seen. Give the right, or take the kind from the chart's workloads.kinds.",
                "sum(rackplane_informer_forbidden)",
                steps=((None, GREEN), (1, ORANGE)),
            ),
            stat(
                "Writes that wait",
                "Writes to the API server that wait for their turn or are under way.",
                "sum(rackplane_pending_writes)",
                steps=((None, GREEN), (1_000, ORANGE)),
            ),
            row("Deciding"),
            timeseries(
                "Time to decide about one gang",
                "Median and 99th percentile of what the engine and the rules of queues take, without the write.",
                [
                    Query(
                        _quantile(q, "admission_attempt_duration_seconds", "le, result"),
                        f"{{{{result}}}}, {words}",
                    )
                    for q, words in ((0.5, "median"), (0.99, "99 %"))
                ],
                unit="s",
            ),
            timeseries(
                "Time for one batch of events",
                "What the state machine takes to take in a batch of events and to decide.",
                [
                    Query(_quantile(0.5, "turn_duration_seconds"), "median"),
                    Query(_quantile(0.99, "turn_duration_seconds"), "99 %"),
                ],
                unit="s",
            ),
            timeseries(
                "Event loop lag",
                "How much later than it should the event loop wakes up; probes and the Lease wait as long.",
                [
                    Query(_quantile(0.5, "event_loop_lag_seconds"), "median"),
                    Query(_quantile(0.99, "event_loop_lag_seconds"), "99 %"),
                ],
                unit="s",
            ),
            timeseries(
                "Events",
                "Changes that the state machine took in, each second, by process.",
                [Query(f"sum by (instance) (rate(rackplane_events_total{_RATE}))", "{{instance}}")],
                unit="ops",
            ),
            row("The API server"),
            timeseries(
                "Writes",
                "Each second, by HTTP status; 0 is no answer. 409 is a conflict, which is tried again on what "
                "has changed.",
                [Query(f"sum by (verb, code) (rate(rackplane_api_requests_total{_RATE}))", "{{verb}} {{code}}")],
                unit="ops",
            ),
            heatmap(
                "How long the API server takes",
                "Until it answered a write. Darker where more took so long.",
                f"sum by (le) (increase(rackplane_api_request_duration_seconds_bucket{_RATE}))",
            ),
            timeseries(
                "Age of watches",
                "Time since each watch's last sign of life, of the process in which it is longest.",
                [Query("max by (resource) (rackplane_informer_age_seconds)", "{{resource}}")],
                unit="s",
            ),
            timeseries(
                "Failures of watches",
                "Lists and watches that failed and were tried again, each minute.",
                [
                    Query(
                        f"60 * sum by (resource) (rate(rackplane_informer_failures_total{_RATE}))", "{{resource}}"
                    )
                ],
                unit="cpm",
            ),
            timeseries(
                "Objects",
                "That each watch knows of.",
                [Query("max by (resource) (rackplane_informer_objects)", "{{resource}}")],
            ),
            row("The process"),
            timeseries(
                "Memory",
                "Resident, by process.",
                [Query("process_resident_memory_bytes and on (instance) rackplane_leader", "{{instance}}")],
                unit="bytes", width=8,
            ),
            timeseries(
                "CPU",
                "Cores in use, by process. One decides on one core.",
                [
                    Query(
                        f"rate(process_cpu_seconds_total{_RATE}) and on (instance) rackplane_leader", "{{instance}}"
                    )
                ],
                width=8,
            ),
            timeseries(
                "Invalid and silent",
                "Objects of the facility with Ready=False, and elements of which a source of facility events "
                "is silent.",
                [
                    Query("sum by (kind) (rackplane_invalid_objects)", "invalid: {{kind}}"),
                    Query("sum by (kind) (rackplane_stale_reports)", "silent: {{kind}}"),
                ],
                steps=BAD_ABOVE_0, width=8,
            ),
        ],
    )  # fmt: skip
