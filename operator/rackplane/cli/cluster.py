"""Reading a cluster, as kubectl finds it: lists in pages, and words for what is refused."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rackplane.cli.errors import CommandError, Exit

if TYPE_CHECKING:  # What talks to a cluster takes a third of a second to import, and --help shall not.
    import msgspec

    from rackplane.core import events as e
    from rackplane.kube.client import ApiError, Client, KubeClient
    from rackplane.kube.resources import Resource

__all__ = [
    "add_cluster_arguments",
    "connected",
    "events_in",
    "events_of_cluster",
    "in_namespace",
    "lease_holder",
    "list_resources",
    "listed",
    "read_cluster",
    "refusal",
]

T = TypeVar("T")


def add_cluster_arguments(parser: argparse._ActionsContainer) -> None:
    """The options that say which cluster, as kubectl has them."""
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, else ~/.kube/config")
    parser.add_argument(
        "--context", metavar="NAME", help="context of the kubeconfig (default: its current one)"
    )


async def events_of_cluster(kubeconfig: str | None, context: str | None) -> list[e.Event]:
    """Everything a machine has to see of the cluster that kubectl would ask. Raises what the two below raise."""
    async with connected(kubeconfig, context, "ask a folder with --facility") as client:
        return await read_cluster(client)


@asynccontextmanager
async def connected(
    kubeconfig: str | None, context: str | None, instead: str = ""
) -> AsyncGenerator[KubeClient, None]:
    """A client of the cluster that kubectl would ask; `instead`: what else can be done, if anything, for the message.

    Raises:
        CommandError: there is no usable configuration.
    """
    from rackplane.kube.client import ApiError, KubeClient

    try:
        client = await KubeClient.connect(kubeconfig, context=context)
    except ApiError as error:
        else_ = f", or {instead}" if instead else ""
        raise CommandError(f"{error.message}; name one with --kubeconfig{else_}") from error
    try:
        yield client
    finally:
        await client.close()


def in_namespace(option: str, text: str) -> tuple[str, str]:
    """The value NAMESPACE/NAME of an option, in parts.

    Raises:
        CommandError: it is not of that form.
    """
    namespace, _, name = text.partition("/")
    if not namespace or not name:
        raise CommandError(f"{option} {text}: write NAMESPACE/NAME", code=Exit.USAGE)
    return namespace, name


async def lease_holder(client: Client, lease: str) -> str:
    """Who holds the operator's Lease, given as the value of --lease; empty if nobody does or there is none.

    Raises:
        CommandError: it cannot be read, or the name is none.
    """
    import msgspec

    from rackplane.kube.client import ApiError
    from rackplane.kube.resources import LEASES

    path = LEASES.path(*in_namespace("--lease", lease))
    try:
        found = msgspec.json.decode(await client.request("GET", path))
    except ApiError as error:
        if error.status == 404:
            return ""
        raise CommandError(f"the Lease {lease} cannot be read: {error}") from error
    return str(found.get("spec", {}).get("holderIdentity") or "")


async def refusal(
    client: Client,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    content_type: str = "application/json",
) -> str:
    """Why the API server refused a write; empty if it did not. What is gone needs nothing."""
    from rackplane.kube.client import ApiError

    try:
        await client.request(method, path, body=body, content_type=content_type)
    except ApiError as error:
        return "" if error.status == 404 else error.message or str(error)
    return ""


async def listed(
    client: Client,
    resource: Resource,
    each: Callable[[msgspec.Raw], T],
    query: Mapping[str, str] | None = None,
) -> list[T] | None:
    """What `each` makes of the objects of a kind; None if the cluster does not serve it.

    Raises:
        CommandError: the list was refused.
    """
    from rackplane.kube.client import ApiError
    from rackplane.kube.listing import list_all

    try:
        return (await list_all(client, resource, each=each, query=query))[1]
    except ApiError as error:
        if error.status == 404:
            return None
        raise CommandError(f"the list of {resource} was refused: {error}") from error


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
        POD_GROUPS,
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
        POD_GROUPS,
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
    import asyncio

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
    import msgspec

    from rackplane.kube.client import ApiError
    from rackplane.kube.listing import list_all
    from rackplane.kube.resources import POD_GROUPS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS

    try:
        _, items = await list_all(client, resource, each=lambda item: item)
    except ApiError as error:
        if error.status == 404 and resource in (RESOURCE_CLAIMS, RESOURCE_CLAIM_TEMPLATES):
            return []  # The API is younger than the oldest cluster that can run us.
        if error.status in (403, 404) and resource == POD_GROUPS:
            return []  # Alpha, and off in most clusters.
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
    import msgspec

    from rackplane.api.base import API_VERSION
    from rackplane.core import events as e
    from rackplane.core.claims import ResourceClaim, ResourceClaimTemplate
    from rackplane.core.gangs.podgroups import PodGroup
    from rackplane.core.objects import Gang, Job, Node, Pod, PriorityClass
    from rackplane.kube.resources import (
        GANGS,
        JOBS,
        NODES,
        POD_GROUPS,
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
        POD_GROUPS: (PodGroup, e.PodGroupChanged),
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
