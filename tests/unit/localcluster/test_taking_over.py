"""A cluster that takes over what another was given is as if it had been given that itself."""

from __future__ import annotations

import pytest

from rackplane.api.admission import shipped_policies
from rackplane.api.crd import crd
from rackplane.api.kinds import KINDS
from rackplane.localcluster import LocalCluster
from rackplane.localcluster.errors import ApiError
from rackplane.localcluster.objects import Obj
from tests.support.harness import thing

NOW = 1_700_000_000.0
QUEUE = "/apis/rackplane.dev/v1alpha1/queues"


def cluster(**options: int) -> LocalCluster:
    return LocalCluster(clock=lambda: NOW, seed=3, **options)


def installed() -> LocalCluster:
    made = cluster()
    for each in (*(crd(model) for model in KINDS), *shipped_policies()):
        made.apply(each)
    return made


def everything(of: LocalCluster) -> dict[tuple[str, str], list[Obj]]:
    return {resource: of.store.items(resource) for resource in of.store.resources()}


def test_it_has_the_same_objects_history_and_what_comes_next() -> None:
    first, second = installed(), cluster()
    at_first = second.store.revision
    second.take_over(first)
    assert everything(second) == everything(first)
    assert second.store.revision == first.store.revision
    for resource in first.store.resources():
        assert second.store.since(resource, at_first) == first.store.since(resource, at_first)
    assert second.apply(thing("Queue", "research")) == first.apply(thing("Queue", "research"))


def test_definitions_and_policies_are_in_force() -> None:
    taken = cluster()
    taken.take_over(installed())
    with pytest.raises(ApiError, match=r"spec\.ratedWatts"):
        taken.apply(thing("PowerDomain", "a", type="UPS", ratedWatts="many"))
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "a", "namespace": "default", "labels": {"rackplane.dev/queue": "research"}},
        "spec": {
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "train:1"}]}
            }
        },
    }
    stored = taken.request("POST", "/apis/batch/v1/namespaces/default/jobs", job)
    assert stored["spec"]["suspend"] is True


def test_neither_sees_what_is_written_to_the_other() -> None:
    first, second = installed(), cluster()
    second.take_over(first)
    before = everything(first)
    name = "queues.rackplane.dev"
    second.apply(thing("Queue", "research"))
    second.request("DELETE", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
    second.settle()
    with pytest.raises(ApiError, match="404 page not found"):
        second.request("GET", QUEUE)
    assert everything(first) == before
    assert first.request("GET", QUEUE)["items"] == []


def test_controllers_have_seen_it_all() -> None:
    """What is collected with its owner is, though the owner was there before."""
    first = installed()
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}
    owner = first.apply(config)
    second = cluster()
    second.take_over(first)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": owner["metadata"]["uid"]}
    second.apply(
        {**config, "metadata": {"name": "b", "namespace": "default", "ownerReferences": [reference]}}
    )
    second.request("DELETE", "/api/v1/namespaces/default/configmaps/a")
    second.settle()
    assert second.store.get(("", "configmaps"), "default", "b") is None
    assert first.store.get(("", "configmaps"), "default", "a") is not None
