"""`rackplane uninstall`: what has to happen before the chart goes, in the order in which it does no harm.

`helm uninstall` runs it as a hook. First the admission policies go, so that nothing new is suspended or gated for an
operator that will not be there; then the operator ends; then its finalizers come off what they protect, and its
taint off nodes. What still waits is named, for it waits for ever then.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

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
    from rackplane.cli.release import Released
    from rackplane.kube.client import Client

__all__ = ["Uninstalled", "add", "uninstall"]

_EXAMPLES = """\
examples:
  rackplane uninstall                        what would be done, and who waits; nothing is done
  rackplane uninstall --yes                  do it, then: helm uninstall rackplane -n rackplane-system
  rackplane uninstall --yes --release        and let go all that waits (see rackplane release --help)

In this order: the chart's admission policies are deleted, its Deployment is scaled to no replicas, the finalizer
rackplane.dev/in-use is taken off racks, power domains, cooling zones and hardware profiles, the taint
rackplane.dev/managed off nodes, and Jobs and pods that Rackplane keeps waiting are listed. Running pods go on; CRDs
and objects stay. It can be repeated at any point.

exit codes:
  0  all is done, or would be
  1  the operator does not end
  3  the cluster cannot be read
  4  something was refused; it is named
"""
_PATIENCE = 60
"""Seconds that the operator has to end."""


@dataclass(slots=True)
class Uninstalled:
    """What was done, or would be: "Kind name" each, and what stood in the way."""

    policies: list[str] = field(default_factory=list)
    operator: str = ""
    finalizers: list[str] = field(default_factory=list)
    taints: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """"Kind name" -> why."""

    def note(self, what: str, why: str, into: list[str]) -> None:
        """It was done, or would be; with a reason, it was refused."""
        if why:
            self.refused[what] = why
        else:
            into.append(what)


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "uninstall",
        description="Takes away what would outlive the operator and be in the way, in the right order.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--yes", action="store_true", help="do it; without this it is only said what would be done"
    )
    parser.add_argument("--release", action="store_true", help="then start all that waits, without a place")
    parser.add_argument("--name", default="rackplane", help="name of the Helm release (default: %(default)s)")
    parser.add_argument(
        "--deployment",
        default="rackplane-system/rackplane",
        metavar="NS/NAME",
        help="the operator's Deployment (default: %(default)s)",
    )
    parser.add_argument(
        "--lease",
        default="rackplane-system/rackplane",
        metavar="NS/NAME",
        help="the operator's Lease (default: %(default)s)",
    )
    add_cluster_arguments(parser)
    add_output_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it, or say what would be done; 0 if nothing stood in the way, 4 if something did.

    Raises:
        CommandError: the cluster cannot be read, or the operator does not end.
    """
    done, waiting = asyncio.run(_on_cluster(options))
    if is_data(options):
        data = {
            "done": options.yes,
            "policies": done.policies,
            "operator": done.operator,
            "finalizers": done.finalizers,
            "taints": done.taints,
            "released": options.yes and options.release,
            "jobs": waiting.jobs,
            "workloads": waiting.workloads,
            "pods": waiting.pods,
            "refused": done.refused | waiting.refused,
        }
        print_data(data, options)
    else:
        for line in _lines(done, waiting, did=options.yes, released=options.yes and options.release):
            print(line)
    return Exit.PARTLY if done.refused or waiting.refused else Exit.YES


async def _on_cluster(options: argparse.Namespace) -> tuple[Uninstalled, Released]:
    from rackplane.cli.release import release

    async with connected(options.kubeconfig, options.context) as client:
        done = await uninstall(
            client, name=options.name, deployment=options.deployment, lease=options.lease, do=options.yes
        )
        return done, await release(client, do=options.yes and options.release)


async def uninstall(
    client: Client,
    *,
    name: str = "rackplane",
    deployment: str = "rackplane-system/rackplane",
    lease: str = "rackplane-system/rackplane",
    do: bool,
    pause: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(1.0),
) -> Uninstalled:
    """Policies, then the operator, then finalizers; ``do`` False: only look.

    Args:
        name: of the Helm release, as in the label app.kubernetes.io/instance of its objects.
        deployment: "namespace/name" of the operator.
        lease: "namespace/name" of its Lease.
        pause: waits a second for the operator to end.

    Raises:
        CommandError: something cannot be read, or the operator does not end.
    """
    done = Uninstalled()
    await _policies(client, name, done, do=do)
    await _operator(client, deployment, lease, done, do=do, pause=pause)
    await _finalizers(client, done, do=do)
    await _taints(client, done, do=do)
    return done


async def _policies(client: Client, name: str, done: Uninstalled, *, do: bool) -> None:
    from rackplane.kube.resources import admission_policies

    selector = {"labelSelector": f"app.kubernetes.io/part-of=rackplane,app.kubernetes.io/instance={name}"}
    for stable, beta in zip(admission_policies("v1"), admission_policies("v1beta1"), strict=True):
        resource, found = stable, await listed(client, stable, _read, selector)
        if found is None:
            resource, found = beta, await listed(client, beta, _read, selector)
        for each in found or ():
            what = f"{resource.plural} {each.name}"
            why = await refusal(client, "DELETE", resource.path(None, each.name)) if do else ""
            done.note(what, why, done.policies)


