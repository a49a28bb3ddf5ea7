"""Levels of one's own: NVLink domains of several sub-domains, from node labels to where the pods run."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from rackplane.api.fabric import parse_fabric
from rackplane.core.settings import MachineSettings
from tests.support.harness import Harness, facility, node, started

SUB = "accelerator.topograph.run/sub-domain"
REQUIRED, PREFERRED = "rackplane.dev/required-topology", "rackplane.dev/preferred-topology"


def hall() -> Harness:
    """One NVLink domain over racks r1 and r2, each of them a sub-domain of four nodes; one more domain in r3."""
    made = [o for o in facility(racks=3, nodes=0) if o["kind"] != "NVLinkDomain"]
    for rack in ("r1", "r2", "r3"):
        for n in range(4):
            one: dict[str, Any] = node(f"{rack}-n{n}", rack)
            one["metadata"]["labels"] |= {
                "accelerator.topograph.run/domain": "far" if rack == "r3" else "near",
                SUB: f"part-{rack}",
                "fabric.topograph.run/tier-0": "leaf-1",
                "example.com/campus": "east",
            }
            made.append(one)
    fabric = parse_fabric("sub-domain,nvlink,leaf,campus", "campus=example.com/campus")
    return started(made, settings=MachineSettings(validate=True, fabric=fabric))


def racks_of(h: Harness, job: str) -> dict[str, int]:
    return dict(Counter(pod["spec"]["nodeName"].partition("-")[0] for pod in h.pods_of(job)))


@pytest.mark.parametrize(
    ("level", "slots", "racks"),
    [
        ("sub-domain", 4, {"r3": 4}),
        ("nvlink", 6, {"r1": 4, "r2": 2}),
        ("campus", 12, {"r1": 4, "r2": 4, "r3": 4}),
        ("example.com/campus", 12, {"r1": 4, "r2": 4, "r3": 4}),
        (SUB, 4, {"r3": 4}),
    ],
)
def test_a_gang_lies_in_one_domain_of_the_level_it_requires(
    level: str, slots: int, racks: dict[str, int]
) -> None:
    h = hall()
    key = "kueue.x-k8s.io/podset-required-topology" if "/" in level else REQUIRED
    h.job("train", slots=slots, annotations={key: level})
    h.until(lambda: h.phase("job-train") == "Running", seconds=20)
    assert racks_of(h, "train") == racks


def test_required_and_preferred_together() -> None:
    h = hall()
    h.job("first", slots=3, annotations={REQUIRED: "nvlink"}, run=None)
    h.until(lambda: h.phase("job-first") == "Running", seconds=20)
    # Five do not fit any sub-domain, so the wish gives way, and the domain does not.
    h.job("second", slots=5, annotations={PREFERRED: "sub-domain", REQUIRED: "nvlink"}, run=None)
    h.until(lambda: h.phase("job-second") == "Running", seconds=20)
    assert sum(racks_of(h, "second").values()) == 5
    assert set(racks_of(h, "second")) == {"r1", "r2"}


def test_a_sub_domain_that_is_too_small_and_a_level_that_is_not_there_are_told() -> None:
    h = hall()
    h.job("wide", slots=5, annotations={REQUIRED: "sub-domain"})
    h.job("lost", slots=1, annotations={REQUIRED: "spine"})
    h.advance(2)
    said = {name: h.gang(f"job-{name}")["status"]["message"] for name in ("wide", "lost")}
    assert "needs 5 nodes of 4 GPUs in one sub-domain; the largest" in said["wide"]
    assert (
        "the required topology level spine does not exist; the levels are sub-domain, nvlink, leaf, campus"
        in said["lost"]
    )
    h.node_ready("r1-n0", False)  # whoever waits is asked anew
    h.advance(2)
    assert h.gang("job-lost")["status"]["message"] == said["lost"]
