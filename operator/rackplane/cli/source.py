"""What a question is asked of: a cluster, as kubectl finds it, or a folder of YAML.

Either way the answer comes from the operator's own machine (`rackplane.core.machine`), which is fed everything once,
does not lead and writes nothing. Reading a cluster needs no more than `list` on what is read.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from rackplane.cli.errors import CommandError

if TYPE_CHECKING:  # What reads and decides takes half a second to import, and --help shall not.
    from rackplane.api.fabric import Fabric
    from rackplane.core import events as e
    from rackplane.core.machine import Machine
    from rackplane.kube.client import ApiError, Client, KubeClient
    from rackplane.kube.resources import Resource

__all__ = [
    "add_fabric_arguments",
    "add_output_argument",
    "add_source_arguments",
    "connected",
    "events_in",
    "fabric_of",
    "list_resources",
    "namespace_of",
    "open_source",
    "positive",
    "read_cluster",
    "time_of",
]


def positive(text: str) -> int:
    """An option's value that is a whole number of at least 1."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return number


def add_output_argument(parser: argparse.ArgumentParser) -> None:
    """The option for the format of an answer: text for people, JSON for programs."""
    parser.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="format (default: %(default)s)"
    )


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say what to ask, in a group of their own: where, which levels, and when."""
    group = parser.add_argument_group(
        "what to ask", "By default the cluster that kubectl would ask; inside a pod, the pod's own."
    )
    group.add_argument(
        "--facility",
        metavar="DIR",
        help="a folder of YAML (or one file) instead of a cluster: the facility, queues, and whatever gangs, jobs, "
        "pods and nodes there are; racks without nodes get their expectedNodes",
    )
    group.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, else ~/.kube/config")
    group.add_argument(
        "--context", metavar="NAME", help="context of the kubeconfig (default: its current one)"
    )
    group.add_argument(
        "--admit-after-loss",
        action="store_true",
        help="decide as an operator with that setting does: second losses hold back nothing",
    )
    add_fabric_arguments(group)
    group.add_argument(
        "--at",
        type=_moment,
        metavar="TIME",
        help="answer for this time, such as 2026-11-23T17:00:00Z: power budgets come and go (default: now)",
    )


def add_fabric_arguments(group: argparse._ActionsContainer) -> None:
    """The options for levels and their labels, as the operator has them."""
    group.add_argument(
        "--fabric-levels",
        metavar="LEVELS",
        default="leaf,spine,hall,site",
        help="the levels that the operator was given, innermost first (default: %(default)s)",
    )
    group.add_argument(
        "--fabric-labels",
        metavar="LABELS",
        default="",
        help="the node labels by level that the operator was given, as rackplane operator --help has them",
    )


def fabric_of(options: argparse.Namespace) -> Fabric:
    """The levels that the options of `add_fabric_arguments` name.

    Raises:
        CommandError: they cannot be.
    """
    from rackplane.api.fabric import FabricError, parse_fabric

    try:
        return parse_fabric(options.fabric_levels, options.fabric_labels)
    except FabricError as error:
        raise CommandError(f"--fabric-levels, --fabric-labels: {error}") from error


def open_source(options: argparse.Namespace, *, more: Sequence[Mapping[str, Any]] = ()) -> Machine:
    """The machine that has seen all there is. For options of a parser that `add_source_arguments` has seen.

    Args:
        more: objects to be seen beside those of the source, as `rackplane.core.offline.documents` reads them.

    Raises:
        CommandError: it cannot be read, or has one of `more` already; the message says what to do.
    """
    from rackplane.core import events as e
    from rackplane.core.offline.documents import DocumentError
    from rackplane.core.offline.snapshot import events_of, expected_nodes, load_folder, machine_of
    from rackplane.core.settings import MachineSettings

    fabric = fabric_of(options)
    if options.facility is None:
        events = asyncio.run(_of_cluster(options.kubeconfig, options.context))
    elif options.kubeconfig is not None or options.context is not None:
        raise CommandError("--facility asks a folder: leave out --kubeconfig and --context, or --facility")
    else:
        try:
            events = list(events_of(load_folder(options.facility)))
        except DocumentError as error:
            raise CommandError(str(error)) from error
    added = list(events_of(more))
    known = {_key(event) for event in events}
    for event in added:
        if _key(event) in known:
            raise CommandError(
                f"{' '.join(_key(event))} is there already: ask for it without -f, or rename it"
            )
    events += added
    if options.facility is not None:
        events += map(e.NodeChanged, list(expected_nodes(events)))
    settings = MachineSettings(admit_after_loss=options.admit_after_loss, fabric=fabric)
    return machine_of(events, time_of(options), settings=settings)


def _key(event: e.Event) -> tuple[str, ...]:
    from rackplane.core import events as e

    match event:
        case e.JobChanged(job):
            return "Job", f"{job.metadata.namespace}/{job.metadata.name}"
        case e.PodChanged(pod):
            return "Pod", f"{pod.metadata.namespace}/{pod.metadata.name}"
        case e.GangChanged(gang):
            return "Gang", f"{gang.metadata.namespace}/{gang.metadata.name}"
        case e.NodeChanged(node):
            return "Node", node.metadata.name
        case e.FacilityChanged(kind, name, _):
            return kind, name
        case e.ClaimChanged(claim):
            return "ResourceClaim", f"{claim.metadata.namespace}/{claim.metadata.name}"
        case e.ClaimTemplateChanged(template):
            return "ResourceClaimTemplate", f"{template.metadata.namespace}/{template.metadata.name}"
        case e.PriorityClassChanged(found):
            return "PriorityClass", found.metadata.name
    raise TypeError(type(event).__name__)


def time_of(options: argparse.Namespace) -> float:
    """The time that is asked about, in seconds since the epoch."""
    return time.time() if options.at is None else float(options.at)


def namespace_of(options: argparse.Namespace) -> str:
    """The namespace that was asked for (``-n``), or kubectl's default one; "default" for a folder."""
    from rackplane.kube.client import current_namespace

    if options.namespace:
        return str(options.namespace)
    if options.facility is not None:
        return "default"
    return current_namespace(options.kubeconfig, context=options.context)


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-11-23T17:00:00Z") from error
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} has no time zone: write {text}Z for UTC, or an offset")
    return moment.timestamp()


