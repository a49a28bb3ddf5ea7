"""A spreadsheet: units in headings, one row a thing, and a cell that cannot be read is an error with its place."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.exchange.spreadsheet import COLUMNS, read
from tests.unit.exchange.reading import DATA, Outcome, run

HEAD = "kind,name,type,limit_kw,fed_by,profile,nodes\n"


def imported(text: str, **options: Any) -> Outcome:
    return run(read, text, template=None, **options)


def test_the_example_becomes_a_whole_facility() -> None:
    found = imported((DATA / "csv" / "hall.csv").read_text())
    assert found.errors == []
    assert found.warnings == [
        "f1: row 9, name: nodes of rack R2 are not named: label them rackplane.dev/rack=R2",
        "f1: row 3, serial: is not translated",
    ]
    assert found.specs["PowerDomain ups-a"] == {
        "type": "UPS",
        "ratedWatts": 1_200_000,
        "baseLoadWatts": 20_000,
        "parents": [{"powerDomain": "grid", "weight": 1, "role": "Active"}],
        "feedTag": "main-a",
        "survivable": True,
    }
    assert found.specs["CoolingZone row-1"]["neededUnits"] == 1
    assert found.specs["CoolingZone row-1"]["units"][1]["feeds"] == [
        {"powerDomain": "ups-b", "weight": 1, "role": "Active"},
        {"powerDomain": "gen-1", "weight": 1, "role": "Standby"},
    ]
    assert found.specs["Rack r2"] == {
        "limitWatts": 132_000,
        "overheadWatts": 13_200,
        "feeds": [
            {"powerDomain": "ups-a", "weight": 2, "role": "Active"},
            {"powerDomain": "ups-b", "weight": 1, "role": "Active"},
        ],
        "profile": "gb300-nvl72",
        "cooling": {"liquid": "row-1"},
        "location": {"hall": "Hall 1", "row": "1", "position": "02"},
        "nodeSelector": {"rackplane.dev/rack": "R2"},
        "expectedNodes": 18,
    }
    assert found.specs["NVLinkDomain nvl-2"] == {"racks": ["r2"]}
    assert len(found.imported.labels) == 18


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_any_separator_and_any_spelling_of_a_heading_will_do(separator: str) -> None:
    text = (
        separator.join(("Kind", " Limit-Watts ", "NAME"))
        + "\n"
        + separator.join(("PDU", "9000", "a"))
        + "\n\n"
    )
    assert imported(text).specs == {"PowerDomain a": {"type": "PDU", "ratedWatts": 9_000}}


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("PDU,a,,lots,,,", "row 2, limit_kw: 'lots' is no number: write digits only"),
        ('PDU,a,,"132,5",,,', "row 2, limit_kw: '132,5' is no number: write a decimal point"),
        ("PDU,a,,NaN,,,", "row 2, limit_kw: 'NaN' is no number"),
        ("PDU,a,,,,,", "row 2, limit_kw: is empty: what it may carry must be said"),
        ("PDU,a,,-5,,,", "row 2, limit_kw: -5 is no whole number of watts"),
        ("PDU,a,,0.0001,,,", "row 2, limit_kw: 0.0001 is no whole number of watts"),
        ("PDU,a,,0,,,", "row 2, name: PowerDomain a would not be valid: spec.ratedWatts is 0"),
        ("Blower,a,,5,,,", "row 2, kind: 'Blower' is none of PowerDomain"),
        ("PDU,,,5,,,", "row 2, name: is empty"),
        ("PDU,a,,5,b*x,,", "row 2, fed_by: 'b*x' is no feed such as ups-a"),
        ("PDU,a,,5,b (spare),,", "row 2, fed_by: 'b (spare)' is no feed such as ups-a"),
        ("CoolingUnit,a,Steam,5,,,", "row 2, type: units of zone a are of steam: write Liquid or Air"),
        ("CoolingUnit,a,Air,,,,", "row 2, limit_kw: is empty: the heat it takes must be said"),
        ("Rack,a,,x,b,p,1", "row 2, limit_kw: 'x' is no number"),
        ("Rack,a,,5,b,p,n[1-", "row 2, nodes: 'n[1-' is no list of hosts"),
        ("Rack,a,,,b,p,1", "row 2, name: nothing says the limitWatts of rack a"),
        ("Rack,a,,5,,p,1", "row 2, name: nothing says the feeds of rack a"),
        ("PDU,a,,5,,,,,more", "row 2: has 9 cells, the heading 7"),
        ("PDU,a,,5,,,\nUPS,A,,6,,,", "row 3, name: A would be PowerDomain a, as a of f1 row 2, name is"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_place(row: str, error: str) -> None:
    found = imported(f"{HEAD}{row}\n")
    assert found.losses.failed
    assert found.errors[0].startswith(f"f1: {error}")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "f1: the file: is empty"),
        ("name,limit\na,5\n", "f1: row 1: there is no column kind; there are name, limit"),
        ("kind,name,name\n", "f1: row 1: column name is there twice"),
        ('kind,name\n"PDU,a\n', "f1: the file: is no CSV"),
    ],
)
def test_a_file_without_the_columns_is_an_error(text: str, error: str) -> None:
    assert imported(text).errors[0].startswith(error)


def test_feeds_that_are_in_no_row_are_named() -> None:
    assert imported(f"{HEAD}PDU,a,,5,Grid,,\n").warnings == [
        "f1: row 2, name: PowerDomain a names PowerDomain grid, which is in none of the files"
    ]


def test_cells_of_another_kind_are_named() -> None:
    assert imported(f"{HEAD}PDU,a,,5,,gb300-nvl72,\n").warnings == [
        "f1: row 2, profile: a PowerDomain has no profile"
    ]


def test_every_column_that_is_read_is_told_of() -> None:
    head = ",".join(COLUMNS)
    cells = dict.fromkeys(COLUMNS, "") | {"kind": "PDU", "name": "a", "limit_kw": "5"}
    assert imported(f"{head}\n{','.join(cells.values())}\n").losses.found == []
