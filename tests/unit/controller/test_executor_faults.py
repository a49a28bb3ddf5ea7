"""Every write of the operator against every fault by name: neither lost nor done twice, and done within a stated time.

The executor tells what became of a write and never repeats one by itself; that is for the machine to decide, from what
it then sees. `Asker` does as the machine does: what may have happened is asked for again unchanged, after a conflict
the stored object says whether there is anything left to ask for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from rackplane.api.crd import crd
from rackplane.api.kinds import BY_KIND
from rackplane.controller.executor import Executor
from rackplane.controller.metrics import Metrics
from rackplane.core.events import Event, FailureReason, WriteFailed, WriteSucceeded
from rackplane.core.instructions import (
    CommitGang,
    CreateGang,
    Instruction,
    JobSize,
    PublishEvent,
    ResizeJob,
    ResumeJob,
    SuspendJob,
    SuspendWorkload,
    UngatePod,
)
from rackplane.localcluster import Fault, LocalCluster, Request, WallClock
from rackplane.localcluster.effects import Cut, Delay, Effect, Hang, LoseAnswer, Refuse
from rackplane.localcluster.store import Change
from tests.support import foreign
from tests.support.virtualtime import virtual

GANGS = "/apis/rackplane.dev/v1alpha1/namespaces/default/gangs"
JOBSETS = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
PODS = "/api/v1/namespaces/default/pods"
GATE = "rackplane.dev/placement"
#: Seconds the asker waits before it asks again, as the machine's first pause.
AGAIN_SECONDS = 1.0


@cache
def gangs() -> dict[str, Any]:
    return crd(BY_KIND["Gang"])


class Holder:
    term = 1

    async def verify(self) -> bool:
        return True


def gang() -> dict[str, Any]:
    workload = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u"}
    spec = {
        "queue": "q",
        "workload": workload,
        "slots": 2,
        "gpusPerSlot": 4,
        "resourceName": "nvidia.com/gpu",
    }
    return {
        "apiVersion": "rackplane.dev/v1alpha1",
        "kind": "Gang",
        "metadata": {"name": "g", "namespace": "default"},
        "spec": spec,
    }


def job(suspend: bool) -> dict[str, Any]:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "train:1"}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j"},
        "spec": {"suspend": suspend, "template": template},
    }


def pod() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"schedulingGates": [{"name": GATE}], "containers": [{"name": "c", "image": "train:1"}]},
    }


class Asker:
    """A cluster, an executor, and somebody who wants one thing done."""

    def __init__(self) -> None:
        self.cluster = LocalCluster(clock=WallClock(), seed=4)
        self.cluster.apply(gangs())
        self.cluster.apply(foreign.crd("JobSet"))
        self.client = self.cluster.client("operator")
        self.outcomes: list[str] = []
        self.changes: list[Change] = []

    def prepare(self, write: Write) -> dict[str, Any]:
        """What is there before; what changes from now on is in `changes`."""
        stored: dict[str, Any] = {}
        for collection, body in write.before:
            stored = self.cluster.request("POST", collection, body)
        self.cluster.store.subscribe(self.changes.append)
        return stored

    async def ask(self, instruction: Instruction, path: str, done: Callable[[Any], bool]) -> None:
        """Have it carried out; returns once it is done and known to be, or given up."""
        heard: asyncio.Queue[Event] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            executor = Executor(
                client=self.client,
                elector=Holder(),
                feed=heard.put_nowait,
                metrics=Metrics(),
                tasks=tasks,
                clock=self.cluster.clock,
            )
            while True:
                executor.submit(instruction)
                outcome = await heard.get()
                if isinstance(outcome, WriteSucceeded):
                    self.outcomes.append("done")
                    return
                assert isinstance(outcome, WriteFailed)
                self.outcomes.append(outcome.reason.value)
                if outcome.reason is FailureReason.REJECTED:
                    return
                if outcome.reason is FailureReason.CONFLICT:
                    stored = self.stored(path)
                    if stored is not None and done(stored):
                        return
                    if stored is not None and hasattr(instruction, "resource_version"):
                        version = stored["metadata"]["resourceVersion"]
                        instruction = replace(instruction, resource_version=version)
                await asyncio.sleep(AGAIN_SECONDS)

    def stored(self, path: str) -> Any:
        answer = self.cluster.handle(Request("GET", path))
        return answer.body if answer.code == 200 else None


@dataclass(frozen=True)
class Write:
    """What is there before, what is asked for, where it shows and how."""

    before: tuple[tuple[str, dict[str, Any]], ...]
    instruction: Callable[[dict[str, Any]], Instruction]
    path: str
    done: Callable[[Any], bool]


WRITES = {
    "CreateGang": Write(
        (), lambda stored: CreateGang("default", "g", gang()), f"{GANGS}/g", lambda stored: bool(stored)
    ),
    "CommitGang": Write(
        ((GANGS, gang()),),
        lambda stored: CommitGang(
            "default", "g", stored["metadata"]["resourceVersion"], "d1", {"message": "admitted"}
        ),
        f"{GANGS}/g",
        lambda stored: stored.get("status", {}).get("message") == "admitted",
    ),
    "SuspendJob": Write(
        ((JOBS, job(False)),),
        lambda stored: SuspendJob(
            "default", "j", stored["metadata"]["uid"], stored["metadata"]["resourceVersion"]
        ),
        f"{JOBS}/j",
        lambda stored: stored["spec"]["suspend"] is True,
    ),
    "SuspendWorkload": Write(
        ((JOBSETS, foreign.workload("JobSet", "s", {"replicatedJobs": []})),),
        lambda stored: SuspendWorkload(
            "JobSet",
            "v1alpha2",
            "default",
            "s",
            stored["metadata"]["uid"],
            stored["metadata"]["resourceVersion"],
            "jobset-s",
            suspend=True,
        ),
        f"{JOBSETS}/s",
        lambda stored: stored["spec"].get("suspend") is True,
    ),
    "ResumeJob": Write(
        ((JOBS, job(True)),),
        lambda stored: ResumeJob(
            "default", "j", stored["metadata"]["uid"], stored["metadata"]["resourceVersion"]
        ),
        f"{JOBS}/j",
        lambda stored: stored["spec"]["suspend"] is False,
    ),
    "ResizeJob": Write(
        ((JOBS, job(True)),),
        lambda stored: ResizeJob(
            "default",
            "j",
            stored["metadata"]["uid"],
            stored["metadata"]["resourceVersion"],
            JobSize(3, None, 9),
        ),
        f"{JOBS}/j",
        lambda stored: stored["spec"]["parallelism"] == 3,
    ),
    "UngatePod": Write(
        ((PODS, pod()),),
        lambda stored: UngatePod(
            *(
                "default",
                "p",
                stored["metadata"]["uid"],
                stored["metadata"]["resourceVersion"],
                "n1",
                0,
                "g",
                "MaxP",
                tuple(stored["spec"]["tolerations"]),
            )
        ),
        f"{PODS}/p",
        lambda stored: not stored["spec"].get("schedulingGates"),
    ),
}


@dataclass(frozen=True)
class Case:
    """A fault on the first write. within: seconds until it is done and known. first: what is told of it."""

    effect: Effect
    within: float
    first: str


CASES = {
    "latency before the server acts": Case(Delay(before=8), 8, "done"),
    "latency before the answer": Case(Delay(after=8), 8, "done"),
    "a server slower than the client waits": Case(Delay(before=45), 31, "Unavailable"),
    "409": Case(Refuse(409), 1, "Conflict"),
    "429 with Retry-After": Case(Refuse(429, retry_after=9), 10, "Unavailable"),
    "500": Case(Refuse(500), 1, "Unavailable"),
    "503": Case(Refuse(503), 1, "Unavailable"),
    "504": Case(Refuse(504), 1, "Unavailable"),
    "a connection cut before the write": Case(Cut(), 1, "Unavailable"),
    "half-open: no answer, ever": Case(Hang(), 31, "Unavailable"),
    "an answer lost": Case(LoseAnswer(), 1, "Unavailable"),
    "an answer lost in silence": Case(LoseAnswer(silent=True), 31, "Unavailable"),
}


@pytest.mark.parametrize("fault", CASES)
@pytest.mark.parametrize("kind", WRITES)
@virtual
async def test_once_and_only_once(kind: str, fault: str) -> None:
    write, case = WRITES[kind], CASES[fault]
    asker = Asker()
    before = asker.prepare(write)
    asker.cluster.faults.add(Fault(case.effect, verb="write", client="operator"))
    await asker.ask(write.instruction(before), write.path, write.done)
    now = asyncio.get_running_loop().time()
    # Whatever is still on its way arrives now, long after its client has turned to other things.
    await asyncio.sleep(60)
    assert asker.outcomes[0] == case.first, asker.outcomes
    assert now <= case.within + 0.01
    assert write.done(asker.stored(write.path))
    assert [(change.type, change.name) for change in asker.changes] == [
        ("MODIFIED" if write.before else "ADDED", write.path.rpartition("/")[2])
    ]
    assert asker.cluster.faults.count(case.effect) == 1
    await asker.client.close()


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("kind", WRITES)
@virtual
async def test_an_unreachable_server_delays_it(kind: str, silent: bool) -> None:
    write, asker = WRITES[kind], Asker()
    before = asker.prepare(write)
    asker.cluster.faults.outage(seconds=40, silent=silent)
    await asker.ask(write.instruction(before), write.path, write.done)
    # At once after the outage, or when the request that hangs in it has been given up.
    assert 40 <= asyncio.get_running_loop().time() <= (63 if silent else 42)
    assert len(asker.changes) == 1
    await asker.client.close()


@pytest.mark.parametrize("fault", CASES)
@virtual
async def test_an_event_is_sent_once_or_lost(fault: str) -> None:
    case, asker = CASES[fault], Asker()
    asker.cluster.faults.add(Fault(case.effect, verb="write", client="operator"))
    words = PublishEvent("v1", "Node", "", "n1", "u", False, "Placed", "two slots")
    await asker.ask(words, "/api/v1/namespaces/default/events", bool)
    await asyncio.sleep(60)
    assert asker.outcomes in (["done"], ["Rejected"])
    assert len(asker.cluster.store.items(("", "events"))) <= 1
    await asker.client.close()