# -- a cluster ---------------------------------------------------------------------------------------


async def _of_cluster(kubeconfig: str | None, context: str | None) -> list[e.Event]:
    async with connected(kubeconfig, context, "ask a folder with --facility") as client:
        return await read_cluster(client)


@asynccontextmanager
async def connected(
    kubeconfig: str | None, context: str | None, instead: str
) -> AsyncGenerator[KubeClient, None]:
    """A client of the cluster that kubectl would ask; `instead`: what else can be done, for the message.

    Raises:
        CommandError: there is no usable configuration.
    """
    from rackplane.kube.client import ApiError, KubeClient

    try:
        client = await KubeClient.connect(kubeconfig, context=context)
    except ApiError as error:
        raise CommandError(f"{error.message}; name one with --kubeconfig, or {instead}") from error
    try:
        yield client
    finally:
        await client.close()


async def read_cluster(client: Client) -> list[e.Event]:
    """Everything a machine has to see of a cluster, listed in pages.

    Raises:
        CommandError: a list was refused, or no answer came.
    """
    from rackplane.api.kinds import BY_KIND
    from rackplane.core.site.facility import FACILITY_KINDS
    from rackplane.kube.resources import (
        GANGS,
        JOBS,
        NODES,
        PODS,
        PRIORITY_CLASSES,
        RESOURCE_CLAIM_TEMPLATES,
        RESOURCE_CLAIMS,
        facility,
    )

    kinds = {kind: facility(BY_KIND[kind].info.plural) for kind in sorted(FACILITY_KINDS)}
    resources = [
        *kinds.values(),
        NODES,
        GANGS,
        JOBS,
        PODS,
        RESOURCE_CLAIMS,
        RESOURCE_CLAIM_TEMPLATES,
        PRIORITY_CLASSES,
    ]
    lists = await list_resources(client, resources)
    found: list[e.Event] = []
    for resource, items in lists.items():
        found += events_in(resource, items, {plural: kind for kind, plural in kinds.items()})
    return found


