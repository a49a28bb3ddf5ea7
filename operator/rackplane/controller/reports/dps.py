"""NVIDIA DPS: a load target with the options of `dpsctl nvgrid set-load-target` as its fields.

    {"id": "1", "at": "2026-12-01T05:00:00Z", "value": 6, "unit": "megawatt", "start_time": "2026-12-01T06:00:00Z",
     "end_time": "2026-12-01T09:00:00Z", "feed_tags": ["main-a"], "best_effort": true, "correlation_id": "peak-1"}

`"default": true` instead of value and unit takes it back. `id` and `at` are ours: DPS sends none, and without them a
repeat could not be told from a change.
"""

from __future__ import annotations

from rackplane.controller.reports.loadtargets import target
from rackplane.controller.reports.sayings import Fault, Reading, items, record, text, time_of

__all__ = ["read"]


def read(document: object, now: float) -> Reading:
    """The load target, or a list of them.

    Args:
        now: seconds since the epoch.
    """
    found = Reading()
    for where, entry in items(document if isinstance(document, list) else [document], "targets"):
        try:
            given = record(entry, where)
            at = time_of(given, "at", where, now)
            assert at is not None
            default = given.get("default", False)
            if default is not True and "value" not in given:
                raise Fault(
                    f"{where}.value", "is missing", "Send value and unit, or default: true to take it back"
                )
            nested = {
                "interval": {
                    key: given[key] for key in ("start_time", "end_time") if given.get(key) is not None
                },
                "feed_tags": given.get("feed_tags"),
                "load_constraint": None
                if default is True
                else {key: given.get(key) for key in ("value", "unit")},
                "strategy": {"best_effort": given.get("best_effort", False)},
            }
            correlation = text(given, "correlation_id", where, default="")
            found.orders.append(
                target(nested, where, at=at, id=text(given, "id", where), correlation_id=correlation)
            )
        except Fault as fault:
            found.faults.append(fault)
    return found
