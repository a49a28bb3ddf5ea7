"""Events and instructions as JSON, and back.

What was asked of an instruction is told by its number: it stands in the recording already. Of annotations that nobody
here reads only the name is kept: `kubectl apply` keeps whole manifests in one, environment variables among them.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from rackplane.api.base import GROUP
from rackplane.core import events as e
from rackplane.core.instructions import Instruction
from rackplane.core.objects import Metadata, PodTemplate
from rackplane.core.settings import MachineSettings
from rackplane.core.workloads.checks import Check
from rackplane.core.workloads.kinds import kind_named
from rackplane.core.workloads.view import Reading, Workload

__all__ = [
    "READ_ANNOTATIONS",
    "UnknownEvent",
    "event_data",
    "event_from",
    "instruction_data",
    "settings_data",
    "settings_from",
]

M = TypeVar("M", bound=msgspec.Struct)

_EVENTS: Final[Mapping[str, type]] = {kind.__name__: kind for kind in typing.get_args(e.Event)}
#: The one field of events that tell of an object, by kind of event.
_OBJECTS: Final[Mapping[type, str]] = {
    kind: fields[0].name
    for kind in _EVENTS.values()
    if len(fields := dataclasses.fields(kind)) == 1 and kind.__name__.endswith("Changed")
}
#: What the annotations begin with that are read here. Those of pods and nodes are dropped by the same rule when they
#: are first seen (`rackplane.kube.sharing`).
READ_ANNOTATIONS: Final = (f"{GROUP}/", "batch.kubernetes.io/", "kueue.x-k8s.io/")
_INFINITE: Final = "inf"


class UnknownEvent(ValueError):
    """A kind of event that this version does not have."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A workload of another project's kind; the kind by its name."""

    kind: str
    version: str
    metadata: Metadata
    reading: Reading
    check: Check | None = None
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of the instruction of that number."""

    of: int
    reason: e.FailureReason | None = None
    message: str = ""


def event_data(event: e.Event, number_of: Callable[[Instruction], int]) -> tuple[str, Any]:
    """The event's name, and what msgspec can encode.

    Args:
        number_of: the number of an instruction that was recorded.
    """
    kind, told = type(event), _OBJECTS.get(type(event))
    match event:
        case e.WriteSucceeded(instruction):
            return kind.__name__, {"of": number_of(instruction)}
        case e.WriteFailed(instruction, reason, message):
            return kind.__name__, _Outcome(number_of(instruction), reason, message)
        case e.FacilityChanged(of, name, body):
            return kind.__name__, e.FacilityChanged(of, name, _facility(body))
        case e.WorkloadChanged(workload):
            return kind.__name__, _workload(workload)
    if told is None or kind is e.DrawsObserved:
        return kind.__name__, event
    return kind.__name__, {told: _object(getattr(event, told))}


def event_from(name: str, data: msgspec.Raw, instruction: Callable[[int], Instruction]) -> e.Event:
    """The event that was recorded.

    Args:
        instruction: the instruction of a number.

    Raises:
        UnknownEvent: there is none of that name.
        msgspec.DecodeError: it does not have the fields of one.
        KeyError: it is about an instruction or a kind of workload that is not known.
    """
    kind = _EVENTS.get(name)
    if kind is None:
        raise UnknownEvent(name)
    if kind is e.WorkloadChanged:
        seen = msgspec.json.decode(data, type=_Seen)
        of = kind_named(seen.kind)
        return e.WorkloadChanged(
            Workload(of, seen.version, seen.metadata, seen.reading, seen.check, seen.priority)
        )
    if kind in (e.WriteSucceeded, e.WriteFailed):
        outcome = msgspec.json.decode(data, type=_Outcome)
        if kind is e.WriteSucceeded:
            return e.WriteSucceeded(instruction(outcome.of))
        reason = outcome.reason or e.FailureReason.UNAVAILABLE
        return e.WriteFailed(instruction(outcome.of), reason, outcome.message)
    event: e.Event = msgspec.json.decode(data, type=kind)
    return event


def instruction_data(instruction: Instruction) -> tuple[str, dict[str, Any]]:
    """The instruction's name and its fields, without those that are as they are by default."""
    fields = {
        field.name: value
        for field in dataclasses.fields(instruction)
        if (value := getattr(instruction, field.name)) != field.default
    }
    return type(instruction).__name__, fields


def settings_data(settings: MachineSettings) -> dict[str, Any]:
    """The settings as JSON can hold them."""
    found: dict[str, Any] = msgspec.to_builtins(settings)
    return {name: _INFINITE if value == float("inf") else value for name, value in found.items()}


def settings_from(data: Mapping[str, Any]) -> tuple[MachineSettings, list[str]]:
    """The settings that were recorded, and the names of those that this version does not have.

    Raises:
        msgspec.ValidationError: one has a value that it cannot have.
    """
    hints = typing.get_type_hints(MachineSettings)
    known = {
        name: msgspec.convert(value, type=hints[name], strict=value != _INFINITE)
        for name, value in data.items()
        if name in hints
    }
    return MachineSettings(**known), sorted(set(data) - set(hints))


def _object(found: Any) -> Any:
    """The object without what others wrote into its annotations, and those of its template."""
    metadata = getattr(found, "metadata", None)
    if isinstance(metadata, Metadata):
        found = _with_few_annotations(found, metadata)
    spec: Any = getattr(found, "spec", None)
    template = getattr(spec, "template", None)
    if isinstance(template, PodTemplate) and template.metadata.annotations:
        found = msgspec.structs.replace(found, spec=_with_few_in_template(spec, template))
    return found


def _with_few_annotations(found: M, metadata: Any) -> M:
    kept = _few(metadata.annotations)
    if kept == metadata.annotations:
        return found
    return msgspec.structs.replace(found, metadata=msgspec.structs.replace(metadata, annotations=kept))


def _with_few_in_template(spec: M, template: PodTemplate) -> M:
    return msgspec.structs.replace(spec, template=_with_few_annotations(template, template.metadata))


def _workload(workload: Workload) -> _Seen:
    reading = workload.reading
    sets = tuple(
        dataclasses.replace(
            each,
            template=_with_few_annotations(each.template, each.template.metadata),
            rules=_with_few_in_template(each.rules, each.rules.template),
        )
        for each in reading.pod_sets
    )
    metadata = workload.metadata
    return _Seen(
        workload.kind.kind,
        workload.version,
        msgspec.structs.replace(metadata, annotations=_few(metadata.annotations)),
        dataclasses.replace(reading, pod_sets=sets),
        workload.check,
        workload.priority,
    )


def _facility(body: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = body.get("metadata")
    if not isinstance(metadata, Mapping):
        return body
    kept = {key: value for key, value in metadata.items() if key != "managedFields"}
    annotations = kept.get("annotations")
    if isinstance(annotations, Mapping):
        kept["annotations"] = _few(annotations)
    return {**body, "metadata": kept}


def _few(annotations: Mapping[str, str]) -> dict[str, str]:
    items: Iterable[tuple[str, str]] = annotations.items()
    return {key: value if key.startswith(READ_ANNOTATIONS) else "" for key, value in items}
