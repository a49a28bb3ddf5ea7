"""`rackplane import` and `export`: what comes out validates, what is lost is named, errors write nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rackplane.cli import parser

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT / "tests" / "data" / "exchange"
TEMPLATE = "profile: gb300-nvl72\nlimitWatts: 142000\nfeeds: [{powerDomain: pdu, weight: 1}]\n"
PDU = {
    "apiVersion": "rackplane.dev/v1alpha1",
    "kind": "PowerDomain",
    "metadata": {"name": "pdu"},
    "spec": {"type": "PDU", "ratedWatts": 1_000_000},
}
NAMED = "--fabric-levels=nvlink,leaf,pod,hall,site"


@pytest.mark.parametrize(
    ("name", "words", "template", "levels", "code"),
    [
        ("csv", [], None, [], 4),
        ("dps", ["--rating", "RackBusbar_132kW=132000"], None, [], 4),
        ("kueue", [], TEMPLATE, [NAMED], 0),
        ("redfish", ["--power-factor", "0.95"], None, [], 4),
        ("slurm", [], "profile: gb300-nvl72\n", [], 4),
        ("volcano", [], TEMPLATE, [], 4),
    ],
)
def test_every_example_becomes_a_facility_that_validates(
    name: str,
    words: list[str],
    template: str | None,
    levels: list[str],
    code: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if template is not None:
        (tmp_path / "rack.yaml").write_text(template)
        words = [*words, "--rack-template", str(tmp_path / "rack.yaml")]
    out = tmp_path / "out"
    assert parser.main(["import", "--from", name, str(DATA / name), *words, "--out", str(out)]) == code
    shown = capsys.readouterr()
    assert (shown.out, bool(shown.err)) == ("", code == 4)
    # What the template's racks hang from.
    (out / "power.yaml").write_text(yaml.safe_dump(PDU))
    assert parser.main(["validate", str(out), *levels]) == 0
    if name == "volcano":
        script = (out / "label-nodes.sh").read_text().splitlines()
        assert script[:2] == ["#!/bin/sh", "set -eu"]
        assert script[2] == (
            "kubectl label --overwrite nodes n0 n1 rackplane.dev/leaf=leaf-a rackplane.dev/rack=s0 "
            "rackplane.dev/spine=root"
        )


def test_with_an_error_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert parser.main(["import", "--from", "dps", str(DATA / "dps"), "--out", str(out)]) == 1
    shown = capsys.readouterr()
    assert not out.exists() and shown.out == ""
    assert shown.err.splitlines()[0].startswith(
        "error: topology.json: Entities[3].OperatingLimit: Rack-1 has none"
    )
    assert shown.err.splitlines()[-1] == "rackplane: nothing was written"


def test_printed_yaml_has_the_labels_and_settings_as_comments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO((DATA / "kueue" / "topology.yaml").read_text()))
    assert parser.main(["import", "--from", "kueue", "-"]) == 4
    assert capsys.readouterr().out.splitlines()[:4] == [
        "# The operator needs these values of the chart:",
        "#   fabricLevels:",
        "#   - nvlink",
        "#   - leaf",
    ]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--from", "csv", "{path}/none"], "none cannot be read: No such file"),
        (["--from", "csv", "{path}/latin.csv"], "is not text in UTF-8"),
        (["--from", "csv", "{path}/empty"], "has no JSON, YAML or CSV files"),
        (["--from", "dps", "{data}/dps", "--rack-pattern", "("], "is no pattern"),
        (["--from", "csv", "{data}/csv", "--rack-template", "{path}/none"], "cannot be read"),
        (["--from", "csv", "{data}/csv", "--rack-template", "{path}/bad.yaml"], "has no field limit"),
        (["--from", "csv", "{data}/csv", "--out", "{path}/bad.yaml"], "--out"),
    ],
)
def test_what_cannot_be_read_or_written_is_told(
    words: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "latin.csv").write_bytes("kind,name\nPDU,Geb\xe4ude\n".encode("latin-1"))
    (tmp_path / "bad.yaml").write_text("limit: 5\n")
    assert parser.main(["import", *(w.format(path=tmp_path, data=DATA) for w in words)]) == (
        2 if why == "is no pattern" else 3
    )
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--rating", "x"], "'x' is not NAME=WATTS"),
        (["--rating", "a=many"], "'many' is no whole number of at least 1"),
        (["--power-factor", "1.5"], "'1.5' is no power factor above 0 and up to 1"),
    ],
)
def test_options_that_cannot_be_are_wrong_usage(
    words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parser.main(["import", "--from", "redfish", "x", *words])
    assert caught.value.code == 2
    assert why in capsys.readouterr().err


# -- export ------------------------------------------------------------------------------------------


def export(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, list[str]]:
    code = parser.main(["export", *words])
    shown = capsys.readouterr()
    return code, yaml.safe_load(shown.out), shown.err.splitlines()


def test_a_facility_goes_out_to_kueue_and_comes_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facility = str(ROOT / "examples" / "facilities" / "2n")
    code, topology, lost = export(capsys, "--to", "kueue", "--facility", facility)
    assert code == 4
    assert [level["nodeLabel"] for level in topology["spec"]["levels"]] == [
        "rackplane.dev/hall",
        "rackplane.dev/spine",
        "rackplane.dev/leaf",
        "rackplane.dev/nvlink-domain",
        "kubernetes.io/hostname",
    ]
    assert lost == [
        "warning: Rack r1: spec: is not in a Topology, which has no watts (and 7 more like it)",
        "warning: PowerDomain board-a: spec: is not in a Topology, which has no watts (and 5 more like it)",
        "warning: CoolingZone hall-air: spec: is not in a Topology, which has no watts (and 1 more like it)",
        "warning: the nodes: expectedNodes: 144 nodes are only expected, and their names (r1-01 ...) are made up: give "
        "the Nodes too",
    ]
    out = tmp_path / "kueue"
    assert (
        parser.main(["export", "--to", "kai", "--name", "gpu", "--facility", facility, "--out", str(out)])
        == 4
    )
    assert yaml.safe_load((out / "topology.yaml").read_text())["apiVersion"] == "kai.scheduler/v1alpha1"
    assert (out / "label-nodes.sh").read_text().count("kubectl label") == 8


def test_a_facility_goes_out_to_dps_and_comes_back_with_its_limits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facility = ROOT / "examples" / "facilities" / "dps-simulator"
    code, topology, lost = export(capsys, "--to", "dps", "--facility", str(facility), "--name", "simulator")
    assert (code, topology["Topology"]["Name"], len(topology["Entities"])) == (4, "simulator", 6 + 8 + 144)
    assert "Rack rack-1: spec.profile: DPS has no model for profile dps-gb300" in lost[1]
    (tmp_path / "topology.json").write_text(json.dumps(topology))
    (tmp_path / "rack.yaml").write_text("profile: gb300-nvl72\n")
    words = ["--from", "dps", str(tmp_path / "topology.json"), "--rack-template", str(tmp_path / "rack.yaml")]
    assert parser.main(["import", *words]) == 0
    back = {
        (body["kind"], body["metadata"]["name"]): body["spec"]
        for body in yaml.safe_load_all(capsys.readouterr().out)
    }
    written = [
        body
        for name in ("power.yaml", "racks.yaml")
        for body in yaml.safe_load_all((facility / name).read_text())
    ]
    for body in written:
        spec = back[body["kind"], body["metadata"]["name"]]
        for field in ("ratedWatts", "limitWatts", "overheadWatts", "parents", "feeds", "expectedNodes"):
            assert spec.get(field) == body["spec"].get(field)
    assert len(back) == len(written)


def test_a_facility_that_is_not_valid_is_not_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {**PDU, "spec": {"type": "PDU", "ratedWatts": 0}}
    (tmp_path / "pdu.yaml").write_text(yaml.safe_dump(body))
    assert parser.main(["export", "--to", "dps", "--facility", str(tmp_path)]) == 3
    assert "ratedWatts" in capsys.readouterr().err
