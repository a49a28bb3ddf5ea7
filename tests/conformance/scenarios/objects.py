"""What happens to any object: created, read, replaced, deleted; names, versions, generations."""

from __future__ import annotations

from tests.conformance.steps import Scenario, delete, get, post, put, watch

MAPS = "/api/v1/namespaces/${ns}/configmaps"

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
)
