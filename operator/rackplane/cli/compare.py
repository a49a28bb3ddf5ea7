"""`rackplane compare`: runs of `rackplane simulate` beside each other."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rackplane.cli.errors import CommandError, Exit
from rackplane.cli.output import add_output_arguments, console_for, is_data, print_data

if TYPE_CHECKING:  # What reads takes half a second to import, and --help shall not.
    from rich.console import Console

    from rackplane.simulator.report.comparing import Comparison, Difference

__all__ = ["add"]

_EXAMPLES = """\
examples:
  rackplane compare run1 run2                        every figure, and how much it is more or less than in run1
  rackplane compare run1 run2 run3 --out page.html   the same with the plots of all, as a page that opens offline
  rackplane compare run1 run2 -o json                for programs

Other facilities, other jobs and runs that did not end are said, and compared all the same.
"""
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_GAP: Final = "  "


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "compare",
        description="Puts runs of `rackplane simulate` beside each other; the first is what others are judged against.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs", nargs="+", metavar="DIR", help="a folder that `rackplane simulate --out` wrote"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="write a page with the plots of all runs too, at most six; it opens offline",
    )
    add_output_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the table; 0.

    Raises:
        CommandError: a folder is none of a run, or there are too many.
    """
    from rackplane.simulator.report.comparing import compare
    from rackplane.simulator.report.runs import RunError, read_runs

    if len(options.runs) > len(_LETTERS):
        raise CommandError(f"name at most {len(_LETTERS)} folders, not {len(options.runs)}", code=Exit.USAGE)
    try:
        found = compare(read_runs(options.runs))
    except RunError as error:
        raise CommandError(str(error)) from error
    if options.out is not None:
        _write(found, Path(options.out))
    if is_data(options):
        print_data(_as_data(found), options)
        return Exit.YES
    console = console_for(options)
    _show(found, console)
    if options.out is not None:
        console.print(f"\nwritten to {options.out}", highlight=False, markup=False)
    return Exit.YES


def _write(found: Comparison, path: Path) -> None:
    from rackplane.simulator.report.comparisonpage import MOST_RUNS, comparison_page

    if len(found.runs) > MOST_RUNS:
        said = f"a page shows at most {MOST_RUNS} runs, not {len(found.runs)}: name fewer, or leave out --out"
        raise CommandError(said, code=Exit.USAGE)
    try:
        path.write_text(comparison_page(found), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--out {path}: cannot be written: {error.strerror}") from error


def _show(found: Comparison, console: Console) -> None:
    from rich.text import Text

    from rackplane.cli.view import paragraph

    for letter, one in zip(_LETTERS, found.runs, strict=False):
        facility, trace = one.data["facility"], one.data["trace"]
        text = f"{one.name}: {facility['name']}, {trace['jobs']:,} jobs of {trace['file']}"
        paragraph(console, text, label=f"{letter}  ")
    for warning in found.warnings:
        paragraph(console, warning, label="!  ")
    if found.differences:
        console.print()
        paragraph(console, "What they were given that differs:")
        for difference in found.differences:
            paragraph(console, _told(difference), label="   ")
    for block in _blocks(found, console.width):
        console.print()
        for number, line in enumerate(block):
            console.print(Text(line.rstrip(), "" if number else "bold"), soft_wrap=True)


def _told(difference: Difference) -> str:
    from rackplane.simulator.report.comparing import said_of

    return f"{difference.what}: " + ", ".join(
        f"{letter} {said_of(value)}" for letter, value in zip(_LETTERS, difference.values, strict=False)
    )


def _blocks(found: Comparison, width: int) -> Iterator[list[str]]:
    """The table as lines, of as many runs beside each other as there is room for."""
    from rackplane.simulator.report.measures import change, in_words

    labels = ["", *(row.measure.label for row in found.rows)]
    columns: list[list[str]] = []
    for i in range(len(found.runs)):
        figures, changes = [_LETTERS[i]], [""]
        for row in found.rows:
            unit, value = row.measure.unit, row.values[i]
            figures.append(in_words(unit, value))
            changes.append(change(unit, row.values[0], value) if i else "")
        columns.append([_beside(*pair) for pair in zip(_right(figures), _right(changes), strict=True)])
    first = max(map(len, labels))
    labels = [label.ljust(first) for label in labels]
    while columns:
        fitting, used = 0, first
        for column in columns:
            used += len(_GAP) + len(column[0])
            if fitting and used > width:
                break
            fitting += 1
        chosen, columns = columns[:fitting], columns[fitting:]
        yield [_GAP.join(cells) for cells in zip(labels, *chosen, strict=True)]


def _right(cells: Sequence[str]) -> list[str]:
    width = max(map(len, cells))
    return [cell.rjust(width) for cell in cells]


def _beside(value: str, more: str) -> str:
    return f"{value} {more}" if more else value


def _as_data(found: Comparison) -> dict[str, Any]:
    return {
        "runs": [
            {
                "name": one.name,
                "facility": one.data["facility"]["name"],
                "trace": one.data["trace"]["file"],
                "jobs": one.data["trace"]["jobs"],
                "seed": one.data["seed"],
                "ended": not (one.data.get("stuck") or one.data.get("interrupted")),
            }
            for one in found.runs
        ],
        "warnings": list(found.warnings),
        "differences": [{"what": d.what, "values": list(d.values)} for d in found.differences],
        "measures": [
            {
                "name": row.measure.key,
                "label": row.measure.label.strip(),
                "unit": row.measure.unit,
                "better": {None: None, True: "less", False: "more"}[row.measure.less_is_better],
                "values": list(row.values),
            }
            for row in found.rows
        ],
    }
