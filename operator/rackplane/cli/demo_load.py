"""What the demo puts into its cluster: the facility, its nodes, and the jobs of the Kalos trace."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from rackplane.api.hardware import shipped_profile_texts
from rackplane.api.labels import GROUP, QUEUE_LABEL, REQUIRED_TOPOLOGY, SEGMENT_SIZE
from rackplane.localcluster.podruns import RUN_SECONDS

__all__ = [
    "GPUS_PER_NODE",
    "BudgetedGang",
    "Submission",
    "TraceJob",
    "checkout",
    "definitions",
    "facility",
    "job",
    "nodes",
    "plan",
    "read_trace",
]

GPUS_PER_NODE = 4
NODES_PER_RACK = 18
#: The label by which the example's racks select their nodes.
RACK_LABEL = f"{GROUP}/rack"
#: Pods that a rack's NVLink domain takes whole; what is larger is cut into segments of this size.
SEGMENT = 16
NAMESPACE = "default"
QUEUE = "research"
#: Seconds between two arrivals at speed 1.
ARRIVAL_SECONDS = 0.4

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TraceJob:
    """One row of the cut; seconds as in the trace."""

    job_id: int
    submit_seconds: float
    duration_seconds: float
    gpus: int


@dataclass(frozen=True, slots=True)
class Submission:
    """A Job to create `at` seconds after the demo's first; `startable` False: the demo shows why it waits."""

    name: str
    namespace: str
    at: float
    manifest: Manifest
    startable: bool

    @property
    def gang(self) -> str:
        """Name of the Gang that Rackplane makes of the Job."""
        return f"job-{self.name}"


@dataclass(frozen=True, slots=True)
class BudgetedGang:
    """A gang that has the nodes and not the watts: its namespace's PowerBudget is smaller than its increment."""

    namespace: str = "evaluation"
    budget: str = "evaluation-contract"
    limit_watts: int = 60_000
    gpus: int = 64

    def documents(self) -> list[Manifest]:
        """The namespace and its budget."""
        return [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}},
            {
                "apiVersion": f"{GROUP}/v1alpha1",
                "kind": "PowerBudget",
                "metadata": {"name": self.budget},
                "spec": {
                    "targets": {"namespaces": [self.namespace]},
                    "limitWatts": self.limit_watts,
                    "appliesTo": "Normal",
                },
            },
        ]

    def submission(self, at: float) -> Submission:
        name = f"evaluation-{self.gpus}gpu"
        manifest = job(name=name, namespace=self.namespace, gpus=self.gpus, run_seconds=10.0)
        return Submission(name, self.namespace, at, manifest, startable=False)


def checkout() -> Path:
    """The checkout this package runs from.

    Raises:
        FileNotFoundError: it runs from somewhere else, without the CRDs and the examples.
    """
    for parent in Path(__file__).resolve().parents:
        if (parent / "crds").is_dir() and (parent / "examples" / "facilities").is_dir():
            return parent
    raise FileNotFoundError(
        "crds/ and examples/ were not found: run the demo from a checkout of Rackplane (make demo)"
    )


def definitions(root: Path) -> Iterator[Manifest]:
    """The CustomResourceDefinitions."""
    for path in sorted((root / "crds").glob("*.yaml")):
        yield from _documents(path.read_text(encoding="utf-8"))


def facility(folder: Path) -> Iterator[Manifest]:
    """The objects of a folder of YAML, after the hardware profile that the row of `make demo` refers to.

    Raises:
        FileNotFoundError: it holds no racks that the demo's nodes would be in.
    """
    found = [
        *_documents(shipped_profile_texts()["gb300-nvl72"]),
        *(d for path in sorted(folder.glob("*.yaml")) for d in _documents(path.read_text(encoding="utf-8"))),
    ]
    racks = [document["spec"] for document in found if document["kind"] == "Rack"]
    if not racks or any(
        rack["nodeSelector"].keys() != {RACK_LABEL} or rack.get("expectedNodes") != NODES_PER_RACK
        for rack in racks
    ):
        raise FileNotFoundError(
            f"{folder} holds no racks, or others than those of {NODES_PER_RACK} expectedNodes by {RACK_LABEL}"
        )
    yield from found


