"""Odd values and options as people send them: quantities, Unicode, repeated keys, dry runs, owners from elsewhere."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import (
    APPLY,
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    Ask,
    Scenario,
    delete,
    get,
    patch,
    post,
    put,
    wait,
)

from ._jobs import JOBS, SUSPENDED, J, becomes, job
from .pods import PODS, bare

MAPS = "/api/v1/namespaces/${ns}/configmaps"
QUOTA_NODE = "/api/v1/nodes/quantities-${ns}"
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
SECRETS = "/api/v1/namespaces/${ns}/secrets"
CLASS = f"{CLASSES}/one-${{ns}}"
OTHER = f"{CLASSES}/two-${{ns}}"
DRY = {"dryRun": "All"}
UID = "11111111-2222-3333-4444-555555555555"


def asked(**requests: Any) -> Ask:
    """A pod that asks for so much."""
    container = {"name": "main", "image": "i", "resources": {"requests": requests}}
    body = {"metadata": {"name": "p"}, "spec": {"containers": [container]}}
    return post(PODS, body, query=DRY, view="spec_or_causes")


def priority(name: str, value: int = 5, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": f"{name}-${{ns}}"}, "value": value, **more}


SCENARIOS = (
    Scenario(
        name="quantities in odd forms",
        steps=(
            asked(cpu="1e3", memory="1E3"),
            asked(cpu="0.5", memory="1.5Gi"),
            asked(cpu=".5", memory="5."),
            asked(cpu="+2", memory="0128Mi"),
            asked(cpu="1e-3", memory="1e1e1"),
            asked(cpu="100n", memory="100m"),
            asked(cpu="1u", memory="12345678901234567890"),
            asked(cpu=" 1", memory="1 Gi"),
            asked(cpu=1.25, memory=1e9),
            asked(cpu=True, memory="1"),
            asked(cpu="-1", memory="-0"),
            asked(cpu="1K", memory="1k"),
            asked(cpu="1mi", memory="1KI"),
            asked(cpu="", memory=None),
            asked(cpu="0.0001", memory="1.1"),
            asked(cpu="1500m", memory="2048Ki"),
            asked(**{"nvidia.com/gpu": "1500m"}),
            asked(**{"nvidia.com/gpu": "2e0", "hugepages-2Mi": "3Mi"}),
            asked(cpu="9223372036854775808", memory="8Ei"),
        ),
    ),
    Scenario(
        name="letters of all the world, and very long values",
        steps=(
            post(
                MAPS,
                {
                    "metadata": {
                        "name": "u",
                        "annotations": {"note": "größer \U0001f680 \u0000 \u2028 </script>"},
                    },
                    "data": {"k": "日本語\t\r\n\ufeff\u200b", "empty": ""},
                },
            ),
            get(f"{MAPS}/u"),
            post(MAPS, {"metadata": {"name": "ünï"}}),
            post(MAPS, {"metadata": {"name": "v"}, "data": {"schlüssel": "1"}}),
            post(MAPS, {"metadata": {"name": "v", "labels": {"k": "größe"}}}),
            post(MAPS, {"metadata": {"name": "v", "labels": {"k": "x" * 64}}}),
            post(MAPS, {"metadata": {"name": "v" * 254}}),
            post(MAPS, {"metadata": {"name": "v" * 253}}, query=DRY),
            post(MAPS, {"metadata": {"name": "v", "annotations": {"a": "x" * (256 * 1024)}}}, view="reasons"),
            post(MAPS, {"metadata": {"name": "v"}, "data": {"a": "x" * (1024 * 1024 + 1)}}, view="reasons"),
            post(MAPS, {"metadata": {"name": "v", "finalizers": ["x" * 64 + "/y"]}}),
            post(MAPS, {"metadata": {"name": "v", "generateName": "ü-"}}, query=DRY),
            post(MAPS, raw='{"metadata":{"name":"s"},"data":{"k":"\\ud800"}}', query=DRY),
            get(MAPS, query={"labelSelector": "k=größe"}),
            get(MAPS, query={"fieldSelector": "metadata.name=größe"}, view="listing"),
        ),
    ),
    Scenario(
        name="a key given twice in JSON",
        steps=(
            post(MAPS, raw='{"metadata":{"name":"a","name":"b"},"data":{"k":"1","k":"2"}}'),
            post(
                MAPS,
                raw='{"metadata":{"name":"c"},"metadata":{"labels":{"x":"1"}},"data":{"k":"1"}}',
            ),
            post(
                MAPS,
                raw='{"metadata":{"name":"d","name":"d"},"unknown":1,"unknown":2}',
                query={"fieldValidation": "Strict"},
            ),
            post(
                MAPS,
                raw='{"metadata":{"name":"d","name":"d"},"unknown":1,"unknown":2}',
                query={"fieldValidation": "Ignore"},
            ),
            post(MAPS, raw='{"metadata":{"name":"e"},"Data":{"k":"1"},"data":{"l":"2"}}'),
            put(f"{MAPS}/d", raw='{"metadata":{"name":"d"},"data":{"k":"1"},"data":{"l":"2"}}'),
            patch(f"{MAPS}/d", None, raw='{"data":{"k":"1"},"data":{"m":"2"}}'),
            patch(
                f"{MAPS}/d",
                None,
                raw='{"data":{"k":"1","k":"3"}}',
                query={"fieldValidation": "Strict"},
                view="nothing",
            ),
            patch(
                f"{MAPS}/d",
                None,
                STRATEGIC,
                raw='{"data":{"k":"1","k":"3"}}',
                query={"fieldValidation": "Strict"},
            ),
            patch(
                f"{MAPS}/d",
                None,
                APPLY,
                raw="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: d}\ndata: {k: '2'}\n",
                query={"fieldManager": "m", "force": "true"},
            ),
            delete(f"{MAPS}/d", None, raw='{"gracePeriodSeconds":1,"gracePeriodSeconds":0}'),
        ),
    ),
    Scenario(
        name="bodies that are hardly JSON",
        steps=(
            post(MAPS, raw='{"metadata":{"name":"a"}} {"metadata":{"name":"b"}}'),
            post(MAPS, raw="[]"),
            post(MAPS, raw="null"),
            post(MAPS, raw='"a"'),
            post(MAPS, raw='{"metadata":{"name":"a"},}'),
            post(MAPS, raw='{"metadata":{"name":NaN}}'),
            post(MAPS, raw='{"metadata":[]}'),
            post(MAPS, raw='{"metadata":{"name":5}}'),
            post(MAPS, raw='{"metadata":{"name":"a"},"data":{"k":1}}'),
            post(MAPS, raw='{"metadata":{"name":"a"},"immutable":"true"}'),
            post(MAPS, raw="metadata:\n  name: x\ndata:\n  k: yes\n", type="application/yaml"),
            post(MAPS, raw="metadata:\n  name: y\n", type="application/yaml"),
            post(MAPS, raw="metadata:\n  name: y\ndata:\n  k: 'yes'\n", type="application/yaml", query=DRY),
            post(MAPS, raw='{"metadata":{"name":"t"}}', type="text/plain"),
            post(MAPS, raw='{"metadata":{"name":"t"}}', type="application/json; charset=utf-8", query=DRY),
        ),
    ),
    Scenario(
        name="everything may be tried only",
        steps=(
            post(JOBS, job(suspend=True), query=DRY, view="of_job"),
            get(JOBS, view="listing"),
            post(JOBS, job(suspend=True), view="nothing"),
            becomes(**SUSPENDED),
            patch(f"{J}/status", {"status": {"active": 3}}, query=DRY, view="of_job"),
            patch(J, {"spec": {"parallelism": -1}}, query=DRY),
            patch(J, {"spec": {"completions": 5}}, STRATEGIC, query=DRY),
            patch(J, [{"op": "remove", "path": "/spec/suspend"}], JSON_PATCH, query=DRY, view="of_job"),
            delete(JOBS, query={**DRY, "propagationPolicy": "Foreground"}, view="nothing"),
            delete(J, {"propagationPolicy": "Sideways"}, query=DRY),
            delete(J, {"propagationPolicy": "Foreground", "dryRun": ["All"]}, view="nothing"),
            post(PODS, bare("p"), view="nothing"),
            post(
                f"{PODS}/p/binding",
                {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "nowhere"}},
                query=DRY,
            ),
            post(f"{PODS}/p/eviction", {"metadata": {"name": "p"}}, query=DRY),
            delete(f"{PODS}/p", {"gracePeriodSeconds": 3}, query=DRY, view="metadata_of_pod"),
            get(f"{PODS}/p", view="metadata_of_pod"),
            post("/api/v1/namespaces", {"metadata": {"generateName": "${ns}-"}}, query=DRY),
            delete("/api/v1/namespaces/${ns}", query=DRY),
            get("/api/v1/namespaces/${ns}"),
        ),
    ),
    Scenario(
        name="generated names of several kinds",
        steps=(
            post(PODS, {**bare("x"), "metadata": {"generateName": "p."}}, view="metadata_of_pod"),
            post(
                JOBS,
                {**job(suspend=True), "metadata": {"generateName": "a-very-long-name-" * 5}},
                query=DRY,
                view="of_job",
            ),
            post(MAPS, {"metadata": {"generateName": "x" * 300}}, query=DRY, view="nothing"),
            post(MAPS, {"metadata": {"generateName": "-x"}}, query=DRY, view="nothing"),
            post(MAPS, {"metadata": {"generateName": ""}}, query=DRY),
            put(f"{MAPS}/g", {"metadata": {"generateName": "g"}}),
            patch(
                f"{MAPS}/g",
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "g"}},
                APPLY,
                query={"fieldManager": "m"},
            ),
            patch(f"{MAPS}/g", {"metadata": {"generateName": "other-"}}),
        ),
    ),
    Scenario(
        name="owners in another namespace, and owners that are none",
        steps=(
            post(MAPS, {"metadata": {"name": "owner"}}, save="owner"),
            post(
                MAPS,
                {
                    "metadata": {
                        "name": "a",
                        "ownerReferences": [
                            {
                                "apiVersion": "v1",
                                "kind": "Secret",
                                "name": "owner",
                                "uid": "${owner.metadata.uid}",
                            }
                        ],
                    }
                },
                view="nothing",
            ),
            get(f"{MAPS}/a", until={"code": 404}),
            post(
                MAPS,
                {
                    "metadata": {
                        "name": "b",
                        "ownerReferences": [
                            {
                                "apiVersion": "v1",
                                "kind": "ConfigMap",
                                "name": "owner",
                                "uid": "${owner.metadata.uid}",
                            },
                            {"apiVersion": "v1", "kind": "Namespace", "name": "${ns}", "uid": UID},
                        ],
                    }
                },
                view="nothing",
            ),
            get(f"{MAPS}/b", until={"object.metadata.ownerReferences.1": None}),
            patch(
                f"{MAPS}/b",
                {
                    "metadata": {
                        "ownerReferences": [
                            {"apiVersion": "v1", "kind": "Event", "name": "e", "uid": UID},
                            {"apiVersion": "a/b/c", "kind": "X", "name": "", "uid": ""},
                        ]
                    }
                },
            ),
            patch(
                f"{MAPS}/b",
                {
                    "metadata": {
                        "ownerReferences": [
                            {"apiVersion": "v1", "kind": "A", "name": "a", "uid": UID, "controller": True},
                            {"apiVersion": "v1", "kind": "B", "name": "b", "uid": UID, "controller": True},
                        ]
                    }
                },
            ),
            delete(f"{MAPS}/owner", {"propagationPolicy": "Orphan"}),
            get(f"{MAPS}/b", until={"object.metadata.ownerReferences": None}),
            get(f"{MAPS}/owner", until={"code": 404}),
        ),
    ),
    Scenario(
        name="patches with the content type of something else",
        steps=(
            post(MAPS, {"metadata": {"name": "a"}, "data": {"k": "1"}}, view="nothing"),
            *(
                patch(f"{MAPS}/a", {"data": {"k": "2"}}, kind)
                for kind in ("text/plain", "application/merge-patch", "application/apply-patch+json", "")
            ),
            patch(f"{MAPS}/a", {"data": {"k": "2"}}, JSON_PATCH),
            patch(f"{MAPS}/a", [], MERGE),
            patch(f"{MAPS}/a", [], STRATEGIC),
            patch(f"{MAPS}/a", [], JSON_PATCH),
            patch(f"{MAPS}/a", [], APPLY, query={"fieldManager": "m"}),
            patch(f"{MAPS}/a", {"data": {"k": "2"}}, APPLY),
            patch(f"{MAPS}/a", {"data": {"k": "2"}}, MERGE, query={"force": "true"}),
            patch(f"{MAPS}/a", None, MERGE, raw=""),
            patch(f"{MAPS}/a", None, f"{MERGE}; charset=utf-8", raw='{"data":{"k":"9"}}'),
            put(f"{MAPS}/a", {"metadata": {"name": "a"}}, type=MERGE),
            delete(f"{MAPS}/a", {"kind": "DeleteOptions", "apiVersion": "v2"}),
            delete(f"{MAPS}/a", {"kind": "Status", "apiVersion": "v1"}),
        ),
    ),
    Scenario(
        name="one priority class is the default, and no second may be",
        leftovers=(CLASS, OTHER),
        steps=(
            post(CLASSES, priority("one", globalDefault=True)),
            # What refuses the second knows of the first from a watch.
            wait(0.5),
            post(CLASSES, priority("two", globalDefault=True)),
            post(CLASSES, priority("two", globalDefault=True), query=DRY),
            post(CLASSES, priority("two")),
            patch(OTHER, {"globalDefault": True}),
            patch(OTHER, {"globalDefault": True, "value": 7}),
            put(OTHER, priority("two", globalDefault=True)),
            patch(CLASS, {"description": "still the default"}),
            post(PODS, bare("p"), query=DRY, view="spec_or_causes"),
            patch(CLASS, {"globalDefault": False}),
            wait(0.5),
            patch(OTHER, {"globalDefault": True}),
            post(PODS, bare("p", priority=9), query=DRY),
            post(CLASSES, priority("three", 2_000_000_000, globalDefault=True)),
            delete(OTHER),
            wait(0.5),
            post(PODS, bare("p"), query=DRY, view="spec_or_causes"),
        ),
    ),
    Scenario(
        name="a node says what it has in odd forms",
        leftovers=(QUOTA_NODE,),
        steps=(
            post(
                "/api/v1/nodes",
                {
                    "metadata": {"name": "quantities-${ns}"},
                    "status": {"capacity": {"cpu": "1e3", "memory": "0.5Ti", "nvidia.com/gpu": 8}},
                },
            ),
            patch(f"{QUOTA_NODE}/status", {"status": {"capacity": {"cpu": "2000m", "pods": 110.0}}}),
            patch(f"{QUOTA_NODE}/status", {"status": {"allocatable": {"cpu": "-1"}}}),
            patch(f"{QUOTA_NODE}/status", {"status": {"capacity": {"cpu": "many"}}}, view="nothing"),
            patch(
                QUOTA_NODE, {"spec": {"unschedulable": True}, "status": {"capacity": {"cpu": "1"}}}, STRATEGIC
            ),
            delete(QUOTA_NODE, {"gracePeriodSeconds": 30}),
        ),
    ),
)
