"""What one reconciliation of a Job knows, and the conditions it sets."""

from __future__ import annotations

from dataclasses import dataclass, field

from rackplane.localcluster.objects import Obj, is_true, meta, timestamp

from . import backoff, indexes, pods


@dataclass(slots=True)
class State:
    """A Job, the pods it had when the reconciliation began, those of them not counted yet, and what follows.

    `job` is a working copy: its status is changed in place and written by `Control.write_status`. `finished` is the
    condition the Job ends with, or is about to. `failed_indexes` is None unless the Job limits failures per index;
    then `delayed` holds, per index, the failed pod that its replacement will learn the count of failures from.
    `written`: the status was stored with what was counted.
    """

    job: Obj
    pods: list[Obj]
    now: float
    tracked: list[Obj] = field(default_factory=list)
    active_pods: list[Obj] = field(default_factory=list)
    active: int = 0
    ready: int = 0
    terminating: int = 0
    succeeded: int = 0
    failed: int = 0
    uncounted_succeeded: frozenset[str] = frozenset()
    uncounted_failed: frozenset[str] = frozenset()
    finished: Obj | None = None
    counted_indexes: indexes.Intervals = indexes.NONE
    succeeded_indexes: indexes.Intervals = indexes.NONE
    failed_indexes: indexes.Intervals | None = None
    delayed: dict[int, Obj] = field(default_factory=dict)
    record: backoff.Record = field(default_factory=backoff.Record)
    written: bool = False

    @property
    def status(self) -> Obj:
        """The working status."""
        status: Obj = self.job["status"]
        return status

    @property
    def spec(self) -> Obj:
        """The Job's spec."""
        spec: Obj = self.job["spec"]
        return spec

    @property
    def completions(self) -> int:
        """`spec.completions`, of a Job that has it."""
        return int(self.spec["completions"])

    def condition(self, kind: str, reason: str, message: str, value: str = "True") -> Obj:
        """A condition as of now."""
        when = timestamp(self.now)
        return {
            "type": kind,
            "status": value,
            "lastProbeTime": when,
            "lastTransitionTime": when,
            "reason": reason,
            "message": message,
        }

    def holds(self, kind: str) -> Obj | None:
        """The condition of a type that is True."""
        for entry in self.status.get("conditions") or ():
            if entry["type"] == kind and entry["status"] == "True":
                return dict(entry)
        return None

    def add_condition(self, entry: Obj) -> None:
        """Append a condition."""
        self.status["conditions"] = [*(self.status.get("conditions") or ()), entry]

    def ensure_condition(self, entry: Obj) -> bool:
        """Set a condition; returns whether anything changed. False is not said of what was never True."""
        entries = list(self.status.get("conditions") or ())
        for place, known in enumerate(entries):
            if known["type"] == entry["type"]:
                same = all(known.get(key) == entry[key] for key in ("status", "reason", "message"))
                entries[place] = known if same else entry
                self.status["conditions"] = entries
                return not same
        if entry["status"] == "False":
            return False
        self.add_condition(entry)
        return True

    def uncounted(self, kind: str) -> list[str]:
        """uids of ended pods that are in the status but not yet in its counts; `kind` is succeeded or failed."""
        return list(self.status["uncountedTerminatedPods"].get(kind) or ())

    def fresh(self, *, succeeded: bool) -> list[Obj]:
        """Pods that ended and are in no count, nor on the way to one."""
        known = self.uncounted_succeeded if succeeded else self.uncounted_failed
        return [
            pod
            for pod in self.tracked
            if (pods.phase(pod) == "Succeeded" if succeeded else pods.is_failed(pod, self.job))
            and meta(pod)["uid"] not in known
            and pods.has_valid_index(pod, self.job)
        ]


def count_ready(found: list[Obj]) -> int:
    """How many pods are Ready."""
    return sum(is_true(pod, "Ready") for pod in found)
