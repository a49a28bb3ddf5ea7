"""`rackplane import` and `rackplane export`: a facility from the files of other projects, and the other way round."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rackplane.cli.errors import CommandError, Exit
from rackplane.cli.source import (
    add_fabric_arguments,
    add_source_arguments,
    fabric_of,
    open_source,
    positive,
    rack_template,
)

if TYPE_CHECKING:  # What reads the formats takes a while to import, and --help shall not.
    from rackplane.exchange.building import Builder, Imported
    from rackplane.exchange.foreign import Source
    from rackplane.exchange.leaving import Site
    from rackplane.exchange.losses import Losses

__all__ = ["add"]

_FORMATS: Final = ("csv", "dps", "kai", "kueue", "redfish", "slurm", "volcano")
_TARGETS: Final = ("dps", "kai", "kueue")
_EXAMPLES = """\
examples:
  rackplane import --from slurm topology.yaml resources.yaml --rack-template rack.yaml > facility.yaml
  rackplane validate facility.yaml

Whatever could not be translated is named on standard error, with file, field and reason. A figure that cannot be read
is an error and never no limit. What a format does not say of racks (a profile, often a limit and feeds) comes from
--rack-template, a Rack or its spec.

exit codes:
  0  everything was translated
  1  there are errors: nothing was written
  3  a file cannot be read or written
  4  written, but something of the files is not in it: it is named
"""
_EXPORT_EXAMPLES = """\
examples:
  rackplane export --to kueue                              the cluster that kubectl would ask
  rackplane export --to dps --facility halls/ --out dps    topology.json

What the other format cannot say is named on standard error, and no limit is wider in it than here.

exit codes:
  0  all of it is there
  1  there are errors: nothing was written
  3  nothing could be read, or the file cannot be written
  4  written, but something of the facility is not in it: it is named
