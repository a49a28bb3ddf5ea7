"""The chart's hooks run commands of ours: with flags that these know, and the rights that these need, no more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from rackplane.cli.parser import main
from rackplane.cli.release import release
from rackplane.cli.trial import follow, job_of
from rackplane.cli.uninstall import uninstall
from rackplane.localcluster.faults import Asked
from tests.chart.helm import Manifest, find, hooks, render
from tests.support.deployed import LEASE, WithDeployment
from tests.support.harness import Harness, facility, started

FOREIGN = ("jobset.x-k8s.io", "kubeflow.org", "ray.io", "trainer.kubeflow.org")


def site() -> tuple[Harness, WithDeployment]:
    """A gang that runs and one that waits, under two operators."""
    h = started(facility(racks=1))
    for name, slots in (("runs", 4), ("waits", 2)):
        h.job(name, slots=slots, run=None)
        h.settle()
    h.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "rackplane-system"}})
    meta = {"name": LEASE.split("/")[-1], "namespace": "rackplane-system"}
    h.apply({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": {}})
    return h, WithDeployment(h)


def rights(manifests: Iterable[Manifest]) -> set[tuple[str, str, str, str]]:
    """(group, resource, verb, name) of every right; name "" is all names."""
    return {
        (group, resource, verb, name)
        for m in manifests
        if m["kind"] in ("ClusterRole", "Role")
        for rule in m["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def needed(client: WithDeployment, named: set[str]) -> set[tuple[str, str, str, str]]:
    """As `rights`, of what was asked for; by name where a right of these resources has one."""
    asked = [Asked.of(request) for request in client.asked]
    # A list has no name.
    return {(a.group, a.resource, a.verb, a.name if a.resource in named else "") for a in asked}


@pytest.mark.parametrize("let_go", [False, True])
async def test_the_uninstall_hook_has_the_rights_for_its_command_and_no_others(let_go: bool) -> None:
    # Policies of Ray's kinds are no matter for the embedded cluster.
    rendered = render({"uninstall": {"release": let_go}, "workloads": {"kinds": ["JobSet"]}})
    manifests = hooks(rendered, "pre-delete")
    h, client = site()
    for kind, name in (("racks", "r1"), ("hardwareprofiles", "small")):
        assert h.cluster.request("GET", f"/apis/rackplane.dev/v1alpha1/{kind}/{name}")["metadata"][
            "finalizers"
        ]
    h.pod("alone", gpus=1, labels={"rackplane.dev/queue": "research"})
    h.settle()
    group = "/apis/admissionregistration.k8s.io/v1"
    for plural in ("mutatingadmissionpolicies", "mutatingadmissionpolicybindings"):
        for each in h.cluster.request("GET", f"{group}/{plural}")["items"]:
            h.request("DELETE", f"{group}/{plural}/{each['metadata']['name']}")
    h.apply(*(m for m in rendered if "AdmissionPolicy" in m["kind"]))
    await uninstall(client, do=True, pause=client.pause)
    await release(client, do=let_go, pause=client.pause)
    given = rights(manifests)
    asked = needed(client, {resource for _, resource, _, name in given if name})
    # Nothing of other projects' kinds waits here: they are listed, and would be patched.
    listed = {(group, resource) for group, resource, verb, _ in asked if verb == "list" and group in FOREIGN}
    assert len(listed) == 6
    assert asked | {(*each, "patch", "") for each in listed if let_go} == given


async def test_the_test_hook_has_the_rights_for_its_command_and_no_others() -> None:
    manifests = hooks(render(), "test")
    h, client = site()
    body = job_of(
        "rackplane-try-1",
        namespace="default",
        queue="research",
        slots=1,
        resources={"nvidia.com/gpu": 1},
        image="i",
        command=["true"],
    )

    async def pause() -> None:
        h.advance(1)

    await follow(client, body, seconds=5, pause=pause, decided=True)
    assert needed(client, set()) == rights(manifests)


@pytest.mark.parametrize("when", ["pre-delete", "test"])
@pytest.mark.parametrize("values", [None, {"uninstall": {"release": True}, "helmTest": {"mustStart": True}}])
def test_the_commands_of_hooks_know_their_flags(
    when: str, values: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    manifests = hooks(render(values), when)
    kind = "Job" if when == "pre-delete" else "Pod"
    spec = find(manifests, kind)["spec"]
    pod = spec["template"]["spec"] if kind == "Job" else spec
    (container,) = pod["containers"]
    # The last flag is one that nobody can mean: all before it must have been understood to complain of it alone.
    with pytest.raises(SystemExit):
        main([*container["args"], "--no-such-flag"])
    assert "unrecognized arguments: --no-such-flag" in capsys.readouterr().err
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_hooks_are_not_taken_for_the_operator() -> None:
    manifests = render()
    selector = find(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items()
    pods = [
        find(hooks(manifests, "pre-delete"), "Job")["spec"]["template"]["metadata"],
        find(hooks(manifests, "test"), "Pod")["metadata"],
    ]
    assert [selector <= pod["labels"].items() for pod in pods] == [False, False]
    operator = find(manifests, "Deployment")["spec"]["template"]["metadata"]
    assert selector <= operator["labels"].items()