def nodes(racks: Sequence[str]) -> Iterator[Manifest]:
    """The Node objects of the racks, as their kubelets would register them: trays of a GB300 NVL72."""
    for rack in racks:
        for tray in range(1, NODES_PER_RACK + 1):
            name = f"{rack}-tray-{tray:02}"
            amounts = {"cpu": "144", "memory": "960Gi", "pods": "110", "nvidia.com/gpu": str(GPUS_PER_NODE)}
            yield {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, RACK_LABEL: rack}},
                "status": {"capacity": dict(amounts), "allocatable": amounts},
            }


def read_trace() -> list[TraceJob]:
    """The cut of the Kalos trace, in order of arrival."""
    text = (resources.files("rackplane.cli") / "data" / "kalos_cut.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    jobs = [
        TraceJob(
            int(row["job_id"]), float(row["submit_seconds"]), float(row["duration_seconds"]), int(row["gpus"])
        )
        for row in rows
    ]
    return sorted(jobs, key=lambda entry: (entry.submit_seconds, entry.job_id))


def plan(trace: Sequence[TraceJob], *, count: int, speed: float, facility_gpus: int) -> list[Submission]:
    """Jobs to submit, in the trace's order.

    Args:
        trace: in order of arrival.
        count: how many of its jobs; the largest is always among them.
        speed: 2 halves every time.
        facility_gpus: GPUs there are; a larger job is submitted all the same, and never starts.
    """
    largest = max(trace, key=lambda entry: entry.gpus)
    chosen = [entry for entry in trace if entry is not largest][: max(count - 1, 0)]
    chosen = sorted([*chosen, largest], key=lambda entry: (entry.submit_seconds, entry.job_id))
    result = []
    for position, entry in enumerate(chosen):
        name = f"kalos-{entry.job_id:03}-{entry.gpus}gpu"
        seconds = run_seconds(entry.duration_seconds) / speed
        manifest = job(name=name, namespace=NAMESPACE, gpus=entry.gpus, run_seconds=seconds)
        at = position * ARRIVAL_SECONDS / speed
        result.append(Submission(name, NAMESPACE, at, manifest, startable=entry.gpus <= facility_gpus))
    return result


def run_seconds(duration: float) -> float:
    """A duration of the trace as seconds of the demo: half a second per power of ten.

    From 25 s to 45 hours the trace spans four orders of magnitude: shrunk in proportion, most jobs would be over
    before they were seen.
    """
    return max(0.3, 0.5 * math.log10(max(duration, 1.0)))


def job(*, name: str, namespace: str, gpus: int, run_seconds: float) -> Manifest:
    """A batch/v1 Indexed Job of pods that take whole nodes, or one pod for fewer GPUs than a node has."""
    each = min(gpus, GPUS_PER_NODE)
    pods = math.ceil(gpus / GPUS_PER_NODE)
    annotations = {REQUIRED_TOPOLOGY: "nvlink"}
    if pods > SEGMENT:
        annotations = {REQUIRED_TOPOLOGY: "leaf", SEGMENT_SIZE: str(SEGMENT)}
    limits = {"nvidia.com/gpu": str(each)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {QUEUE_LABEL: QUEUE},
            "annotations": annotations,
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": pods,
            "parallelism": pods,
            "backoffLimit": 4,
            "template": {
                "metadata": {"annotations": {RUN_SECONDS: f"{run_seconds:.2f}"}},
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [
                        {
                            "name": "worker",
                            "image": "busybox:1.37",
                            "command": ["sleep", f"{run_seconds:.2f}"],
                            "resources": {"limits": limits, "requests": limits},
                        }
                    ],
                },
            },
        },
    }


def _documents(text: str) -> Iterator[Manifest]:
    for document in yaml.safe_load_all(text):
        if document:
            yield document
