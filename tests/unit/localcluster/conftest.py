"""A cluster without sockets and a clock the test turns."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.localcluster import LocalCluster

PODS = "/api/v1/namespaces/default/pods"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class Time:
    """Seconds since the epoch; only `advance` moves them."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Driver:
    """Short words for what tests do to a cluster."""

    def __init__(self) -> None:
        self.time = Time()
        self.cluster = LocalCluster(clock=self.time, seed=7)

    def do(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", **query: str
    ) -> Any:
        answer = self.cluster.request(method, path, body, content_type=kind, query=query)
        self.cluster.settle()
        return answer

    def node(self, name: str, *, gpus: int = 4, **spec: Any) -> Any:
        room = {"cpu": "8", "memory": "8Gi", "pods": "110", "nvidia.com/gpu": str(gpus)}
        labels = {"kubernetes.io/hostname": name}
        body = {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"allocatable": room}}
        return self.do("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", **body})

    def pod(self, name: str, *, gpus: int = 0, labels: dict[str, str] | None = None, **spec: Any) -> Any:
        resources = {"limits": {"nvidia.com/gpu": gpus}} if gpus else {}
        containers = [{"name": "main", "image": "train:1", "resources": resources}]
        metadata = {"name": name, "labels": labels or {}}
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": containers, **spec},
        }
        return self.do("POST", PODS, body)

    def job(self, name: str, *, labels: dict[str, str] | None = None, gpus: int = 0, **spec: Any) -> Any:
        resources = {"limits": {"nvidia.com/gpu": gpus}} if gpus else {}
        container = {"name": "main", "image": "train:1", "resources": resources}
        template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
        metadata = {"name": name, "labels": labels or {}}
        body = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata,
            "spec": {"template": template, **spec},
        }
        return self.do("POST", JOBS, body)

    def pods(self) -> list[Any]:
        items: list[Any] = self.do("GET", PODS)["items"]
        return items

    def end(self, pod: Any, phase: str = "Succeeded") -> None:
        self.do("PATCH", f"{PODS}/{pod['metadata']['name']}/status", {"status": {"phase": phase}}, MERGE)


@pytest.fixture
def driver() -> Driver:
    return Driver()
