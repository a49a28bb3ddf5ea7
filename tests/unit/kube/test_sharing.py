"""What objects have in common is kept once, and what an object says stays the same."""

from __future__ import annotations

from typing import Any

import msgspec

from rackplane.core.objects import Node, Pod
from rackplane.kube import sharing
from rackplane.kube.sharing import Sharer

_pod = msgspec.json.Decoder(Pod).decode
_node = msgspec.json.Decoder(Node).decode


def pod(number: int, **annotations: str) -> bytes:
    meta: dict[str, Any] = {
        "name": f"worker-{number}",
        "namespace": "ml",
        "uid": f"u{number}",
        "resourceVersion": "7",
    }
    meta["labels"] = {"app": "train"}
    meta["annotations"] = annotations
    meta["ownerReferences"] = [{"kind": "Job", "name": "train", "uid": "j", "controller": True}]
    asked = {"nvidia.com/gpu": "4"}
    spec = {"nodeName": f"n{number}", "containers": [{"name": "main", "resources": {"requests": asked}}]}
    spec["tolerations"] = [{"key": "gpu", "operator": "Exists"}]
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": str(number)}],
    }
    return msgspec.json.encode({"metadata": meta, "spec": spec, "status": status})


def test_two_pods_of_a_kind_share_all_that_is_alike() -> None:
    share = Sharer()
    one, two = share(_pod(pod(1))), share(_pod(pod(2)))
    assert one.spec.containers is two.spec.containers
    assert one.spec.tolerations is two.spec.tolerations
    assert one.spec.node_selector is two.spec.node_selector
    assert one.status.conditions is two.status.conditions
    assert one.metadata.owner_references is two.metadata.owner_references
    assert one.metadata.labels is two.metadata.labels
    assert (one.metadata.name, one.spec.node_name) == ("worker-1", "n1")
    assert (two.metadata.name, two.spec.node_name) == ("worker-2", "n2")


def test_an_object_that_shares_is_equal_to_one_that_does_not() -> None:
    share = Sharer()
    for number in (1, 2, 3):
        assert share(_pod(pod(number))) == _pod(pod(number))
    node = msgspec.json.encode(
        {"metadata": {"name": "n1"}, "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}, "status": {}}
    )
    assert share(_node(node)) == _node(node)


def test_an_empty_list_never_stands_for_an_empty_dict() -> None:
    bare = Sharer()(_pod(b'{"metadata": {"name": "a"}}'))
    assert bare == _pod(b'{"metadata": {"name": "a"}}')
    assert (type(bare.metadata.labels), type(bare.spec.tolerations)) == (dict, list)


def test_annotations_that_nobody_reads_are_dropped() -> None:
    notes = {
        "rackplane.dev/slot": "3",
        "batch.kubernetes.io/job-completion-index": "3",
        "example.com/note": "x" * 9_000,
    }
    kept = Sharer()(_pod(pod(1, **notes))).metadata.annotations
    assert kept == {"rackplane.dev/slot": "3", "batch.kubernetes.io/job-completion-index": "3"}
    assert Sharer(annotations=("",))(_pod(pod(1, **notes))).metadata.annotations == notes


def test_only_so_many_parts_are_remembered(monkeypatch: Any) -> None:
    monkeypatch.setattr(sharing, "PARTS_KEPT", 20)
    share = Sharer()
    for number in range(100):
        meta = {"name": f"p{number}", "labels": {"statefulset.kubernetes.io/pod-name": f"p{number}"}}
        assert share(_pod(msgspec.json.encode({"metadata": meta}))).metadata.labels == meta["labels"]
        assert len(share._known) <= 20
