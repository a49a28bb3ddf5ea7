"""The examples are what the API accepts, and whole: every reference in them leads somewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from rackplane.api.fabric import DEFAULT_LEVELS
from rackplane.api.kinds import BY_KIND
from rackplane.api.labels import GANG_LABEL, QUEUE_LABEL, parse_request
from tests.examples.halls import FACILITIES, PROFILES, ROOT, Manifest, named
from tests.support.manifests import documents, shipped_crds

JOBS = ROOT / "examples" / "jobs"


def _documents(*places: Path) -> list[Manifest]:
    files = [
        file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*.yaml")))
    ]
    return [document for file in files for document in documents(file.read_text())]


def _label(document: Manifest) -> str:
    return f"{document['kind']}-{document['metadata']['name']}"


def _shown(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


_FILES = sorted([*FACILITIES.rglob("*.yaml"), *PROFILES.glob("*.yaml")])


@pytest.fixture(scope="module")
def schemas() -> dict[str, Manifest]:
    return {
        crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for crd in shipped_crds()
    }


@pytest.mark.parametrize("file", _FILES, ids=_shown)
def test_facility_objects_are_accepted(file: Path, schemas: dict[str, Manifest]) -> None:
    documents = _documents(file)
    assert documents
    for document in documents:
        schema = schemas[document["kind"]]
        errors = jsonschema.Draft202012Validator(schema).iter_errors(document)
        assert not [f"{_label(document)}: {error.message}" for error in errors]
        # The models hold the CEL rules too.
        BY_KIND[document["kind"]].model_validate(document)
        spec = schema["properties"]["spec"]
        assert not [f"{_label(document)}: {name}" for name in _unknown(document["spec"], spec, "spec")]


def _unknown(value: Any, schema: Manifest, where: str) -> list[str]:
    """Fields that the API server would prune: paths that the schema does not know."""
    if isinstance(value, dict) and "properties" in schema:
        return [
            name
            for key, item in value.items()
            for name in (
                _unknown(item, schema["properties"][key], f"{where}.{key}")
                if key in schema["properties"]
                else [f"{where}.{key}"]
            )
        ]
    if isinstance(value, list) and "items" in schema:
        return [name for item in value for name in _unknown(item, schema["items"], f"{where}[]")]
    return []


@pytest.mark.parametrize("facility", sorted(FACILITIES.iterdir()), ids=lambda path: path.name)
def test_every_reference_in_a_facility_resolves(facility: Path) -> None:
    documents = _documents(facility)
    powers = named(documents, "PowerDomain")
    zones = named(documents, "CoolingZone")
    racks = named(documents, "Rack")
    feeds = [feed for power in powers.values() for feed in power.get("parents", [])]
    feeds += [feed for rack in racks.values() for feed in rack["feeds"]]
    feeds += [feed for zone in zones.values() for unit in zone["units"] for feed in unit.get("feeds", [])]
    assert {feed["powerDomain"] for feed in feeds} <= set(powers)
    profiles = set(named(_documents(PROFILES, facility), "HardwareProfile"))
    for rack in racks.values():
        assert set(rack.get("cooling", {}).values()) <= set(zones)
        assert rack["profile"] in profiles
    for domain in named(documents, "NVLinkDomain").values():
        assert set(domain.get("racks", [])) <= set(racks)


@pytest.mark.parametrize("facility", sorted(FACILITIES.iterdir()), ids=lambda path: path.name)
def test_a_facility_has_a_readme_and_no_name_twice(facility: Path) -> None:
    assert (facility / "README.md").is_file()
    labels = [_label(document) for document in _documents(facility)]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("document", _documents(JOBS), ids=_label)
def test_workloads_are_valid_and_their_requests_parse(document: Manifest) -> None:
    kubernetes_validate.validate(document, "1.36", strict=True)
    metadata = document["metadata"]
    queues = named(_documents(FACILITIES), "Queue")
    assert metadata["labels"][QUEUE_LABEL] in queues
    request, problems = parse_request(metadata["annotations"], levels=DEFAULT_LEVELS)
    assert not problems
    if document["kind"] == "Pod":
        assert request.gang_size == sum(
            pod["metadata"]["labels"].get(GANG_LABEL) == metadata["labels"][GANG_LABEL]
            for pod in _documents(JOBS)
        )
