"""Commands that docs/import-export.md shows print what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from rackplane.cli import parser

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = _BLOCK.findall((ROOT / "docs" / "import-export.md").read_text())


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0][2:40])
def test_a_command_prints_what_is_shown(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("tests", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        program, *words = shlex.split(command.partition(" > ")[0])
        if program == "cat":
            assert Path(words[0]).read_text() == shown
        else:
            assert program == "rackplane"
            parser.main(words)
            printed = capsys.readouterr()
            assert (printed.err if ">" in command else printed.out + printed.err) == shown
