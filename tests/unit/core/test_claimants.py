"""Which pods use which ResourceClaim, as pods come, change and go."""

from __future__ import annotations

from typing import Any

import msgspec

from rackplane.core import events as e
from rackplane.core.claims import ResourceClaim
from rackplane.core.objects import Pod
from rackplane.core.pods.claimants import Claimants
from tests.support.harness import started

TEMPLATE = {"name": "gpu", "resourceClaimTemplateName": "one"}


def pod(name: str, *claims: dict[str, Any], made: str | None = None) -> Pod:
    statuses = [{"name": "gpu", "resourceClaimName": made}] if made else []
    body = {
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"resourceClaims": list(claims)},
        "status": {"resourceClaimStatuses": statuses},
    }
    return msgspec.convert(body, Pod)


def test_pods_are_found_by_what_they_name_and_by_what_was_made_for_them() -> None:
    users = Claimants()
    shared = {"name": "net", "resourceClaimName": "shared"}
    first, second = pod("a", shared), pod("b", shared, TEMPLATE)
    assert [users.put(None, first), users.put(None, second), users.put(first, first)] == [True, True, False]
    later = pod("b", shared, TEMPLATE, made="b-gpu")
    assert users.put(second, later)
    assert list(users.of(("ns", "shared"))) == [("ns", "a"), ("ns", "b")]
    assert list(users.of(("ns", "b-gpu"))) == [("ns", "b")]
    assert users.put(first, None)
    assert users.put(later, None)
    assert [list(users.of(("ns", name))) for name in ("shared", "b-gpu")] == [[], []]


def test_a_claim_that_is_allocated_counts_on_the_node_of_its_pod_and_changes_no_other() -> None:
    h = started()
    body = {
        "metadata": {"name": "other", "namespace": "default", "uid": "1"},
        "spec": {"nodeName": "r1-n0", "resourceClaims": [TEMPLATE], "containers": [{}]},
        "status": {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "other-gpu"}]},
    }
    h.machine.handle(h.time(), e.PodChanged(msgspec.convert(body, Pod)))
    state = h.machine.state
    assert state is not None
    assert state.unmanaged_gpus("r1-n0") == 4  # nothing is known of it yet: it may hold all
    allocation = {"devices": {"results": [{"driver": "gpu.nvidia.com"}]}}
    claim: dict[str, Any] = {
        "metadata": {"name": "other-gpu", "namespace": "default", "ownerReferences": [{"kind": "Pod"}]},
        "status": {"allocation": allocation},
    }
    h.machine.handle(h.time(), e.ClaimChanged(msgspec.convert(claim, ResourceClaim)))
    assert state.unmanaged_gpus("r1-n0") == 1
    version = h.machine.world.version
    elsewhere = {**claim, "metadata": {**claim["metadata"], "name": "third"}}
    h.machine.handle(h.time(), e.ClaimChanged(msgspec.convert(elsewhere, ResourceClaim)))
    assert h.machine.world.version == version
    h.machine.handle(h.time(), e.ClaimDeleted("default", "other-gpu"))
    assert state.unmanaged_gpus("r1-n0") == 4
