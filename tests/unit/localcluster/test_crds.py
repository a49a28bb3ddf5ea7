"""Custom resources: schema, defaults, CEL, columns."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.localcluster import ApiError, Request

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
THINGS = "/apis/example.com/v1/things"
MERGE = "application/merge-patch+json"

SPEC: dict[str, Any] = {
    "type": "object",
    "required": ["watts"],
    "properties": {
        "watts": {"type": "integer", "minimum": 1},
        "mode": {"type": "string", "enum": ["A", "B"], "default": "A"},
        "clique": {"type": "string"},
        "racks": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "feeds": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        },
    },
    "x-kubernetes-validations": [
        {"rule": "!(has(self.clique) && has(self.racks))", "message": "clique or racks"},
        {"rule": "self.mode == oldSelf.mode", "message": "mode is immutable"},
    ],
}


def crd(spec: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": spec, "status": {"type": "object", "properties": {}}}}
    columns = [{"name": "Watts", "type": "integer", "jsonPath": ".spec.watts"}]
    version = {
        "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}}, "additionalPrinterColumns": columns,
    }  # fmt: skip
    names = {"plural": "things", "kind": "Thing"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster", "names": names, "versions": [version]},
    }  # fmt: skip


def thing(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": spec}


@pytest.fixture
def things(driver: Any) -> Any:
    driver.do("POST", CRDS, crd(SPEC))
    return driver


def test_defaults_pruning_and_generation(things: Any) -> None:
    made = things.do("POST", THINGS, thing(watts=5, unknown=1) | {"status": {"x": 1}})
    assert made["spec"] == {"watts": 5, "mode": "A"}
    assert "status" not in made
    changed = things.do("PATCH", f"{THINGS}/t", {"spec": {"watts": 6}}, MERGE)
    marked = things.do("PATCH", f"{THINGS}/t/status", {"spec": {"watts": 9}, "status": {}}, MERGE)
    assert [o["metadata"]["generation"] for o in (made, changed, marked)] == [1, 2, 2]
    assert marked["spec"]["watts"] == 6


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        pytest.param({}, "spec.watts", "Required value", id="required"),
        pytest.param({"watts": -1}, "spec.watts", "greater than or equal to 1", id="minimum"),
        pytest.param({"watts": "5"}, "spec.watts", "must be of type integer", id="type"),
        pytest.param({"watts": 1, "mode": "C"}, "spec.mode", 'supported values: "A", "B"', id="enum"),
        pytest.param({"watts": 1, "racks": ["a", "a"]}, "spec.racks[1]", "Duplicate value", id="set"),
        pytest.param(
            {"watts": 1, "feeds": [{"name": "a"}, {"name": "a"}]},
            "spec.feeds[1]",
            "Duplicate value",
            id="map",
        ),
        pytest.param({"watts": 1, "clique": "c", "racks": []}, "spec", "clique or racks", id="cel"),
    ],
)
def test_what_breaks_the_schema_is_refused(things: Any, spec: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(ApiError) as caught:
        things.do("POST", THINGS, thing(**spec))
    cause = caught.value.details["causes"][0]
    assert caught.value.code == 422
    assert cause["field"] == field
    assert words in cause["message"]


def test_a_transition_rule_holds_on_update_only(things: Any) -> None:
    things.do("POST", THINGS, thing(watts=1, mode="B"))
    with pytest.raises(ApiError, match="mode is immutable"):
        things.do("PATCH", f"{THINGS}/t", {"spec": {"mode": "A"}}, MERGE)


def test_strict_validation_names_the_unknown_field(things: Any) -> None:
    with pytest.raises(ApiError) as caught:
        things.do("POST", THINGS, thing(watts=1, foo=2), fieldValidation="Strict")
    assert caught.value.code == 400
    assert 'unknown field "spec.foo"' in caught.value.message


def test_columns(things: Any) -> None:
    things.do("POST", THINGS, thing(watts=5))
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    table = things.cluster.handle(Request("GET", THINGS, accept=accept)).body
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Watts"]
    assert [row["cells"] for row in table["rows"]] == [["t", 5]]


def test_strategic_merge_is_not_for_custom_resources(things: Any) -> None:
    things.do("POST", THINGS, thing(watts=5))
    with pytest.raises(ApiError) as caught:
        things.do("PATCH", f"{THINGS}/t", {}, "application/strategic-merge-patch+json")
    assert caught.value.code == 415


def test_deleting_a_definition_deletes_its_objects(things: Any) -> None:
    things.do("POST", THINGS, thing(watts=5))
    things.do("DELETE", f"{CRDS}/things.example.com")
    with pytest.raises(ApiError) as caught:
        things.do("GET", THINGS)
    assert caught.value.code == 404


def test_a_definition_with_a_broken_rule_is_refused(driver: Any) -> None:
    broken = {**SPEC, "x-kubernetes-validations": [{"rule": "self.watts >"}]}
    with pytest.raises(ApiError, match="compilation failed"):
        driver.do("POST", CRDS, crd(broken))
