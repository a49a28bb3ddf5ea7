"""`rackplane explain` beside the operator: the same objects, the same answer."""

from __future__ import annotations

from typing import Any

import msgspec

from rackplane.cli.answer import Answer, Outcome, answer_for, as_data
from rackplane.cli.cluster import read_cluster
from rackplane.core.objects import Job
from rackplane.core.offline import rehearsal
from rackplane.core.offline.snapshot import machine_of
from tests.support.harness import Harness, facility


async def asked(h: Harness, name: str) -> Answer:
    """What the command says of a gang now."""
    machine = machine_of(await read_cluster(h.cluster.client()), h.time.now)
    return answer_for(machine, ("default", name))


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return [without_none(item) for item in value] if isinstance(value, list) else value


def started() -> Harness:
    h = Harness()
    h.apply(*facility())
    h.start_machine()
    h.settle()
    return h


async def test_gangs_that_wait_get_the_answers_that_their_statuses_have() -> None:
    h = started()
    h.job("train", slots=6, run=None)
    h.settle()
    h.job("first", slots=4, run=None)
    h.job("second", slots=4, run=None)
    h.job("huge", slots=500, run=None)
    h.settle()
    places = {}
    for name in ("job-first", "job-second", "job-huge"):
        status, found = h.gang(name)["status"], await asked(h, name)
        assert (found.outcome, found.agrees, found.message) == (Outcome.WAITS, True, status["message"])
        data = as_data(found)
        assert without_none(data["explanation"]) == without_none(status["explanation"])
        assert data["explanation"]["reliefs"]
        assert data["estimatedStart"] == status.get("estimatedStart")
        places[name] = found.place
    assert places == {"job-first": (1, 3), "job-huge": (2, 3), "job-second": (3, 3)}


async def test_a_status_that_the_cluster_has_left_behind_is_shown_beside_the_answer() -> None:
    h = started()
    h.job("huge", slots=500, run=None)
    h.settle()
    gang = h.gang("job-huge")
    gang["status"]["message"] = "needs something else"
    h.cluster.request("PUT", "/apis/rackplane.dev/v1alpha1/namespaces/default/gangs/job-huge/status", gang)
    found = await asked(h, "job-huge")
    assert not found.agrees
    assert as_data(found)["statusSays"] == "needs something else"


async def test_a_gang_that_runs_holds_what_the_operator_reserved() -> None:
    h = started()
    h.job("train", slots=2, run=None)
    h.settle()
    status = h.gang("job-train")["status"]
    found = await asked(h, "job-train")
    data = as_data(found)
    assert (found.outcome, status["phase"]) == (Outcome.PLACED, "Running")
    assert data["placement"]["assignment"] == status["assignment"]
    assert data["placement"]["nominalWatts"] == status["reservedNominalWatts"]
    racks = [r for r in data["reserves"] if r["kind"] == "Rack"]
    assert sum(r["addedWatts"] for r in racks) == status["reservedNominalWatts"]


async def test_a_job_is_rehearsed_as_the_admission_policy_would_store_it() -> None:
    h = Harness()  # no operator: what is stored is the policies' work alone
    labels = {"rackplane.dev/queue": "research"}
    container = {"name": "main", "image": "example", "resources": {"limits": {"nvidia.com/gpu": "4"}}}
    for name, more in (("plain", {}), ("suspended", {"suspend": True})):
        body: dict[str, Any] = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": "default", "labels": labels},
            "spec": {
                "parallelism": 2,
                "completions": 2,
                "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
                **more,
            },
        }
        h.apply(body)
        stored = msgspec.convert(
            h.cluster.request("GET", f"/apis/batch/v1/namespaces/default/jobs/{name}"), type=Job
        )
        rehearsed = rehearsal.submitted(msgspec.convert(body, type=Job))
        for of_both in ("suspend", "parallelism", "completions"):
            assert getattr(rehearsed.spec, of_both) == getattr(stored.spec, of_both)
        assert rehearsed.metadata.annotations == stored.metadata.annotations
        assert rehearsed.spec.template.spec == stored.spec.template.spec
        wanted = rehearsed.spec.template.metadata.labels
        assert wanted.items() <= stored.spec.template.metadata.labels.items()
