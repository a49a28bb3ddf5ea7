"""A small hall with gangs to be stopped for others, and what is asked of it."""

from __future__ import annotations

from typing import Any

from tests.support.harness import Harness, facility, started, thing

NVLINK = {"rackplane.dev/required-topology": "nvlink"}


def priority_class(name: str, value: int, **fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        **fields,
    }


def preempting(**options: Any) -> Harness:
    """Two racks of four nodes of four GPUs, and a queue in which a gang may stop those of lower priority."""
    h = started(facility(racks=2), **options)
    h.apply(
        thing("Queue", "research", preemption={"withinQueue": "LowerPriority"}),
        priority_class("high", 1000),
        priority_class("polite", 1000, preemptionPolicy="Never"),
    )
    h.settle()
    return h


def high(name: str = "high") -> dict[str, Any]:
    return {"priorityClassName": name, "priority": 1000}


def full(h: Harness) -> None:
    """Four gangs of two nodes, two in each rack; in every rack one has just saved what it did."""
    for name in ("a", "b", "c", "d"):
        h.job(name, slots=2, run=None, annotations=NVLINK)
    h.until(lambda: set(h.gangs().values()) == {"Running"})


def racks(h: Harness, gang: str) -> set[str]:
    return {g["rack"] for g in h.gang(gang)["status"].get("assignment", ())}


def reasons(h: Harness, kind: str, name: str) -> list[str]:
    return [t.reason for t in h.told if (t.kind, t.name) == (kind, name)]


def stuck(h: Harness) -> None:
    """Pods of what runs now do not go away: their nodes' agents are dead."""
    h.down.update(n["metadata"]["name"] for n in h.cluster.store.items(("", "nodes")))


def stopping(h: Harness) -> list[str]:
    return sorted(name for name, phase in h.gangs().items() if phase == "Stopping")
