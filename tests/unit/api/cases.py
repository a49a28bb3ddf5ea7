"""One valid object a kind, and tables of changes to them: what must be accepted and what must be refused.

The same tables run through a small model of the API server, through `decode`, and can run against a real server.
"""

import copy
import re
from dataclasses import dataclass, field
from typing import Any, Final

#: As a value in a change: take the field out.
REMOVE: Final = object()

BASE: Final[dict[str, dict[str, Any]]] = {
    "HardwareProfile": {
        "gpuModel": "NVIDIA GB300",
        "gpusPerNode": 4,
        "nvlinkScope": "Label",
        "idleWatts": 1000,
        "maxWatts": 6600,
        "powerProfiles": [
            {"name": "MaxP", "nodeWatts": 6600, "relativePerformancePercent": 100},
            {"name": "MaxQ", "nodeWatts": 4800, "relativePerformancePercent": 80},
        ],
        "sources": [{"field": "idleWatts", "basis": "Estimate", "text": "A guess."}],
    },
    "Rack": {
        "profile": "gb300-nvl72",
        "nodeSelector": {"example.com/rack": "r1"},
        "overheadWatts": 13200,
        "limitWatts": 132000,
        "feeds": [
            {"powerDomain": "busway-a", "weight": 1, "limitWatts": 132000},
            {"powerDomain": "busway-b", "weight": 1},
        ],
        "cooling": {"liquid": "cdu-row-1", "air": "hall-air"},
    },
    "NVLinkDomain": {"racks": ["r1"], "fabricPath": [{"level": "leaf", "name": "l1"}]},
    "PowerDomain": {
        "type": "UPS",
        "ratedWatts": 2_400_000,
        "parents": [
            {"powerDomain": "utility", "weight": 1},
            {"powerDomain": "spare", "weight": 1, "role": "Standby"},
        ],
        "redundancy": {"installed": 4, "needed": 3, "moduleWatts": 800_000},
        "emergency": {"percent": 133, "seconds": 10},
    },
    "PowerBudget": {"targets": {"powerDomains": ["utility"]}, "limitWatts": 750_000},
    "CoolingZone": {
        "medium": "Liquid",
        "units": [
            {
                "name": "cdu-1",
                "capacityWatts": 1_300_000,
                "drawWatts": 20_000,
                "feeds": [{"powerDomain": "busway-a", "weight": 1}],
            },
            {"name": "cdu-2", "capacityWatts": 1_300_000},
        ],
        "neededUnits": 1,
    },
    "Queue": {"parent": "everyone", "quota": {"gpus": 128}},
    "Gang": {
        "queue": "research",
        "workload": {"apiVersion": "batch/v1", "kind": "Job", "name": "train", "uid": "8c2c"},
        "slots": 16,
        "gpusPerSlot": 4,
    },
}


@dataclass(frozen=True)
class Case:
    """A change to the valid object of a kind: path to value. `blamed` is the field to blame, None: it is fine."""

    name: str
    kind: str
    changes: dict[str, Any] = field(default_factory=dict)
    blamed: str | None = None

    @property
    def id(self) -> str:
        return f"{self.kind}-{self.name.replace(' ', '-')}"

    def build(self) -> dict[str, Any]:
        result = valid(self.kind)
        for path, value in self.changes.items():
            change(result, path, value)
        return result


def valid(kind: str) -> dict[str, Any]:
    """A fresh valid object named `it`."""
    metadata = {"name": "it"} | ({"namespace": "default"} if kind == "Gang" else {})
    return {
        "apiVersion": "rackplane.dev/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": copy.deepcopy(BASE[kind]),
    }


def change(target: Any, path: str, value: object) -> None:
    """Sets (or with REMOVE deletes) what is at a path such as spec.feeds[0].weight."""
    steps = [int(n) if n else name for name, n in re.findall(r"([^.\[\]]+)(?![^\[]*\])|\[(\d+)\]", path)]
    for step in steps[:-1]:
        target = target.setdefault(step, {}) if isinstance(target, dict) else target[step]
    if value is REMOVE:
        del target[steps[-1]]
    else:
        target[steps[-1]] = copy.deepcopy(value)


