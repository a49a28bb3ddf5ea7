"""The requests of docs/facility-events.md, as they stand there, sent to the real endpoint."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from rackplane.api.crd import crd
from rackplane.api.kinds import KINDS
from rackplane.controller.reports.desk import Desk
from rackplane.controller.reports.server import PATHS, ReportServer, Tokens
from rackplane.core.site.facility import Catalog
from rackplane.core.site.reports import heard
from rackplane.localcluster import LocalCluster
from tests.support.harness import facility, thing

PAGE = Path(__file__).parents[2] / "docs" / "facility-events.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
TOKEN = "0123456789abcdef"


def test_every_path_is_shown() -> None:
    assert {path for block in BLOCKS for path in PATHS if f"$URL{path}" in block} == set(PATHS)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page shows curl")
async def test_the_page_is_taken_as_it_stands(tmp_path: Path) -> None:
    cluster, catalog = LocalCluster(), Catalog()
    for model in KINDS:
        cluster.apply(crd(model))
    curve = [{"supplyCelsius": 30, "percent": 100}, {"supplyCelsius": 50, "percent": 50}]
    unit = {"name": "cdu-1", "capacityWatts": 1_000}
    own = [
        thing("PowerDomain", "ups-a", type="UPS", ratedWatts=1_000_000, feedTag="main-a"),
        thing(
            "CoolingZone",
            "row-1",
            medium="Liquid",
            units=[unit],
            neededUnits=1,
            supplyCelsius=30,
            deratingCurve=curve,
        ),
    ]
    for body in (*facility(), *own):
        if body["kind"] != "Node":
            catalog.put(body["kind"], body["metadata"]["name"], cluster.apply(body))
    (tmp_path / "bms").write_text(TOKEN)
    client: Any = cluster.client()
    counted: list[tuple[str, str]] = []
    desk = Desk(
        client=client, elements=catalog.elements, count=lambda s, r: counted.append((s, r)), clock=time.time
    )
    server = ReportServer(
        desk=desk,
        tokens=Tokens(str(tmp_path)),
        count=lambda s, r: counted.append((s, r)),
        ready=lambda: True,
        clock=time.time,
        host="127.0.0.1",
        port=0,
    )
    async with server:
        for block in BLOCKS:
            environment = {"URL": f"http://127.0.0.1:{server.port}", "TOKEN": TOKEN, "PATH": "/usr/bin:/bin"}
            process = await asyncio.create_subprocess_exec(
                "bash", "-ec", block, env=environment, stdout=asyncio.subprocess.PIPE
            )
            answer, _ = await process.communicate()
            assert process.returncode == 0, (block, answer)
            for text in re.findall(r"\{\"results\".*?\]\}", answer.decode()):
                assert json.loads(text)["results"], block

    def said(plural: str, name: str) -> dict[tuple[str, str, str], object]:
        body = cluster.request("GET", f"/apis/rackplane.dev/v1alpha1/{plural}/{name}")
        return {h.key: h.value for h in heard(body["status"])}

    assert {result for _, result in counted} <= {"taken", "outdated", "repeated"}
    assert said("coolingzones", "row-1") == {
        ("bms", "Unit", "cdu-1"): "Offline",
        ("bms", "SupplyCelsius", ""): 38,
    }
    assert said("racks", "r1") == {("bms", "Leak", ""): "Warning"}
    budgets = cluster.request("GET", "/apis/rackplane.dev/v1alpha1/powerbudgets")["items"]
    assert sorted((b["spec"]["correlationId"], b["spec"]["limitWatts"]) for b in budgets) == [
        ("peak-1", 600_000),
        ("peak-2", 600_000),
        ("peak-3", 600_000),
    ]
