"""Leases, and Events in both of their APIs."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Ask, Scenario, delete, get, patch, post, put, watch

LEASES = "/apis/coordination.k8s.io/v1/namespaces/${ns}/leases"
EVENTS = "/api/v1/namespaces/${ns}/events"
NEW = "/apis/events.k8s.io/v1/namespaces/${ns}/events"
NOW = "2026-01-02T03:04:05.000006Z"


def _lease(name: str, save: str = "", **spec: Any) -> Ask:
    return post(LEASES, {"metadata": {"name": name}, "spec": spec}, save=save)


def _event(name: str, save: str = "", **fields: Any) -> Ask:
    """An Event of core/v1 about a Pod."""
    body = {
        "metadata": {"name": name},
        "involvedObject": {"kind": "Pod", "namespace": "${ns}", "name": "p", "apiVersion": "v1"},
        "reason": "Tested",
        "message": "a message",
        "type": "Normal",
        **fields,
    }
    return post(EVENTS, body, save=save)


def _new(name: str, save: str = "", **fields: Any) -> Ask:
    """An Event of events.k8s.io/v1 about a Pod."""
    body = {
        "metadata": {"name": name},
        "regarding": {"kind": "Pod", "namespace": "${ns}", "name": "p", "apiVersion": "v1"},
        "eventTime": NOW,
        "reportingController": "example.org/tester",
        "reportingInstance": "one",
        "action": "Testing",
        "reason": "Tested",
        "note": "a note",
        "type": "Normal",
        **fields,
    }
    body = {key: value for key, value in body.items() if value is not None}
    return post(NEW, body, save=save)


def _by(path: str, selector: str) -> Ask:
    return get(path, query={"fieldSelector": selector}, view="listing")


SCENARIOS = (
    Scenario(
        name="a lease is taken, renewed and given back",
        steps=(
            _lease(
                "l", holderIdentity="a", leaseDurationSeconds=15, acquireTime=NOW, renewTime=NOW, save="made"
            ),
            put(
                f"{LEASES}/l",
                {
                    "metadata": {"name": "l", "resourceVersion": "${made.metadata.resourceVersion}"},
                    "spec": {"holderIdentity": "b", "leaseDurationSeconds": 15, "leaseTransitions": 1},
                },
            ),
            put(
                f"{LEASES}/l",
                {
                    "metadata": {"name": "l", "resourceVersion": "${made.metadata.resourceVersion}"},
                    "spec": {"holderIdentity": "c"},
                },
            ),
            put(f"{LEASES}/l", {"metadata": {"name": "l"}, "spec": {"holderIdentity": "c"}}),
            patch(f"{LEASES}/l", {"spec": {"holderIdentity": ""}}),
            delete(f"{LEASES}/l"),
        ),
    ),
    Scenario(
        name="what a lease may not say",
        steps=(
            _lease("l", leaseDurationSeconds=0),
            _lease("l", leaseDurationSeconds=-1, leaseTransitions=-1),
            _lease("l", preferredHolder="x"),
            _lease("m", strategy="Nonsense"),
            _lease("n", strategy="OldestEmulationVersion", preferredHolder="x"),
            patch(f"{LEASES}/l", {"spec": {"leaseDurationSeconds": 0}}),
            post(LEASES, {"metadata": {"name": "bare"}}),
        ),
    ),
    Scenario(
        name="a lease that does not exist is created by its first update",
        steps=(
            put(f"{LEASES}/l", {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}),
            put(
                f"{LEASES}/other",
                {"metadata": {"name": "other", "resourceVersion": "5"}, "spec": {"holderIdentity": "a"}},
            ),
            put(
                f"{LEASES}/third",
                {
                    "metadata": {"name": "third", "uid": "11111111-2222-3333-4444-555555555555"},
                    "spec": {"holderIdentity": "a"},
                },
            ),
        ),
    ),
    Scenario(
        name="an event of one API is read in the other",
        steps=(
            _event(
                "old", source={"component": "c", "host": "h"}, count=3, firstTimestamp="2026-01-02T03:04:05Z"
            ),
            get(f"{NEW}/old"),
            _new("new", series={"count": 2, "lastObservedTime": NOW}),
            get(f"{EVENTS}/new"),
            get(NEW, query={"fieldSelector": "metadata.name=old"}),
            get(EVENTS, query={"fieldSelector": "metadata.name=new"}),
            patch(f"{EVENTS}/new", {"message": "changed"}),
            delete(f"{NEW}/old"),
            get(f"{EVENTS}/old"),
        ),
    ),
    Scenario(
        name="what an event of the old API must say",
        steps=(
            post(EVENTS, {"metadata": {"name": "a"}}),
            _event("a", involvedObject={"kind": "Pod", "namespace": "elsewhere", "name": "p"}),
            _event("a", eventTime=NOW),
            _event("a", eventTime=NOW, reportingComponent="bad name!", reportingInstance="i", action="x"),
            _event("a", type="Other"),
            _event("b", involvedObject={"kind": "Node", "name": "n"}),
            patch(f"{EVENTS}/a", {"count": 2, "type": "Warning"}),
        ),
    ),
    Scenario(
        name="what an event of the new API must say",
        steps=(
            _new("a", eventTime=None),
            _new("a", type="Other"),
            _new("a", reportingController=None, reportingInstance=None, action=None, reason=None),
            _new("a", series={"count": 1}),
            _new("a", note="x" * 1025),
            _new("a", action="x" * 129, reason="y" * 129, reportingInstance="z" * 129),
            _new("a", deprecatedCount=2, deprecatedSource={"component": "c"}),
            _new("a", deprecatedFirstTimestamp="2026-01-02T03:04:05Z"),
            _new("a"),
            patch(f"{NEW}/a", {"note": "changed"}),
            patch(f"{NEW}/a", {"series": {"count": 2, "lastObservedTime": NOW}}),
            patch(f"{NEW}/a", {"series": {"count": 1, "lastObservedTime": NOW}}),
            patch(f"{NEW}/a", {"eventTime": "2027-01-01T00:00:00.000000Z"}),
            patch(f"{NEW}/a", {"metadata": {"labels": {"may": "change"}}}),
        ),
    ),
    Scenario(
        name="events are selected by what they are about",
        steps=(
            _event("a"),
            _event("b", type="Warning", reason="Failed", source={"component": "kubelet"}),
            _by(EVENTS, "involvedObject.kind=Pod,involvedObject.name=p"),
            _by(EVENTS, "involvedObject.namespace=${ns},reason=Failed"),
            _by(EVENTS, "type=Warning"),
            _by(EVENTS, "source=kubelet"),
            _by(EVENTS, "reportingComponent=x"),
            _by(EVENTS, "involvedObject.uid="),
            _by(NEW, "regarding.name=p,type=Normal"),
            _by(NEW, "regarding.kind!=Pod"),
            _by(NEW, "reportingController=x"),
            _by(NEW, "involvedObject.name=p"),
            _by(NEW, "source=kubelet"),
        ),
    ),
    Scenario(
        name="events are watched in either API",
        steps=(
            _event("start", save="start"),
            _new("new"),
            _event("old"),
            watch(EVENTS, 2, query={"resourceVersion": "${start.metadata.resourceVersion}"}),
            watch(NEW, 2, query={"resourceVersion": "${start.metadata.resourceVersion}"}),
        ),
    ),
)