def _bad(kind: str, name: str, blamed: str, **_: Any) -> Any:
    def build(changes: dict[str, Any] | object) -> Case:
        return Case(name, kind, changes if isinstance(changes, dict) else {blamed: changes}, blamed)

    return build


_FEED = {"powerDomain": "busway-a", "weight": 1}
_GROUPS: Final[list[dict[str, Any]]] = [
    {"name": "lead", "slots": 1, "gpusPerSlot": 0, "podClass": "0a"},
    {"name": "work", "slots": 4, "gpusPerSlot": 4, "podClass": "1b"},
]
_INTERVAL = {"start": "2026-11-21T17:00:00Z", "end": "2026-11-21T20:00:00Z"}
_PLANNED = {**_INTERVAL, "reason": "new busway"}
_WINDOW = {"days": ["Mon", "Fri"], "from": "17:00", "to": "21:00", "timeZone": "America/Chicago"}

GOOD: Final[tuple[Case, ...]] = (
    *(Case("as is", kind) for kind in BASE),
    Case("no profiles", "HardwareProfile", {"spec.powerProfiles": REMOVE, "spec.sources": REMOVE}),
    Case("profile at idle", "HardwareProfile", {"spec.powerProfiles[1].nodeWatts": 1000}),
    Case("idle equals max", "HardwareProfile", {"spec.idleWatts": 6600, "spec.powerProfiles": REMOVE}),
    Case("own resource", "HardwareProfile", {"spec.resourceName": "example.com/gpu"}),
    Case("peak of 300", "HardwareProfile", {"spec.peakPercent": 300}),
    Case("peak equals limit", "Rack", {"spec.peakLimitWatts": 132000}),
    Case("peak above limit", "Rack", {"spec.peakLimitWatts": 142000, "spec.expectedNodes": 18}),
    Case("one feed", "Rack", {"spec.feeds": [_FEED]}),
    Case("standby feed", "Rack", {"spec.feeds[1].role": "Standby"}),
    Case("overhead equals limit", "Rack", {"spec.overheadWatts": 132000}),
    Case("nothing optional", "Rack", {"spec.cooling": REMOVE, "spec.overheadWatts": REMOVE}),
    Case("location", "Rack", {"spec.location": {"site": "s", "hall": "h", "row": "1", "position": "07"}}),
    Case("empty label value", "Rack", {"spec.nodeSelector": {"node-role.kubernetes.io/gpu": ""}}),
    Case("unknown field", "Rack", {"spec.colour": "blue"}),
    Case("planned maintenance", "Rack", {"spec.maintenance": [_PLANNED, {**_INTERVAL}]}),
    Case("planned maintenance", "NVLinkDomain", {"spec.maintenance": [_PLANNED]}),
    Case("planned maintenance", "PowerDomain", {"spec.maintenance": [_PLANNED]}),
    Case("planned maintenance", "CoolingZone", {"spec.maintenance": [{**_PLANNED, "units": ["cdu-1"]}]}),
    Case(
        "drain by a deadline",
        "Rack",
        {"spec.state": "Draining", "spec.drainDeadline": "2026-12-01T06:00:00Z"},
    ),
    Case("drain by a deadline", "NVLinkDomain", {"spec.drainDeadline": "2026-12-01T06:00:00+01:00"}),
    Case("by clique", "NVLinkDomain", {"spec.racks": REMOVE, "spec.clique": "0b9c5c5e-1.1"}),
    Case("by clique and no racks", "NVLinkDomain", {"spec.racks": [], "spec.clique": "0b9c5c5e-1.1"}),
    Case("by selector", "NVLinkDomain", {"spec.racks": REMOVE, "spec.nodeSelector": {"a": "b"}}),
    Case("two racks", "NVLinkDomain", {"spec.racks": ["r1", "r2"], "spec.fabricPath": REMOVE}),
    Case(
        "long path",
        "NVLinkDomain",
        {"spec.fabricPath": [{"level": "leaf", "name": "l1"}, {"level": "spine", "name": "s1"}]},
    ),
    Case(
        "source", "PowerDomain", {"spec.parents": REMOVE, "spec.redundancy": REMOVE, "spec.emergency": REMOVE}
    ),
    Case("no parents", "PowerDomain", {"spec.parents": []}),
    Case("all needed", "PowerDomain", {"spec.redundancy.needed": 4}),
    Case("none online", "PowerDomain", {"spec.redundancy.online": 0}),
    Case("base equals rating", "PowerDomain", {"spec.baseLoadWatts": 2_400_000}),
    Case("largest", "PowerDomain", {"spec.ratedWatts": 100_000_000_000}),
    Case("feed tag", "PowerDomain", {"spec.feedTag": "main-a", "spec.survivable": True}),
    Case("nothing allowed", "PowerBudget", {"spec.limitWatts": 0}),
    Case("by tag", "PowerBudget", {"spec.targets": {"feedTags": ["main-a"]}}),
    Case("by queue", "PowerBudget", {"spec.targets": {"queues": ["research"], "powerDomains": []}}),
    Case("by namespace", "PowerBudget", {"spec.targets": {"namespaces": ["team-a"]}}),
    Case("interval", "PowerBudget", {"spec.interval": _INTERVAL}),
    Case(
        "interval over offsets",
        "PowerBudget",
        {"spec.interval": {"start": "2026-11-21T20:00:00+02:00", "end": "2026-11-21T19:00:00Z"}},
    ),
    Case("interval and no windows", "PowerBudget", {"spec.interval": _INTERVAL, "spec.schedule": []}),
    Case("schedule", "PowerBudget", {"spec.schedule": [_WINDOW]}),
    Case("over midnight", "PowerBudget", {"spec.schedule": [{"from": "22:00", "to": "06:00"}]}),
    Case("whole day", "PowerBudget", {"spec.schedule": [{"from": "00:00", "to": "24:00"}]}),
    Case("all units needed", "CoolingZone", {"spec.neededUnits": 2}),
    Case(
        "curve",
        "CoolingZone",
        {"spec.supplyCelsius": 40, "spec.deratingCurve": [{"supplyCelsius": 45, "percent": 90}]},
    ),
    Case("no curve", "CoolingZone", {"spec.deratingCurve": []}),
    Case("parent", "CoolingZone", {"spec.parents": ["facility-water"]}),
    Case("no draw no feeds", "CoolingZone", {"spec.units[0].drawWatts": 0, "spec.units[0].feeds": REMOVE}),
    Case("bare", "Queue", {"spec": REMOVE}),
    Case("empty spec", "Queue", {"spec": {}}),
    Case("no quota at all", "Queue", {"spec.quota": {"gpus": 0, "watts": 0}}),
    Case(
        "borrows and lends",
        "Queue",
        {
            "spec.quota": {
                "gpus": 128,
                "watts": 200_000,
                "borrowingLimitGpus": 0,
                "borrowingLimitWatts": 50_000,
                "lendingLimitGpus": 128,
                "lendingLimitWatts": 200_000,
                "profiles": [
                    {"profile": "gb300", "gpus": 64, "borrowingLimitGpus": 8, "lendingLimitGpus": 64},
                    {"profile": "h100", "gpus": 0},
                ],
            }
        },
    ),
    Case(
        "lends what those below it have",
        "Queue",
        {"spec.quota": {"lendingLimitGpus": 8, "lendingLimitWatts": 8}},
    ),
    Case(
        "no parent and no borrowing",
        "Queue",
        {"spec.parent": REMOVE, "spec.quota": {"gpus": 8, "profiles": [{"profile": "gb300", "gpus": 64}]}},
    ),
    Case(
        "reclaims", "Queue", {"spec.preemption": {"withinQueue": "LowerPriority", "reclaim": "LowerPriority"}}
    ),
    Case("elastic", "Gang", {"spec.minSlots": 16}),
    Case(
        "segments",
        "Gang",
        {"spec.topology": {"required": "spine", "preferred": "nvlink", "segmentSlots": 16}},
    ),
    Case("no gpus", "Gang", {"spec.gpusPerSlot": 0}),
    Case("groups that are all slots", "Gang", {"spec.slots": 5, "spec.groups": _GROUPS}),
    Case(
        "several jobs",
        "Gang",
        {
            "spec.slots": 5,
            "spec.workload": {"apiVersion": "batch/v1", "kind": "JobList", "name": "learner", "uid": ""},
            "spec.groups": [
                {
                    **group,
                    "workload": {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "name": group["name"],
                        "uid": "8c2c",
                    },
                }
                for group in _GROUPS
            ],
        },
    ),
    Case("bare pods", "Gang", {"spec.workload.uid": ""}),
    Case("everything", "Gang", {"spec.power": {"profile": "MaxQ", "strict": True}, "spec.flexTier": 3}),
)

