"""The dashboards: made from their source, valid, described, and about metrics that the operator has."""

from __future__ import annotations

import re
from typing import Any

import promql_parser
import pytest

from rackplane.controller.metrics.reference import scraped
from tests.chart.helm import find, render
from tests.support.dashboards import DASHBOARDS, dashboards, filled, panels
from tests.support.promql import selectors
from tests.tools.dashboards.__main__ import made, text

#: What Prometheus adds to each series, and a histogram to its buckets.
ADDED = {"instance", "job", "le"}
ALL = dashboards()


def labels_of(expression: promql_parser.Expr) -> set[str]:
    """The labels that any series in it has; every metric is one that the operator has."""
    known, found = scraped(), set(ADDED)
    for selector in selectors(expression):
        name = selector.name
        assert name is not None
        if name.startswith("process_"):
            continue
        assert name in known, f"{name} is no metric of the operator"
        own = {*known[name].labels, *ADDED}
        found |= own
        used = {matcher.name for matcher in selector.matchers.matchers}
        assert used <= own, f"{name} has no label {used - own}"
    return found


def aggregations(expression: promql_parser.Expr) -> list[promql_parser.AggregateExpr]:
    """Every sum, count and so on in it."""
    found: list[promql_parser.AggregateExpr] = []

    def enter(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.AggregateExpr):
            found.append(node)

    promql_parser.walk(expression, enter)
    return found


def test_the_files_are_what_their_source_makes() -> None:
    files = {path.name: path.read_text(encoding="utf-8") for path in DASHBOARDS.iterdir()}
    assert files == {f"{each.name}.json": text(each) for each in made()}, "run make dashboards"


def test_there_are_five_that_can_be_told_apart() -> None:
    assert set(ALL) == {"overview", "power", "queues", "gang", "operator"}
    assert {name: each["uid"] for name, each in ALL.items()} == {name: f"rackplane-{name}" for name in ALL}
    assert len({each["title"] for each in ALL.values()}) == len(ALL)


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_dashboard_can_be_read_and_goes_to_any_grafana(name: str) -> None:
    dashboard = ALL[name]
    assert dashboard["schemaVersion"] == 39 and "id" not in dashboard and dashboard["description"]
    assert dashboard["templating"]["list"][0]["name"] == "datasource"
    titles = [panel["title"] for panel in dashboard["panels"]]
    assert len(titles) == len(set(titles))
    covered: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert not covered & cells and place["x"] + place["w"] <= 24, panel["title"]
        covered |= cells
        assert "id" not in panel
    for panel in panels(dashboard):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"] and defaults["thresholds"]["steps"][0]["value"] is None
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_query_asks_for_series_and_labels_that_there_are(name: str) -> None:
    dashboard = ALL[name]
    for panel in panels(dashboard):
        for target in panel["targets"]:
            expression = promql_parser.parse(filled(target["expr"], dashboard, {}))
            known = labels_of(expression)
            for each in aggregations(expression):
                by = set(each.modifier.labels) if each.modifier is not None else set()
                assert by <= labels_of(each.expr), (panel["title"], by)
            shown = set(re.findall(r"{{\s*(\w+)\s*}}", target["legendFormat"]))
            assert shown <= known, (panel["title"], shown - known)


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_variable_is_used_and_takes_its_values_from_a_label_that_there_is(name: str) -> None:
    dashboard = ALL[name]
    expressions = [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]
    for variable in dashboard["templating"]["list"][1:]:
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
        assert found is not None
        assert found[2] in labels_of(promql_parser.parse(filled(found[1], dashboard, {}))) - ADDED
        assert any(f"${variable['name']}" in expression for expression in expressions)


def test_a_metric_that_there_is_not_would_be_found() -> None:
    for wrong in ("sum(rackplane_no_such)", 'rackplane_gpus{queue="a"}'):
        with pytest.raises(AssertionError, match=r"no metric|no label"):
            labels_of(promql_parser.parse(wrong))


def test_they_are_configmaps_for_the_sidecar_of_grafana_if_asked_for() -> None:
    def config_maps(values: dict[str, Any]) -> dict[str, Any]:
        found = [m for m in render({"dashboards": values}) if m["kind"] == "ConfigMap"]
        return {m["metadata"]["name"]: m for m in found if "-dashboard-" in m["metadata"]["name"]}

    assert config_maps({}) == {}
    maps = config_maps({"enabled": True})
    assert set(maps) == {f"rackplane-dashboard-{name}" for name in ALL}
    for name in ALL:
        one = maps[f"rackplane-dashboard-{name}"]
        assert one["data"] == {f"{name}.json": (DASHBOARDS / f"{name}.json").read_text(encoding="utf-8")}
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert one["metadata"]["annotations"] == {"grafana_folder": "Rackplane"}
    moved = {"enabled": True, "folder": "", "namespace": "monitoring", "labels": {"team": "sre"}}
    one = config_maps(moved)["rackplane-dashboard-power"]
    assert one["metadata"]["namespace"] == "monitoring" and "annotations" not in one["metadata"]
    assert one["metadata"]["labels"]["team"] == "sre"


def test_series_of_single_gangs_are_a_flag() -> None:
    def arguments(values: dict[str, Any]) -> list[str]:
        deployment = find(render({"metrics": {"gangs": values}}), "Deployment", "rackplane")
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        return [a for a in container["args"] if a.startswith("--gang-metrics")]

    assert arguments({}) == []
    assert arguments({"enabled": True, "limit": 70}) == ["--gang-metrics", "--gang-metrics-limit=70"]
