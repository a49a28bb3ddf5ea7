"""A hall with one of everything a tree shows: two UPSs for each rack, a reserve, an outage, a cooling loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

__all__ = ["HALL", "folder", "gang", "job"]


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "rackplane.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _ups(name: str, *, parent: str = "utility", **more: Any) -> dict[str, Any]:
    feeds = [{"powerDomain": parent, "weight": 1}]
    return _object("PowerDomain", name, {"type": "UPS", "ratedWatts": 100_000, "parents": feeds, **more})


def _rack(name: str, first: str, second: str) -> dict[str, Any]:
    return _object(
        "Rack",
        name,
        {
            "profile": "small",
            "location": {"hall": "h1"},
            "nodeSelector": {"rack": name},
            "overheadWatts": 2_000,
            "limitWatts": 50_000,
            "expectedNodes": 4,
            "feeds": [{"powerDomain": first, "weight": 1}, {"powerDomain": second, "weight": 1}],
            "cooling": {"liquid": "loop"},
        },
    )


#: Three racks of four 10 kW nodes. ups-a and ups-b feed r1 and r2, ups-b and ups-c feed r3; ups-r stands by for pdu-x.
HALL: list[dict[str, Any]] = [
    _object(
        "HardwareProfile",
        "small",
        {
            "gpuModel": "Test GPU",
            "gpusPerNode": 4,
            "nvlinkScope": "Object",
            "idleWatts": 1_000,
            "maxWatts": 10_000,
            "liquidHeatPercent": 80,
            "powerProfiles": [{"name": "MaxQ", "nodeWatts": 7_000, "relativePerformancePercent": 85}],
        },
    ),
    _object("PowerDomain", "utility", {"type": "Utility", "ratedWatts": 400_000}),
    _ups("ups-a", survivable=True),
    _ups("ups-b", survivable=True),
    _ups("ups-c", survivable=True),
    _ups("ups-r"),
    _ups("ups-old", state="Offline"),
    _object(
        "PowerDomain",
        "pdu-x",
        {
            "type": "PDU",
            "ratedWatts": 20_000,
            "baseLoadWatts": 5_000,
            "parents": [
                {"powerDomain": "ups-c", "weight": 1},
                {"powerDomain": "ups-r", "weight": 1, "role": "Standby"},
            ],
        },
    ),
    _object(
        "CoolingZone",
        "loop",
        {
            "medium": "Liquid",
            "neededUnits": 1,
            "units": [
                {
                    "name": name,
                    "capacityWatts": 120_000,
                    "drawWatts": 4_000,
                    "feeds": [{"powerDomain": feed, "weight": 1}],
                    **more,
                }
                for name, feed, more in (("cdu-1", "pdu-x", {}), ("cdu-2", "pdu-x", {"state": "Offline"}))
            ],
        },
    ),
    _rack("r1", "ups-a", "ups-b"),
    _rack("r2", "ups-a", "ups-b"),
    _rack("r3", "ups-b", "ups-c"),
    *(
        _object(
            "NVLinkDomain",
            f"nvl-{rack}",
            {"racks": [rack], "fabricPath": [{"level": "leaf", "name": "leaf-1"}]},
        )
        for rack in ("r1", "r2", "r3")
    ),
    _object("Queue", "research", {}),
]


def gang(name: str, *nodes: str, rack: str = "r1", profile: str = "MaxP", **spec: Any) -> dict[str, Any]:
    """A Gang that runs on these nodes, or waits if there are none; 36 kW for four at MaxP."""
    caps = {"MaxP": 10_000, "MaxQ": 7_000}
    watts = (caps[profile] - 1_000) * len(nodes)
    status = {
        "phase": "Running",
        "decision": {"id": f"1-{name}", "term": 1, "time": "2026-11-21T09:00:00Z"},
        "assignment": [{"nvlinkDomain": f"nvl-{rack}", "rack": rack, "nodes": list(nodes)}],
        "powerProfile": profile,
        "reservedNominalWatts": watts,
        "reservedPeakWatts": watts,
        "heat": {"liquidWatts": watts * 8 // 10, "airWatts": watts * 2 // 10},
        "message": f"all {len(nodes)} slots run",
    }
    workload = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": f"uid-{name}"}
    return {
        "apiVersion": "rackplane.dev/v1alpha1",
        "kind": "Gang",
        "metadata": {"name": f"job-{name}", "namespace": "default"},
        "spec": {
            "queue": "research",
            "workload": workload,
            "slots": len(nodes) or 1,
            "gpusPerSlot": 4,
            "power": {"profile": profile},
            **spec,
        },
        **({"status": status} if nodes else {}),
    }


def job(
    name: str, *, pods: int, annotations: dict[str, str] | None = None, queue: str = "research"
) -> dict[str, Any]:
    """A labelled Job as its user writes it, with whole nodes."""
    container = {"name": "main", "image": "example", "resources": {"limits": {"nvidia.com/gpu": 4}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": {"rackplane.dev/queue": queue},
            "annotations": annotations or {},
        },
        "spec": {
            "parallelism": pods,
            "completions": pods,
            "completionMode": "Indexed",
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }


def folder(path: Path, *objects: dict[str, Any]) -> str:
    """The objects as a folder of YAML; its name for --facility."""
    path.mkdir(exist_ok=True)
    (path / "objects.yaml").write_text(yaml.safe_dump_all(objects))
    return str(path)
