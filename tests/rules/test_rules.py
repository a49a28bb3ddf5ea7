"""The alerts of the chart: each is tried by promtool, firing and not, and each has a runbook that says what to do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from rackplane.controller.metrics.reference import scraped
from tests.chart.helm import ROOT, find, render, template
from tests.support.prometheus import RULES, promtool
from tests.support.promql import selectors

HERE = Path(__file__).resolve().parent
RUNBOOKS = ROOT / "docs" / "runbooks"
CASES = sorted(HERE.glob("*.yaml"))
SEVERITIES = {"info", "warning", "critical"}


def _rules() -> list[dict[str, Any]]:
    return [
        rule
        for path in RULES
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


ALERTS = {rule["alert"]: rule for rule in _rules() if "alert" in rule}


def _page(alert: str) -> str:
    """RackplaneNoLeader: no-leader."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", alert.removeprefix("Rackplane")).lower()


def test_promtool_finds_no_fault_in_the_rules() -> None:
    result = subprocess.run(
        [promtool(), "check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_not_else(case: Path) -> None:
    result = subprocess.run(
        [promtool(), "test", "rules", case.name], cwd=HERE, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_is_tried_firing_and_not_firing() -> None:
    tried: dict[bool, set[str]] = {True: set(), False: set()}
    for path in CASES:
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for asked in case["alert_rule_test"]:
                tried[bool(asked["exp_alerts"])].add(asked["alertname"])
    assert tried == {True: set(ALERTS), False: set(ALERTS)}


#: Of whoever scrapes, not of the operator.
SCRAPED_WITH = {"instance", "job"}


def _asked(rule: dict[str, Any]) -> list[str]:
    """The expression, and those that the annotations ask when the alert fires."""
    texts = "\n".join(rule.get("annotations", {}).values())
    queries = re.findall(r'printf "((?:[^"\\]|\\.)*)"[^}]*\| query', texts)
    return [rule["expr"], *(query.replace('\\"', '"').replace("%q", '"x"') for query in queries)]


def test_rules_ask_for_metrics_and_labels_that_there_are() -> None:
    known = {name: {*family.labels, *SCRAPED_WITH, "le"} for name, family in scraped().items()}
    known["up"] = SCRAPED_WITH
    recorded = {rule["record"] for rule in _rules() if "record" in rule}
    asked = [text for rule in _rules() for text in _asked(rule)]
    assert sum("| query" in str(rule.get("annotations")) for rule in _rules()) > 5 and len(asked) > len(
        _rules()
    )
    for text in asked:
        for selector in selectors(promql_parser.parse(text)):
            name = selector.name or ""
            assert name in known or name in recorded, f"{name} is no metric of the operator"
            used = {matcher.name for matcher in selector.matchers.matchers}
            assert name in recorded or used <= known[name], f"{name} has no label {used - known[name]}"


def test_every_alert_says_how_bad_it_is_and_gives_numbers() -> None:
    for name, rule in ALERTS.items():
        assert name.startswith("Rackplane")
        assert rule["labels"]["severity"] in SEVERITIES
        assert sorted(rule["annotations"]) == ["description", "runbook_url", "summary"]
        # An alert that fires because something is absent has no number to give.
        assert (
            "| query" in rule["annotations"]["description"]
            or "$value" in rule["annotations"]["description"]
            or (name == "RackplaneAbsent")
        )
        assert rule["for"]


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {a: rule["annotations"]["runbook_url"] for a, rule in ALERTS.items()} == {
        a: f"docs/runbooks/{_page(a)}.md" for a in ALERTS
    }
    assert sorted(p.name for p in RUNBOOKS.glob("*.md")) == sorted(f"{_page(a)}.md" for a in ALERTS)
    for alert in ALERTS:
        text = (RUNBOOKS / f"{_page(alert)}.md").read_text(encoding="utf-8")
        headings = re.findall(r"^#+ .*", text, re.MULTILINE)
        assert headings == [f"# {alert}", "## What it means", "## Look", "## Do", "## Ignore it when"]


def test_the_page_of_alerts_lists_each_with_its_severity_and_time() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\w+)\]\(runbooks/([\w-]+)\.md\) \| (\w+) \| (\w+) \|", text, re.MULTILINE)
    assert listed == [(a, _page(a), rule["labels"]["severity"], rule["for"]) for a, rule in ALERTS.items()]


# In the chart --

ON: dict[str, Any] = {"prometheusRule": {"enabled": True}}


def test_no_rule_is_installed_unless_asked_for() -> None:
    assert [m["kind"] for m in render() if m["kind"] == "PrometheusRule"] == []


def test_the_chart_installs_the_rules_as_they_are() -> None:
    found = find(render(ON), "PrometheusRule")
    groups = [g for path in RULES for g in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    assert found["spec"] == {"groups": groups}


def test_a_site_adds_labels_and_where_its_runbooks_are_and_leaves_alerts_out() -> None:
    left_out = "RackplaneFragmentation"
    found = find(
        render(
            {
                "prometheusRule": {
                    "enabled": True,
                    "labels": {"release": "kube-prometheus-stack"},
                    "namespace": "monitoring",
                    "alertLabels": {"team": "platform", "severity": "page"},
                    "runbookBaseUrl": "https://git.example/rackplane/blob/v1/",
                    "disabled": [left_out],
                }
            }
        ),
        "PrometheusRule",
    )
    assert found["metadata"]["namespace"] == "monitoring"
    assert found["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert found["metadata"]["labels"]["app.kubernetes.io/name"] == "rackplane"
    rendered = {r["alert"]: r for g in found["spec"]["groups"] for r in g["rules"] if "alert" in r}
    assert {a: (r["labels"], r["annotations"]["runbook_url"]) for a, r in rendered.items()} == {
        a: (
            {"severity": rule["labels"]["severity"], "team": "platform"},
            f"https://git.example/rackplane/blob/v1/docs/runbooks/{_page(a)}.md",
        )
        for a, rule in ALERTS.items()
        if a != left_out
    }


def test_an_alert_that_there_is_not_cannot_be_left_out() -> None:
    result = template({"prometheusRule": {"enabled": True, "disabled": ["RackplaneLeader"]}})
    assert result.returncode != 0
    assert 'there is no alert "RackplaneLeader"; there are RackplaneNearLimit, ' in result.stderr