"""


def add(commands: Any) -> None:
    """Register the commands (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "import",
        description="Makes Racks, NVLinkDomains, PowerDomains and CoolingZones of other projects' files.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="a file, a folder of them, or - for standard input"
    )
    parser.add_argument("--from", dest="format", required=True, choices=_FORMATS, help="whose they are")
    parser.add_argument(
        "--out", metavar="DIR", help="write facility.yaml and label-nodes.sh there (default: print)"
    )
    parser.add_argument("--rack-template", metavar="FILE", help="what the files do not say of racks, as YAML")
    add_fabric_arguments(parser)
    slurm = parser.add_argument_group("slurm")
    slurm.add_argument(
        "--resource", default="power", metavar="NAME", help="the one that counts power (default: %(default)s)"
    )
    slurm.add_argument(
        "--watts-per-unit",
        type=positive,
        default=1,
        metavar="W",
        help="what one of it is (default: %(default)s)",
    )
    power = parser.add_argument_group("dps and redfish")
    power.add_argument(
        "--rating",
        type=_rating,
        action="append",
        default=[],
        metavar="NAME=WATTS",
        help="what a piece of equipment, or with dps every one of a model, may carry whose rating is not in the files",
    )
    power.add_argument(
        "--rack-pattern",
        metavar="REGEX",
        help="dps: the rack of a node by its name, the group of a pattern: '^(r[0-9]+)-' (default: by what feeds it)",
    )
    power.add_argument(
        "--power-factor",
        type=_factor,
        metavar="F",
        help="redfish: watts of a volt-ampere; ratings in volt-amperes or amperes cannot be used without",
    )
    topology = parser.add_argument_group("kueue, kai and volcano")
    topology.add_argument(
        "--nvlink-label",
        metavar="LABEL",
        help="kueue, kai: the label of the level that is one NVLink domain (default: one that is known to be, or the "
        "innermost above the host)",
    )
    topology.add_argument(
        "--nvlink-tier",
        type=positive,
        default=1,
        metavar="N",
        help="volcano: the tier that is one NVLink domain (default: %(default)s)",
    )
    parser.set_defaults(run=run_import)
    export = commands.add_parser(
        "export",
        description="Writes what a cluster or a folder has as other projects describe it.",
        epilog=_EXPORT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument("--to", dest="format", required=True, choices=_TARGETS, help="for whom")
    export.add_argument(
        "--name", default="rackplane", help="what the topology is called (default: %(default)s)"
    )
    export.add_argument("--out", metavar="DIR", help="write it there (default: print)")
    add_source_arguments(export)
    export.set_defaults(run=run_export)


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no power factor above 0 and up to 1")
    return factor


def _rating(text: str) -> tuple[str, int]:
    name, sign, watts = text.rpartition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=WATTS")
    return name, positive(watts)


def run_import(options: argparse.Namespace) -> int:
    """Translate; the exit code as `--help` has it.

    Raises:
        CommandError: a file cannot be read or written.
    """
    from rackplane.exchange.building import Builder
    from rackplane.exchange.losses import Losses

    losses = Losses()
    builder = Builder(losses, rack_template(options.rack_template, partial=True), fabric_of(options))
    imported = _read(options, list(_sources(options.files)), builder, losses)
    _tell(losses)
    if losses.failed:
        return Exit.NO
    _write(imported, options.out)
    return Exit.PARTLY if losses.found else Exit.YES


def _read(
    options: argparse.Namespace,
    sources: Sequence[Source],
    builder: Builder,
    losses: Losses,
) -> Imported:
    from rackplane.exchange import dps, redfish, slurm, spreadsheet, topologies, volcano

    ratings = dict(options.rating)
    match options.format:
        case "csv":
            return spreadsheet.read(sources, builder, losses)
        case "kueue" | "kai":
            return topologies.read(sources, builder, losses, nvlink_label=options.nvlink_label)
        case "redfish":
            return redfish.read(sources, builder, losses, ratings=ratings, power_factor=options.power_factor)
        case "volcano":
            return volcano.read(sources, builder, losses, nvlink_tier=options.nvlink_tier)
        case "dps":
            try:
                re.compile(options.rack_pattern or "")
            except re.error as error:
                raise CommandError(
                    f"--rack-pattern {options.rack_pattern!r} is no pattern: {error}", code=Exit.USAGE
                ) from error
            return dps.read(sources, builder, losses, ratings=ratings, rack_pattern=options.rack_pattern)
        case "slurm":
            return slurm.read(
                sources, builder, losses, resource=options.resource, watts_per_unit=options.watts_per_unit
            )
    raise AssertionError(options.format)


def run_export(options: argparse.Namespace) -> int:
    """Write what there is; the exit code as `--help` has it.

    Raises:
        CommandError: the cluster or folder cannot be read, or the file cannot be written.
    """
    import json

    from rackplane.exchange import dps_export, topologies
    from rackplane.exchange.losses import Losses
    from rackplane.exchange.output import label_commands, yaml_of

    losses = Losses()
    site = _site(options)
    commands: list[str] = []
    if options.format == "dps":
        name, text = (
            "topology.json",
            json.dumps(dps_export.write(site, losses, name=options.name), indent=2) + "\n",
        )
    else:
        body, labels = topologies.write(site, losses, whose=options.format, name=options.name)
        commands = list(label_commands(labels))
        name, text = "topology.yaml", yaml_of(body)
        if options.out is None and commands:
            text = "".join(f"# {line}\n" for line in ("Nodes need these labels:", *commands)) + text
    _tell(losses)
    if losses.failed:
        return Exit.NO
    _save(options.out, {name: text}, commands)
    return Exit.PARTLY if losses.found else Exit.YES


def _site(options: argparse.Namespace) -> Site:
    from rackplane.api.cooling_zone import CoolingZone
    from rackplane.api.nvlink_domain import NVLinkDomain
    from rackplane.api.power_domain import PowerDomain
    from rackplane.api.rack import Rack
    from rackplane.exchange.leaving import Place, Site

    machine = open_source(options)
    catalog, state = machine.world.catalog, machine.state
    assert state is not None  # the source has listed everything
    found: dict[type[Any], dict[str, Any]] = {Rack: {}, PowerDomain: {}, NVLinkDomain: {}, CoolingZone: {}}
    for kind, name in catalog.objects():
        for model, objects in found.items():
            if model.info.kind == kind:
                if (body := catalog.get(model, name)) is None:
                    raise CommandError(f"{kind} {name} is not valid: rackplane validate says why")
                objects[name] = body
    return Site(
        fabric_of(options),
        racks=found[Rack],
        powers=found[PowerDomain],
        domains=found[NVLinkDomain],
        zones=found[CoolingZone],
        nodes=tuple(
            Place(
                node.name,
                node.rack,
                node.domain or node.name,
                dict(node.fabric),
                machine.world.nodes[node.name].metadata.labels,
                machine.world.nodes[node.name].metadata.uid.startswith("expected/"),
            )
            for node in sorted(state.nodes(), key=lambda node: node.name)
            if node.rack is not None
        ),
    )


def _tell(losses: Losses) -> None:
    for loss in losses.told():
        print(f"{'error' if loss.is_error else 'warning'}: {loss}", file=sys.stderr)
    if losses.failed:
        print("rackplane: nothing was written", file=sys.stderr)


def _sources(files: Sequence[str]) -> Iterator[Source]:
    from rackplane.exchange.foreign import Source

    for name in files:
        try:
            if name == "-":
                yield Source("standard input", sys.stdin.read())
            elif (folder := Path(name)).is_dir():
                found = sorted(p for p in folder.rglob("*") if p.suffix in (".json", ".yaml", ".yml", ".csv"))
                if not found:
                    raise CommandError(f"{name} has no JSON, YAML or CSV files")
                for path in found:
                    yield Source(str(path.relative_to(folder)), path.read_text(encoding="utf-8-sig"))
            else:
                yield Source(folder.name, folder.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise CommandError(f"{name} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"{name} is not text in UTF-8: save it as UTF-8") from error


def _write(imported: Imported, out: str | None) -> None:
    from rackplane.exchange.output import label_commands, yaml_text

    _save(out, {"facility.yaml": yaml_text(imported)}, list(label_commands(imported.labels)))


def _save(out: str | None, files: Mapping[str, str], commands: Sequence[str]) -> None:
    """Files, and a script of the commands, into a folder; without one the files' text is printed."""
    if out is None:
        print("".join(files.values()), end="")
        return
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        if commands:
            script = folder / "label-nodes.sh"
            script.write_text(
                "".join(f"{line}\n" for line in ("#!/bin/sh", "set -eu", *commands)), encoding="utf-8"
            )
            script.chmod(0o755)
    except OSError as error:
        raise CommandError(f"--out {out}: {error}") from error
