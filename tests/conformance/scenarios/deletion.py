"""Deletion: finalizers, preconditions, owners and policies, collections, namespaces."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Ask, Scenario, delete, get, patch, post, put, watch

MAPS = "/api/v1/namespaces/${ns}/configmaps"
SECRETS = "/api/v1/namespaces/${ns}/secrets"
NAMESPACES = "/api/v1/namespaces"
FINALIZER = "example.org/hold"
ABSENT = "11111111-2222-3333-4444-555555555555"


def _map(name: str, save: str = "", **metadata: Any) -> Ask:
    return post(MAPS, {"metadata": {"name": name, **metadata}}, save=save)


def _reference(owner: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": owner,
        "uid": f"${{{owner}.metadata.uid}}",
    }


def _owned(name: str, owner: str, *, block: bool | None = None, **more: Any) -> Ask:
    reference = _reference(owner)
    if block is not None:
        reference["blockOwnerDeletion"] = block
    return _map(name, ownerReferences=[reference], **more)


def _gone(name: str) -> Ask:
    return get(f"{MAPS}/{name}", until={"code": 404})


SCENARIOS = (
    Scenario(
        name="finalizers hold an object until the last is removed",
        steps=(
            _map("a", finalizers=[FINALIZER, "example.org/second"]),
            delete(f"{MAPS}/a"),
            delete(f"{MAPS}/a"),
            patch(f"{MAPS}/a", {"metadata": {"finalizers": ["example.org/second"]}}),
            _map("a"),
            patch(f"{MAPS}/a", {"metadata": {"finalizers": None}}),
            get(f"{MAPS}/a"),
        ),
    ),
    Scenario(
        name="a deletion's preconditions must hold",
        steps=(
            _map("a", save="a"),
            delete(f"{MAPS}/a", {"preconditions": {"uid": ABSENT}}),
            delete(f"{MAPS}/a", {"preconditions": {"resourceVersion": "1"}}),
            delete(
                f"{MAPS}/a",
                {
                    "preconditions": {
                        "uid": "${a.metadata.uid}",
                        "resourceVersion": "${a.metadata.resourceVersion}",
                    }
                },
            ),
        ),
    ),
    Scenario(
        name="options of a deletion that are none, or do not fit together",
        steps=(
            _map("a"),
            delete(f"{MAPS}/a", {"propagationPolicy": "Sometimes"}),
            delete(f"{MAPS}/a", query={"propagationPolicy": "Sometimes"}),
            delete(f"{MAPS}/a", {"propagationPolicy": "Background", "orphanDependents": True}),
            delete(f"{MAPS}/a", query={"gracePeriodSeconds": "soon"}),
            delete(f"{MAPS}/a", raw="{"),
            delete(f"{MAPS}/a", {"gracePeriodSeconds": -5, "dryRun": ["All"]}),
            delete(f"{MAPS}/a", {"kind": "DeleteOptions", "apiVersion": "v1"}, query={"dryRun": "All"}),
            get(f"{MAPS}/a"),
        ),
    ),
    Scenario(
        name="deleted in the background, dependents go after their owner",
        steps=(
            _map("owner", save="owner"),
            _owned("child", "owner"),
            delete(f"{MAPS}/owner", {"propagationPolicy": "Background"}),
            _gone("child"),
            get(f"{MAPS}/owner"),
        ),
    ),
    Scenario(
        name="deleted in the foreground, the owner waits for dependents that block it",
        steps=(
            _map("owner", save="owner"),
            _owned("child", "owner", block=True, finalizers=[FINALIZER]),
            _owned("free", "owner", block=False),
            delete(f"{MAPS}/owner", {"propagationPolicy": "Foreground"}),
            _gone("free"),
            get(f"{MAPS}/child", until={"object.metadata.deletionGracePeriodSeconds": 0}),
            get(f"{MAPS}/owner"),
            patch(f"{MAPS}/child", {"metadata": {"finalizers": None}}),
            _gone("owner"),
        ),
    ),
    Scenario(
        name="deleted in the foreground, the owner does not wait for others",
        steps=(
            _map("owner", save="owner"),
            _owned("child", "owner", finalizers=[FINALIZER]),
            delete(f"{MAPS}/owner", query={"propagationPolicy": "Foreground"}),
            _gone("owner"),
            get(f"{MAPS}/child", until={"object.metadata.deletionGracePeriodSeconds": 0}),
            patch(f"{MAPS}/child", {"metadata": {"finalizers": None}}),
        ),
    ),
    Scenario(
        name="deleted in the foreground, what another owns as well stays with it",
        steps=(
            _map("owner", save="owner"),
            _map("other", save="other"),
            _map("child", ownerReferences=[_reference("owner"), _reference("other")]),
            delete(f"{MAPS}/owner", {"propagationPolicy": "Foreground"}),
            _gone("owner"),
            get(f"{MAPS}/child"),
            delete(f"{MAPS}/other", {"propagationPolicy": "Foreground"}),
            _gone("child"),
        ),
    ),
    Scenario(
        name="orphaned, dependents stay and forget their owner",
        steps=(
            _map("owner", save="owner"),
            _owned("child", "owner"),
            delete(f"{MAPS}/owner", {"propagationPolicy": "Orphan"}),
            _gone("owner"),
            get(f"{MAPS}/child"),
        ),
    ),
    Scenario(
        name="the old way to say what becomes of dependents",
        steps=(
            _map("owner", save="owner"),
            _owned("child", "owner"),
            delete(f"{MAPS}/owner", {"orphanDependents": True}),
            _gone("owner"),
            get(f"{MAPS}/child"),
            _map("held", finalizers=[FINALIZER]),
            delete(f"{MAPS}/held", {"orphanDependents": False}),
            patch(f"{MAPS}/held", {"metadata": {"finalizers": None}}),
        ),
    ),
    Scenario(
        name="the collector's own finalizers decide where the caller does not",
        steps=(
            _map("owner", save="owner", finalizers=["orphan"]),
            _owned("child", "owner"),
            delete(f"{MAPS}/owner"),
            _gone("owner"),
            get(f"{MAPS}/child"),
            _map("other", save="other", finalizers=["foregroundDeletion"]),
            _owned("block", "other", block=True, finalizers=[FINALIZER]),
            delete(f"{MAPS}/other"),
            get(f"{MAPS}/block", until={"object.metadata.deletionGracePeriodSeconds": 0}),
            patch(f"{MAPS}/block", {"metadata": {"finalizers": None}}),
            _gone("block"),
        ),
    ),
    Scenario(
        name="what names an owner that does not exist is collected",
        steps=(
            _map(
                "child",
                ownerReferences=[{"apiVersion": "v1", "kind": "ConfigMap", "name": "never", "uid": ABSENT}],
            ),
            _gone("child"),
            _map("owner", save="owner"),
            _map(
                "wrong-uid",
                ownerReferences=[{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": ABSENT}],
            ),
            _gone("wrong-uid"),
            post(
                SECRETS,
                {
                    "metadata": {
                        "name": "other-kind",
                        "ownerReferences": [
                            {
                                "apiVersion": "v1",
                                "kind": "ConfigMap",
                                "name": "owner",
                                "uid": "${owner.metadata.uid}",
                            }
                        ],
                    }
                },
            ),
            delete(f"{MAPS}/owner"),
            get(f"{SECRETS}/other-kind", until={"code": 404}),
        ),
    ),
    Scenario(
        name="of two owners, the gone one is forgotten",
        steps=(
            _map("a", save="a"),
            _map("b", save="b"),
            _map(
                "child",
                ownerReferences=[
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "${a.metadata.uid}"},
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": "b", "uid": "${b.metadata.uid}"},
                ],
            ),
            delete(f"{MAPS}/a"),
            get(f"{MAPS}/child", until={"object.metadata.ownerReferences.1": None}),
            delete(f"{MAPS}/b"),
            _gone("child"),
        ),
    ),
    Scenario(
        name="a collection is deleted as far as it is selected",
        steps=(
            _map("a", labels={"x": "1"}, save="first"),
            _map("b", labels={"x": "1"}, finalizers=[FINALIZER]),
            _map("c", labels={"x": "2"}),
            delete(MAPS, query={"labelSelector": "x=1", "dryRun": "All"}),
            delete(MAPS, query={"labelSelector": "x=1"}),
            get(MAPS, query={"labelSelector": "x"}),
            delete(MAPS, query={"fieldSelector": "metadata.name=c"}),
            delete(MAPS, query={"labelSelector": "x=("}),
            delete(MAPS, {"propagationPolicy": "Never"}, query={"labelSelector": "x"}),
            patch(f"{MAPS}/b", {"metadata": {"finalizers": None}}),
            watch(MAPS, 6, query={"resourceVersion": "${first.metadata.resourceVersion}"}),
        ),
    ),
    Scenario(
        name="a collection is deleted page by page",
        steps=(
            post(SECRETS, {"metadata": {"name": "a"}}),
            post(SECRETS, {"metadata": {"name": "b"}}),
            post(SECRETS, {"metadata": {"name": "c"}}),
            delete(SECRETS, query={"limit": "2"}),
            get(SECRETS),
            delete(SECRETS),
            delete(SECRETS),
        ),
    ),
    Scenario(
        name="a namespace takes its content with it",
        leftovers=(f"{NAMESPACES}/${{ns}}-a",),
        steps=(
            post(NAMESPACES, {"metadata": {"name": "${ns}-a"}, "spec": {"finalizers": ["example.org/x"]}}),
            post(f"{NAMESPACES}/${{ns}}-a/secrets", {"metadata": {"name": "a"}}),
            delete(f"{NAMESPACES}/${{ns}}-a"),
            get(f"{NAMESPACES}/${{ns}}-a", until={"object.spec.finalizers.1": None}),
            get(f"{NAMESPACES}/${{ns}}-a/secrets/a"),
            post(f"{NAMESPACES}/${{ns}}-a/secrets", {"metadata": {"name": "a"}}),
            put(
                f"{NAMESPACES}/${{ns}}-a/finalize",
                {"metadata": {"name": "${ns}-a"}, "spec": {"finalizers": ["x"]}},
            ),
            put(
                f"{NAMESPACES}/${{ns}}-a/finalize",
                {"metadata": {"name": "${ns}-a"}, "spec": {"finalizers": []}},
            ),
            get(f"{NAMESPACES}/${{ns}}-a"),
        ),
    ),
    Scenario(
        name="a namespace whose content is held says so and takes no more",
        leftovers=(f"{NAMESPACES}/${{ns}}-a/configmaps/held", f"{NAMESPACES}/${{ns}}-a"),
        steps=(
            post(NAMESPACES, {"metadata": {"name": "${ns}-a"}}),
            post(
                f"{NAMESPACES}/${{ns}}-a/secrets", {"metadata": {"name": "held", "finalizers": [FINALIZER]}}
            ),
            delete(f"{NAMESPACES}/${{ns}}-a", {"propagationPolicy": "Background"}),
            get(
                f"{NAMESPACES}/${{ns}}-a",
                until={"object.status.conditions.4.status": "True"},
            ),
            delete(f"{NAMESPACES}/${{ns}}-a", view="kind_or_status"),
            post(f"{NAMESPACES}/${{ns}}-a/secrets", {"metadata": {"name": "late"}}),
            patch(f"{NAMESPACES}/${{ns}}-a/secrets/held", {"metadata": {"labels": {"still": "changes"}}}),
            patch(f"{NAMESPACES}/${{ns}}-a/secrets/held", {"metadata": {"finalizers": None}}),
            get(f"{NAMESPACES}/${{ns}}-a", until={"code": 404}),
        ),
    ),
    Scenario(
        name="a namespace is created active and its status is its own",
        leftovers=(f"{NAMESPACES}/${{ns}}-a",),
        steps=(
            post(
                NAMESPACES,
                {"metadata": {"name": "${ns}-a", "labels": {"x": "y"}}, "status": {"phase": "Terminating"}},
            ),
            patch(
                f"{NAMESPACES}/${{ns}}-a", {"spec": {"finalizers": []}, "metadata": {"labels": {"x": "z"}}}
            ),
            patch(f"{NAMESPACES}/${{ns}}-a/status", {"status": {"phase": "Terminating"}}),
            patch(f"{NAMESPACES}/${{ns}}-a/status", {"status": {"phase": "Active"}}),
            patch(
                f"{NAMESPACES}/${{ns}}-a", {"metadata": {"labels": {"kubernetes.io/metadata.name": "other"}}}
            ),
            patch(f"{NAMESPACES}/${{ns}}-a", {"metadata": {"labels": {"kubernetes.io/metadata.name": None}}}),
            post(NAMESPACES, {"metadata": {"name": "${ns}-a"}}),
            delete(f"{NAMESPACES}/kube-system"),
            delete(f"{NAMESPACES}/default"),
        ),
    ),
)
