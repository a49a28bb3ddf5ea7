"""The generated CustomResourceDefinitions: up to date, structural, bounded, described."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import pytest
import yaml
from pydantic import Field

from rackplane.api import crd as generator
from rackplane.api.base import ApiModel
from rackplane.api.gang import Gang
from rackplane.api.kinds import KINDS
from rackplane.api.schema import SchemaError, structural_schema

CRDS = Path(__file__).parents[3] / "crds"
KNOWN_KEYS = {
    *("type", "format", "description", "default", "enum", "minimum", "maximum", "pattern", "required"),
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("items", "properties", "additionalProperties"),
    *(
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
        "x-kubernetes-validations",
    ),
}


def _nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from _nodes(schema[key], f"{path}[]")


def _crd(model: type[Any]) -> dict[str, Any]:
    path = CRDS / f"rackplane.dev_{model.info.plural}.yaml"
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def _spec_and_status(model: type[Any]) -> list[tuple[str, dict[str, Any]]]:
    root = _crd(model)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return [node for part in ("spec", "status") for node in _nodes(root["properties"][part], part)]


each_kind = pytest.mark.parametrize("model", KINDS, ids=lambda model: model.info.kind)


def test_files_are_up_to_date() -> None:
    assert generator.check(CRDS) == []


def test_check_finds_what_is_missing_changed_and_strange(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generator.main([str(tmp_path)]) == 0
    assert generator.main(["--check", str(tmp_path)]) == 0
    (tmp_path / "rackplane.dev_racks.yaml").unlink()
    (tmp_path / "rackplane.dev_gangs.yaml").write_text("changed", encoding="utf-8")
    (tmp_path / "rackplane.dev_ghosts.yaml").write_text("strange", encoding="utf-8")
    assert generator.main(["--check", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "racks.yaml is missing" in said
    assert "gangs.yaml differs" in said
    assert "ghosts.yaml belongs to no kind" in said
    assert generator.main([str(tmp_path)]) == 0
    assert generator.check(tmp_path) == []


def test_there_are_eight_kinds_with_names_of_their_own() -> None:
    names = {model.info.kind for model in KINDS}
    assert names == {
        *("HardwareProfile", "Rack", "NVLinkDomain", "PowerDomain"),
        *("PowerBudget", "CoolingZone", "Queue", "Gang"),
    }
    taken = [
        name for model in KINDS for name in (model.info.plural, model.info.singular, *model.info.short_names)
    ]
    assert len(taken) == len(set(taken))


@each_kind
def test_names_scope_and_subresource(model: type[Any]) -> None:
    spec = _crd(model)["spec"]
    assert spec["scope"] == ("Namespaced" if model.info.kind == "Gang" else "Cluster")
    assert spec["names"]["categories"] == ["rackplane"]
    assert spec["names"]["shortNames"]
    assert _crd(model)["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"
    (version,) = spec["versions"]
    assert version["name"] == "v1alpha1"
    assert version["subresources"] == {"status": {}}


@each_kind
def test_schema_is_structural_and_plain(model: type[Any]) -> None:
    for path, node in _spec_and_status(model):
        assert node.keys() <= KNOWN_KEYS, path
        assert node["type"] in ("object", "array", "string", "integer", "boolean"), path
        assert node["description"] if "[]" not in path else True, path
        assert set(node.get("required", [])) <= set(node.get("properties", {})), path
        for key in node.get("x-kubernetes-list-map-keys", []):
            item = node["items"]
            assert key in item["required"] or "default" in item["properties"][key], path


@each_kind
def test_everything_is_bounded(model: type[Any]) -> None:
    for path, node in _spec_and_status(model):
        match node["type"]:
            case "integer":
                assert node["format"] == "int64", path
                assert "minimum" in node, path
                counters = path.endswith(("observedGeneration", "decision.term"))
                assert "maximum" in node or counters, path
            case "string":
                assert "maxLength" in node or "enum" in node or node.get("format") == "date-time", path
            case "array":
                assert "maxItems" in node, path
            case "object":
                assert "properties" in node or "maxProperties" in node, path


@each_kind
def test_every_property_is_described(model: type[Any]) -> None:
    for path, node in _spec_and_status(model):
        for name, child in node.get("properties", {}).items():
            assert child["description"].strip(), f"{path}.{name}"
            assert child["description"].endswith("."), f"{path}.{name}"


@each_kind
def test_defaults_are_valid(model: type[Any]) -> None:
    for path, node in _spec_and_status(model):
        if "default" in node:
            assert path.startswith("spec"), "the status has no defaults"
            jsonschema.Draft202012Validator(node).validate(node["default"])


@each_kind
def test_schema_is_valid_json_schema(model: type[Any]) -> None:
    root = _crd(model)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    jsonschema.Draft202012Validator.check_schema(root)


@each_kind
def test_columns_point_at_fields(model: type[Any]) -> None:
    version = _crd(model)["spec"]["versions"][0]
    root = version["schema"]["openAPIV3Schema"]
    names = [column["name"] for column in version["additionalPrinterColumns"]]
    assert len(names) == len(set(names))
    assert names[-1] == "Age"
    for column in version["additionalPrinterColumns"]:
        node = root
        if column["jsonPath"].startswith(".metadata"):
            continue
        for step in column["jsonPath"].lstrip(".").split("[")[0].split("."):
            node = node["properties"][step]
        if "[" not in column["jsonPath"]:
            kind = "date" if node.get("format") == "date-time" else node["type"]
            assert column["type"] in (kind, node["type"]), column


@each_kind
def test_status_has_conditions_by_type(model: type[Any]) -> None:
    root = _crd(model)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    status = root["properties"]["status"]["properties"]
    assert status["conditions"]["x-kubernetes-list-map-keys"] == ["type"]
    assert "observedGeneration" in status


def test_what_one_owner_writes_has_no_managed_field_for_each_of_its_parts() -> None:
    root = _crd(Gang)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    spec = root["spec"]["properties"]
    atomic = {name for name, part in spec.items() if part.get("x-kubernetes-map-type") == "atomic"}
    # Not `power`: it has defaults, so what is applied would differ from what is there, and be in conflict with itself.
    assert atomic == {"workload", "topology"}
    assert not [
        name for part in atomic for name, schema in spec[part]["properties"].items() if "default" in schema
    ]
    assert root["status"]["x-kubernetes-map-type"] == "atomic"
    # A maker and others may each own fields of the spec.
    assert "x-kubernetes-map-type" not in root["spec"]


class _Loop(ApiModel):
    child: "_Loop | None" = Field(default=None, description="Itself.")


class _Union(ApiModel):
    either: bool | Annotated[str, Field(max_length=3)] = Field(description="Two types.")


class _Unbounded(ApiModel):
    names: tuple[bool, ...] = Field(description="As many as you like.")


class _LongText(ApiModel):
    text: str = Field(description="Any length.")


class _Silent(ApiModel):
    flag: bool


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (_Loop, "contains itself"),
        (_Union, "union"),
        (_Unbounded, "without maxItems"),
        (_LongText, "without maxLength"),
        (_Silent, "no description"),
    ],
)
def test_what_kubernetes_cannot_take_is_an_error(model: type[ApiModel], said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        structural_schema(model)


class _Exclusive(ApiModel):
    ratio: Annotated[int, Field(gt=0, lt=5)] = Field(description="Between.")


def test_exclusive_bounds_are_booleans() -> None:
    ratio = structural_schema(_Exclusive)["properties"]["ratio"]
    assert ratio == {
        "description": "Between.",
        "type": "integer",
        "format": "int64",
        "exclusiveMinimum": True,
        "minimum": 0,
        "exclusiveMaximum": True,
        "maximum": 5,
    }
