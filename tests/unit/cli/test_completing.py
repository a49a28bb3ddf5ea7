"""Completion: what is offered for which words, by kubectl's plugin program and by the shell's script."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rackplane
from rackplane.api.crd import crd
from rackplane.api.kinds import KINDS
from rackplane.cli import completing, parser
from rackplane.cli.completing import completed
from tests.support.served import served
from tests.unit.cli.hall import HALL, folder, gang, job

GANGS = (gang("a", "r1-01"), {**gang("b"), "metadata": {"name": "job-b", "namespace": "other"}})


@pytest.fixture
def hall(tmp_path: Path) -> str:
    return folder(tmp_path / "hall", *HALL, *GANGS, job("c", pods=1))


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["tr"], ["tree", "try"]),
        (["tree", ""], ["power", "cooling", "fabric"]),
        (["tree", "power", "-o", ""], ["text", "wide", "json", "yaml"]),
        (["capacity", "--p"], ["--profile"]),
        (["capacity", "--level", "l"], ["leaf"]),
        (["drill", "lose", "p"], ["powerdomain/", "powerbudget/"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
    ],
)
def test_words_that_need_no_cluster(words: list[str], found: list[str]) -> None:
    assert completed(words) == found


def test_names_of_a_folder(hall: str) -> None:
    source = ("--facility", hall)
    assert completed(["queue", *source, ""]) == ["research"]
    assert completed(["drill", *source, "lose", "powerdomain/ups-"]) == [
        f"powerdomain/ups-{name}" for name in ("a", "b", "c", "old", "r")
    ]
    assert completed(["explain", *source, "gang", ""]) == ["c", "job-a"]
    assert completed(["explain", *source, "-n", "other", "gang", ""]) == ["job-b"]


def test_names_of_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    other = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
    with served(kubeconfig, *(crd(model) for model in KINDS), *HALL, other, *GANGS):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        assert completed(["tree", "power", "r"]) == ["r1", "r2", "r3"]
        assert completed(["explain", "gang", ""]) == ["job-a"]
        assert completed(["explain", "-n", "o"]) == ["other"]
        assert completed(["tree", "--context", ""]) == [
            line.split()[-1] for line in kubeconfig.read_text().splitlines() if "current-context" in line
        ]


def test_what_cannot_be_asked_offers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert completed(["tree", "power", ""]) == []
    assert completed(["tree", "--context", ""]) == []
    assert completed(["queue", "--facility", str(tmp_path / "none"), ""]) == []


def test_kubectl_is_answered_as_it_asks(
    hall: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(*words: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["kubectl_complete-rackplane", *words])
        assert completing.kubectl() == 0
        return capsys.readouterr().out.splitlines()

    assert answer("tr") == [
        "tree\tthe power path, the cooling loops or the fabric, with loads as bars",
        "try\trun one small job, to see that all works; it is deleted again",
        ":4",
    ]
    assert answer("drill", "lose", "ra") == ["rack/", ":6"]
    assert answer("queue", "--facility", hall, "x") == [":4"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not on PATH")
def test_bash_completes_with_the_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parser.main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    program = tmp_path / "rackplane"
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom rackplane.cli import main\nsys.exit(main())\n")
    program.chmod(0o755)
    line = "rackplane tree po"
    asked = (
        f"{script}\nCOMP_LINE={line!r} COMP_POINT={len(line)} COMP_TYPE=9 COMP_WORDS=({line}) COMP_CWORD=2\n"
        "$(complete -p rackplane | sed 's/.*-F //; s/ .*//') rackplane po tree\n"
        'printf "%s|" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", asked],
        env={
            **os.environ,
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(Path(rackplane.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split("|")[0].strip() == "power"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_there_is_a_script_for_every_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parser.main(["completion", shell]) == 0
    assert "rackplane" in capsys.readouterr().out
