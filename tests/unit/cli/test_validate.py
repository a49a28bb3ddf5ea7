"""`rackplane validate`: whole answers, for folders that are well and folders that are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rackplane.cli import parser
from tests.unit.cli.hall import HALL, folder

EXPECTED = Path(__file__).with_name("expected")
EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "facilities"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = parser.main(["validate", *arguments])
    captured = capsys.readouterr()
    assert captured.err == ""
    return code, captured.out


def changed(name: str, **spec: Any) -> list[dict[str, Any]]:
    """The hall with one object's fields set; None takes one away."""
    return [
        {**body, "spec": {k: v for k, v in {**body["spec"], **spec}.items() if v is not None}}
        if body["metadata"]["name"] == name
        else body
        for body in HALL
    ]


def test_a_hall_with_a_reserve_in_use_and_an_element_for_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = folder(tmp_path / "hall", *HALL)
    assert run(capsys, where) == (0, (EXPECTED / "validate-hall.txt").read_text(encoding="utf-8"))
    assert run(capsys, where, "--strict")[0] == 1
    assert run(capsys, "--facility", where)[0] == 0


def test_references_to_nothing_are_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = folder(tmp_path / "hall", *changed("ups-a", parents=[{"powerDomain": "utilty", "weight": 1}]))
    code, out = run(capsys, where)
    assert code == 1
    assert out == (EXPECTED / "validate-dangling.txt").read_text(encoding="utf-8")


def test_what_cannot_be_read_is_named_with_file_document_and_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "hall", *changed("ups-a", ratedWatts="100kW"), *changed("r1", feeds=None)[-9:])
    (tmp_path / "hall" / "notes.yaml").write_text("a: [1\n")
    assert run(capsys, "hall") == (1, (EXPECTED / "validate-unreadable.txt").read_text(encoding="utf-8"))


def test_data_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, folder(tmp_path / "hall", *HALL), "-o", "json")
    data = json.loads(out)
    assert (code, data["valid"]) == (0, True)
    assert {
        "severity": "warning",
        "rule": "unused",
        "kind": "PowerDomain",
        "names": ["ups-old"],
        "field": "spec",
        "message": "nothing draws from it: no rack, no cooling unit and no base load hangs on it",
        "remedy": "name it in the feeds or parents of what it feeds, or remove it",
        "places": ["objects.yaml, document 7"],
    } in data["findings"]


def test_a_folder_without_racks_has_nothing_to_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = folder(tmp_path / "hall", *(body for body in HALL if body["kind"] == "Queue"))
    assert run(capsys, where) == (
        0,
        "no racks, no nodes, no power domains, no cooling zones: nothing to judge\n",
    )


def test_nodes_that_no_rack_claims_are_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "stray", "labels": {"rack": "r9"}},
        "status": {"allocatable": {"nvidia.com/gpu": 4}},
    }
    _, out = run(capsys, folder(tmp_path / "hall", *HALL, node), "-o", "json")
    (found,) = [f for f in json.loads(out)["findings"] if f["rule"] == "no-rack"]
    assert (found["severity"], found["names"], found["message"]) == (
        "warning",
        ["stray"],
        "it belongs to no rack, so its power is not known; it is not used for placement",
    )


def test_two_folders_are_one_too_many(capsys: pytest.CaptureFixture[str]) -> None:
    assert parser.main(["validate", "a", "--facility", "b"]) == 2
    assert capsys.readouterr().err == "rackplane: name one folder: DIR, or --facility DIR\n"


@pytest.mark.parametrize("name", sorted(p.name for p in EXAMPLES.iterdir() if p.is_dir()))
def test_the_example_facilities_have_nothing_wrong_but_the_one_that_is_there_to_show_it(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(capsys, str(EXAMPLES / name), "-o", "json")
    rules = {f["rule"] for f in json.loads(out)["findings"] if f["severity"] != "info"}
    assert (code, rules) == (0, {"unbalanced"} if name == "4n3-unbalanced" else set())