async def _operator(
    client: Client,
    deployment: str,
    lease: str,
    done: Uninstalled,
    *,
    do: bool,
    pause: Callable[[], Awaitable[None]],
) -> None:
    from rackplane.kube.client import MERGE_PATCH, ApiError
    from rackplane.kube.resources import DEPLOYMENTS

    path = DEPLOYMENTS.path(*in_namespace("--deployment", deployment), "scale")
    try:
        if do:
            await client.request("PATCH", path, body={"spec": {"replicas": 0}}, content_type=MERGE_PATCH)
        else:
            await client.request("GET", path)
    except ApiError as error:
        if error.status != 404:
            raise CommandError(
                f"the Deployment {deployment} cannot be scaled to no replicas: {error}"
            ) from error
    else:
        done.operator = deployment
    if not do:
        return
    # One that still runs would put finalizers on again, and stop again what is let go.
    for _ in range(_PATIENCE):
        holder = await lease_holder(client, lease)
        if not holder:
            return
        await pause()
    raise CommandError(
        f"the operator did not end within {_PATIENCE} s: {holder} still holds the Lease {lease}. See its log; if the "
        f"process is gone, kubectl -n {lease.partition('/')[0]} delete lease {lease.partition('/')[2]}, and once more",
        code=Exit.NO,
    )


async def _finalizers(client: Client, done: Uninstalled, *, do: bool) -> None:
    from rackplane.api.kinds import BY_KIND
    from rackplane.core.site.entries import ELEMENTS
    from rackplane.core.site.removals import FINALIZER
    from rackplane.kube.client import MERGE_PATCH
    from rackplane.kube.resources import facility

    for kind in sorted(ELEMENTS):
        resource = facility(BY_KIND[kind].info.plural)
        for each in await listed(client, resource, _read) or ():
            if FINALIZER not in each.finalizers:
                continue
            what = f"{kind} {each.name}"
            # With the version, so that a finalizer that somebody else puts on meanwhile is not lost.
            meta = {
                "resourceVersion": each.version,
                "finalizers": [f for f in each.finalizers if f != FINALIZER],
            }
            path = resource.path(None, each.name)
            why = await refusal(client, "PATCH", path, {"metadata": meta}, MERGE_PATCH) if do else ""
            done.note(what, why, done.finalizers)


async def _taints(client: Client, done: Uninstalled, *, do: bool) -> None:
    from rackplane.api.labels import MANAGED_TAINT
    from rackplane.core.objects import Node
    from rackplane.kube.client import MERGE_PATCH
    from rackplane.kube.resources import NODES

    for node in await listed(client, NODES, msgspec.json.Decoder(Node).decode) or ():
        kept = [taint for taint in node.spec.taints if taint.key != MANAGED_TAINT]
        if len(kept) == len(node.spec.taints):
            continue
        # The list is one value: with the version, so that nobody else's change to it is undone.
        meta = {"resourceVersion": node.metadata.resource_version}
        body = {"metadata": meta, "spec": {"taints": msgspec.to_builtins(kept) or None}}
        path = NODES.path(None, node.metadata.name)
        why = await refusal(client, "PATCH", path, body, MERGE_PATCH) if do else ""
        done.note(f"Node {node.metadata.name}", why, done.taints)


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    version: str
    finalizers: tuple[str, ...]


def _read(raw: msgspec.Raw) -> _Found:
    meta = msgspec.json.decode(raw)["metadata"]
    return _Found(meta["name"], meta["resourceVersion"], tuple(meta.get("finalizers") or ()))


def _lines(done: Uninstalled, waiting: Released, *, did: bool, released: bool) -> Iterator[str]:
    would = "" if did else "would be "
    yield f"{len(done.policies)} admission policies and bindings {would}deleted."
    yield from (f"  {what}" for what in done.policies)
    if done.operator:
        yield f"The operator {would}scaled to no replicas: Deployment {done.operator}."
    else:
        yield "There is no Deployment of the operator."
    yield f"{len(done.finalizers)} objects {would}without our finalizer."
    yield from (f"  {what}" for what in done.finalizers)
    if done.taints:
        yield f"{len(done.taints)} nodes {would}without our taint."
    for what, why in (done.refused | waiting.refused).items():
        yield f"  refused: {what}: {why}"
    jobs = f"{len(waiting.jobs)} Jobs"
    if waiting.workloads:
        jobs += f" and {len(waiting.workloads)} other workloads"
    if released:
        yield f"{jobs} resumed, {len(waiting.pods)} pods ungated, placed by nobody."
    elif waiting.jobs or waiting.workloads or waiting.pods:
        yield f"{jobs} that Rackplane suspended and {len(waiting.pods)} pods at its gate still wait:"
        yield from (f"  Job {name}" for name in waiting.jobs)
        yield from (f"  {what}" for what in waiting.workloads)
        yield from (f"  Pod {name}" for name in waiting.pods)
        yield "Nobody will start them: `rackplane release --yes` does, without a place."
    else:
        yield "Nothing waits for Rackplane."
    if not did:
        yield "Nothing was done: add --yes."
