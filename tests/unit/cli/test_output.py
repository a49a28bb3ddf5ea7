"""What all commands share: which module is loaded, formats, colours."""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rich.text import Text

from rackplane import __version__
from rackplane.cli import parser
from rackplane.cli.commands import COMMANDS
from rackplane.cli.output import console_for
from tests.unit.cli.hall import HALL, folder, gang


def test_help_loads_no_command() -> None:
    code = (
        "import sys, contextlib, io\n"
        "from rackplane.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out: main(['--help'])\n"
        "assert 'the power path' in out.getvalue()\n"
        "print(sorted(m for m in sys.modules if m.startswith('rackplane')), [m for m in ('asyncio', 'rich', 'msgspec',"
        " 'pydantic', 'numpy', 'dataclasses') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own = [
        "rackplane",
        "rackplane.cli",
        "rackplane.cli.commands",
        "rackplane.cli.errors",
        "rackplane.cli.parser",
    ]
    assert done.stdout == f"{own} []\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_own_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parser.main([name, "--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: rackplane {name} [-h]")


def test_a_command_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parser.main(["tere", "power"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "rackplane: error: argument COMMAND: there is no 'tere'; did you mean tree?"
    )


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert parser.main(["version"]) == 0
    assert capsys.readouterr().out == f"rackplane {__version__}\n"
    assert parser.main(["version", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["version", "python", "platform"] and found["version"] == __version__


@pytest.mark.parametrize(
    "words",
    [
        ["tree", "power"],
        ["explain", "gang", "a"],
        ["capacity", "--level", "nvlink"],
        ["drill", "lose", "powerdomain/ups-a"],
        ["validate"],
        ["verify"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_yaml_says_what_json_says(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = folder(tmp_path / "hall", *HALL, gang("a", "r1-01", "r1-02"))
    moment = ["--facility", where, "--at", "2026-11-21T12:00:00Z"]
    codes = [parser.main([*words, *moment, "-o", "json"])]
    as_json = json.loads(capsys.readouterr().out)
    codes.append(parser.main([*words, *moment, "-o", "yaml"]))
    printed = capsys.readouterr()
    assert (yaml.safe_load(printed.out), printed.err, codes[0]) == (as_json, "", codes[1])


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def coloured(monkeypatch: pytest.MonkeyPatch, file: io.StringIO, color: str, **environment: str) -> bool:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    console_for(argparse.Namespace(color=color, output="text"), file).print(Text("x", "red"))
    return "\x1b[31m" in file.getvalue()


def test_colours_are_for_terminals_that_want_them_or_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert coloured(monkeypatch, _Terminal(), "auto")
    assert not coloured(monkeypatch, _Terminal(), "auto", NO_COLOR="1")
    assert not coloured(monkeypatch, _Terminal(), "never")
    assert not coloured(monkeypatch, io.StringIO(), "auto")
    assert coloured(monkeypatch, io.StringIO(), "always", NO_COLOR="1")


def test_a_pipe_and_wide_are_as_wide_as_need_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    widths = [
        console_for(argparse.Namespace(color="auto", output=output), file()).width
        for output, file in (("text", _Terminal), ("wide", _Terminal), ("text", io.StringIO))
    ]
    assert widths == [80, 10_000, 10_000]
