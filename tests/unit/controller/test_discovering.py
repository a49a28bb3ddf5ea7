"""Discovery within the operator: only while it leads, and a refusal is logged once and tried again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from structlog.testing import capture_logs

from rackplane.api.crd import crd
from rackplane.api.fabric import RACK_LABELS, fabric_of
from rackplane.api.kinds import KINDS
from rackplane.controller.discovering import Discoverer
from rackplane.core.discovery.template import read_template
from rackplane.core.objects import Metadata, Node
from rackplane.localcluster import LocalCluster

RACKS = "/apis/rackplane.dev/v1alpha1/racks"
TEMPLATE = read_template("limitWatts: 132000\nfeeds: [{powerDomain: a, weight: 1}]")


class Site:
    def __init__(self, *, template: bool = True) -> None:
        self.cluster = LocalCluster()
        for model in KINDS:
            self.cluster.apply(crd(model))
        self.leads = True
        self.nodes = [self.node("n1", "r1")]
        self.discoverer = Discoverer(
            self.cluster.client(),
            nodes=lambda: self.nodes,
            fabric=fabric_of(),
            rack_labels=RACK_LABELS,
            template=TEMPLATE if template else None,
            leading=lambda: self.leads,
            seconds=60,
            sleep=self.sleep,
        )
        self.slept: list[float] = []

    def node(self, name: str, rack: str) -> Node:
        labels = {"rackplane.dev/rack": rack, "nvidia.com/gpu.product": "NVIDIA-GB300"}
        return Node(Metadata(name=name, labels=labels))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == 3:
            raise asyncio.CancelledError

    async def run(self) -> list[Any]:
        """Three looks, and what was logged."""
        self.slept.clear()
        with capture_logs() as logs, contextlib.suppress(asyncio.CancelledError):
            await self.discoverer.run()
        assert self.slept == [60, 60, 60]
        return [(entry["event"], entry.get("name") or entry.get("problem")) for entry in logs]

    def racks(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.cluster.request("GET", RACKS)["items"]]


async def test_racks_are_written_once_while_it_leads() -> None:
    site = Site()
    site.leads = False
    assert await site.run() == []
    assert site.racks() == []
    site.leads = True
    assert await site.run() == [("discovered", "r1")]
    site.nodes.append(site.node("n2", "r2"))
    assert await site.run() == [("discovered", "r2")]
    assert site.racks() == ["r1", "r2"]


async def test_what_cannot_be_written_is_said_once() -> None:
    site = Site(template=False)
    [(event, problem)] = await site.run()
    assert event == "not discovered" and problem.startswith(
        "Rack: labels name 1 rack (r1), but not what they may draw"
    )
    assert await site.run() == []


async def test_a_rack_of_somebody_else_is_left_alone() -> None:
    site = Site()
    body = {
        "apiVersion": "rackplane.dev/v1alpha1",
        "kind": "Rack",
        "metadata": {"name": "r1"},
        "spec": {
            "profile": "p",
            "nodeSelector": {"a": "b"},
            "limitWatts": 1,
            "feeds": [{"powerDomain": "x", "weight": 1}],
        },
    }
    site.cluster.apply(body)
    before = site.cluster.request("GET", f"{RACKS}/r1")
    assert await site.run() == []
    assert site.cluster.request("GET", f"{RACKS}/r1") == before


async def test_a_cluster_that_does_not_answer_is_asked_again() -> None:
    site = Site()
    site.cluster.request(
        "DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/racks.rackplane.dev"
    )
    site.cluster.settle()
    [(event, problem)] = await site.run()
    assert event == "not discovered" and problem.startswith("the facility cannot be listed")
    site.cluster.apply(next(crd(model) for model in KINDS if model.info.kind == "Rack"))
    assert await site.run() == [("discovered", "r1")]
