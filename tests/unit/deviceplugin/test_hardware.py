"""What the GPUs of a node are, by the objects of the facility."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rackplane.deviceplugin.hardware import Facility, Hardware, Written, labels_of
from rackplane.nodeagent.node import Meta

RACK_UID, DOMAIN_UID = "6b1f9f0e-0000-4000-8000-000000000001", "6b1f9f0e-0000-4000-8000-000000000002"

GB300 = Hardware(
    model="NVIDIA GB300",
    resource="nvidia.com/gpu",
    count=4,
    # Half of what the node draws idle; what is left of idle and most, over four.
    host_watts=500,
    idle_watts=125,
    most_watts=1525,
    busy_percent=80,
)


def facility(**specs: Any) -> Facility:
    """One of each kind; `None` leaves it out, further fields are changed by `rack=`, `profile=`, `domain=`."""
    found = Facility()
    profile = {
        "gpuModel": "NVIDIA GB300",
        "gpusPerNode": 4,
        "nvlinkScope": "Object",
        "idleWatts": 1000,
        "maxWatts": 6600,
        "typicalUtilizationPercent": 80,
    }
    rack = {
        "profile": "gb300",
        "nodeSelector": {"rack": "r1"},
        "limitWatts": 132_000,
        "feeds": [{"powerDomain": "busway", "weight": 1}],
    }
    written = {
        "rack": ("Rack", "r1", RACK_UID, rack),
        "profile": ("HardwareProfile", "gb300", "", profile),
        "domain": ("NVLinkDomain", "nvl-r1", DOMAIN_UID, {"racks": ["r1"]}),
    }
    for key, (kind, name, uid, spec) in written.items():
        changes = specs.get(key, {})
        if changes is not None:
            kept = {k: v for k, v in (spec | changes).items() if v is not None}
            found.put(kind, Written(Meta(name=name, uid=uid), kept))
    return found


def test_its_rack_and_profile_say_what_there_is_and_its_domain_which_clique() -> None:
    assert facility().hardware("n0", {"rack": "r1"}) == replace(GB300, clique=f"{DOMAIN_UID}.0")


@pytest.mark.parametrize(
    ("specs", "clique"),
    [
        pytest.param(
            {"domain": {"racks": None, "nodeSelector": {"rack": "r1"}}}, f"{DOMAIN_UID}.0", id="selector"
        ),
        # The label is what such a domain is found by: it says nothing of who should have it.
        pytest.param({"domain": {"racks": None, "clique": "c.1"}}, "", id="by-the-label-itself"),
        pytest.param({"domain": None}, "", id="no-domain"),
        pytest.param(
            {"domain": None, "profile": {"nvlinkScope": "Label"}}, f"{RACK_UID}.0", id="one-to-a-rack"
        ),
        pytest.param({"domain": None, "profile": {"nvlinkScope": "Node"}}, "", id="ends-in-the-node"),
    ],
)
def test_the_clique_is_the_domain_or_else_the_rack(specs: dict[str, Any], clique: str) -> None:
    found = facility(**specs).hardware("n0", {"rack": "r1"})
    assert isinstance(found, Hardware)
    assert found.clique == clique


def test_what_the_rest_of_the_node_draws_may_be_given() -> None:
    found = facility(domain=None).hardware("n0", {"rack": "r1"}, host_watts=840)
    assert found == replace(GB300, host_watts=840, idle_watts=40, most_watts=1440)


@pytest.mark.parametrize(
    ("specs", "labels", "why"),
    [
        ({}, {"rack": "r2"}, "no Rack's nodeSelector matches the node"),
        ({"rack": None}, {"rack": "r1"}, "no Rack's nodeSelector matches the node"),
        ({"rack": {"feeds": []}}, {"rack": "r1"}, "Rack r1 is not valid"),
        (
            {"profile": None},
            {"rack": "r1"},
            "HardwareProfile gb300 of Rack r1 does not exist or is not valid",
        ),
        (
            {"profile": {"gpusPerNode": 0}},
            {"rack": "r1"},
            "HardwareProfile gb300 of Rack r1 does not exist or is not valid",
        ),
    ],
)
def test_without_a_valid_rack_and_profile_there_are_none_and_it_is_said_why(
    specs: dict[str, Any], labels: dict[str, str], why: str
) -> None:
    assert facility(**specs).hardware("n0", labels) == why


def test_a_node_that_two_racks_claim_has_none() -> None:
    found = facility()
    found.put("Rack", Written(Meta(name="r0"), {"nodeSelector": {"rack": "r1"}}))  # not even valid
    assert found.hardware("n0", {"rack": "r1"}) == "Racks r0 and r1 both claim the node"
    found.drop("Rack", "r0")
    assert isinstance(found.hardware("n0", {"rack": "r1"}), Hardware)


def test_a_host_that_draws_all_leaves_no_gpus() -> None:
    found = facility().hardware("n0", {"rack": "r1"}, host_watts=6_600)
    assert found == "6600 W for the host leave nothing of the 6600 W of HardwareProfile gb300"


@pytest.mark.parametrize(
    ("hardware", "labels"),
    [
        (replace(GB300, clique="c.0"), ("NVIDIA-GB300", "4", "c.0")),
        (GB300, ("NVIDIA-GB300", "4", None)),
        (replace(GB300, resource="amd.com/gpu", clique="c.0"), (None, None, "c.0")),
        (None, (None, None, None)),
    ],
)
def test_labels(hardware: Hardware | None, labels: tuple[str | None, ...]) -> None:
    keys = ("nvidia.com/gpu.product", "nvidia.com/gpu.count", "nvidia.com/gpu.clique")
    assert labels_of(hardware) == dict(zip(keys, labels, strict=True))
