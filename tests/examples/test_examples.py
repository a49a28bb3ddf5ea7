"""The examples are what the API accepts, and the arithmetic in their READMEs is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from rackplane.api.kinds import BY_KIND
from rackplane.api.labels import GANG_LABEL, QUEUE_LABEL, parse_request

ROOT = Path(__file__).resolve().parents[2]
FACILITIES = ROOT / "examples" / "facilities"
ROW = FACILITIES / "gb300-row"
JOBS = ROOT / "examples" / "jobs"
PROFILES = ROOT / "operator" / "rackplane" / "hardwareprofiles"

Manifest = dict[str, Any]


def _documents(*folders: Path) -> list[Manifest]:
    return [
        document
        for folder in folders
        for path in sorted(folder.rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document
    ]


def _label(document: Manifest) -> str:
    return f"{document['kind']}-{document['metadata']['name']}"


def _named(documents: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {d["metadata"]["name"]: d["spec"] for d in documents if d["kind"] == kind}


@pytest.fixture(scope="module")
def schemas() -> dict[str, Manifest]:
    return {
        crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for crd in _documents(ROOT / "crds")
    }


@pytest.mark.parametrize("document", _documents(FACILITIES, PROFILES), ids=_label)
def test_facility_objects_are_accepted(document: Manifest, schemas: dict[str, Manifest]) -> None:
    jsonschema.validate(document, schemas[document["kind"]])
    # The models hold the CEL rules too.
    BY_KIND[document["kind"]].model_validate(document)


@pytest.mark.parametrize("document", _documents(FACILITIES, PROFILES), ids=_label)
def test_facility_objects_have_no_field_that_would_be_dropped(
    document: Manifest, schemas: dict[str, Manifest]
) -> None:
    assert not list(_unknown(document["spec"], schemas[document["kind"]]["properties"]["spec"], "spec"))


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
    powers = _named(documents, "PowerDomain")
    zones = _named(documents, "CoolingZone")
    racks = _named(documents, "Rack")
    feeds = [feed for power in powers.values() for feed in power.get("parents", [])]
    feeds += [feed for rack in racks.values() for feed in rack["feeds"]]
    feeds += [feed for zone in zones.values() for unit in zone["units"] for feed in unit.get("feeds", [])]
    assert {feed["powerDomain"] for feed in feeds} <= set(powers)
    profiles = set(_named(_documents(PROFILES, facility), "HardwareProfile"))
    for rack in racks.values():
        assert set(rack["cooling"].values()) <= set(zones)
        assert rack["profile"] in profiles
    for domain in _named(documents, "NVLinkDomain").values():
        assert set(domain.get("racks", [])) <= set(racks)


@pytest.mark.parametrize("document", _documents(JOBS), ids=_label)
def test_workloads_are_valid_and_their_requests_parse(document: Manifest) -> None:
    kubernetes_validate.validate(document, "1.36", strict=True)
    metadata = document["metadata"]
    queues = _named(_documents(FACILITIES), "Queue")
    assert metadata["labels"][QUEUE_LABEL] in queues
    request, problems = parse_request(metadata["annotations"], levels=("leaf", "spine"))
    assert not problems
    if document["kind"] == "Pod":
        assert request.gang_size == sum(
            pod["metadata"]["labels"].get(GANG_LABEL) == metadata["labels"][GANG_LABEL]
            for pod in _documents(JOBS)
        )


def test_the_gb300_row_is_full_when_its_eight_racks_are() -> None:
    """The arithmetic of examples/facilities/gb300-row/README.md."""
    documents = _documents(ROW, PROFILES)
    node = _named(documents, "HardwareProfile")["gb300-nvl72"]
    racks = _named(documents, "Rack")
    powers = _named(documents, "PowerDomain")
    zones = _named(documents, "CoolingZone")
    assert len(racks) == len(_named(documents, "NVLinkDomain")) == 8
    (overhead,) = {rack["overheadWatts"] for rack in racks.values()}
    (limit,) = {rack["limitWatts"] for rack in racks.values()}

    utilization = node.get("typicalUtilizationPercent", 100)
    nominal = overhead + 18 * (
        node["idleWatts"] + (node["maxWatts"] - node["idleWatts"]) * utilization // 100
    )
    peak = overhead + 18 * node["maxWatts"] * node.get("peakPercent", 100) // 100
    row = powers["row"]
    assert nominal <= peak <= limit
    assert 8 * limit + row["baseLoadWatts"] == row["ratedWatts"] == 1_200_000
    assert 9 * peak + row["baseLoadWatts"] > row["ratedWatts"]

    modules = powers["ups"]["redundancy"]
    ups = modules["needed"] * modules["moduleWatts"]
    assert row["ratedWatts"] <= ups <= powers["ups"]["ratedWatts"]
    mechanical = sum(unit["drawWatts"] for zone in zones.values() for unit in zone["units"])
    assert mechanical <= powers["mechanical"]["ratedWatts"]
    intake = row["ratedWatts"] * 10_000 / powers["ups"]["efficiencyBasisPoints"]
    assert intake + mechanical <= powers["utility"]["ratedWatts"]

    liquid = node["liquidHeatPercent"]
    for zone, percent in (("row-liquid", liquid), ("row-air", 100 - liquid)):
        spec = zones[zone]
        units = sorted(unit["capacityWatts"] for unit in spec["units"])
        usable = sum(units[: spec["neededUnits"]])
        assert 8 * peak * percent / 100 <= usable
        assert len(units) == spec["neededUnits"] + 1
