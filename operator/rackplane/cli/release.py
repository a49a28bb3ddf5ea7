"""`rackplane release`: the way out. Everything that waits or was stopped for Rackplane's sake starts, placed by nobody.

For the day on which the operator cannot be used: its pods are ungated and its Jobs resumed, by the rights of whoever
runs the command. Nothing of a user's is touched beyond that: a Job that its user suspended stays suspended.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rackplane.cli.cluster import (
    add_cluster_arguments,
    connected,
    in_namespace,
    lease_holder,
    listed,
    refusal,
)
from rackplane.cli.errors import CommandError, Exit
from rackplane.cli.output import add_output_arguments, is_data, print_data

if TYPE_CHECKING:  # Reading a cluster takes a third of a second to import, and --help shall not.
    from rackplane.core.objects import Job, Pod
    from rackplane.kube.client import Client

__all__ = ["Released", "add", "release"]

_EXAMPLES = """\
examples:
  kubectl -n rackplane-system scale deployment rackplane --replicas=0
  rackplane release                          what would be released; nothing is done
  rackplane release --yes                    do it
  rackplane release --yes -n research        in one namespace

Pods without a place lose the scheduling gate rackplane.dev/placement and get a toleration of the taint
rackplane.dev/managed; Jobs and other workloads that Rackplane suspended are resumed. kube-scheduler then starts them
wherever there is room for a pod: gangs are split, and no limit of power or cooling is looked at.

The guard of the chart lets nobody but the operator remove the gate or resume the Jobs: be in
admission.guard.exemptUsers or exemptGroups, or delete its ValidatingAdmissionPolicyBindings first. Jobs that are
created later are suspended and gated as before as long as the chart's MutatingAdmissionPolicyBindings are there; each
run of the command releases what there is then.

exit codes:
  0  all that was found was released, or would be
  1  the operator still runs: nothing was done
  3  the cluster cannot be read
  4  something was not released; it is named
"""
_ROUNDS = 10
"""How often pods that a resumed Job makes are looked for."""


@dataclass(slots=True)
class Released:
    """What was found, by "namespace/name", and what stood in the way."""

    jobs: list[str] = field(default_factory=list)
    workloads: list[str] = field(default_factory=list)
    """Of other projects' kinds, with the kind before the name."""
    pods: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """"Job ns/name" or "Pod ns/name" -> why."""


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "release",
        description="Takes the gate off every pod that waits, and resumes every Job that Rackplane suspended.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--yes", action="store_true", help="do it; without this it is only said what would be done"
    )
    parser.add_argument("-n", "--namespace", help="in this namespace only (default: in all)")
    parser.add_argument(
        "--force",
        action="store_true",
        help="though the operator runs, which stops again what it did not start",
    )
    parser.add_argument(
        "--lease", default="rackplane-system/rackplane", metavar="NS/NAME", help="the operator's Lease"
    )
    add_cluster_arguments(parser)
    add_output_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Release, or say what would be; 0 if nothing stood in the way, 4 if something did.

    Raises:
        CommandError: the cluster cannot be read, or the operator runs.
    """
    found = asyncio.run(_on_cluster(options))
    if is_data(options):
        data = {
            "done": options.yes,
            "jobs": found.jobs,
            "workloads": found.workloads,
            "pods": found.pods,
            "refused": found.refused,
        }
        print_data(data, options)
    else:
        _show(found, done=options.yes)
    return Exit.PARTLY if found.refused else Exit.YES


async def _on_cluster(options: argparse.Namespace) -> Released:
    async with connected(options.kubeconfig, options.context) as client:
        if not options.force:
            await refuse_while_it_runs(client, options.lease)
        return await release(client, namespace=options.namespace, do=options.yes)


async def refuse_while_it_runs(client: Client, lease: str) -> None:
    """The operator takes back what it did not start: it must be gone first.

    Raises:
        CommandError: somebody holds its Lease, or the name is none.
    """
    namespace, name = in_namespace("--lease", lease)
    if holder := await lease_holder(client, lease):
        raise CommandError(
            f"the operator runs ({holder} holds the Lease {lease}) and would stop again what it did not start: "
            f"kubectl -n {namespace} scale deployment {name} --replicas=0, or add --force",
            code=Exit.NO,
        )


async def release(
    client: Client,
    *,
    namespace: str | None = None,
    do: bool,
    pause: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(1.0),
) -> Released:
    """Resume the Jobs that Rackplane suspended and ungate the pods that wait; ``do`` False: only look.

    Args:
        pause: waits for pods of the Jobs that were resumed.

    Raises:
        CommandError: Jobs or pods cannot be listed.
    """
    from rackplane.kube.resources import PODS

    found = Released()
    jobs = [job for job in await _jobs(client, namespace) if _is_ours(job)]
    for job in jobs:
        name = f"{job.metadata.namespace}/{job.metadata.name}"
        why = await _resume(client, job) if do else ""
        if why:
            found.refused[f"Job {name}"] = why
        else:
            found.jobs.append(name)
    for what, path, body in await _workloads(client, namespace):
        why = await _patch(client, path, body, merge=True) if do else ""
        if why:
            found.refused[what] = why
        else:
            found.workloads.append(what)
    # Pods of a Job that ran before still come with the gate of its template, which cannot be changed any more.
    rounds = _ROUNDS if do and (jobs or found.workloads) else 1
    quiet = 0
    for number in range(rounds):
        waiting = [pod for pod in await _pods(client, namespace) if _waits(pod)]
        new = 0
        for pod in waiting:
            name = f"{pod.metadata.namespace}/{pod.metadata.name}"
            if f"Pod {name}" in found.refused:
                continue
            new += 1
            path = PODS.path(pod.metadata.namespace, pod.metadata.name)
            why = await _patch(client, path, _ungated(pod)) if do else ""
            if why:
                found.refused[f"Pod {name}"] = why
            else:
                found.pods.append(name)
        quiet = 0 if new else quiet + 1
        if quiet == 3 or number == rounds - 1:
            break
        await pause()
    return found


async def _resume(client: Client, job: Job) -> str:
    """Why the Job could not be resumed; empty if it was."""
    from rackplane.api.labels import PLACEMENT_GATE, QUEUE_LABEL, SUSPENDED_BY
    from rackplane.kube.resources import JOBS

    path = JOBS.path(job.metadata.namespace, job.metadata.name)
    about = {"uid": job.metadata.uid, "annotations": {SUSPENDED_BY: None}}
    template = {
        "metadata": {"labels": {QUEUE_LABEL: None}},
        "spec": {
            "schedulingGates": [{"$patch": "delete", "name": PLACEMENT_GATE}],
            "tolerations": _tolerations(job.spec.template.spec.tolerations),
        },
    }
    whole = {"metadata": about, "spec": {"suspend": False, "template": template}}
    if not await _patch(client, path, whole):
        return ""
    # Of a Job that ran before the template cannot be changed: its pods are ungated one by one.
    return await _patch(client, path, {"metadata": about, "spec": {"suspend": False}})


def _ungated(pod: Pod) -> Mapping[str, Any]:
    from rackplane.api.labels import PLACEMENT_GATE

    return {
        "metadata": {"uid": pod.metadata.uid},
        "spec": {
            "schedulingGates": [{"$patch": "delete", "name": PLACEMENT_GATE}],
            "tolerations": _tolerations(pod.spec.tolerations),
        },
    }


def _tolerations(known: Iterable[Any]) -> list[Any]:
    import msgspec

    from rackplane.api.labels import MANAGED_TAINT

    ours = {"key": MANAGED_TAINT, "operator": "Exists", "effect": "NoSchedule"}
    return [*(each for each in map(msgspec.to_builtins, known) if each.get("key") != MANAGED_TAINT), ours]


async def _workloads(client: Client, namespace: str | None) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Workloads of other projects that Rackplane suspended: what each is called, its path, and what resumes it.

    Of kinds that the cluster does not have there are none.

    Raises:
        CommandError: a list was refused.
    """
    import msgspec

    from rackplane.api.labels import SUSPENDED_BY
    from rackplane.core.workloads.kinds import KINDS
    from rackplane.core.workloads.view import Body
    from rackplane.kube.resources import Resource

    found: dict[tuple[str, str], tuple[str, str, Mapping[str, Any]]] = {}
    for kind in KINDS.values():
        for version in kind.versions:
            resource = Resource(kind.group, version, kind.plural, namespaced=True)
            for body in await listed(client, resource, msgspec.json.Decoder(Body).decode) or ():
                meta = body.metadata
                ours = kind.is_suspended(body) and SUSPENDED_BY in meta.annotations
                if not ours or namespace not in (None, meta.namespace):
                    continue
                about = {"uid": meta.uid, "annotations": {SUSPENDED_BY: None}}
                what = f"{kind.kind} {meta.namespace}/{meta.name}"
                path = resource.path(meta.namespace, meta.name)
                patch = {"metadata": about, **kind.switched(suspend=False)}
                found.setdefault((kind.kind, meta.uid), (what, path, patch))
    return list(found.values())