BAD: Final[tuple[Case, ...]] = (
    _bad("HardwareProfile", "idle above max", "spec.idleWatts")(
        {"spec.idleWatts": 6601, "spec.powerProfiles": REMOVE}
    ),
    _bad("HardwareProfile", "profile above max", "spec.powerProfiles")(
        {"spec.powerProfiles[1].nodeWatts": 6601}
    ),
    _bad("HardwareProfile", "profile below idle", "spec.powerProfiles")(
        {"spec.powerProfiles[1].nodeWatts": 999}
    ),
    _bad("HardwareProfile", "profile twice", "spec.powerProfiles[1]")({"spec.powerProfiles[1].name": "MaxP"}),
    _bad("HardwareProfile", "profile without watts", "spec.powerProfiles[0].nodeWatts")(REMOVE),
    _bad("HardwareProfile", "no max", "spec.maxWatts")(REMOVE),
    _bad("HardwareProfile", "no idle", "spec.idleWatts")(REMOVE),
    _bad("HardwareProfile", "negative idle", "spec.idleWatts")(-1),
    _bad("HardwareProfile", "kilowatts as text", "spec.maxWatts")("6.6kW"),
    _bad("HardwareProfile", "peak below 100", "spec.peakPercent")(99),
    _bad("HardwareProfile", "utilization of 0", "spec.typicalUtilizationPercent")(0),
    _bad("HardwareProfile", "heat above 100", "spec.liquidHeatPercent")(101),
    _bad("HardwareProfile", "no gpus", "spec.gpusPerNode")(0),
    _bad("HardwareProfile", "unknown scope", "spec.nvlinkScope")("Rack"),
    _bad("HardwareProfile", "core resource", "spec.resourceName")("cpu"),
    _bad("HardwareProfile", "unknown basis", "spec.sources[0].basis")("Rumour"),
    _bad("Rack", "no limit", "spec.limitWatts")(REMOVE),
    _bad("Rack", "limit of 0", "spec.limitWatts")(0),
    _bad("Rack", "negative limit", "spec.limitWatts")(-132000),
    _bad("Rack", "limit with a fraction", "spec.limitWatts")(132.5),
    _bad("Rack", "limit beyond the world", "spec.limitWatts")(100_000_000_001),
    _bad("Rack", "peak below limit", "spec.peakLimitWatts")(131999),
    _bad("Rack", "no nodes expected", "spec.expectedNodes")(0),
    _bad("Rack", "negative overhead", "spec.overheadWatts")(-1),
    _bad("Rack", "overhead above limit", "spec.overheadWatts")(132001),
    _bad("Rack", "no feeds", "spec.feeds")(REMOVE),
    _bad("Rack", "empty feeds", "spec.feeds")([]),
    _bad("Rack", "feed without weight", "spec.feeds[0].weight")(REMOVE),
    _bad("Rack", "feed of weight 0", "spec.feeds[0].weight")(0),
    _bad("Rack", "feed of negative weight", "spec.feeds[1].weight")(-1),
    _bad("Rack", "feed from nowhere", "spec.feeds[0].powerDomain")(REMOVE),
    _bad("Rack", "feed limit of 0", "spec.feeds[0].limitWatts")(0),
    _bad("Rack", "feed twice", "spec.feeds[1]")({"spec.feeds[1].powerDomain": "busway-a"}),
    _bad("Rack", "standby only", "spec.feeds")({"spec.feeds": [{**_FEED, "role": "Standby"}]}),
    _bad("Rack", "unknown role", "spec.feeds[0].role")("Passive"),
    _bad("Rack", "selector of nothing", "spec.nodeSelector")({"spec.nodeSelector": {}}),
    _bad("Rack", "no selector", "spec.nodeSelector")(REMOVE),
    _bad("Rack", "no profile", "spec.profile")(REMOVE),
    _bad("Rack", "profile with a space", "spec.profile")("GB300 NVL72"),
    _bad("Rack", "unknown state", "spec.state")("Broken"),
    _bad("Rack", "no spec", "spec")({"spec": REMOVE}),
    _bad("NVLinkDomain", "no selector", "spec")({"spec.racks": REMOVE}),
    _bad("NVLinkDomain", "empty racks", "spec")({"spec.racks": []}),
    _bad("NVLinkDomain", "two selectors", "spec")({"spec.clique": "a.1"}),
    _bad("NVLinkDomain", "three selectors", "spec")({"spec.clique": "a.1", "spec.nodeSelector": {"a": "b"}}),
    _bad("NVLinkDomain", "rack twice", "spec.racks[1]")({"spec.racks": ["r1", "r1"]}),
    _bad("NVLinkDomain", "nvlink in the path", "spec.fabricPath")([{"level": "nvlink", "name": "n"}]),
    _bad("NVLinkDomain", "level twice", "spec.fabricPath")(
        [{"level": "leaf", "name": "a"}, {"level": "leaf", "name": "b"}]
    ),
    *(
        case
        for kind in ("Rack", "NVLinkDomain", "PowerDomain", "CoolingZone")
        for case in (
            _bad(kind, "backwards", "spec.maintenance[0].end")(
                {"spec.maintenance": [{"start": _INTERVAL["end"], "end": _INTERVAL["start"]}]}
            ),
            _bad(kind, "no length", "spec.maintenance[0].end")(
                {"spec.maintenance": [{**_PLANNED, "end": _INTERVAL["start"]}]}
            ),
            _bad(kind, "no end of maintenance", "spec.maintenance[0].end")(
                {"spec.maintenance": [{"start": _INTERVAL["start"]}]}
            ),
        )
    ),
    _bad("Rack", "deadline without offset", "spec.drainDeadline")("2026-12-01T06:00:00"),
    _bad("NVLinkDomain", "deadline in words", "spec.drainDeadline")("tomorrow"),
    _bad("NVLinkDomain", "negative spare", "spec.spareNodes")(-1),
    _bad("PowerDomain", "no rating", "spec.ratedWatts")(REMOVE),
    _bad("PowerDomain", "rating of 0", "spec.ratedWatts")(0),
    _bad("PowerDomain", "negative rating", "spec.ratedWatts")(-5),
    _bad("PowerDomain", "peak of 0", "spec.peakLimitWatts")(0),
    _bad("PowerDomain", "continuous of 0", "spec.continuousPercent")(0),
    _bad("PowerDomain", "continuous above 100", "spec.continuousPercent")(101),
    _bad("PowerDomain", "efficiency of 0", "spec.efficiencyBasisPoints")(0),
    _bad("PowerDomain", "efficiency above 1", "spec.efficiencyBasisPoints")(10_001),
    _bad("PowerDomain", "base above rating", "spec.baseLoadWatts")(2_400_001),
    _bad("PowerDomain", "parent without weight", "spec.parents[0].weight")(REMOVE),
    _bad("PowerDomain", "parent twice", "spec.parents[1]")({"spec.parents[1].powerDomain": "utility"}),
    _bad("PowerDomain", "standby only", "spec.parents")({"spec.parents[0].role": "Standby"}),
    _bad("PowerDomain", "its own parent", "spec.parents")({"spec.parents[0].powerDomain": "it"}),
    _bad("PowerDomain", "more needed than installed", "spec.redundancy.needed")(5),
    _bad("PowerDomain", "more online than installed", "spec.redundancy.online")(5),
    _bad("PowerDomain", "modules of 0", "spec.redundancy.moduleWatts")(0),
    _bad("PowerDomain", "emergency below rating", "spec.emergency.percent")(99),
    _bad("PowerDomain", "unknown type", "spec.type")("Battery"),
    _bad("PowerDomain", "no type", "spec.type")(REMOVE),
    _bad("PowerBudget", "no targets", "spec.targets")({"spec.targets": {}}),
    _bad("PowerBudget", "empty targets", "spec.targets")({"spec.targets": {"queues": [], "feedTags": []}}),
    _bad("PowerBudget", "targets missing", "spec.targets")(REMOVE),
    _bad("PowerBudget", "target twice", "spec.targets.powerDomains[1]")(
        {"spec.targets.powerDomains": ["a", "a"]}
    ),
    _bad("PowerBudget", "negative limit", "spec.limitWatts")(-1),
    _bad("PowerBudget", "no limit", "spec.limitWatts")(REMOVE),
    _bad("PowerBudget", "backwards", "spec.interval.end")(
        {"spec.interval": {"start": _INTERVAL["end"], "end": _INTERVAL["start"]}}
    ),
    _bad("PowerBudget", "no length", "spec.interval.end")(
        {"spec.interval": {"start": _INTERVAL["end"], "end": _INTERVAL["end"]}}
    ),
    _bad("PowerBudget", "no end", "spec.interval.end")({"spec.interval": {"start": _INTERVAL["start"]}}),
    _bad("PowerBudget", "not a time", "spec.interval.end")(
        {"spec.interval": {**_INTERVAL, "end": "tomorrow"}}
    ),
    _bad("PowerBudget", "time as a number", "spec.interval.end")(
        {"spec.interval": {**_INTERVAL, "end": 9e9}}
    ),
    _bad("PowerBudget", "both times", "spec.schedule")(
        {"spec.interval": _INTERVAL, "spec.schedule": [_WINDOW]}
    ),
    _bad("PowerBudget", "window of no length", "spec.schedule[0].to")(
        {"spec.schedule": [{"from": "10:00", "to": "10:00"}]}
    ),
    _bad("PowerBudget", "hour 25", "spec.schedule[0].from")(
        {"spec.schedule": [{"from": "25:00", "to": "10:00"}]}
    ),
    _bad("PowerBudget", "unknown day", "spec.schedule[0].days[0]")(
        {"spec.schedule": [{**_WINDOW, "days": ["Monday"]}]}
    ),
    _bad("CoolingZone", "no units", "spec.units")({"spec.units": []}),
    _bad("CoolingZone", "too many needed", "spec.neededUnits")(3),
    _bad("CoolingZone", "none needed", "spec.neededUnits")(0),
    _bad("CoolingZone", "needed missing", "spec.neededUnits")(REMOVE),
    _bad("CoolingZone", "capacity of 0", "spec.units[1].capacityWatts")(0),
    _bad("CoolingZone", "no capacity", "spec.units[1].capacityWatts")(REMOVE),
    _bad("CoolingZone", "unit twice", "spec.units[1]")({"spec.units[1].name": "cdu-1"}),
    _bad("CoolingZone", "draw from nowhere", "spec.units[1].drawWatts")(5000),
    _bad("CoolingZone", "standby only", "spec.units[0].feeds")([{**_FEED, "role": "Standby"}]),
    _bad("CoolingZone", "feed without weight", "spec.units[0].feeds[0].weight")(REMOVE),
    _bad("CoolingZone", "curve without temperature", "spec.deratingCurve")(
        [{"supplyCelsius": 45, "percent": 90}]
    ),
    _bad("CoolingZone", "capacity above 100", "spec.deratingCurve[0].percent")(
        {"spec.supplyCelsius": 40, "spec.deratingCurve": [{"supplyCelsius": 45, "percent": 101}]}
    ),
    _bad("CoolingZone", "its own parent", "spec.parents")(["it"]),
    _bad("CoolingZone", "unknown medium", "spec.medium")("Oil"),
    _bad("Queue", "its own parent", "spec.parent")("it"),
    _bad("Queue", "negative quota", "spec.quota.gpus")(-1),
    _bad("Queue", "weight of 0", "spec.weight")(0),
    _bad("Queue", "hold as text", "spec.hold")("yes"),
    _bad("Queue", "unknown preemption", "spec.preemption.reclaim")("Always"),
    _bad("Queue", "lends more gpus than it has", "spec.quota.lendingLimitGpus")(129),
    _bad("Queue", "lends more watts than it has", "spec.quota.lendingLimitWatts")(
        {"spec.quota": {"watts": 5, "lendingLimitWatts": 6}}
    ),
    _bad("Queue", "lends more of a profile than it has", "spec.quota.profiles[0].lendingLimitGpus")(
        {"spec.quota": {"profiles": [{"profile": "gb300", "gpus": 5, "lendingLimitGpus": 6}]}}
    ),
    *(
        _bad("Queue", f"{limit} and no parent", "spec.quota")(
            {"spec.parent": REMOVE, "spec.quota": {limit: 0}}
        )
        for limit in ("borrowingLimitGpus", "borrowingLimitWatts", "lendingLimitGpus", "lendingLimitWatts")
    ),
    *(
        _bad("Queue", f"{limit} of a profile and no parent", "spec.quota")(
            {"spec.parent": REMOVE, "spec.quota": {"profiles": [{"profile": "gb300", "gpus": 1, limit: 0}]}}
        )
        for limit in ("borrowingLimitGpus", "lendingLimitGpus")
    ),
    _bad("Queue", "profile twice", "spec.quota.profiles[1]")(
        {"spec.quota": {"profiles": [{"profile": "gb300", "gpus": 1}, {"profile": "gb300", "gpus": 2}]}}
    ),
    _bad("Queue", "profile without gpus", "spec.quota.profiles[0].gpus")(
        {"spec.quota": {"profiles": [{"profile": "gb300"}]}}
    ),
    _bad("Gang", "no slots", "spec.slots")(0),
    _bad("Gang", "more slots than fit an object", "spec.slots")(65_537),
    _bad("Gang", "min above slots", "spec.minSlots")(17),
    _bad("Gang", "segment above slots", "spec.topology.segmentSlots")(17),
    _bad("Gang", "groups of other slots", "spec.slots")({"spec.slots": 6, "spec.groups": _GROUPS}),
    _bad("Gang", "negative gpus", "spec.gpusPerSlot")(-1),
    _bad("Gang", "tier 4", "spec.flexTier")(4),
    _bad("Gang", "negative tier", "spec.flexTier")(-1),
    _bad("Gang", "unknown disruption", "spec.disruption")("Sometimes"),
    _bad("Gang", "level with a space", "spec.topology.required")("the leaf"),
    _bad("Gang", "no workload", "spec.workload")(REMOVE),
    _bad("Gang", "no queue", "spec.queue")(REMOVE),
)
