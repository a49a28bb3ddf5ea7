"""`rackplane top`: one screen as a whole, what is left out of a small one, keys, and an operator that is silent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rackplane.api.crd import crd
from rackplane.api.kinds import KINDS
from rackplane.cli import parser
from rackplane.cli.errors import CommandError
from rackplane.cli.top_board import Board, Draw, Element, Operator
from rackplane.cli.top_live import KEYS, LEAVE, Screen, watch
from rackplane.cli.top_view import screen
from tests.support.served import served
from tests.unit.cli.hall import HALL, folder, gang
from tests.unit.cli.terminal import Terminal, shown

EXPECTED = Path(__file__).with_name("expected")
GANGS = (
    gang("a", *(f"r1-{n:02}" for n in range(1, 5))),
    gang("b", "r3-01", "r3-02", rack="r3", profile="MaxQ"),
    gang("c"),
)
NOW = 1_795_262_400.0  # 2026-11-21 12:00 UTC


def expected(name: str) -> list[str]:
    return (EXPECTED / f"{name}.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("what", ["overview", "racks"])
def test_of_a_folder(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = folder(tmp_path / "hall", *HALL, *GANGS)
    lines = shown(monkeypatch, "top", what, "--facility", where, "--at", "2026-11-21T12:00:00Z")
    assert lines == expected(f"top-{what}")
    assert max(map(len, lines)) <= 80


def element(name: str, load: int, worst: int, **more: Any) -> Element:
    case = {
        "loss": "ups-x",
        "kind": "ContinuousRating",
        "element": name,
        "loadWatts": worst,
        "limitWatts": 100_000,
    }
    return Element("PowerDomain", name, "", load, 100_000, 100_000 - worst, None, case, **more)


BOARD = Board(
    NOW,
    Operator("Leads", "rackplane-0", NOW - 2),
    tuple(element(f"ups-{i}", 50_000, 99_000 - i * 1_000) for i in range(20)),
    (replace(element("loop", 30_000, 31_000), kind="CoolingZone"),),
    (),
    tuple(Draw("ns", f"g{i}", "q", "Running", 8, 9_000 - i, 9_500, "MaxP", ("r1",), "") for i in range(12)),
    3,
)


def plain(board: Board, **more: Any) -> list[str]:
    return [line.plain for line in screen(board, **{"pane": "overview", "width": 80, **more})]


def test_a_small_screen_has_something_of_everything() -> None:
    lines = plain(BOARD, height=20, keys=KEYS)
    assert lines == expected("top-small")
    assert len(lines) == 20 and max(map(len, lines)) <= 80


def test_what_is_off_over_its_limit_or_not_known_yet_says_so() -> None:
    off = replace(element("ups-off", 0, 0), state="Offline", worst=None)
    over = element("ups-over", 90_000, 120_000)
    new = Element("PowerDomain", "ups-new", "", None, None, None, None, None)
    board = replace(BOARD, powers=(over, off, new), coolings=(), gangs=())
    lines = screen(board, pane="power", width=100)
    assert [line.plain.split("  ")[-1].strip() for line in lines[-3:]] == [
        "losing ups-x: 120.0 of 100.0 kW",
        "offline",
        "the operator has said nothing of it",
    ]
    assert [any("red" in str(span.style) for span in line.spans) for line in lines[-3:]] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("operator", "words"),
    [
        (Operator("Leads", "rackplane-0", NOW - 3), "operator: rackplane-0 leads, seen 3 s ago"),
        (
            Operator("Silent", "rackplane-0", NOW - 90),
            "operator: rackplane-0 held the Lease and has not renewed it for 2 min",
        ),
        (
            Operator("None", words="none leads: nobody holds the Lease"),
            "operator: none leads: nobody holds the Lease",
        ),
    ],
)
def test_who_leads(operator: Operator, words: str) -> None:
    assert plain(replace(BOARD, operator=operator))[1] == words


class Watched:
    """A screen that is watched with keys that are pressed beforehand, and what was drawn."""

    def __init__(self, *keys: str) -> None:
        self.screen = Screen(
            Console(file=Terminal(), width=80, height=24, force_terminal=True), pane="overview"
        )
        self.keys: asyncio.Queue[str] = asyncio.Queue()
        self.drawn: list[tuple[str, bool, str]] = []
        self.asked = 0
        for key in keys:
            self.keys.put_nowait(key)

    def draw(self) -> None:
        assert len(self.screen.lines()) <= 24
        self.drawn.append((self.screen.pane, self.screen.board is not None, self.screen.trouble))

    async def until_left(self, answer: Callable[[int], Board]) -> None:
        async def read() -> Board:
            self.asked += 1
            found = answer(self.asked)
            if self.asked == 2:
                self.keys.put_nowait(LEAVE)
            return found

        await asyncio.wait_for(watch(self.screen, read, self.draw, self.keys, seconds=0), timeout=30)


async def test_keys_are_heard_before_there_is_an_answer() -> None:
    watched = Watched("R", "x", "Q")
    await watched.until_left(lambda _: BOARD)
    assert [pane for pane, _, _ in watched.drawn] == ["overview", "racks", "racks"]


async def test_what_is_known_stays_while_the_cluster_does_not_answer() -> None:
    def answer(time: int) -> Board:
        if time == 2:
            raise CommandError("the cluster cannot be asked: refused")
        return BOARD

    watched = Watched()

    async def read() -> Board:
        watched.asked += 1
        if watched.asked == 3:
            watched.keys.put_nowait(LEAVE)
        return answer(watched.asked)

    await asyncio.wait_for(watch(watched.screen, read, watched.draw, watched.keys, seconds=0), timeout=30)
    assert watched.drawn[:3] == [
        ("overview", False, ""),
        ("overview", True, ""),
        ("overview", True, "the cluster cannot be asked: refused"),
    ]
    watched.screen.trouble = "the cluster cannot be asked: refused"
    assert watched.screen.lines()[1].plain.endswith("ago: the cluster cannot be asked: refused")


async def test_without_a_first_answer_it_ends() -> None:
    def answer(time: int) -> Board:
        raise CommandError("the cluster cannot be asked: refused")

    with pytest.raises(CommandError, match="refused"):
        await Watched().until_left(answer)


def test_of_a_cluster_in_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "rackplane", "namespace": "rackplane-system"},
        "spec": {
            "holderIdentity": "rackplane-0",
            "leaseDurationSeconds": 15,
            "renewTime": "2020-01-01T00:00:00.000000Z",
        },
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "rackplane-system"}}
    with served(kubeconfig, *(crd(model) for model in KINDS), *HALL, *GANGS, namespace, lease):
        source = ("--kubeconfig", str(kubeconfig))
        assert parser.main(["top", *source]) == 0
        text = capsys.readouterr().out.splitlines()
        assert parser.main(["top", "racks", "-o", "json", "--lease", "x/y", *source]) == 0
        data = json.loads(capsys.readouterr().out)
        assert parser.main(["top", "--lease", "x", *source]) == 2
        assert parser.main(["top", "--at", "2026-11-21T12:00:00Z", *source]) == 2
    assert text[1].startswith("operator: rackplane-0 held the Lease and has not renewed it for ")
    assert text[2] == "3 racks at 0.0 kW, 0 of 0 GPUs in use; 2 gangs placed, 1 waiting"
    assert list(data) == ["time", "operator", "totals", "powerDomains", "coolingZones", "racks", "gangs"]
    assert data["operator"] == {"state": "None", "holder": None, "renewTime": None}
    assert data["racks"][0] == {
        "name": "r1",
        "state": None,
        "loadWatts": None,
        "limitWatts": 50_000,
        "headroomWatts": None,
        "observedWatts": None,
        "worstContingency": None,
        "gpus": None,
        "freeGpus": None,
    }
    assert data["gangs"][0] == {
        "namespace": "default",
        "name": "job-a",
        "queue": "research",
        "phase": "Running",
        "gpus": 16,
        "reservedNominalWatts": 36_000,
        "reservedPeakWatts": 36_000,
        "powerProfile": "MaxP",
        "racks": ["r1"],
        "message": "all 4 slots run",
    }


def test_a_pause_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parser.main(["top", "--seconds", "0"])
    assert stopped.value.code == 2
    assert "'0' is no number of seconds from 0.5 to 3600" in capsys.readouterr().err
