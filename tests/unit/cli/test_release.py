"""`rackplane release`: without the operator everything that waited for it runs, and nothing of a user's is touched."""

from __future__ import annotations

import pytest

from rackplane.api.admission import shipped_policies
from rackplane.cli.errors import CommandError
from rackplane.cli.release import Released, refuse_while_it_runs, release
from tests.support import foreign
from tests.support.harness import QUEUE, Harness, facility, started

BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/rackplane-system/leases"


def waiting() -> Harness:
    """A Job that runs, one that waits, one that its user suspended, and two of three pods of a gang."""
    h = started(facility(racks=1))
    h.apply(*shipped_policies())
    h.job("runs", slots=4, run=None)
    h.settle()
    h.job("waits", slots=2, run=None)
    h.job("users", slots=2, run=None)
    h.suspend("users", True)
    h.patch(
        "/apis/batch/v1/namespaces/default/jobs/users",
        {"metadata": {"annotations": {"rackplane.dev/suspended-by": None}}},
    )
    for i in range(2):
        h.pod(
            f"pair-{i}",
            labels={QUEUE: "research", "rackplane.dev/gang": "pair"},
            annotations={"rackplane.dev/gang-size": "3"},
        )
    h.settle()
    return h


def without_guard(h: Harness) -> None:
    for name in ("guard", "guard-jobs"):
        h.request("DELETE", f"{BINDINGS}rackplane-{name}")


async def let_all_go(h: Harness, *, do: bool = True) -> Released:
    """The operator is gone; the cluster goes on while the command waits."""

    async def pause() -> None:
        while any([h.cluster.settle() > 0, h.agents()]):
            pass

    return await release(h.cluster.client(), do=do, pause=pause)


def gated(h: Harness) -> list[str]:
    return [pod["metadata"]["name"] for pod in h.pods() if pod["spec"].get("schedulingGates")]


async def test_what_would_be_released_is_said_and_nothing_is_done() -> None:
    h = waiting()
    found = await let_all_go(h, do=False)
    assert (found.jobs, found.pods, found.refused) == (
        ["default/waits"],
        ["default/pair-0", "default/pair-1"],
        {},
    )
    assert h.get("batch", "jobs", "waits")["spec"]["suspend"] is True
    assert gated(h) == ["pair-0", "pair-1"]


async def test_all_that_waited_runs_and_a_users_own_suspension_stays() -> None:
    h = waiting()
    without_guard(h)
    found = await let_all_go(h)
    assert (found.jobs, found.refused) == (["default/waits"], {})
    while any([h.cluster.settle() > 0, h.agents()]):
        pass
    assert gated(h) == []
    job = h.get("batch", "jobs", "waits")
    assert job["spec"]["suspend"] is False
    assert "rackplane.dev/suspended-by" not in job["metadata"].get("annotations", {})
    # There is no GPU left for it: it waits for kube-scheduler now.
    assert {pod["status"].get("phase") for pod in h.pods_of("waits")} == {"Pending"}
    running = {pod["metadata"]["name"] for pod in h.pods() if pod["status"].get("phase") == "Running"}
    assert running >= {"pair-0", "pair-1"}
    assert h.get("batch", "jobs", "users")["spec"]["suspend"] is True
    assert (await let_all_go(h)).jobs == []


async def test_pods_of_a_job_that_ran_before_are_ungated_as_they_come() -> None:
    h = waiting()
    without_guard(h)
    h.patch(
        "/apis/batch/v1/namespaces/default/jobs/runs",
        {"spec": {"suspend": True}, "metadata": {"annotations": {"rackplane.dev/suspended-by": "rackplane"}}},
    )
    while any([h.cluster.settle() > 0, h.agents()]):
        pass
    found = await let_all_go(h)
    assert found.jobs == ["default/runs", "default/waits"]
    assert found.refused == {}
    while any([h.cluster.settle() > 0, h.agents()]):
        pass
    assert gated(h) == []
    running = [pod for pod in h.pods() if pod["status"].get("phase") == "Running"]
    assert len([p for p in running if p["metadata"]["name"].startswith(("runs", "waits"))]) == 4


async def test_where_the_guard_does_not_let_one_it_is_said_what_was_not_released_and_why() -> None:
    h = waiting()
    found = await let_all_go(h)
    assert sorted(found.refused) == ["Job default/waits", "Pod default/pair-0", "Pod default/pair-1"]
    assert all("only the Rackplane operator may" in why for why in found.refused.values())


@pytest.mark.parametrize("runs", [False, True])
async def test_workloads_of_other_projects_are_resumed_and_their_pods_let_go(runs: bool) -> None:
    h = started(facility(racks=1))
    h.apply(foreign.crd("JobSet"))
    h.controllers.append(foreign.jobset_controller)
    jobs = [foreign.replicated("work", pods=2, template=foreign.pod_template(4))]
    jobsets = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets"
    if not runs:
        h.job("before", slots=4, run=None)
        h.settle()
    h.request("POST", jobsets, foreign.workload("JobSet", "train", {"replicatedJobs": jobs}))
    h.request("POST", jobsets, foreign.workload("JobSet", "users", {"replicatedJobs": jobs, "suspend": True}))
    h.settle()
    h.request("DELETE", f"{BINDINGS}rackplane-guard")

    async def pause() -> None:
        while any([h.cluster.settle() > 0, foreign.jobset_controller(h), h.agents()]):
            pass

    found = await release(h.cluster.client(), do=True, pause=pause)
    assert (found.jobs, found.refused) == ([], {})
    assert found.workloads == ([] if runs else ["JobSet default/train"])
    assert len(found.pods) == (0 if runs else 2)
    train, users = (h.get("jobset.x-k8s.io", "jobsets", name) for name in ("train", "users"))
    assert (train["spec"]["suspend"], users["spec"]["suspend"]) == (False, True)
    assert gated(h) == []


async def test_while_the_operator_holds_its_lease_nothing_is_released() -> None:
    h = waiting()
    await refuse_while_it_runs(h.cluster.client(), "rackplane-system/rackplane")
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "rackplane"},
        "spec": {"holderIdentity": "rackplane-0"},
    }
    h.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "rackplane-system"}})
    h.request("POST", LEASE, lease)
    with pytest.raises(CommandError) as refused:
        await refuse_while_it_runs(h.cluster.client(), "rackplane-system/rackplane")
    assert str(refused.value) == (
        "the operator runs (rackplane-0 holds the Lease rackplane-system/rackplane) and would stop again what it "
        "did not start: kubectl -n rackplane-system scale deployment rackplane --replicas=0, or add --force"
    )
