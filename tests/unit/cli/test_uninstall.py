"""`rackplane uninstall`: nothing is left that would need the operator, and who waits for it is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rackplane.api.admission import shipped_policies
from rackplane.cli import uninstall as command
from rackplane.cli.errors import CommandError
from rackplane.cli.release import release
from rackplane.cli.uninstall import Uninstalled, uninstall
from rackplane.kube.client import ApiError, Client
from tests.support.deployed import LEASE, SCALE, WithDeployment
from tests.support.harness import Harness, facility, started

OPERATOR = "rackplane-system/rackplane"
QUEUED = ("jobs", "jobsets", "mpijobs", "pods", "pytorchjobs", "trainjobs")
JUDGING = ("check-jobs", "check-pods", "guard", "guard-jobs")
POLICIES = [
    *(f"mutatingadmissionpolicybindings rackplane-queue-{plural}" for plural in QUEUED),
    *(f"validatingadmissionpolicybindings rackplane-{name}" for name in JUDGING),
    *(f"mutatingadmissionpolicies rackplane-queue-{plural}" for plural in QUEUED),
    *(f"validatingadmissionpolicies rackplane-{name}" for name in JUDGING),
]
IN_USE = [
    "CoolingZone air",
    "CoolingZone liquid",
    "HardwareProfile small",
    "PowerDomain a",
    "PowerDomain b",
    "PowerDomain row",
    "Rack r1",
]
TAINTED = [f"Node r1-n{index}" for index in range(4)]


def site(**settings: Any) -> tuple[Harness, WithDeployment]:
    h = started(facility(racks=1))
    h.apply(*shipped_policies())
    h.job("runs", slots=4, run=None)
    h.settle()
    h.job("waits", slots=2, run=None)
    h.settle()
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"holderIdentity": "a"}}
    h.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "rackplane-system"}})
    h.apply({**lease, "metadata": {"name": "rackplane", "namespace": "rackplane-system"}})
    return h, WithDeployment(h, **settings)


async def done(client: WithDeployment, do: bool = True, **named: str) -> Uninstalled:
    it: Client = client
    return await uninstall(it, do=do, pause=client.pause, **named)


def finalizers(h: Harness) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind in ("hardwareprofiles", "powerdomains", "racks", "coolingzones"):
        for each in h.cluster.store.items(("rackplane.dev", kind)):
            if each["metadata"].get("finalizers"):
                found[each["metadata"]["name"]] = each["metadata"]["finalizers"]
    return found


def policies(h: Harness) -> list[Mapping[str, Any]]:
    group = "admissionregistration.k8s.io"
    return [
        each
        for plural in {name.split()[0] for name in POLICIES}
        for each in h.cluster.store.items((group, plural))
    ]


async def test_what_would_be_done_is_said_and_nothing_is() -> None:
    h, client = site()
    before = finalizers(h)
    assert await done(client, do=False) == Uninstalled(POLICIES, OPERATOR, IN_USE, TAINTED, {})
    assert (finalizers(h), len(policies(h)), client.replicas, client.order) == (before, len(POLICIES), 2, [])


async def test_policies_go_first_then_the_operator_then_finalizers_and_running_work_stays() -> None:
    h, client = site()
    h.patch(
        "/apis/rackplane.dev/v1alpha1/racks/r1",
        {"metadata": {"finalizers": ["rackplane.dev/in-use", "a.b/c"]}},
    )
    assert await done(client) == Uninstalled(POLICIES, OPERATOR, IN_USE, TAINTED, {})
    assert [n["spec"].get("taints") for n in h.cluster.store.items(("", "nodes"))] == [None] * 4
    taken_off = [*["coolingzones"] * 2, "hardwareprofiles", *["powerdomains"] * 3, "racks"]
    places = [what.split()[0] for what in POLICIES]
    assert client.order == [*places, "operator", *taken_off, *["nodes"] * 4]
    assert (finalizers(h), policies(h)) == ({"r1": ["a.b/c"]}, [])
    assert {pod["status"]["phase"] for pod in h.pods_of("runs")} == {"Running"}
    # Who waits goes on waiting, and is named.
    assert (await release(h.cluster.client(), do=False)).jobs == ["default/waits"]
    # Once more, there is nothing left to do.
    assert await done(client) == Uninstalled([], OPERATOR, [], [], {})


async def test_policies_of_another_release_stay() -> None:
    h, client = site()
    assert (await done(client, name="other")).policies == []
    assert len(policies(h)) == len(POLICIES)


async def test_what_is_refused_is_named_and_the_rest_is_done() -> None:
    h, client = site(refuse="racks/r1")
    found = await done(client)
    assert found == Uninstalled(POLICIES, OPERATOR, IN_USE[:-1], TAINTED, {"Rack r1": "not you"})
    assert finalizers(h) == {"r1": ["rackplane.dev/in-use"]}


async def test_an_operator_that_does_not_end_keeps_its_finalizers() -> None:
    h, client = site(seconds=1e9)
    before = finalizers(h)
    with pytest.raises(CommandError) as error:
        await done(client)
    assert str(error.value) == (
        "the operator did not end within 60 s: a still holds the Lease rackplane-system/rackplane. See its log; if the "
        "process is gone, kubectl -n rackplane-system delete lease rackplane, and once more"
    )
    assert finalizers(h) == before and policies(h) == []


async def test_where_the_deployment_is_gone_already_the_rest_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    h, _ = site()
    h.request("DELETE", LEASE)

    class Gone(WithDeployment):
        async def request(self, method: str, path: str, **rest: Any) -> bytes:
            if path == SCALE:
                raise ApiError(404, "NotFound", "no such Deployment")
            return await super().request(method, path, **rest)

    assert await done(Gone(h)) == Uninstalled(POLICIES, "", IN_USE, TAINTED, {})
    assert finalizers(h) == {}


@pytest.mark.parametrize("flag", ["deployment", "lease"])
async def test_a_name_without_a_namespace_is_refused(flag: str) -> None:
    _, client = site()
    with pytest.raises(CommandError, match=f"--{flag} rackplane: write NAMESPACE/NAME"):
        await done(client, True, **{flag: "rackplane"})


async def test_what_is_printed() -> None:
    h, client = site()
    did = await done(client)
    waiting = await release(h.cluster.client(), do=False)
    assert list(command._lines(did, waiting, did=True, released=False)) == [
        f"{len(POLICIES)} admission policies and bindings deleted.",
        *(f"  {what}" for what in POLICIES),
        "The operator scaled to no replicas: Deployment rackplane-system/rackplane.",
        "7 objects without our finalizer.",
        *(f"  {what}" for what in IN_USE),
        "4 nodes without our taint.",
        "1 Jobs that Rackplane suspended and 0 pods at its gate still wait:",
        "  Job default/waits",
        "Nobody will start them: `rackplane release --yes` does, without a place.",
    ]
