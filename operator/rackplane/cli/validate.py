"""`rackplane validate`: a facility checked before it is applied, or as it is."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rackplane.cli.errors import CommandError, Exit
from rackplane.cli.output import add_output_arguments, console_for, is_data, print_data
from rackplane.cli.source import add_source_arguments, open_source

if TYPE_CHECKING:  # Reading and deciding take half a second to import, and --help shall not.
    from rich.console import Console

    from rackplane.core.machine import Machine
    from rackplane.core.offline.documents import DocumentProblem
    from rackplane.engine.model import Problem
    from rackplane.engine.planning.findings import Finding

__all__ = ["add"]

_EXAMPLES = """\
examples:
  rackplane validate halls/              a folder of YAML, before it is applied
  rackplane validate halls/ --strict     in a pipeline: warnings fail it too
  rackplane validate                     the cluster that kubectl would ask
  kubectl rackplane validate -o json     for programs

An error is something that cannot be used, or a limit that is exceeded with nothing running. A warning is a loss that
the full hall would not survive though it could, or what else is hardly meant. A note is for planners. Full is every
expected node at MaxP, nominal and peak.

exit codes:
  0  no errors
  1  errors (with --strict: or warnings), or files that cannot be read
  3  the cluster cannot be read
"""
_INDENT = "         "


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "validate",
        description="Checks files and fields, what refers to what, and the physics: racks that nothing feeds, losses "
        "that a full or an idle hall does not survive, cooling that is lost together with power.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dir", nargs="?", metavar="DIR", help="the same as --facility DIR")
    parser.add_argument("--strict", action="store_true", help="fail on warnings too")
    add_output_arguments(parser)
    add_source_arguments(parser)
    parser.set_defaults(run=run)


@dataclass(frozen=True, slots=True)
class _Report:
    """What was looked at, in words, and what was found; ``places`` says where an object is written."""

    subject: str
    findings: list[Finding]
    places: Mapping[tuple[str, str], str]
    unread: bool = False
    empty: bool = False


def run(options: argparse.Namespace) -> int:
    """Print every finding; 0 without errors, 1 with errors, or with warnings if they count.

    Raises:
        CommandError: a cluster cannot be read, or two sources are named.
    """
    from rackplane.engine.planning.findings import Severity

    if options.dir is not None:
        if options.facility is not None:
            raise CommandError("name one folder: DIR, or --facility DIR", code=Exit.USAGE)
        options.facility = options.dir
    report = _of_folder(options) if options.facility is not None else _of(open_source(options), {})
    worst = min((f.severity for f in report.findings), default=Severity.INFO)
    failed = worst is Severity.ERROR or (options.strict and worst is Severity.WARNING)
    if is_data(options):
        print_data(_as_data(report, valid=not failed), options)
    else:
        _show(report, console_for(options))
    return Exit.NO if failed else Exit.YES


def _of_folder(options: argparse.Namespace) -> _Report:
    from rackplane.core.offline.documents import DocumentError, read_documents

    try:
        documents = read_documents(options.facility)
    except DocumentError as error:
        places = {_object(p): _place(p) for p in error.problems}
        return _Report(str(options.facility), list(_unreadable(error.problems)), places, unread=True)
    places = {(d.key[1], d.key[3]): f"{d.file}, document {d.number}" for d in documents}
    return _of(open_source(options), places)


def _unreadable(problems: Iterable[DocumentProblem]) -> Iterator[Finding]:
    from rackplane.engine.planning.findings import Finding, Severity

    for p in problems:
        kind, name = _object(p)
        where, what = p.problem.where, p.problem.what
        field = "" if where == p.object or not p.object else where
        message = f"{where} {what}"
        yield Finding(Severity.ERROR, "schema", kind, (name,), field, message, p.problem.remedy.rstrip("."))


def _object(problem: DocumentProblem) -> tuple[str, str]:
    """Kind and name; a document of which neither can be read stands for itself."""
    kind, _, name = problem.object.partition(" ")
    return (kind, name) if name else ("File", _place(problem))


def _place(problem: DocumentProblem) -> str:
    return problem.file + (f", document {problem.document}" if problem.document else "")


def _of(machine: Machine, places: Mapping[tuple[str, str], str]) -> _Report:
    from rackplane.api.rack import Rack
    from rackplane.engine.planning.findings import grouped
    from rackplane.engine.planning.lint import lint

    state, catalog = machine.state, machine.world.catalog
    assert state is not None  # the source has listed everything
    facility = state.facility
    nodes: dict[str, int] = {}
    for node in state.nodes():
        if node.rack is not None:
            nodes[node.rack] = nodes.get(node.rack, 0) + 1
    for rack in facility.racks:
        declared = catalog.get(Rack, rack.name)
        expected = declared.spec.expected_nodes if declared is not None else None
        if expected is not None:
            nodes[rack.name] = max(expected, nodes.get(rack.name, 0))
    known = [p for of in catalog.problems(facility).values() for p in of]
    found = grouped((*map(_finding, known), *_unclaimed(machine), *_works(machine), *lint(facility, nodes)))
    subject = ", ".join(
        (
            _count(len(facility.racks), "rack"),
            _count(sum(nodes.values()), "node"),
            _count(len(facility.powers), "power domain"),
            _count(len(facility.coolings), "cooling zone"),
        )
    )
    return _Report(subject, found, places, empty=not facility.racks)


def _finding(problem: Problem) -> Finding:
    from rackplane.engine.planning.findings import Finding, Severity

    return Finding(
        Severity.ERROR,
        "configuration",
        problem.kind,
        (problem.name,),
        problem.field,
        problem.message,
        problem.remedy,
    )


def _works(machine: Machine) -> Iterator[Finding]:
    from rackplane.engine.planning.findings import Finding, Severity

    for conflict in machine.world.catalog.planned.conflicts:
        for work in conflict.works:
            yield Finding(
                Severity.ERROR,
                "overlapping-works",
                work.kind,
                (work.name,),
                "spec.maintenance",
                f"refused: {conflict.words()}",
                "move one of the works to another time",
            )


def _unclaimed(machine: Machine) -> Iterator[Finding]:
    from rackplane.core.site.membership import node_without_rack
    from rackplane.engine.planning.findings import Finding, Severity

    for name in sorted(machine.world.catalog.unclaimed):
        p = node_without_rack(name)
        message = p.message.replace(f"node {name}", "it")
        yield Finding(Severity.WARNING, "no-rack", p.kind, (name,), p.field, message, p.remedy)


def _count(number: int, noun: str) -> str:
    from rackplane.figures import count

    return count(number, noun) if number else f"no {noun}s"


# -- output ------------------------------------------------------------------------------------------


def _summary(report: _Report) -> str:
    from rackplane.engine.planning.findings import Severity

    counts = [
        _count(n, noun)
        for severity, noun in (
            (Severity.ERROR, "error"),
            (Severity.WARNING, "warning"),
            (Severity.INFO, "note"),
        )
        if (n := sum(f.severity is severity for f in report.findings))
    ]
    said = " and ".join(filter(None, (", ".join(counts[:-1]), counts[-1] if counts else "")))
    if report.unread:
        return f"{report.subject} cannot be judged: {said}"
    return f"{report.subject}: {said or ('nothing to judge' if report.empty else 'nothing to complain of')}"


def _show(report: _Report, console: Console) -> None:
    from rich.text import Text

    from rackplane.cli.view import paragraph
    from rackplane.cli.words import names
    from rackplane.engine.planning.findings import Severity

    looks = {
        Severity.ERROR: ("error", "bold red"),
        Severity.WARNING: ("warning", "bold yellow"),
        Severity.INFO: ("note", "bold"),
    }
    console.print(Text(_summary(report), "bold"), soft_wrap=True)
    for f in report.findings:
        word, style = looks[f.severity]
        place = report.places.get((f.kind, f.names[0]), "") if len(f.names) == 1 and f.kind != "File" else ""
        head = (
            Text().append(word.ljust(len(_INDENT)), style).append(" ".join((f.kind, names(f.names))).strip())
        )
        head.append("".join(f"  {part}" for part in (f.field, place) if part), "dim")
        console.print()
        console.print(head, soft_wrap=True)
        for sentence in (f.message, f.remedy):
            # Names of fields and objects keep their letters: expectedNodes, node r1-01.
            first = sentence.partition(" ")[0].rstrip(":,;")
            capital = first.isalpha() and first.islower()
            paragraph(
                console, f"{sentence[:1].upper() if capital else sentence[:1]}{sentence[1:]}.", label=_INDENT
            )


def _as_data(report: _Report, *, valid: bool) -> dict[str, Any]:
    return {
        "valid": valid,
        "summary": _summary(report),
        "findings": [
            {
                "severity": {0: "error", 1: "warning", 2: "info"}[f.severity],
                "rule": f.rule,
                "kind": f.kind,
                "names": list(f.names),
                "field": f.field,
                "message": f.message,
                "remedy": f.remedy,
                "places": [
                    report.places[f.kind, name] for name in f.names if (f.kind, name) in report.places
                ],
            }
            for f in report.findings
        ],
    }
