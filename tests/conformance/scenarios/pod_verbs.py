"""Binding, deletion with a grace period, and eviction of pods."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import STRATEGIC, Ask, Scenario, delete, get, patch, post, watch

from .pods import PODS, bare

NODE = "node-${ns}"


def bind(name: str, target: Any = None, query: dict[str, str] | None = None, **metadata: Any) -> Ask:
    body = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name, **metadata},
        "target": {"kind": "Node", "name": NODE} if target is None else target,
    }
    return post(f"{PODS}/{name}/binding", body, query=query or {})


def evict(name: str, query: dict[str, str] | None = None, **options: Any) -> Ask:
    body: dict[str, Any] = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    if options:
        body["deleteOptions"] = options
    return post(f"{PODS}/{name}/eviction", body, query=query or {})


def bound(name: str, **spec: Any) -> Ask:
    return post(PODS, bare(name, nodeName=NODE, **spec))


def phase(name: str, phase: str) -> Ask:
    return patch(f"{PODS}/{name}/status", {"status": {"phase": phase}}, STRATEGIC)


SCENARIOS = (
    Scenario(
        name="a pod is bound once",
        steps=(
            post(PODS, bare("a")),
            bind("a"),
            get(f"{PODS}/a"),
            bind("a"),
            bind("a", {"kind": "Node", "name": "other"}),
        ),
    ),
    Scenario(
        name="a binding brings annotations and labels",
        steps=(
            post(PODS, bare("a")),
            bind("a", annotations={"chosen": "by-me"}, labels={"zone": "a"}),
            get(f"{PODS}/a"),
        ),
    ),
    Scenario(
        name="a gated pod is not bound",
        steps=(
            post(PODS, bare("a", schedulingGates=[{"name": "wait"}])),
            bind("a"),
            patch(f"{PODS}/a", {"spec": {"schedulingGates": []}}),
            bind("a"),
            get(f"{PODS}/a"),
        ),
    ),
    Scenario(
        name="bindings that are refused",
        steps=(
            post(PODS, bare("a"), save="made"),
            bind("absent"),
            bind("a", {"kind": "Pod", "name": "x"}),
            bind("a", {"kind": "Node"}),
            bind("a", uid="11111111-1111-1111-1111-111111111111"),
            bind("a", resourceVersion="1"),
            post(f"{PODS}/a/binding", {"metadata": {"name": "b"}, "target": {"name": NODE}}),
            bind("a", query={"dryRun": "All"}),
            get(f"{PODS}/a"),
            bind("a", {"name": NODE}, uid="${made.metadata.uid}"),
            get(f"{PODS}/a/binding"),
        ),
    ),
    Scenario(
        name="a pod that is being deleted is not bound",
        steps=(
            post(
                PODS,
                {**bare("a"), "metadata": {"name": "a", "finalizers": ["example.com/hold"]}},
            ),
            delete(f"{PODS}/a"),
            bind("a"),
        ),
    ),
    Scenario(
        name="an unbound pod is deleted at once",
        steps=(
            post(PODS, bare("a")),
            delete(f"{PODS}/a"),
            get(f"{PODS}/a"),
        ),
    ),
    Scenario(
        name="a bound pod is deleted with its grace period, which only gets shorter",
        steps=(
            bound("a"),
            delete(f"{PODS}/a"),
            delete(f"{PODS}/a"),
            delete(f"{PODS}/a", {"gracePeriodSeconds": 60}),
            delete(f"{PODS}/a", {"gracePeriodSeconds": 10}),
            get(f"{PODS}/a"),
            patch(f"{PODS}/a", {"metadata": {"labels": {"a": "b"}}}),
            delete(f"{PODS}/a", {"gracePeriodSeconds": 0}),
            get(f"{PODS}/a"),
        ),
    ),
    Scenario(
        name="the grace period of a deletion: the pod's own, the caller's, none",
        steps=(
            bound("own", terminationGracePeriodSeconds=5),
            delete(f"{PODS}/own"),
            bound("asked"),
            delete(f"{PODS}/asked", query={"gracePeriodSeconds": "7"}),
            bound("none"),
            delete(f"{PODS}/none", {"gracePeriodSeconds": 0}),
            get(f"{PODS}/none"),
            bound("zero", terminationGracePeriodSeconds=0),
            delete(f"{PODS}/zero"),
            get(f"{PODS}/zero"),
            bound("negative"),
            delete(f"{PODS}/negative", {"gracePeriodSeconds": -5}),
        ),
    ),
    Scenario(
        name="a pod that ended is deleted at once",
        steps=(
            bound("a"),
            phase("a", "Succeeded"),
            delete(f"{PODS}/a"),
            get(f"{PODS}/a"),
        ),
    ),
    Scenario(
        name="a finalizer holds a pod beyond its grace period",
        steps=(
            post(
                PODS,
                {
                    **bare("a", nodeName=NODE),
                    "metadata": {"name": "a", "finalizers": ["example.com/hold"]},
                },
            ),
            delete(f"{PODS}/a", {"gracePeriodSeconds": 0}),
            get(f"{PODS}/a"),
            patch(f"{PODS}/a", {"metadata": {"finalizers": None}}),
            get(f"{PODS}/a"),
        ),
    ),
    Scenario(
        name="a dry deletion leaves the pod",
        steps=(
            bound("a"),
            delete(f"{PODS}/a", query={"dryRun": "All"}),
            get(f"{PODS}/a"),
        ),
    ),
    Scenario(
        name="an eviction marks the pod and deletes it",
        steps=(
            bound("a"),
            evict("a"),
            get(f"{PODS}/a"),
            evict("a"),
        ),
    ),
    Scenario(
        name="an eviction of an unbound pod is seen as two changes",
        steps=(
            post(PODS, bare("a"), save="made"),
            evict("a"),
            watch(PODS, 2, query={"resourceVersion": "${made.metadata.resourceVersion}"}),
        ),
    ),
    Scenario(
        name="evictions with options",
        steps=(
            bound("a"),
            evict("a", query={"dryRun": "All"}),
            evict("a", dryRun=["All"]),
            evict("a", preconditions={"uid": "11111111-1111-1111-1111-111111111111"}),
            evict("a", preconditions={"resourceVersion": "1"}),
            get(f"{PODS}/a"),
            evict("a", gracePeriodSeconds=3),
            get(f"{PODS}/a"),
        ),
    ),
    Scenario(
        name="evictions that name the wrong thing",
        steps=(
            evict("absent"),
            bound("a"),
            post(f"{PODS}/a/eviction", {"metadata": {"name": "b"}}),
            post(f"{PODS}/a/eviction", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}),
            get(f"{PODS}/a/eviction"),
        ),
    ),
    Scenario(
        name="an evicted pod that ended goes at once",
        steps=(
            bound("a"),
            phase("a", "Failed"),
            evict("a"),
            get(f"{PODS}/a"),
        ),
    ),
)