async def list_resources(client: Client, resources: Sequence[Resource]) -> dict[Resource, list[msgspec.Raw]]:
    """Every object of these kinds, undecoded.

    Raises:
        CommandError: a list was refused, or no answer came.
    """
    from rackplane.kube.client import ApiError

    lists = await asyncio.gather(*(_list(client, resource) for resource in resources))
    # One wrong address fails every list: one sentence is enough, of the first failure and all that failed like it.
    answers = list(zip(resources, lists, strict=True))
    failed = [(resource, error) for resource, error in answers if isinstance(error, ApiError)]
    if failed:
        first = failed[0][1]
        raise CommandError(
            _words(first, [str(r) for r, error in failed if error.status == first.status])
        ) from first
    return {resource: items for resource, items in answers if not isinstance(items, ApiError)}


async def _list(client: Client, resource: Resource) -> list[msgspec.Raw] | ApiError:
    from rackplane.kube.client import ApiError
    from rackplane.kube.listing import list_all
    from rackplane.kube.resources import RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS

    try:
        _, items = await list_all(client, resource, each=lambda item: item)
    except ApiError as error:
        if error.status == 404 and resource in (RESOURCE_CLAIMS, RESOURCE_CLAIM_TEMPLATES):
            return []  # The API is younger than the oldest cluster that can run us.
        return error
    except msgspec.DecodeError as error:
        return ApiError(0, "Unreadable", f"the answer to a list of {resource} cannot be read: {error}")
    return items


def _words(error: ApiError, refused: Sequence[str]) -> str:
    """What went wrong with the lists of these resources."""
    message, what = error.message or str(error), ", ".join(refused)
    match error.status:
        case 401:
            return f"the API server does not know who asks: {message}; log in, or name another --context"
        case 403:
            return (
                f"no permission to list {what} in all of the cluster: {message}; ask for a ClusterRole that allows the "
                "verb list on them (docs/cli.md has one)"
            )
        case 404:
            return (
                f"the cluster knows no {what}: install the CRDs of Rackplane (helm install, or kubectl apply -f crds), "
                "or name another --context"
            )
        case 0:
            return f"the cluster cannot be asked: {message}"
    return f"the list of {refused[0]} was refused ({error.status}): {message}"


def events_in(
    resource: Resource, items: list[msgspec.Raw], kinds: Mapping[Resource, str]
) -> Iterator[e.Event]:
    """The objects of a list as a machine hears of them; one that cannot be read is named and passed over."""
    from rackplane.api.base import API_VERSION
    from rackplane.core import events as e
    from rackplane.core.claims import ResourceClaim, ResourceClaimTemplate
    from rackplane.core.objects import Gang, Job, Node, Pod, PriorityClass
    from rackplane.kube.resources import (
        GANGS,
        JOBS,
        NODES,
        PODS,
        PRIORITY_CLASSES,
        RESOURCE_CLAIM_TEMPLATES,
        RESOURCE_CLAIMS,
    )

    if (kind := kinds.get(resource)) is not None:
        for raw in items:
            # Items of a list carry neither.
            body = {"apiVersion": API_VERSION, "kind": kind, **msgspec.json.decode(raw)}
            yield e.FacilityChanged(kind, body["metadata"]["name"], body)
        return
    types: Final[Mapping[Resource, tuple[type[Any], type[Any]]]] = {
        NODES: (Node, e.NodeChanged),
        GANGS: (Gang, e.GangChanged),
        JOBS: (Job, e.JobChanged),
        PODS: (Pod, e.PodChanged),
        RESOURCE_CLAIMS: (ResourceClaim, e.ClaimChanged),
        RESOURCE_CLAIM_TEMPLATES: (ResourceClaimTemplate, e.ClaimTemplateChanged),
        PRIORITY_CLASSES: (PriorityClass, e.PriorityClassChanged),
    }
    model, event = types[resource]
    decoder = msgspec.json.Decoder(model)
    for raw in items:
        try:
            yield event(decoder.decode(raw))
        except msgspec.ValidationError as error:
            metadata = msgspec.json.decode(raw).get("metadata", {})
            name = "/".join(filter(None, (metadata.get("namespace"), metadata.get("name"))))
            # As the operator does: one odd object must not hide the others.
            print(f"rackplane: {resource} {name} is passed over: {error}", file=sys.stderr)
