"""Commands shown in the READMEs print what is shown there.

A block of ```console has commands after "$ " and their output below. White space counts as one space, so that a long
line may be folded; a line of "..." stands for lines left out.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from rackplane.cli import main
from tests.examples.halls import FACILITIES, ROOT

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PAGES = [
    *sorted(FACILITIES.glob("*/README.md")),
    ROOT / "README.md",
    ROOT / "examples" / "README.md",
    ROOT / "docs" / "physics.md",
    ROOT / "docs" / "cli.md",
]


def _commands() -> Iterator[tuple[Path, str, str]]:
    for page in _PAGES:
        for block in _BLOCK.findall(page.read_text()):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                yield page, command, shown


def _id(value: Path | str) -> str:
    return value.parent.name if isinstance(value, Path) else " ".join(value.split()[1:3])


@pytest.mark.parametrize(("page", "command", "shown"), list(_commands()), ids=_id)
def test_a_command_prints_what_is_shown(
    page: Path, command: str, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program, *arguments = shlex.split(command)
    if program == "kubectl":
        program, *arguments = arguments
    assert program == "rackplane"
    monkeypatch.chdir(ROOT)
    main(arguments)  # its exit code says yes or no; errors go to stderr
    printed = capsys.readouterr()
    assert not printed.err
    text, where = _folded(printed.out), 0
    for piece in re.split(r"^\s*\.\.\.$", shown, flags=re.MULTILINE):
        found = text.find(_folded(piece), where)
        assert found >= 0, f"{page.relative_to(ROOT)}: $ {command}\nprints\n{printed.out}"
        where = found + len(_folded(piece))
    assert where == len(text) or shown.rstrip().endswith("..."), f"there is more:{os.linesep}{text[where:]}"


def _folded(text: str) -> str:
    return " ".join(text.split())
