"""`rackplane discover`: Rack and NVLinkDomain objects from the labels of nodes, shown before they are written."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rackplane.cli.cluster import add_cluster_arguments, connected, events_in, list_resources
from rackplane.cli.errors import CommandError, Exit
from rackplane.cli.output import add_output_arguments, console_for, is_data, print_data
from rackplane.cli.source import add_fabric_arguments, fabric_of, rack_template

if TYPE_CHECKING:  # What reads and decides takes half a second to import, and --help shall not.
    from rackplane.core.discovery.merging import Change
    from rackplane.core.discovery.reading import Discovery
    from rackplane.core.discovery.template import Template
    from rackplane.core.objects import Node
    from rackplane.kube.client import Client

__all__ = ["add"]

_EXAMPLES = """\
examples:
  rackplane discover                                     what labels would change, as a diff; nothing is written
  rackplane discover --rack-template rack.yaml --apply   write it
  rackplane discover --rack-labels nvlink ...            a rack is one NVLink domain (NVL72)
  kubectl get nodes -o yaml | rackplane discover --nodes - > facility.yaml     without a cluster

Labels name racks and domains. What a rack may draw and what feeds it they do not say: a template does, a Rack or its
spec with limitWatts and feeds, the same for all racks. What is different for one rack is changed there, with kubectl
or in the file that it is applied from: what somebody else wrote is left as it is, from then on.

exit codes:
  0  nothing differs; with --apply: all is as the labels have it; with --nodes: written to standard output
  1  there are differences
  3  the cluster or a file cannot be read
  4  something of --apply was refused; it is named
"""
_STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "discover",
        description="Compares Rack and NVLinkDomain objects with what the labels of nodes say, and writes them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--apply", action="store_true", help="write it; without this it is only shown")
    parser.add_argument(
        "--rack-template",
        metavar="FILE",
        help="what labels do not say of racks, as YAML (default: no Rack is made)",
    )
    parser.add_argument(
        "--rack-labels",
        metavar="LABELS",
        help="node labels, or levels, that name racks; the first that a node has counts (default: rackplane.dev/rack, "
        "topology.kubernetes.io/rack and those of CoreWeave and OCI)",
    )
    parser.add_argument(
        "--nodes",
        metavar="FILE",
        help="nodes from a file or folder, - for standard input, instead of a cluster; YAML comes out",
    )
    add_output_arguments(parser)
    add_cluster_arguments(parser)
    add_fabric_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show, or write; the exit code as `--help` has it.

    Raises:
        CommandError: the nodes or the template cannot be read.
    """
    if is_data(options) and (options.apply or options.nodes is not None):
        raise CommandError("-o is for what would change: leave out --apply and --nodes", code=Exit.USAGE)
    template = rack_template(options.rack_template)
    if options.nodes is None:
        return asyncio.run(_on_cluster(options, template))
    if options.apply or options.kubeconfig is not None or options.context is not None:
        raise CommandError(
            "--nodes asks no cluster: leave out --apply, --kubeconfig and --context", code=Exit.USAGE
        )
    return _on_file(options, template)


def _found(
    options: argparse.Namespace,
    nodes: Iterable[Node],
    bodies: Sequence[Mapping[str, Any]],
    template: Template | None,
) -> Discovery:
    from rackplane.api.fabric import RACK_LABELS, FabricError, parse_rack_labels
    from rackplane.core.discovery.merging import known_of
    from rackplane.core.discovery.reading import discover

    fabric = fabric_of(options)
    try:
        keys = RACK_LABELS if options.rack_labels is None else parse_rack_labels(options.rack_labels, fabric)
    except FabricError as error:
        raise CommandError(f"--rack-labels: {error}") from error
    return discover(nodes, known_of(bodies), fabric=fabric, rack_labels=keys, template=template)


# -- a file ------------------------------------------------------------------------------------------


def _on_file(options: argparse.Namespace, template: Template | None) -> int:
    from rackplane.core.objects import Node
    from rackplane.core.offline.documents import DocumentError, core_object, read_documents, read_text
    from rackplane.exchange.output import yaml_of

    try:
        documents = (
            read_text("-", sys.stdin.read()) if options.nodes == "-" else read_documents(options.nodes)
        )
    except DocumentError as error:
        raise CommandError(str(error)) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"standard input is not text in UTF-8: {error}") from error
    bodies = [document.body for document in documents]
    nodes = [node for body in bodies if isinstance(node := core_object(body), Node)]
    if not nodes:
        raise CommandError(f"--nodes {options.nodes}: there is no Node in it")
    found = _found(options, nodes, bodies, template)
    print("---\n".join(yaml_of(desired.body()) for desired in found.objects), end="")
    _complain(found)
    return 0


# -- a cluster ---------------------------------------------------------------------------------------


async def _on_cluster(options: argparse.Namespace, template: Template | None) -> int:
    async with connected(options.kubeconfig, options.context, "read a file with --nodes") as client:
        nodes, bodies = await _read(client)
        from rackplane.core.discovery.merging import changes_of

        found = _found(options, nodes, bodies, template)
        changes = changes_of(found.objects, bodies)
        if is_data(options):
            print_data(_as_data(changes, found), options)
            return _verdict(changes)
        _show(changes, options)
        _complain(found)
        if not options.apply:
            return _summary(changes)
        return await _apply(client, changes)


