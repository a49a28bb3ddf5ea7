"""What a question is asked of: a cluster, as kubectl finds it, or a folder of YAML.

Either way the answer comes from the operator's own machine (`rackplane.core.machine`), which is fed everything once,
does not lead and writes nothing. Reading a cluster needs no more than `list` on what is read.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rackplane.cli.cluster import add_cluster_arguments, events_of_cluster
from rackplane.cli.errors import CommandError, Exit

if TYPE_CHECKING:  # What reads and decides takes half a second to import, and --help shall not.
    from rackplane.api.fabric import Fabric
    from rackplane.core import events as e
    from rackplane.core.discovery.template import Template
    from rackplane.core.machine import Machine

__all__ = [
    "add_fabric_arguments",
    "add_source_arguments",
    "fabric_of",
    "namespace_of",
    "open_source",
    "positive",
    "rack_template",
    "time_of",
]


def positive(text: str) -> int:
    """An option's value that is a whole number of at least 1."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return number


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
    add_cluster_arguments(group)
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
        raise CommandError(f"--fabric-levels, --fabric-labels: {error}", code=Exit.USAGE) from error


def rack_template(path: str | None, *, partial: bool = False) -> Template | None:
    """What `--rack-template` names; `partial` as `rackplane.core.discovery.template.read_template` has it.

    Raises:
        CommandError: it cannot be read, or is none.
    """
    from pathlib import Path

    from rackplane.core.discovery.template import TemplateError, read_template

    if path is None:
        return None
    try:
        return read_template(Path(path).read_text(encoding="utf-8"), partial=partial)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--rack-template {path} cannot be read: {error}") from error
    except TemplateError as error:
        raise CommandError(f"--rack-template {path}: {error}") from error


def open_source(options: argparse.Namespace, *, more: Sequence[Mapping[str, Any]] = ()) -> Machine:
    """The machine that has seen all there is. For options of a parser that `add_source_arguments` has seen.

    Args:
        more: objects to be seen beside those of the source, as `rackplane.core.offline.documents` reads them.

    Raises:
        CommandError: it cannot be read, or has one of `more` already; the message says what to do.
    """
    import asyncio

    from rackplane.core import events as e
    from rackplane.core.offline.documents import DocumentError
    from rackplane.core.offline.snapshot import events_of, expected_nodes, load_folder, machine_of
    from rackplane.core.settings import MachineSettings

    fabric = fabric_of(options)
    if options.facility is None:
        events = asyncio.run(events_of_cluster(options.kubeconfig, options.context))
    elif options.kubeconfig is not None or options.context is not None:
        raise CommandError(
            "--facility asks a folder: leave out --kubeconfig and --context, or --facility", code=Exit.USAGE
        )
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
                f"{' '.join(_key(event))} is there already: ask for it without -f, or rename it",
                code=Exit.USAGE,
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
        case e.PodGroupChanged(group):
            return "PodGroup", f"{group.metadata.namespace}/{group.metadata.name}"
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
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-11-23T17:00:00Z") from error
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} has no time zone: write {text}Z for UTC, or an offset")
    return moment.timestamp()
