"""Runs beside each other: their figures, what they were given, and what makes the comparison unfair."""

from __future__ import annotations

from pathlib import Path

import pytest

from rackplane.simulator.report.comparing import Difference, compare
from rackplane.simulator.report.measures import Figure, Unit, change, figures, in_words
from rackplane.simulator.report.runs import RunError, read_runs
from tests.unit.simulator.run_data import DATA, made, written


def test_every_promise_has_its_value_its_limit_and_their_ratio() -> None:
    found = [(f.label.strip(), f.value, f.limit, f.kept, f.note) for f in figures(made())]
    assert found == [
        ("Time over a limit by watts reserved", 32, 0, False, "at worst 2.5 kW: budget order"),
        ("the same had one loss more come", 0, 0, True, ""),
        ("Fullest element", 90_000, 100_000, True, "UPS ups-a"),
        (
            "Least headroom in the worst contingency",
            -1_000,
            0,
            False,
            "power domain ups-a, losing ups-b, day 0.5",
        ),
        ("GPU-hours held", 576.0, 1_152.0, None, "of those there were"),
        ("GPU-hours done again after stops", 5.76, 576.0, None, "of held"),
        ("Energy reserved", 1.5, 126_000 * 86_400 / 3.6e9, None, "of every node at full power"),
        ("Stranded power, mean", 10_000.0, 126_000, None, "of every node at full power"),
        ("Racks per gang, mean", 1.5, 1.0, None, "of the fewest possible"),
    ]
    assert Figure("", Unit.RATIO, 1.5, 1.0).ratio == 1.5
    assert (Figure("", Unit.SECONDS, 32, 0).ratio, Figure("", Unit.SECONDS, 32).ratio) == (None, None)


@pytest.mark.parametrize(
    ("unit", "before", "after", "words"),
    [
        (Unit.WAIT, 3_600, 1_800, "-50 %"),
        (Unit.WAIT, 3_600, 36_000, "x 10"),
        (Unit.WAIT, 1_000_000, 1_000_100, ""),
        (Unit.WAIT, 0, 1_800, ""),
        (Unit.SHARE, 0.5, 0.531, "+3.1 pt"),
        (Unit.WATTS, -5, 7_000, ""),
        (Unit.COUNT, None, 1, ""),
    ],
)
def test_changes_are_said_where_they_mean_something(
    unit: Unit, before: float | None, after: float, words: str
) -> None:
    assert change(unit, before, after) == words


def test_figures_have_units_and_thousands() -> None:
    assert [in_words(unit, 123_456.7) for unit in Unit] == [
        *("123,457", "123,457 s", "34.29 h", "1.4 d", "123,457 GPU-h", "12,345,670.0 %", "123,456.70"),
        *("123.5 kW", "123,456.7 MWh"),
    ]
    assert (in_words(Unit.WATTS, -0.0), in_words(Unit.WATTS, None)) == ("0.0 kW", "-")


def test_all_figures_of_all_runs_and_what_differs_in_what_they_were_given() -> None:
    other = made("b", policy__reservations=0, summary__wait_seconds__p95=1_800.0)
    found = compare([made("a"), other])
    values = {row.measure.key: row.values for row in found.rows}
    assert values["wait_p95_seconds"] == (3_600.0, 1_800.0)
    assert values["wait_p95_seconds_8-63_gpus"] == (3_600.0, 3_600.0)
    assert values["stranded_watts"] == (10_000.0, 10_000.0)
    assert values["tightest_headroom_watts"] == (-1_000.0, -1_000.0)
    # Nobody asked for so many, and draws were not modelled.
    assert not {"wait_p95_seconds_512+_gpus", "megawatt_hours_drawn"} & set(values)
    assert (found.differences, found.warnings) == ((Difference("policy.reservations", (1, 0)),), ())


def test_what_makes_it_unfair_is_said() -> None:
    runs = [
        made("a"),
        made("b", facility__name="4n3", facility__gpus=3_456),
        made("c", trace__file="itp.csv"),
        made("d", sha256__facility="e" * 64),
        made("e", trace__scaling__load=0.9, trace__last_arrival=10),
        made("f", stuck="1 jobs wait for nothing"),
        made("g", interrupted=True),
        made("h", plots=None, sha256={"trace": "a" * 64}),
    ]
    assert compare(runs).warnings == (
        "b ran on another facility than a: 4n3 (3,456 GPUs), not hall (48 GPUs)",
        "c ran other jobs than a: itp.csv, not jobs.csv",
        "d ran on another facility than a, of the same name: hall (48 GPUs) was changed",
        "e ran 3 jobs of the trace and a 3, or at other times: see what differs in trace.scaling",
        "f did not end: 1 jobs wait for nothing",
        "g was broken off at day 1.0: its figures end there",
        "h has no plots.json: it was made by an older version; run it again to see its plots",
    )


def test_folders_are_told_apart_by_the_shortest_ends_of_their_paths(tmp_path: Path) -> None:
    folders = [written(tmp_path / name, plots=None) for name in ("x/out", "y/out")]
    folders.append(f"{tmp_path}/x/../x/out")
    runs = read_runs(folders)
    assert [(run.name, run.plots) for run in runs] == [("x/out", None), ("y/out", None), ("x/out (2)", None)]
    assert runs[0].data == DATA


def test_every_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    texts = {"text": "{", "list": "[]", "newer": '{"format": "rackplane.dev/run/v2"}'}
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(RunError) as error:
        read_runs([str(tmp_path / name) for name in ("none", *texts)])
    assert str(error.value).replace(f"{tmp_path}/", "").splitlines() == [
        "none: there is no such folder; name a folder that `rackplane simulate --out` wrote: it has a run.json",
        "text: run.json is no JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1)): "
        "run it again",
        "list: run.json is of no known format, and this version reads rackplane.dev/run/v1",
        "newer: run.json is rackplane.dev/run/v2, and this version reads rackplane.dev/run/v1",
    ]
