"""Flows that mix verbs as operators and their users do: on our own kinds, Leases, Events, Jobs, pages and watches."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import (
    APPLY,
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    Scenario,
    delete,
    get,
    patch,
    post,
    put,
    watch,
)
from tests.unit.api.cases import valid

from ._jobs import (
    NODE,
    NODES,
    ON_NODE,
    SUSPENDED,
    J,
    becomes,
    conditions,
    ends,
    kill,
    made,
    one,
    pods,
    rules,
    running,
)
from .budgets import BUDGETS, budget, counted
from .budgets import running as members
from .leases_events import EVENTS, LEASES, NEW, NOW
from .pods import PODS

API = "/apis/rackplane.dev/v1alpha1"
GANGS = f"{API}/namespaces/${{ns}}/gangs"
MAPS = "/api/v1/namespaces/${ns}/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
KOPF = "kopf.zalando.org/KopfFinalizerMarker"


def gang(name: str = "it", *, metadata: Any = None, **spec: Any) -> dict[str, Any]:
    made = valid("Gang")
    return {**made, "metadata": {"name": name, **(metadata or {})}, "spec": {**made["spec"], **spec}}


def wanted(**spec: Any) -> dict[str, Any]:
    """What an applier of a Gang says."""
    head = {"apiVersion": "rackplane.dev/v1alpha1", "kind": "Gang", "metadata": {"name": "it"}}
    return {**head, "spec": spec}


def applied(body: Any, manager: str, path: str = f"{GANGS}/it", **query: str) -> Any:
    return patch(path, body, APPLY, query={"fieldManager": manager, **query}, managed=True)


def named(name: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}}


SCENARIOS = (
    Scenario(
        name="an operator marks a Gang with its finalizer, writes its status, and lets it go",
        crds=True,
        steps=(
            post(GANGS, gang(), save="made"),
            patch(
                f"{GANGS}/it",
                {
                    "metadata": {
                        "finalizers": [KOPF],
                        "resourceVersion": "${made.metadata.resourceVersion}",
                        "annotations": {"kopf.zalando.org/last-handled-configuration": '{"spec":{}}\n'},
                    }
                },
                save="marked",
            ),
            patch(
                f"{GANGS}/it",
                {
                    "metadata": {
                        "finalizers": [KOPF, "example.org/late"],
                        "resourceVersion": "${made.metadata.resourceVersion}",
                    }
                },
            ),
            patch(f"{GANGS}/it/status", {"status": {"kopf": {"progress": {"create": {"started": "now"}}}}}),
            patch(
                f"{GANGS}/it/status",
                {
                    "metadata": {"resourceVersion": "${made.metadata.resourceVersion}"},
                    "status": {"observedGeneration": 7},
                },
            ),
            patch(
                f"{GANGS}/it/status",
                {
                    "metadata": {
                        "resourceVersion": "${marked.metadata.resourceVersion}",
                        "labels": {"by": "status"},
                        "finalizers": [],
                    },
                    "spec": {"slots": 99},
                },
            ),
            delete(f"{GANGS}/it", save="dying"),
            patch(f"{GANGS}/it", {"metadata": {"finalizers": [KOPF, "example.org/late"]}}),
            patch(f"{GANGS}/it", {"spec": {"slots": 8}}),
            patch(
                f"{GANGS}/it",
                [
                    {"op": "test", "path": "/metadata/finalizers/0", "value": "example.org/another"},
                    {"op": "remove", "path": "/metadata/finalizers/0"},
                ],
                JSON_PATCH,
            ),
            patch(
                f"{GANGS}/it",
                [
                    {"op": "test", "path": "/metadata/finalizers/0", "value": KOPF},
                    {"op": "remove", "path": "/metadata/finalizers/0"},
                ],
                JSON_PATCH,
            ),
            patch(f"{GANGS}/it/status", {"status": {"kopf": None}}),
        ),
    ),
    Scenario(
        name="a Gang is replaced through both of its paths, and patched with types it does not take",
        crds=True,
        steps=(
            post(GANGS, gang(metadata={"generateName": "unused-"}), save="made"),
            put(f"{GANGS}/it/status", {**gang(), "status": {"phase": "Running"}}),
            put(
                f"{GANGS}/it/status",
                {
                    **gang(metadata={"resourceVersion": "${made.metadata.resourceVersion}"}, slots=3),
                    "status": {"observedGeneration": 1},
                },
            ),
            put(
                f"{GANGS}/it/status",
                {
                    **gang(metadata={"resourceVersion": "${made.metadata.resourceVersion}"}),
                    "status": {"observedGeneration": 2},
                },
            ),
            put(f"{GANGS}/it", gang()),
            put(f"{GANGS}/other", gang()),
            patch(f"{GANGS}/it", {"spec": {"slots": 4}}, STRATEGIC),
            patch(f"{GANGS}/it", {"spec": {"slots": 4}}, "application/json"),
            patch(f"{GANGS}/it", {"spec": {"slots": 4}}, "application/yaml"),
            patch(f"{GANGS}/it", {"spec": {"slots": 4}}, JSON_PATCH),
            patch(f"{GANGS}/it", [{"op": "replace", "path": "/spec/slots", "value": 4}], MERGE),
            patch(f"{GANGS}/it", [{"op": "replace", "path": "/spec/slots", "value": "4"}], JSON_PATCH),
            patch(f"{GANGS}/it", [{"op": "add", "path": "/spec/none/deep", "value": 4}], JSON_PATCH),
            patch(f"{GANGS}/it", {"spec": {"slots": None}}),
            patch(f"{GANGS}/it", {"spec": {"slots": 4.0}}),
            patch(f"{GANGS}/it", {"spec": {"slots": 4.5}}),
        ),
    ),
    Scenario(
        name="two managers apply a Gang and its status, then kubectl patches it",
        crds=True,
        steps=(
            applied(wanted(**valid("Gang")["spec"]), "owner"),
            applied(wanted(slots=4), "tuner"),
            applied(wanted(slots=4), "tuner", force="true"),
            applied(wanted(**valid("Gang")["spec"]), "owner"),
            applied(
                {
                    **{key: wanted()[key] for key in ("apiVersion", "kind", "metadata")},
                    "status": {"observedGeneration": 2},
                },
                "rackplane",
                f"{GANGS}/it/status",
            ),
            applied(
                {
                    **{key: wanted()[key] for key in ("apiVersion", "kind", "metadata")},
                    "status": {"observedGeneration": 3},
                },
                "other",
                f"{GANGS}/it/status",
            ),
            applied(
                {**wanted(slots=9), "status": {"observedGeneration": 2}},
                "third",
                f"{GANGS}/it/status",
            ),
            patch(
                f"{GANGS}/it",
                {"spec": {"slots": 12}, "metadata": {"labels": {"é": "x"}}},
                query={"fieldManager": "kubectl-patch"},
                managed=True,
            ),
            patch(
                f"{GANGS}/it",
                {"spec": {"slots": 12}},
                query={"fieldManager": "kubectl-patch"},
                managed=True,
            ),
            applied(wanted(slots=12), "tuner"),
            applied(wanted(), "tuner"),
            applied(wanted(slots=5), "tuner", dryRun="All"),
            applied(wanted(slots=5), "tuner", dryRun="All", force="true"),
        ),
    ),
    Scenario(
        name="our kinds in tables, as kubectl asks for them and as it watches them",
        crds=True,
        steps=(
            post(GANGS, gang("b", metadata={"labels": {"team": "x"}}), save="made"),
            post(GANGS, gang("a", slots=1, gpusPerSlot=1)),
            patch(f"{GANGS}/a/status", {"status": {"phase": "Running"}}),
            get(GANGS, accept=TABLE),
            get(GANGS, accept=TABLE, query={"includeObject": "None", "limit": "1"}),
            get(f"{GANGS}/a", accept=TABLE, query={"includeObject": "Object"}),
            get(f"{GANGS}/none", accept=TABLE),
            get(GANGS, accept=TABLE, query={"labelSelector": "team=x", "fieldSelector": "metadata.name=a"}),
            get(GANGS, accept=TABLE, query={"fieldSelector": "spec.queue=research"}),
            get(f"{API}/gangs", accept=TABLE, query={"fieldSelector": "metadata.namespace=${ns}"}),
            watch(GANGS, 2, accept=TABLE, query={"resourceVersion": "${made.metadata.resourceVersion}"}),
            get(
                GANGS,
                accept="application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
            ),
            delete(f"{GANGS}/a", accept=TABLE),
        ),
    ),
    Scenario(
        name="Gangs are deleted together by label, and those with finalizers stay",
        crds=True,
        steps=(
            post(GANGS, gang("a", metadata={"labels": {"run": "1"}}), view="nothing"),
            post(
                GANGS,
                gang("b", metadata={"labels": {"run": "1"}, "finalizers": ["example.org/hold"]}),
                view="nothing",
            ),
            post(GANGS, gang("c", metadata={"labels": {"run": "2"}}), save="last", view="nothing"),
            delete(GANGS, query={"labelSelector": "run=1", "dryRun": "All"}),
            delete(GANGS, query={"labelSelector": "run in (1"}),
            delete(GANGS, query={"labelSelector": "run=1"}),
            get(GANGS),
            delete(GANGS, {"preconditions": {"uid": "x"}}, query={"labelSelector": "run=1"}),
            watch(
                GANGS,
                2,
                query={"resourceVersion": "${last.metadata.resourceVersion}", "labelSelector": "run=1"},
            ),
            patch(f"{GANGS}/b", {"metadata": {"finalizers": None}}),
            get(GANGS),
        ),
    ),
    Scenario(
        name="a namespace that goes waits for a Gang with a finalizer",
        crds=True,
        steps=(
            post(GANGS, gang("a", metadata={"finalizers": [KOPF]})),
            delete("/api/v1/namespaces/${ns}"),
            get(f"{GANGS}/a", until={"object.metadata.deletionGracePeriodSeconds": 0}),
            post(GANGS, gang("b")),
            post(MAPS, named("late")),
            patch(f"{GANGS}/a/status", {"status": {"observedGeneration": 1}}),
            applied(wanted(**valid("Gang")["spec"]), "owner"),
            put(f"{LEASES}/l", {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}),
            patch(f"{GANGS}/a", {"metadata": {"finalizers": None}}),
            get("/api/v1/namespaces/${ns}", until={"code": 404}),
            get(GANGS),
            post(GANGS, gang("c")),
        ),
    ),
    Scenario(
        name="two candidates contend for a lease",
        steps=(
            post(LEASES, {**named("l"), "spec": {"holderIdentity": "a", "renewTime": NOW}}, save="a"),
            post(LEASES, {**named("l"), "spec": {"holderIdentity": "b", "renewTime": NOW}}),
            put(
                f"{LEASES}/l",
                {
                    **named("l", resourceVersion="${a.metadata.resourceVersion}"),
                    "spec": {"holderIdentity": "b", "leaseTransitions": 1, "renewTime": NOW},
                },
                save="b",
            ),
            put(
                f"{LEASES}/l",
                {
                    **named("l", resourceVersion="${a.metadata.resourceVersion}"),
                    "spec": {"holderIdentity": "a", "renewTime": "2026-01-02T03:04:06.5Z"},
                },
            ),
            put(
                f"{LEASES}/l",
                {**named("l"), "spec": {"holderIdentity": "a", "renewTime": "2026-01-02T03:04:06+02:00"}},
            ),
            put(f"{LEASES}/l", {**named("l"), "spec": {"holderIdentity": "a", "renewTime": "yesterday"}}),
            patch(
                f"{LEASES}/l",
                {
                    "metadata": {"resourceVersion": "${b.metadata.resourceVersion}"},
                    "spec": {"holderIdentity": "c"},
                },
            ),
            patch(f"{LEASES}/l", {"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}}),
            patch(f"{LEASES}/l", {"spec": {"holderIdentity": ""}}),
            delete(f"{LEASES}/l", {"preconditions": {"resourceVersion": "1"}}),
            delete(f"{LEASES}/l", {"preconditions": {"uid": "${ns}"}}, query={"dryRun": "All"}),
            delete(f"{LEASES}/l", {"preconditions": {"uid": "${a.metadata.uid}"}}),
            put(
                f"{LEASES}/l",
                {
                    **named("l", resourceVersion="${b.metadata.resourceVersion}"),
                    "spec": {"holderIdentity": "b"},
                },
            ),
            put(
                f"{LEASES}/l",
                {**named("l", uid="${a.metadata.uid}"), "spec": {"holderIdentity": "b"}},
            ),
        ),
    ),
    Scenario(
        name="events of both APIs are listed by fields of either",
        steps=(
            post(
                EVENTS,
                {
                    **named("old"),
                    "involvedObject": {"kind": "Gang", "namespace": "${ns}", "name": "g", "uid": "u-1"},
                    "reason": "Placed",
                    "type": "Warning",
                    "message": "ünïcode \u2028 \U0001f680 <&>",
                    "source": {"component": "tester"},
                    "count": 3,
                    "firstTimestamp": "2026-01-02T03:04:05Z",
                },
            ),
            post(
                NEW,
                {
                    **named("new"),
                    "regarding": {"kind": "Job", "namespace": "${ns}", "name": "g"},
                    "eventTime": NOW,
                    "reportingController": "example.org/tester",
                    "reportingInstance": "one",
                    "action": "Testing",
                    "reason": "Queued",
                    "type": "Normal",
                    "series": {"count": 2, "lastObservedTime": NOW},
                },
            ),
            get(EVENTS, query={"fieldSelector": "involvedObject.name=g,type!=Normal"}),
            get(EVENTS, query={"fieldSelector": "involvedObject.uid=u-1"}, view="listing"),
            get(EVENTS, query={"fieldSelector": "reason!=Placed"}, view="listing"),
            get(EVENTS, query={"fieldSelector": "source=tester"}, view="listing"),
            get(EVENTS, query={"fieldSelector": "reportingComponent=example.org/tester"}, view="listing"),
            get(NEW, query={"fieldSelector": "reportingController=example.org/tester"}, view="listing"),
            get(NEW, query={"fieldSelector": "regarding.kind=Gang,reason=Placed"}),
            get(NEW, query={"fieldSelector": "involvedObject.kind=Gang"}, view="listing"),
            get(EVENTS, query={"fieldSelector": "regarding.kind=Gang"}, view="listing"),
            get(NEW, query={"fieldSelector": "note=x"}, view="listing"),
            patch(f"{EVENTS}/old", {"count": 4}),
            patch(f"{NEW}/new", {"series": {"count": 5, "lastObservedTime": NOW}}),
            patch(f"{NEW}/old", {"note": "changed"}),
            delete(EVENTS, query={"fieldSelector": "type=Warning"}),
            get(NEW, view="listing"),
        ),
    ),
    Scenario(
        name="a suspended Job changes its gates and node selector, and is resumed",
        steps=(
            made(suspend=True, parallelism=2),
            becomes(**SUSPENDED),
            patch(J, {"spec": {"template": {"spec": {"schedulingGates": [{"name": "rackplane.dev/gang"}]}}}}),
            patch(J, {"spec": {"template": {"spec": {"nodeSelector": {"rack": "r1"}}}}}),
            patch(J, {"spec": {"template": {"spec": {"nodeSelector": {"bad key": "r1"}}}}}),
            patch(J, {"spec": {"template": {"spec": {"schedulingGates": [{"name": "x"}, {"name": "x"}]}}}}),
            patch(J, {"spec": {"template": {"spec": {"priorityClassName": "none"}}}}),
            patch(
                J,
                [
                    {"op": "replace", "path": "/spec/suspend", "value": False},
                    {"op": "add", "path": "/spec/template/spec/nodeSelector/zone", "value": "z"},
                ],
                JSON_PATCH,
            ),
            pods(2),
            patch(J, {"spec": {"template": {"spec": {"nodeSelector": {"rack": "r2"}}}}}, view="reasons"),
            patch(one(0), {"spec": {"schedulingGates": []}}, STRATEGIC, view="nothing"),
            patch(one(0), {"spec": {"schedulingGates": None}}, view="metadata_of_pod"),
        ),
    ),
    Scenario(
        name="an evicted pod of a Job whose policy ignores disruptions does not count",
        leftovers=NODES,
        steps=(
            NODE,
            made(
                podFailurePolicy=rules(conditions("Ignore", ("DisruptionTarget", "True"))),
                backoffLimit=0,
                podReplacementPolicy="Failed",
                pod=ON_NODE,
            ),
            pods(1),
            running(0),
            post(f"{one(0)}/eviction", {"metadata": {"name": "${pods.items.0.metadata.name}"}}),
            becomes(terminating=1),
            ends(0, 137),
            becomes(active=1, terminating=0),
            kill(0),
            pods(1, save="next"),
            ends(0, 137, "next"),
            becomes(conditions__1__type="Failed"),
        ),
    ),
    Scenario(
        name="a page goes on from its state while objects come and go",
        steps=(
            *(
                post(MAPS, named(name, labels={"k": "v"}), view="nothing")
                for name in ("m1", "m3", "m5", "m7")
            ),
            get(MAPS, query={"limit": "2", "labelSelector": "k=v"}, save="first", view="listing"),
            post(MAPS, named("m4", labels={"k": "v"}), view="nothing"),
            delete(f"{MAPS}/m5", view="nothing"),
            patch(f"{MAPS}/m7", {"metadata": {"labels": {"k": "w"}}}, view="nothing"),
            get(
                MAPS,
                query={
                    "limit": "1",
                    "labelSelector": "k=v",
                    "continue": "${first.metadata.continue}",
                },
                save="second",
                view="listing",
            ),
            get(
                MAPS,
                query={"limit": "1", "labelSelector": "k=v", "continue": "${second.metadata.continue}"},
                view="listing",
            ),
            get(
                MAPS, query={"labelSelector": "k=w", "continue": "${first.metadata.continue}"}, view="listing"
            ),
            get(MAPS, query={"continue": "${first.metadata.continue}", "resourceVersion": "0"}),
            get(
                MAPS,
                query={
                    "continue": "${first.metadata.continue}",
                    "resourceVersion": "1",
                    "resourceVersionMatch": "Exact",
                },
            ),
            get(MAPS, query={"continue": "bm9uc2Vuc2U"}),
            get(MAPS, query={"continue": "!!"}),
            get(LEASES, query={"continue": "${first.metadata.continue}"}, view="listing"),
        ),
    ),
    Scenario(
        name="versions and how a list is to match them",
        steps=(
            post(LEASES, named("b"), view="nothing"),
            post(LEASES, named("a", labels={"x": "1"}), save="a"),
            patch(f"{LEASES}/a", {"spec": {"holderIdentity": "2"}}, save="b"),
            *(
                get(
                    LEASES,
                    query={"labelSelector": "x=1", "resourceVersion": version, "resourceVersionMatch": match},
                    view="listing",
                )
                for version in ("${a.metadata.resourceVersion}", "0", "")
                for match in ("Exact", "NotOlderThan", "exact")
            ),
            get(
                LEASES,
                query={
                    "resourceVersion": "${a.metadata.resourceVersion}",
                    "resourceVersionMatch": "Exact",
                    "limit": "1",
                    "labelSelector": "x=1",
                },
            ),
            get(LEASES, query={"resourceVersionMatch": "Exact", "limit": "5"}),
            get(LEASES, query={"resourceVersion": "-1"}),
            get(LEASES, query={"limit": "-1"}, view="kind_and_message"),
            get(LEASES, query={"limit": "x"}),
            delete(LEASES, query={"labelSelector": "x=1", "resourceVersionMatch": "Exact"}),
            watch(
                LEASES,
                0,
                query={
                    "resourceVersion": "${a.metadata.resourceVersion}",
                    "resourceVersionMatch": "NotOlderThan",
                },
            ),
            get(f"{LEASES}/a", query={"resourceVersion": "0", "resourceVersionMatch": "Exact"}),
        ),
    ),
    Scenario(
        name="a watch from an old version follows objects in and out of two selectors",
        steps=(
            post(MAPS, named("a", labels={"s": "in"}), save="a"),
            patch(f"{MAPS}/a", {"metadata": {"labels": {"s": "out"}}}, save="b"),
            patch(f"{MAPS}/a", {"data": {"k": "unseen"}}),
            patch(f"{MAPS}/a", {"metadata": {"labels": {"s": "in"}}}),
            post(MAPS, named("b", labels={"s": "in"})),
            delete(f"{MAPS}/a"),
            post(MAPS, named("a", labels={"s": "in"})),
            delete(MAPS, query={"labelSelector": "s=in"}, view="nothing"),
            *(
                watch(
                    MAPS,
                    count,
                    query={"resourceVersion": "${" + start + ".metadata.resourceVersion}", **query},
                )
                for start, count, query in (
                    ("a", 5, {"labelSelector": "s=in", "fieldSelector": "metadata.name=a"}),
                    ("b", 2, {"labelSelector": "s!=in", "fieldSelector": "metadata.name=a"}),
                    ("b", 2, {"labelSelector": "s in (in),!t", "fieldSelector": "metadata.name!=a"}),
                )
            ),
        ),
    ),
    Scenario(
        name="a budget answers 429 until another pod is ready, dry runs too",
        steps=(
            post(BUDGETS, budget(minAvailable=1)),
            *members("p", "q"),
            counted(disruptionsAllowed=1),
            post(f"{PODS}/p/eviction", {"metadata": {"name": "p"}, "deleteOptions": {"dryRun": ["All"]}}),
            get(f"{BUDGETS}/a"),
            post(
                f"{PODS}/p/eviction",
                {
                    "metadata": {"name": "p"},
                    "deleteOptions": {"preconditions": {"uid": "11111111-2222-3333-4444-555555555555"}},
                },
            ),
            post(f"{PODS}/p/eviction", {"metadata": {"name": "p"}}),
            post(f"{PODS}/q/eviction", {"metadata": {"name": "q"}}),
            post(f"{PODS}/q/eviction", {"metadata": {"name": "q"}}, query={"dryRun": "All"}),
            post(f"{PODS}/p/eviction", {"metadata": {"name": "p"}}),
            patch(f"{BUDGETS}/a", {"spec": {"minAvailable": 0}}),
            counted(generation=2, disruptionsAllowed=1),
            post(f"{PODS}/q/eviction", {"metadata": {"name": "q"}}, query={"dryRun": "All"}),
            post(f"{PODS}/q/eviction", {"apiVersion": "policy/v1beta1", "kind": "Eviction", **named("q")}),
            post(f"{PODS}/q/eviction", {"apiVersion": "policy/v1", "kind": "Eviction", **named("q")}),
        ),
    ),
)
