"""What happens to any object: created, read, replaced, deleted; names, versions, generations."""

from __future__ import annotations

from tests.conformance.steps import Scenario, delete, get, patch, post, put, watch

MAPS = "/api/v1/namespaces/${ns}/configmaps"

LONG = "x" * 64

SCENARIOS = (
    Scenario(
        name="a config map from creation to deletion",
        steps=(
            post(MAPS, {"metadata": {"name": "a"}, "data": {"x": "1"}}, save="made"),
            post(MAPS, {"metadata": {"name": "a"}}),
            get(f"{MAPS}/a"),
            put(f"{MAPS}/a", {"metadata": {"name": "a"}, "data": {"x": "2"}}, save="changed"),
            put(
                f"{MAPS}/a",
                {
                    "metadata": {"name": "a", "resourceVersion": "${made.metadata.resourceVersion}"},
                    "data": {},
                },
            ),
            watch(MAPS, 1, query={"resourceVersion": "${made.metadata.resourceVersion}"}),
            delete(f"{MAPS}/a"),
            get(f"{MAPS}/a"),
        ),
    ),
    Scenario(
        name="a write that changes nothing keeps the version",
        steps=(
            post(MAPS, {"metadata": {"name": "a", "labels": {"k": "v"}}, "data": {"x": "1"}}, save="made"),
            put(f"{MAPS}/a", {"metadata": {"name": "a", "labels": {"k": "v"}}, "data": {"x": "1"}}),
            patch(f"{MAPS}/a", {"data": {"x": "1"}}),
            patch(f"{MAPS}/a", {}),
            patch(f"{MAPS}/a", {"metadata": {"labels": {"k": "v"}}}),
            patch(f"{MAPS}/a", {"metadata": {"annotations": {}}}),
            watch(MAPS, 0, query={"resourceVersion": "${made.metadata.resourceVersion}"}),
        ),
    ),
    Scenario(
        name="what the server sets cannot be set by a client",
        steps=(
            post(
                MAPS,
                {
                    "metadata": {
                        "name": "a",
                        "uid": "11111111-2222-3333-4444-555555555555",
                        "creationTimestamp": "2001-01-01T00:00:00Z",
                        "deletionTimestamp": "2001-01-01T00:00:00Z",
                        "deletionGracePeriodSeconds": 5,
                        "generation": 7,
                        "selfLink": "/x",
                    }
                },
                save="made",
            ),
            post(MAPS, {"metadata": {"name": "b", "resourceVersion": "12"}}),
            post(MAPS, {"metadata": {"name": "b", "resourceVersion": "0"}}),
            put(
                f"{MAPS}/a",
                {
                    "metadata": {
                        "name": "a",
                        "creationTimestamp": "2001-01-01T00:00:00Z",
                        "deletionTimestamp": "2001-01-01T00:00:00Z",
                        "generation": 9,
                    },
                    "data": {"x": "1"},
                },
            ),
            patch(f"{MAPS}/a", {"metadata": {"creationTimestamp": None, "generation": 3}}),
            patch(f"{MAPS}/a", {"metadata": {"deletionTimestamp": "2001-01-01T00:00:00Z"}}),
            put(
                f"{MAPS}/a",
                {"metadata": {"name": "a", "uid": "11111111-2222-3333-4444-555555555555"}},
            ),
            put(f"{MAPS}/a", {"metadata": {"name": "a", "uid": "${made.metadata.uid}"}, "data": {"y": "1"}}),
            put(f"{MAPS}/a", {"metadata": {"name": "a", "resourceVersion": "1"}}),
            put(f"{MAPS}/a", {"metadata": {"name": "a", "resourceVersion": "zzz"}}),
            put(f"{MAPS}/a", {"metadata": {"name": "a", "resourceVersion": "0"}, "data": {"z": "1"}}),
        ),
    ),
    Scenario(
        name="a generated name has a random end of five letters",
        steps=(
            post(MAPS, {"metadata": {"generateName": "gen-"}}),
            post(MAPS, {"metadata": {"generateName": "gen-", "name": "given"}}),
            post(MAPS, {"metadata": {"generateName": "Bad_"}}, view="nothing"),
            post(MAPS, {"metadata": {"generateName": f"{LONG}"}}, view="nothing"),
            post(MAPS, {"metadata": {"generateName": "dry-"}}, query={"dryRun": "All"}),
            post(MAPS, {"metadata": {}}),
            post(MAPS, {"metadata": {"name": ""}}),
            post(MAPS, {}),
        ),
    ),
    Scenario(
        name="a dry run answers as the write would and changes nothing",
        steps=(
            post(MAPS, {"metadata": {"name": "a"}, "data": {"x": "1"}}, query={"dryRun": "All"}),
            get(f"{MAPS}/a"),
            post(MAPS, {"metadata": {"name": "a"}, "data": {"x": "1"}}, save="made"),
            post(MAPS, {"metadata": {"name": "a"}}, query={"dryRun": "All"}),
            put(f"{MAPS}/a", {"metadata": {"name": "a"}, "data": {"x": "2"}}, query={"dryRun": "All"}),
            patch(f"{MAPS}/a", {"data": {"y": "3"}}, query={"dryRun": "All"}),
            delete(f"{MAPS}/a", query={"dryRun": "All"}),
            delete(f"{MAPS}/a", {"dryRun": ["All"]}),
            get(f"{MAPS}/a"),
            watch(MAPS, 0, query={"resourceVersion": "${made.metadata.resourceVersion}"}),
        ),
    ),
    Scenario(
        name="a dry run other than All is refused",
        steps=(
            post(MAPS, {"metadata": {"name": "a"}}, query={"dryRun": "Some"}),
            post(MAPS, {"metadata": {"name": "a"}}, query={"dryRun": "true"}),
            post(MAPS, {"metadata": {"name": "a"}}, query={"dryRun": ""}),
            put(f"{MAPS}/a", {"metadata": {"name": "a"}}, query={"dryRun": "None"}),
            patch(f"{MAPS}/a", {}, query={"dryRun": "None"}),
            delete(f"{MAPS}/a", query={"dryRun": "None"}),
            delete(f"{MAPS}/a", {"dryRun": ["None"]}),
            post(MAPS, {"metadata": {"name": "b"}}, query={"fieldValidation": "Sometimes"}),
            post(MAPS, {"metadata": {"name": "b"}}, query={"fieldManager": "x" * 129}),
            post(MAPS, {"metadata": {"name": "b"}}, query={"fieldManager": "new\nline"}),
        ),
    ),
    Scenario(
        name="odd inputs people send",
        leftovers=(f"{MAPS}/c",),
        steps=(
            post(MAPS, {"metadata": {"name": "a", "labels": None, "annotations": None}, "data": None}),
            put(f"{MAPS}/a", {"metadata": {"name": "a", "labels": {"": ""}}}),
            patch(f"{MAPS}/a", {"metadata": {"ownerReferences": []}}),
            patch(f"{MAPS}/a", {"metadata": {"resourceVersion": "1"}, "data": {"x": "1"}}),
            patch(f"{MAPS}/a", {"metadata": {"resourceVersion": ""}, "data": {"x": "1"}}),
            delete(f"{MAPS}/a", {"preconditions": {"uid": ""}}),
            delete(f"{MAPS}/a", {"preconditions": {}, "propagationPolicy": "Background"}),
            delete(f"{MAPS}/a", {"propagationPolicy": "Background"}),
            post(MAPS, {"metadata": {"name": "b", "generateName": "b-", "deletionGracePeriodSeconds": 9}}),
            post(MAPS, {"metadata": {"name": "c", "generateName": "UPPER"}}),
            post(MAPS, {"metadata": {"name": "c", "finalizers": ["example.org/x", "example.org/x"]}}),
            delete(f"{MAPS}/c", {"propagationPolicy": "Foreground"}),
        ),
    ),
)