async def _read(client: Client) -> tuple[list[Node], list[dict[str, Any]]]:
    import msgspec

    from rackplane.api.base import API_VERSION
    from rackplane.api.kinds import BY_KIND
    from rackplane.core.events import NodeChanged
    from rackplane.kube.resources import NODES, facility

    kinds = {
        facility(BY_KIND[kind].info.plural): kind for kind in ("HardwareProfile", "NVLinkDomain", "Rack")
    }
    lists = await list_resources(client, [NODES, *kinds])
    nodes = [event.node for event in events_in(NODES, lists[NODES], {}) if isinstance(event, NodeChanged)]
    bodies = [
        # Items of a list carry neither.
        {"apiVersion": API_VERSION, "kind": kind, **msgspec.json.decode(raw)}
        for resource, kind in kinds.items()
        for raw in lists[resource]
    ]
    return nodes, bodies


async def _apply(client: Client, changes: Sequence[Change]) -> int:
    from rackplane.api.kinds import BY_KIND
    from rackplane.core.discovery.merging import FIELD_MANAGER, Verdict
    from rackplane.kube.applying import server_side_apply
    from rackplane.kube.client import ApiError
    from rackplane.kube.resources import facility

    code = 0
    for change in changes:
        desired = change.desired
        what = f"{desired.kind} {desired.name}"
        if change.verdict in (Verdict.NOTHING, Verdict.LEAVE):
            continue
        resource = facility(BY_KIND[desired.kind].info.plural)
        try:
            await server_side_apply(client, resource, change.apply, manager=FIELD_MANAGER)
        except ApiError as error:
            print(f"rackplane: {what} was refused: {error.message or error}", file=sys.stderr)
            code = Exit.PARTLY
        else:
            print(f"{what} {'created' if change.verdict is Verdict.CREATE else 'updated'}")
    if all(change.verdict in (Verdict.NOTHING, Verdict.LEAVE) for change in changes):
        print("Nothing to write.")
    return code


# -- output ------------------------------------------------------------------------------------------


def _show(changes: Sequence[Change], options: argparse.Namespace) -> None:
    from rich.text import Text

    console = console_for(options)
    for change in changes:
        for line in _diff(change):
            console.print(Text(line, _STYLES.get(line[:1], "")), soft_wrap=True)


def _as_data(changes: Sequence[Change], found: Discovery) -> dict[str, Any]:
    return {
        "changes": [
            {
                "kind": change.desired.kind,
                "name": change.desired.name,
                "action": change.verdict.name.capitalize(),
                "keptFields": list(change.kept),
                "object": change.merged,
            }
            for change in changes
        ],
        "problems": [
            {"kind": p.kind, "name": p.name, "message": p.message, "remedy": p.remedy} for p in found.problems
        ],
    }


def _diff(change: Change) -> Iterator[str]:
    from rackplane.exchange.output import yaml_of

    name = f"{change.desired.kind}/{change.desired.name}"
    before = yaml_of(change.live).splitlines() if change.live else []
    after = yaml_of(change.merged).splitlines()
    source = f"{name} (cluster)" if change.live else "/dev/null"
    return difflib.unified_diff(before, after, source, f"{name} (labels)", lineterm="")


def _complain(found: Discovery) -> None:
    for problem in found.problems:
        subject = f"{problem.kind} {problem.name}".strip()
        print(f"rackplane: {subject}: {problem.message}; {problem.remedy}", file=sys.stderr)


def _summary(changes: Sequence[Change]) -> int:
    from rackplane.cli.words import names
    from rackplane.core.discovery.merging import Verdict

    def of(verdict: Verdict) -> list[Change]:
        return [change for change in changes if change.verdict is verdict]

    kept = [f"{c.desired.kind} {c.desired.name}: {', '.join(c.kept)}" for c in changes if c.kept]
    if kept:
        print(f"Kept as somebody else wrote it: {'; '.join(kept)}")
    left = [f"{change.desired.kind} {change.desired.name}" for change in of(Verdict.LEAVE)]
    if left:
        print(f"Left as somebody else wrote them: {names(left)}")
    counts = [
        (of(Verdict.CREATE), "to create"),
        (of(Verdict.UPDATE), "to change"),
        (of(Verdict.NOTHING), "unchanged"),
    ]
    print(f"{', '.join(f'{len(some)} {what}' for some, what in counts)}.", end="")
    differs = bool(of(Verdict.CREATE) or of(Verdict.UPDATE))
    print(" To write: --apply." if differs else "")
    return _verdict(changes)


def _verdict(changes: Sequence[Change]) -> int:
    from rackplane.core.discovery.merging import Verdict

    same = (Verdict.NOTHING, Verdict.LEAVE)
    return Exit.YES if all(change.verdict in same for change in changes) else Exit.NO
