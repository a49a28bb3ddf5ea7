"""Watches: from a version, through selectors, with bookmarks; what they refuse and how they end."""

from __future__ import annotations

from tests.conformance.steps import Ask, Scenario, delete, patch, post, put, watch

MAPS = "/api/v1/namespaces/${ns}/configmaps"
EVERYWHERE = "/api/v1/configmaps"
FROM = {"resourceVersion": "${start.metadata.resourceVersion}"}


def _map(name: str, save: str = "", **labels: str) -> Ask:
    return post(MAPS, {"metadata": {"name": name, "labels": {"in": "${ns}", **labels}}}, save=save)


SCENARIOS = (
    Scenario(
        name="a watch tells all that happened after a version, in order",
        steps=(
            _map("start", save="start"),
            _map("a"),
            patch(f"{MAPS}/a", {"data": {"x": "1"}}),
            put(f"{MAPS}/a", {"metadata": {"name": "a"}, "data": {"x": "2"}}, save="late"),
            patch(f"{MAPS}/a", {"metadata": {"finalizers": ["example.org/f"]}}),
            delete(f"{MAPS}/a"),
            patch(f"{MAPS}/a", {"metadata": {"finalizers": None}}),
            delete(f"{MAPS}/start"),
            watch(MAPS, 7, query=FROM),
            watch(EVERYWHERE, 7, query={**FROM, "labelSelector": "in=${ns}"}),
            watch(MAPS, 4, query={"resourceVersion": "${late.metadata.resourceVersion}"}),
        ),
    ),
    Scenario(
        name="what enters a watch's selector is added, what leaves it is deleted as it last matched",
        steps=(
            _map("start", save="start"),
            _map("a", on="no"),
            patch(f"{MAPS}/a", {"metadata": {"labels": {"on": "yes"}}}),
            patch(f"{MAPS}/a", {"data": {"x": "1"}}),
            patch(f"{MAPS}/a", {"metadata": {"labels": {"on": "no"}}}),
            patch(f"{MAPS}/a", {"data": {"x": "2"}}),
            delete(f"{MAPS}/a"),
            watch(MAPS, 3, query={**FROM, "labelSelector": "on=yes"}),
            watch(MAPS, 4, query={**FROM, "labelSelector": "on=no"}),
        ),
    ),
    Scenario(
        name="a watch of one object follows its name",
        steps=(
            _map("start", save="start"),
            _map("a"),
            _map("b"),
            delete(f"{MAPS}/a"),
            _map("a"),
            watch(MAPS, 3, query={**FROM, "fieldSelector": "metadata.name=a"}),
        ),
    ),
    Scenario(
        name="a watch without a version begins with what there is",
        steps=(
            _map("b", save="b"),
            _map("a"),
            watch(MAPS, 2, query={"labelSelector": "in=${ns}"}),
            watch(MAPS, 2, query={"labelSelector": "in=${ns}", "resourceVersion": "0"}),
            watch(MAPS, 1, query={"resourceVersion": "${b.metadata.resourceVersion}"}),
            watch(MAPS, 0, query={"labelSelector": "absent"}),
        ),
    ),
    Scenario(
        name="a watch begins with what there is only if it asks for it",
        steps=(
            _map("a"),
            _map("b", save="b"),
            watch(
                MAPS,
                0,
                query={
                    "labelSelector": "in=${ns}",
                    "sendInitialEvents": "false",
                    "allowWatchBookmarks": "true",
                    "resourceVersionMatch": "NotOlderThan",
                },
            ),
            watch(
                MAPS,
                2,
                query={
                    "labelSelector": "in=${ns}",
                    "sendInitialEvents": "true",
                    "resourceVersionMatch": "NotOlderThan",
                },
            ),
        ),
    ),
    Scenario(
        name="parameters of a watch that are none, or do not fit together",
        steps=(
            watch(MAPS, 0, query={"sendInitialEvents": "true"}),
            watch(MAPS, 0, query={"sendInitialEvents": "true", "resourceVersionMatch": "Exact"}),
            watch(MAPS, 0, query={"sendInitialEvents": "maybe"}),
            watch(MAPS, 0, query={"resourceVersionMatch": "NotOlderThan"}),
            watch(MAPS, 0, query={"resourceVersionMatch": "NotOlderThan", "resourceVersion": "1"}),
            watch(MAPS, 0, query={"resourceVersion": "text"}),
            watch(MAPS, 0, query={"resourceVersion": "-1"}),
            watch(MAPS, 0, query={"continue": "x"}),
            watch(MAPS, 0, query={"limit": "x"}),
            watch(MAPS, 0, query={"labelSelector": "a in b"}),
            watch(MAPS, 0, query={"fieldSelector": "data.x=1"}),
            watch(MAPS, 0, query={"timeoutSeconds": "soon"}),
            watch("/apis/batch/v1/namespaces/${ns}/nonsense", 0),
        ),
    ),
)
