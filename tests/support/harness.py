"""The whole operator but its sockets: cluster, machine, writes and node agents, one synchronous step at a time.

Time is the test's. Between any two writes the test may look, or kill the machine and start a new one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import msgspec

from rackplane.api.admission import shipped_policies
from rackplane.api.crd import crd
from rackplane.api.kinds import BY_KIND, KINDS
from rackplane.controller.kueue.join import KueueJoin
from rackplane.controller.requests import failure, requests_for
from rackplane.controller.runtime import Recorder
from rackplane.core import claims as c
from rackplane.core import events as e
from rackplane.core import objects as o
from rackplane.core.gangs.podgroups import PodGroup
from rackplane.core.instructions import AnswerCheck, CommitGang, Instruction, PublishEvent, SendCap
from rackplane.core.machine import Machine
from rackplane.core.settings import MachineSettings
from rackplane.core.workloads.kinds import KINDS as KINDS_OF_WORKLOADS
from rackplane.core.workloads.kueue import KUEUE_GROUP, AdmissionCheck, ResourceFlavor
from rackplane.core.workloads.view import Body
from rackplane.kube.client import ApiError as ClientError
from rackplane.localcluster import LocalCluster, Request, Response
from rackplane.localcluster.podruns import ended_status, exit_code, run_seconds, running_status, started_at
from rackplane.localcluster.store import DELETED, Change
from tests.support.branching import Branching

GPU = "nvidia.com/gpu"
GROUP = "rackplane.dev"
QUEUE = "rackplane.dev/queue"
RUN = "localcluster.rackplane.dev/run-seconds"
EXIT = "localcluster.rackplane.dev/exit-code"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
START = 1_700_000_000.0
#: Of each cluster's uids.
SEED = 7

_KINDS: Mapping[tuple[str, str], tuple[type, type, type]] = {
    ("", "nodes"): (o.Node, e.NodeChanged, e.NodeDeleted),
    ("", "pods"): (o.Pod, e.PodChanged, e.PodDeleted),
    ("batch", "jobs"): (o.Job, e.JobChanged, e.JobDeleted),
    (GROUP, "gangs"): (o.Gang, e.GangChanged, e.GangDeleted),
    ("resource.k8s.io", "resourceclaims"): (c.ResourceClaim, e.ClaimChanged, e.ClaimDeleted),
    ("resource.k8s.io", "resourceclaimtemplates"): (
        c.ResourceClaimTemplate,
        e.ClaimTemplateChanged,
        e.ClaimTemplateDeleted,
    ),
    ("resource.nvidia.com", "computedomains"): (
        c.ComputeDomain,
        e.ComputeDomainChanged,
        e.ComputeDomainDeleted,
    ),
    ("scheduling.k8s.io", "podgroups"): (PodGroup, e.PodGroupChanged, e.PodGroupDeleted),
    ("scheduling.k8s.io", "priorityclasses"): (
        o.PriorityClass,
        e.PriorityClassChanged,
        e.PriorityClassDeleted,
    ),
}
_CRDS, _DOMAINS = ("apiextensions.k8s.io", "customresourcedefinitions"), "computedomains.resource.nvidia.com"
_WORKLOADS = {(kind.group, kind.plural): kind for kind in KINDS_OF_WORKLOADS.values()}
_KUEUE = tuple((KUEUE_GROUP, plural) for plural in ("admissionchecks", "resourceflavors", "workloads"))
_FACILITY = {(GROUP, k.info.plural): kind for kind, k in BY_KIND.items() if kind != "Gang"}


_VALIDATED = 5
"""Of so many batches the machine counts everything anew after one, if its settings say that it validates."""


@cache
def _crds() -> tuple[dict[str, Any], ...]:
    return tuple(crd(model) for model in KINDS)


@cache
def _policies() -> tuple[dict[str, Any], ...]:
    # Users may do what they like here, as where the guard is off: what the operator makes of it is tested.
    return tuple(p for p in shipped_policies() if not p["metadata"]["name"].endswith("-guard-jobs"))


@cache
def _installed() -> LocalCluster:
    """A cluster with definitions and policies; it costs as much as a whole test of the machine, so there is one."""
    cluster = LocalCluster(clock=Time(), seed=SEED)
    for definition in (*_crds(), *_policies()):
        cluster.apply(definition)
    return cluster


class Time:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Harness:
    """One cluster, one machine.

    Args:
        answers_first: whether the machine hears the answer to a write before it sees the change, or after.
        kill: called with the number of each write (from 1) and "before" or "after"; True kills the machine there.
        time: the cluster's clock; by default one that stands still until the test moves it.
        cluster: options of the `LocalCluster`.
        record: makes what keeps all that a new process's machine is told and asks for.
    """

    def __init__(
        self,
        *,
        settings: MachineSettings | None = None,
        answers_first: bool = True,
        kill: Callable[[int, str], bool] | None = None,
        time: Time | None = None,
        cluster: Mapping[str, Any] | None = None,
        record: Callable[[MachineSettings], Recorder] | None = None,
    ) -> None:
        self.time = time or Time()
        self.cluster = LocalCluster(clock=self.time, seed=SEED, **(cluster or {}))
        self.settings = settings or MachineSettings(validate=True)
        self._batches = 0
        self._record = record
        self._recorder: Recorder | None = None
        self.answers_first = answers_first
        self.kill = kill or (lambda number, when: False)
        #: called after every write of the operator and every batch it handled
        self.check: Callable[[], None] = lambda: None
        self.writes = 0
        self.restarts = 0
        self.commits: list[CommitGang] = []
        self.told: list[PublishEvent] = []
        self.answers: list[AnswerCheck] = []
        self.failures: list[e.WriteFailed] = []
        #: what the power endpoint was told, and its answer: nothing if it does as told, else why not
        self.sent: list[SendCap] = []
        self.endpoint: Callable[[SendCap], str] = lambda sent: ""
        #: how much faster than asked for pods run to their end
        self.pace = 1.0
        #: nodes whose agents are dead: their pods neither start nor end
        self.down: set[str] = set()
        #: controllers of other projects: each does one step, and says whether it did anything
        self.controllers: list[Callable[[Harness], bool]] = []
        self._changes: deque[Change] = deque()
        self._todo: deque[Instruction] = deque()
        self._term = 0
        #: what a process that was killed had still to send, its next write first
        self.unsent: list[Instruction] = []
        self._seen_terminating: set[str] = set()
        self.cluster.store.subscribe(self._changes.append)
        self.cluster.take_over(_installed())

    @property
    def kill(self) -> Callable[[int, str], bool]:
        return self._kill

    @kill.setter
    def kill(self, kill: Callable[[int, str], bool]) -> None:
        self._kill = kill
        if isinstance(kill, Branching):
            kill.found = lambda: (self.cluster.store.revision, self.time.now, len(self.sent))

    # -- the operator ------------------------------------------------------------------------------

    def start_machine(self) -> None:
        """A new process: everything listed, then synced, then the leader."""
        self._changes.clear()
        self._todo.clear()
        self._term += 1
        # It costs as much as the work itself, and what was once counted wrong stays wrong: now and then is enough.
        self.machine = Machine(settings=replace(self.settings, validate=False))
        self._recorder = None if self._record is None else self._record(self.machine.settings)
        self._joined: list[e.Event] = []
        self._kueue = KueueJoin(self._joined.append)
        self._feed(*self.listed(), e.Synced(), e.LeadershipGained(self._term))

    def listed(self) -> list[e.Event]:
        """Every object that there is, as a new process is told of it."""
        return [
            e.ComputeDomainsServed(self.cluster.store.get(_CRDS, "", _DOMAINS) is not None),
            *(
                event
                for resource in (*_KINDS, *_WORKLOADS, *_FACILITY, *_KUEUE)
                for obj in self.cluster.store.items(resource)
                for event in self._events(resource, obj, deleted=False)
            ),
        ]

    def restart_machine(self) -> None:
        self.restarts += 1
        self.start_machine()

    def _events(self, resource: tuple[str, str], obj: dict[str, Any], *, deleted: bool) -> list[e.Event]:
        if resource not in _KUEUE:
            return [self._event(resource, obj, deleted=deleted)]
        name, join = obj["metadata"]["name"], self._kueue
        match resource[1]:
            case "workloads" if deleted:
                join.drop(obj["metadata"]["namespace"], name)
            case "workloads":
                join.put(msgspec.convert(obj, type=Body), obj["apiVersion"].split("/")[1])
            case "admissionchecks":
                join.drop_check(name) if deleted else join.put_check(msgspec.convert(obj, AdmissionCheck))
            case _:
                join.drop_flavor(name) if deleted else join.put_flavor(msgspec.convert(obj, ResourceFlavor))
        told, self._joined[:] = list(self._joined), []
        return told

    def _event(self, resource: tuple[str, str], obj: dict[str, Any], *, deleted: bool) -> e.Event:
        name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace", "")
        if resource in _FACILITY:
            kind = _FACILITY[resource]
            return e.FacilityDeleted(kind, name) if deleted else e.FacilityChanged(kind, name, obj)
        if resource in _WORKLOADS:
            of = _WORKLOADS[resource]
            if deleted:
                return e.WorkloadDeleted(of.kind, namespace, name)
            return e.WorkloadChanged(
                of.view(msgspec.convert(obj, type=Body), obj["apiVersion"].split("/")[1])
            )
        struct, changed, gone = _KINDS[resource]
        event: e.Event
        if deleted:
            event = gone(namespace, name) if namespace else gone(name)
        else:
            event = changed(msgspec.json.decode(msgspec.json.encode(obj), type=struct))
        return event

    def _feed(self, *events: e.Event) -> None:
        if self._recorder is not None:
            self._recorder.told(self.time.now, events)
        asked = self.machine.handle(self.time.now, *events)
        if self._recorder is not None:
            self._recorder.asked(asked)
        self._todo.extend(asked)
        self._batches += 1
        if self.settings.validate and self._batches % _VALIDATED == 0:
            self.machine.validate()
        self.check()

    def deliver(self, limit: int | None = None) -> bool:
        """Let the machine see what has changed, or only the next few changes."""
        events: list[e.Event] = []
        while self._changes and (limit is None or len(events) < limit):
            change = self._changes.popleft()
            if change.resource == _CRDS and change.object["metadata"]["name"] == _DOMAINS:
                events.append(e.ComputeDomainsServed(change.type != DELETED))
            if any(change.resource in known for known in (_KINDS, _WORKLOADS, _FACILITY, _KUEUE)):
                events += self._events(change.resource, change.object, deleted=change.type == DELETED)
        if events:
            self._feed(*events)
        return bool(events)

    def pending(self) -> bool:
        """Whether there are changes that the machine has not been told of."""
        return bool(self._changes)

    def write(self) -> bool:
        """Carry out the operator's next write, if there is one."""
        if not self._todo:
            return False
        instruction = self._todo.popleft()
        self.writes += 1
        if self.kill(self.writes, "before"):
            self.unsent = [instruction, *self._todo]
            self.restart_machine()
            return True
        if isinstance(instruction, SendCap):
            self.sent.append(instruction)
            problem = self.endpoint(instruction)
            failed = e.WriteFailed(instruction, e.FailureReason.UNAVAILABLE, problem)
            self._feed(failed if problem else e.WriteSucceeded(instruction))
            return True
        answer = self._send(instruction)
        if answer.code < 400 and isinstance(instruction, CommitGang):
            self.commits.append(instruction)
        if answer.code < 400 and isinstance(instruction, AnswerCheck):
            self.answers.append(instruction)
        if answer.code < 400 and isinstance(instruction, PublishEvent):
            self.told.append(instruction)
        if self.kill(self.writes, "after"):
            self.restart_machine()
            return True
        if answer.code >= 400:
            status = answer.body
            error = ClientError(answer.code, status.get("reason", ""), status.get("message", ""))
            failed = e.WriteFailed(instruction, failure(error), error.message)
            self.failures.append(failed)
            outcome: e.Event = failed
        else:
            outcome = e.WriteSucceeded(instruction)
        if not self.answers_first:
            self.deliver()
        self._feed(outcome)
        return True

    def one_by_one(self, order: Iterable[int]) -> None:
        """Everybody at their own pace, so that the operator sees an older world than there is.

        Args:
            order: whose step comes next: 0 to 2 the cluster's controllers, 3 the nodes' agents, 4 the operator sees all
                that has changed, 5 it writes once, 6 it sees one change.
        """
        reactors = self.cluster.reactors
        for who in order:
            (
                reactors[0].run,
                reactors[1].run,
                reactors[2].run,
                self.agents,
                self.deliver,
                self.write,
                lambda: self.deliver(1),
            )[who]()

    def send_late(self) -> None:
        """The process that was killed was only paused: what it had still to send arrives now."""
        late, self.unsent = self.unsent, []
        for instruction in late:
            if isinstance(instruction, SendCap):
                self.sent.append(instruction)
            else:
                self._send(instruction)

    def _send(self, instruction: Instruction) -> Response:
        request = requests_for(instruction, now=self.time.now)
        return self.cluster.handle(
            Request(
                request.method,
                request.path,
                body=msgspec.json.decode(msgspec.json.encode(request.body)),
                content_type=request.content_type,
                query=request.query or {},
                user="operator",
            )
        )

    # -- the cluster -------------------------------------------------------------------------------

    def agents(self, pods: Iterable[dict[str, Any]] | None = None) -> bool:
        """One step of every node's agent: pods start, end, and are removed.

        Args:
            pods: only these; None: all that there are.
        """
        busy = False
        for pod in self.cluster.store.items(("", "pods")) if pods is None else pods:
            node = pod["spec"].get("nodeName")
            meta, status = pod["metadata"], pod.get("status", {})
            path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
            if not node or node in self.down:
                continue
            if meta.get("deletionTimestamp"):
                self.request("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}})
                left = self.cluster.store.get(("", "pods"), meta["namespace"], meta["name"])
                # It stays for as long as the Job controller has not counted it.
                busy = busy or left is None or left["metadata"]["resourceVersion"] != meta["resourceVersion"]
                continue
            if status.get("phase") in ("Succeeded", "Failed"):
                continue
            if status.get("phase") != "Running":
                report = running_status(pod, self.time.now)
            else:
                lasts, began = run_seconds(pod), started_at(pod)
                if lasts is None or began is None or began + lasts / self.pace > self.time.now:
                    continue
                report = ended_status(pod, self.time.now, exit_code=exit_code(pod))
            self.request(
                "PATCH", f"{path}/status", {"metadata": {"uid": meta["uid"]}, "status": report}, STRATEGIC
            )
            busy = True
        return busy

    def settle(self, *, rounds: int = 5_000) -> None:
        """Until nobody has anything to do at this time."""
        for _ in range(rounds):
            # Every part acts once a round whether or not another had something to do.
            others = [step(self) for step in self.controllers]
            ours = [self.cluster.settle() > 0, self.agents(), self.deliver(), self.write()]
            if not any(others + ours):
                return
        raise AssertionError(f"still busy after {rounds} rounds: {list(self._todo)[:3]}")

    def advance(self, seconds: float, *, step: float = 1.0) -> None:
        """Let time pass, a second at a time."""
        self.settle()
        end = self.time.now + seconds
        while self.time.now < end:
            self.time.now = min(end, self.time.now + step)
            self._feed(e.TimePassed())
            self.settle()

    def until(self, predicate: Callable[[], bool], *, seconds: float = 600.0, step: float = 1.0) -> None:
        self.settle()
        end = self.time.now + seconds
        while not predicate():
            assert self.time.now < end, f"not within {seconds} s: {self.summary()}"
            self.advance(step, step=step)

    # -- the user ----------------------------------------------------------------------------------

    def request(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        return self.cluster.request(method, path, body, content_type=kind)

    def apply(self, *objects: dict[str, Any]) -> None:
        for obj in objects:
            self.cluster.apply(obj)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        return self.request("PATCH", path, body, MERGE)

    def job(
        self,
        name: str,
        *,
        slots: int = 2,
        gpus: int = 4,
        run: float | None = 30,
        queue: str | None = "research",
        indexed: bool = True,
        annotations: Mapping[str, str] | None = None,
        template: Mapping[str, Any] | None = None,
        pod_annotations: Mapping[str, str] | None = None,
        pod_labels: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        **spec: Any,
    ) -> None:
        seconds = {} if run is None else {RUN: str(run)}
        pod_spec = {"restartPolicy": "Never", "containers": [container(gpus)], **(template or {})}
        body = {
            "parallelism": slots,
            "completions": slots,
            "completionMode": "Indexed" if indexed else "NonIndexed",
            "template": {
                "metadata": {
                    "labels": dict(pod_labels or {}),
                    "annotations": {**seconds, **(pod_annotations or {})},
                },
                "spec": pod_spec,
            },
            **spec,
        }
        own = {QUEUE: queue} if queue else {}
        metadata = {"name": name, "labels": {**own, **(labels or {})}, "annotations": dict(annotations or {})}
        self.request(
            "POST",
            "/apis/batch/v1/namespaces/default/jobs",
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": body},
        )

    def pod(
        self,
        name: str,
        *,
        gpus: int = 0,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        **spec: Any,
    ) -> None:
        metadata = {"name": name, "labels": dict(labels or {}), "annotations": dict(annotations or {})}
        body = {"restartPolicy": "Never", "containers": [container(gpus)], **spec}
        self.request(
            "POST",
            "/api/v1/namespaces/default/pods",
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body},
        )

    def suspend(self, job: str, value: bool) -> None:
        self.patch(f"/apis/batch/v1/namespaces/default/jobs/{job}", {"spec": {"suspend": value}})

    def node_ready(self, name: str, ready: bool) -> None:
        """A node that is not ready has a dead agent too, and the node controller's taint."""
        (self.down.discard if ready else self.down.add)(name)
        condition = {"type": "Ready", "status": "True" if ready else "Unknown", "reason": "Test"}
        self.request(
            "PATCH", f"/api/v1/nodes/{name}/status", {"status": {"conditions": [condition]}}, STRATEGIC
        )
        taints = [{"key": "rackplane.dev/managed", "effect": "NoSchedule"}]
        if not ready:
            taints.append({"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"})
        self.patch(f"/api/v1/nodes/{name}", {"spec": {"taints": taints}})

    # -- looking -----------------------------------------------------------------------------------

    def get(self, group: str, plural: str, name: str, namespace: str = "default") -> dict[str, Any]:
        found = self.cluster.store.get((group, plural), namespace, name)
        assert found is not None, f"{plural} {name} does not exist"
        return found

    def gang(self, name: str) -> dict[str, Any]:
        return self.get(GROUP, "gangs", name)

    def phase(self, name: str) -> str:
        found = self.cluster.store.get((GROUP, "gangs"), "default", name)
        return "" if found is None else found.get("status", {}).get("phase", "")

    def gangs(self) -> dict[str, str]:
        items = self.cluster.store.items((GROUP, "gangs"))
        return {g["metadata"]["name"]: g.get("status", {}).get("phase", "") for g in items}

    def pods(self, **labels: str) -> list[dict[str, Any]]:
        return [
            pod
            for pod in self.cluster.store.items(("", "pods"))
            if all(pod["metadata"].get("labels", {}).get(k) == v for k, v in labels.items())
        ]

    def pods_of(self, job: str) -> list[dict[str, Any]]:
        return [
            pod
            for pod in self.pods()
            if any(owner["name"] == job for owner in pod["metadata"].get("ownerReferences", ()))
        ]

    def summary(self) -> str:
        lines = []
        for gang in self.cluster.store.items((GROUP, "gangs")):
            status = gang.get("status", {})
            lines.append(f"{gang['metadata']['name']}: {status.get('phase')} {status.get('message')!r}")
        for pod in self.pods():
            meta = pod["metadata"]
            lines.append(
                f"  pod {meta['name']}: {pod.get('status', {}).get('phase')} on {pod['spec'].get('nodeName')}"
            )
        return "\n".join(lines)


def container(gpus: int) -> dict[str, Any]:
    return {"name": "main", "image": "train:1", "resources": {"limits": {GPU: gpus}} if gpus else {}}


def facility(
    *,
    racks: int = 2,
    nodes: int = 4,
    rack_watts: int = 30_000,
    row_watts: int = 1_000_000,
    cooling: bool = True,
) -> list[dict[str, Any]]:
    """Racks r1, r2, ... of nodes r1-n0, ...: 4 GPUs, 1,000 W idle, 5,000 W at most; one NVLink domain a rack.

    Each rack has 2,000 W of its own and two feeds, a and b, under one row.
    """
    made = [
        thing(
            "HardwareProfile",
            "small",
            gpuModel="Test",
            gpusPerNode=4,
            nvlinkScope="Label",
            idleWatts=1000,
            maxWatts=5000,
            liquidHeatPercent=80,
        ),
        thing("PowerDomain", "row", type="Busway", ratedWatts=row_watts),
        thing("PowerDomain", "a", type="PDU", ratedWatts=row_watts, parents=[feed("row")]),
        thing("PowerDomain", "b", type="PDU", ratedWatts=row_watts, parents=[feed("row")]),
        thing("Queue", "research"),
    ]
    if cooling:
        for name, medium in (("liquid", "Liquid"), ("air", "Air")):
            units = [{"name": "u1", "capacityWatts": row_watts}]
            made.append(thing("CoolingZone", name, medium=medium, units=units, neededUnits=1))
    for r in range(1, racks + 1):
        name = f"r{r}"
        extra = {"cooling": {"liquid": "liquid", "air": "air"}} if cooling else {}
        made.append(
            thing(
                "Rack",
                name,
                profile="small",
                nodeSelector={"rackplane.dev/rack": name},
                overheadWatts=2000,
                limitWatts=rack_watts,
                feeds=[feed("a"), feed("b")],
                location={"site": "s", "hall": "h", "row": "r", "position": str(r)},
                **extra,
            )
        )
        made.append(
            thing("NVLinkDomain", f"nvl-{name}", racks=[name], fabricPath=[{"level": "leaf", "name": "su-1"}])
        )
        made.extend(node(f"{name}-n{n}", name) for n in range(nodes))
    return made


def feed(name: str, weight: int = 1) -> dict[str, Any]:
    return {"powerDomain": name, "weight": weight}


def thing(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def node(name: str, rack: str, *, gpus: int = 4) -> dict[str, Any]:
    room = {"cpu": "64", "memory": "512Gi", "pods": "110", GPU: str(gpus)}
    labels = {"kubernetes.io/hostname": name, "rackplane.dev/rack": rack}
    taint = {"key": "rackplane.dev/managed", "effect": "NoSchedule"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [taint]},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Test"}],
        },
    }


def started(objects: Iterable[dict[str, Any]] | None = None, **options: Any) -> Harness:
    """A harness with a facility, its operator running and settled."""
    harness = Harness(**options)
    harness.apply(*(facility() if objects is None else objects))
    harness.start_machine()
    harness.settle()
    return harness
