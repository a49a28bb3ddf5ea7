"""What a workload of any kind is to us: sets of pods, one switch to suspend them all, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from rackplane.api.numbers import whole_number
from rackplane.api.problems import FieldProblem
from rackplane.core.objects import Condition, Job, JobSpec, JobStatus, Metadata, Pod, PodTemplate
from rackplane.core.workloads.checks import Check

__all__ = ["Body", "PodSet", "Reading", "Workload", "WorkloadKind", "plain"]


class Body(msgspec.Struct, frozen=True):
    """An object of any kind, of which only the identity is looked at so far."""

    metadata: Metadata
    spec: dict[str, Any] = {}
    status: dict[str, Any] = {}


_NO_RULES: Final = JobSpec()


@dataclass(frozen=True, slots=True)
class PodSet:
    """Pods of a workload that are made from one template."""

    name: str
    #: how many run at a time
    slots: int
    template: PodTemplate
    #: labels of its pods by which they are counted: a pod's index is the sum of their values, each times its stride,
    #: from `first` on. None: the pods have no order
    index: tuple[tuple[str, int], ...] = ()
    first: int = 0
    #: what its pods are made from does not tell whether they have those labels: one without has any place
    ranked_if_told: bool = False
    #: pods of it that run, and that have ended well
    active: int = 0
    succeeded: int = 0
    #: rules of its own for pods that are lost, as a Job has them
    rules: JobSpec = _NO_RULES

    def index_of(self, pod: Pod) -> int | None:
        """The pod's place among them; None if its labels do not give one."""
        total = -self.first
        for label, stride in self.index:
            number = whole_number(pod.metadata.labels.get(label))
            if number is None:
                return None
            total += number * stride
        return total if self.index and 0 <= total < self.slots else None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a kind's reader finds in an object of it."""

    suspend: bool
    pod_sets: tuple[PodSet, ...]
    #: "Complete" or "Failed" once it has ended
    outcome: str | None = None
    #: what of it cannot start as a gang
    problems: tuple[FieldProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkloadKind:
    """One kind of workload that another project's controller runs, by its documented fields and labels alone."""

    kind: str
    group: str
    plural: str
    #: versions that are read, the preferred one first
    versions: tuple[str, ...]
    #: path of the field that stops all its pods and lets them be made again
    suspend: tuple[str, ...]
    #: the fields of spec and status that are read, and how
    spec: type
    status: type
    read: Callable[[Any, Any], Reading]
    #: the label that its pods bear with its name
    name_label: str
    #: labels that name the set a pod is of: the first that it has
    set_labels: tuple[str, ...]
    #: a label that tells its pods from those of another kind with the same `name_label`, and its values
    mark: tuple[str, tuple[str, ...]] | None = None
    #: the annotation that its pods bear with its name, where that is no label
    name_annotation: str = ""
    #: the kind of the object that its controller makes, and that has its sets of pods; "": they are its own
    sets_of: str = ""
    #: other kinds whose controllers make objects of this one, and see to them themselves
    makers: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """What the name of a Gang for one begins with."""
        return f"{self.kind.lower()}-"

    def name_of(self, pod: Pod) -> str | None:
        """The workload of this kind that the pod is of; None if it is of none."""
        if self.name_annotation:
            return pod.metadata.annotations.get(self.name_annotation) or None
        labels = pod.metadata.labels
        if self.mark is not None and labels.get(self.mark[0]) not in self.mark[1]:
            return None
        return labels.get(self.name_label) or None

    def set_of(self, pod: Pod) -> str | None:
        """The name of the pod's set."""
        labels = pod.metadata.labels
        return next((labels[key].lower() for key in self.set_labels if key in labels), None)

    def is_suspended(self, body: Body) -> bool:
        found: Any = {"spec": body.spec}
        for key in self.suspend:
            found = found.get(key) if isinstance(found, dict) else None
        return found is True

    def switched(self, *, suspend: bool) -> dict[str, Any]:
        """The merge patch that suspends it, or lets it go on."""
        patch: Any = suspend
        for key in reversed(self.suspend):
            patch = {key: patch}
        found: dict[str, Any] = patch
        return found

    def view(self, body: Body, version: str) -> Workload:
        """An object of this kind as the core takes it.

        Raises:
            msgspec.ValidationError: a field that is read has another type than the kind's project documents.
        """
        spec: Any = msgspec.convert(plain(body.spec), type=self.spec)
        status: Any = msgspec.convert(plain(body.status), type=self.status)
        return Workload(self, version, body.metadata, self.read(spec, status))


@dataclass(frozen=True, slots=True)
class Workload:
    kind: WorkloadKind
    version: str
    metadata: Metadata
    reading: Reading
    #: of one that Kueue queues: what is asked of us, and what we have answered
    check: Check | None = None
    #: None: that of its pods
    priority: int | None = None

    @property
    def api_version(self) -> str:
        return f"{self.kind.group}/{self.version}"

    @property
    def gang_name(self) -> str:
        return f"{self.kind.prefix}{self.metadata.name}"

    @property
    def title(self) -> str:
        """For people: "JobSet train"."""
        return f"{self.kind.kind} {self.metadata.name}"

    def with_sets_of(self, made: Workload | None) -> Workload:
        """The same with the sets of pods that the object has which its controller made; None: there is none."""
        sets = () if made is None else made.reading.pod_sets
        found = () if made is None else made.reading.problems
        problems = tuple(
            replace(each, where=f"{made.title}, {each.where}") for each in found if made is not None
        )
        return replace(self, reading=replace(self.reading, pod_sets=sets, problems=problems))

    def pod_set(self, name: str) -> PodSet | None:
        return next((each for each in self.reading.pod_sets if each.name == name), None)

    def jobs(self) -> dict[str, Job]:
        """Its sets of pods, as the Jobs of one gang that would run the same pods; in its own order.

        All have its identity: whoever writes to one writes to the workload.
        """
        return {each.name: self._job(each) for each in self.reading.pod_sets if each.slots}

    def _job(self, each: PodSet) -> Job:
        how = self.reading.outcome
        if how is None and each.succeeded >= each.slots:
            how = "Complete"
        spec = msgspec.structs.replace(
            each.rules,
            parallelism=each.slots,
            completions=each.slots,
            completion_mode="Indexed" if each.index else "NonIndexed",
            suspend=self.reading.suspend,
            template=each.template,
        )
        ended = [] if how is None else [Condition(type=how, status="True")]
        status = JobStatus(active=each.active, succeeded=min(each.succeeded, each.slots), conditions=ended)
        return Job(msgspec.structs.replace(self.metadata, name=each.name), spec, status)


#: maps of quantities: in a custom resource they are numbers where their user left the quotes out
_QUANTITIES = frozenset({"requests", "limits", "overhead"})


def plain(part: Any, *, quantities: bool = False) -> Any:
    """A part of a custom resource with quantities as text, as a Pod has them, and without nulls."""
    if isinstance(part, dict):
        return {
            key: plain(value, quantities=quantities or key in _QUANTITIES)
            for key, value in part.items()
            if value is not None
        }
    if isinstance(part, list):
        return [plain(each) for each in part]
    return str(part) if quantities and isinstance(part, int | float) else part