async def _patch(client: Client, path: str, body: Mapping[str, Any], *, merge: bool = False) -> str:
    from rackplane.kube.client import MERGE_PATCH, STRATEGIC_MERGE_PATCH

    return await refusal(client, "PATCH", path, body, MERGE_PATCH if merge else STRATEGIC_MERGE_PATCH)


def _is_ours(job: Job) -> bool:
    from rackplane.core.gangs.jobs import suspended_by_us
    from rackplane.core.gangs.workload import job_outcome

    return suspended_by_us(job) and job_outcome(job) is None and job.metadata.deletion_timestamp is None


def _waits(pod: Pod) -> bool:
    from rackplane.core.gangs.ranks import is_gated

    return is_gated(pod) and pod.metadata.deletion_timestamp is None


async def _jobs(client: Client, namespace: str | None) -> list[Job]:
    from rackplane.core.objects import Job
    from rackplane.kube.resources import JOBS

    return await _listed(client, JOBS, Job, namespace)


async def _pods(client: Client, namespace: str | None) -> list[Pod]:
    from rackplane.core.objects import Pod
    from rackplane.kube.resources import PODS

    return await _listed(client, PODS, Pod, namespace)


async def _listed(client: Client, resource: Any, model: Any, namespace: str | None) -> list[Any]:
    import msgspec

    found = await listed(client, resource, msgspec.json.Decoder(model).decode)
    if found is None:
        raise CommandError(f"the cluster knows no {resource}: is it one of Kubernetes?")
    return [each for each in found if namespace in (None, each.metadata.namespace)]


def _show(found: Released, *, done: bool) -> None:
    verb = "" if done else "would be "
    more = f", {len(found.workloads)} other workloads" if found.workloads else ""
    print(f"{len(found.jobs)} Jobs{more} {verb}resumed, {len(found.pods)} pods {verb}ungated.")
    for kind, names in (("Job ", found.jobs), ("", found.workloads), ("Pod ", found.pods)):
        for name in names:
            print(f"  {kind}{name}")
    for what, why in found.refused.items():
        print(f"  not released: {what}: {why}")
    if not done:
        print("Nothing was done: add --yes.")
    elif found.jobs or found.workloads or found.pods:
        print(
            "New Jobs are still suspended and gated until the chart's MutatingAdmissionPolicyBindings are deleted."
        )
