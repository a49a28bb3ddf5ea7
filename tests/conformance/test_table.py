"""The embedded cluster answers every row of the table as the real server did; so does the cluster under test."""

from __future__ import annotations

import difflib
import os
from typing import Any

import pytest

from . import table
from .run import Row, described, restored, run
from .servers import Embedded, Real, Server
from .steps import Pass, Scenario

CASES = [
    pytest.param(area, scenario, id=f"{area}: {scenario.name}")
    for area in table.areas()
    for scenario in table.scenarios(area)
]
KUBECONFIG = os.environ.get("RACKPLANE_TEST_KUBECONFIG")


def differences(recorded: list[Row], answered: list[Row]) -> str:
    """What differs, row by row, for people; empty if nothing does."""
    parts: list[str] = []
    for number, (wanted, got) in enumerate(zip(recorded, answered, strict=True), 1):
        if wanted != got:
            request = wanted["request"]
            head = f"row {number}: {request.get('method', 'WATCH')} {request.get('path')}"
            lines = difflib.unified_diff(
                table.text(wanted.get("answer")),
                table.text(got.get("answer")),
                "recorded",
                "answered",
                lineterm="",
            )
            parts.append("\n".join((head, *lines)))
    return "\n".join(parts)


def check(area: str, scenario: Scenario, server: Server) -> None:
    recorded = table.load(area).get(scenario.name)
    assert recorded is not None, (
        f"never recorded: python -m tests.conformance.record '{area}:{scenario.name}'"
    )
    asked = [described(step) for step in scenario.steps]
    assert [row["request"] for row in recorded] == asked, "the scenario has changed since: record it again"
    found = differences(recorded, run(scenario, server))
    if found:
        pytest.fail(found, pytrace=False)


@pytest.mark.parametrize(("area", "scenario"), CASES)
def test_the_embedded_cluster_answers_as_recorded(area: str, scenario: Scenario) -> None:
    check(area, scenario, Embedded())


@pytest.mark.real_cluster
# One skipped test, not hundreds, where there is no such cluster.
@pytest.mark.parametrize(("area", "scenario"), CASES if KUBECONFIG else [])
def test_the_cluster_under_test_answers_as_recorded(area: str, scenario: Scenario) -> None:
    check(area, scenario, Real(str(KUBECONFIG)))


def test_a_difference_is_found_and_shown() -> None:
    row: dict[str, Any] = {
        "request": {"method": "GET", "path": "/x"},
        "answer": {"code": 200, "object": {"a": 1}},
    }
    other = {**row, "answer": {"code": 200, "object": {"a": 2}}}
    assert differences([row], [row]) == ""
    assert differences([row], [other]).splitlines()[-4:] == [" code: 200", " object:", "-  a: 1", "+  a: 2"]


def test_every_recorded_row_belongs_to_a_scenario_and_can_be_asked_again() -> None:
    for area in table.areas():
        recorded = table.load(area)
        assert set(recorded) <= {scenario.name for scenario in table.scenarios(area)}
        for rows in recorded.values():
            assert [described(restored(row["request"])) for row in rows] == [row["request"] for row in rows]


def test_the_table_has_at_least_300_rows() -> None:
    steps = [
        restored(row["request"])
        for area in table.areas()
        for part in table.load(area).values()
        for row in part
    ]
    asked = [step for step in steps if not isinstance(step, Pass)]
    print(
        f"{len(asked)} rows of {len(CASES)} scenarios; at least 300 are wanted: ratio {len(asked) / 300:.1f}"
    )
    assert len(asked) >= 300
