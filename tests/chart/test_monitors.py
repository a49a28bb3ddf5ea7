"""ServiceMonitor and PodMonitor: of the Prometheus Operator, whose CRDs no validator here knows; held by structure."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.helm import NAMESPACE, Manifest, find, render, template


def monitors(values: Manifest) -> list[Manifest]:
    return [m for m in render(values) if m["apiVersion"] == "monitoring.coreos.com/v1"]


def chosen(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def test_neither_is_there_unless_asked_for() -> None:
    assert monitors({}) == []


def test_a_service_monitor_finds_the_port_of_metrics_and_no_other() -> None:
    values: Manifest = {
        "serviceMonitor": {
            "enabled": True,
            "labels": {"release": "prom"},
            "interval": "15s",
            "namespace": "mon",
        },
        "facilityEvents": {"enabled": True, "tokensSecret": "t"},
    }
    manifests = render(values)
    one = find(manifests, "ServiceMonitor", "rackplane")
    assert one["metadata"]["namespace"] == "mon" and one["metadata"]["labels"]["release"] == "prom"
    spec = one["spec"]
    assert set(spec) == {"namespaceSelector", "selector", "endpoints"}
    assert spec["namespaceSelector"] == {"matchNames": [NAMESPACE]}
    assert spec["endpoints"] == [{"port": "metrics", "path": "/metrics", "interval": "15s"}]
    ports = [
        port["name"]
        for m in manifests
        if m["kind"] == "Service" and chosen(spec["selector"]["matchLabels"], m["metadata"]["labels"])
        for port in m["spec"]["ports"]
    ]
    assert sorted(ports) == ["metrics", "reports"]


def test_a_pod_monitor_finds_the_operator_and_no_agent() -> None:
    relabelings: list[dict[str, Any]] = [{"action": "labeldrop", "regex": "pod"}]
    values: Manifest = {
        "podMonitor": {"enabled": True, "scrapeTimeout": "10s", "relabelings": relabelings},
        "nodeAgent": {"enabled": True},
    }
    manifests = render(values)
    spec = find(manifests, "PodMonitor", "rackplane")["spec"]
    assert set(spec) == {"namespaceSelector", "selector", "podMetricsEndpoints"}
    assert spec["podMetricsEndpoints"] == [
        {"port": "metrics", "path": "/metrics", "scrapeTimeout": "10s", "relabelings": relabelings}
    ]
    templates = [
        (m["kind"], m["spec"]["template"]) for m in manifests if m["kind"] in ("Deployment", "DaemonSet")
    ]
    found = {
        kind: [p["name"] for c in pod["spec"]["containers"] for p in c.get("ports", ())]
        for kind, pod in templates
        if chosen(spec["selector"]["matchLabels"], pod["metadata"]["labels"])
    }
    assert list(found) == ["Deployment"] and "metrics" in found["Deployment"]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (
            {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}},
            "scrape every replica twice",
        ),
        ({"serviceMonitor": {"interval": "soon"}}, "interval"),
        ({"dashboards": {"folderAnnotation": ""}}, "folderAnnotation"),
        ({"metrics": {"gangs": {"limit": 0}}}, "limit"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: Manifest, word: str) -> None:
    result = template(values)
    assert result.returncode != 0 and word in result.stderr
