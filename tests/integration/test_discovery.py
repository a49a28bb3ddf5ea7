"""Discovery where the API server keeps who wrote what: operator and command agree, and a person's word stays."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rackplane.cli import parser
from tests.integration.test_any_cluster import GROUP, Body, Site, operated
from tests.integration.test_any_cluster import pytestmark as pytestmark

WORD = f"d{uuid.uuid4().hex[:6]}"
#: A label that no other node of a shared cluster has.
KEY = f"test.rackplane.dev/{WORD}"
RACK = f"{GROUP}/racks/{WORD}-1"
DOMAIN = f"{GROUP}/nvlinkdomains/{WORD}-1"
TEMPLATE: dict[str, Any] = {
    "profile": WORD,
    "limitWatts": 50_000,
    "feeds": [{"powerDomain": WORD, "weight": 1}, {"powerDomain": f"{WORD}-b", "weight": 1}],
}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with operated(
        tmp_path,
        fabric_labels=f"nvlink={KEY}",
        discovery=True,
        discovery_rack_labels="nvlink",
        discovery_rack_template=json.dumps(TEMPLATE),
        discovery_seconds=0.5,
    ) as site:
        site.made += [RACK, DOMAIN]
        yield site


async def add_node(site: Site, number: int) -> None:
    labels = {"kubernetes.io/hostname": f"{WORD}-{number}", KEY: f"{WORD}-1"}
    await site.create("/api/v1/nodes", {"metadata": {"name": f"{WORD}-{number}", "labels": labels}})


async def test_what_labels_say_is_written_and_what_a_person_says_stays(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await site.facility(
        "hardwareprofiles",
        WORD,
        gpuModel="test",
        gpusPerNode=4,
        nvlinkScope="Object",
        idleWatts=1,
        maxWatts=6_600,
    )
    for name in (WORD, f"{WORD}-b"):
        await site.facility("powerdomains", name, type="Busway", ratedWatts=100_000)
    for number in (0, 1):
        await add_node(site, number)

    def has_nodes(count: int) -> Any:
        return lambda found: (
            found["spec"].get("expectedNodes") == count and found.get("status", {}).get("nodes") == count
        )

    rack = await site.until(RACK, has_nodes(2))
    assert rack["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "rackplane-discovery"}
    assert rack["spec"]["nodeSelector"] == {KEY: f"{WORD}-1"}
    domain = await site.until(DOMAIN, lambda found: found.get("status", {}).get("nodes") == 2)
    assert domain["spec"]["nodeSelector"] == {KEY: f"{WORD}-1"}

    edited = [{"powerDomain": WORD, "weight": 3}, {"powerDomain": f"{WORD}-b", "weight": 1}]
    await site.patch(RACK, {"spec": {"limitWatts": 40_000, "feeds": edited, "state": "Draining"}})
    await add_node(site, 2)
    rack = await site.until(RACK, has_nodes(3))
    assert rack["spec"]["limitWatts"] == 40_000
    assert rack["spec"]["state"] == "Draining"
    assert {feed["powerDomain"]: feed["weight"] for feed in rack["spec"]["feeds"]} == {
        WORD: 3,
        f"{WORD}-b": 1,
    }

    def owners(found: Body) -> set[tuple[str, str]]:
        entries = found["metadata"]["managedFields"]
        return {(e["manager"], e["operation"]) for e in entries if "f:spec" in e.get("fieldsV1", {})}

    assert ("rackplane-discovery", "Apply") in owners(rack)

    template = tmp_path / "rack.yaml"
    template.write_text(json.dumps({**TEMPLATE, "limitWatts": 60_000}))
    words = [
        "discover",
        "--kubeconfig",
        site.kubeconfig,
        "--rack-labels=nvlink",
        f"--fabric-labels=nvlink={KEY}",
    ]
    assert await asyncio.to_thread(parser.main, [*words, "--rack-template", str(template)]) == 0
    shown = capsys.readouterr().out
    assert f"Kept as somebody else wrote it: Rack {WORD}-1: feeds, limitWatts" in shown
    assert "0 to create, 0 to change, 2 unchanged." in shown
