"""What a write that succeeded means for its gang, as a step of the decision that it follows from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rackplane.core.instructions import (
    AnswerCheck,
    CommitGang,
    EvictPod,
    Instruction,
    ResizeJob,
    ResumeJob,
    SuspendJob,
    SuspendWorkload,
    UngatePod,
    WriteGangStatus,
)

__all__ = ["Done", "done"]


@dataclass(frozen=True, slots=True)
class Done:
    """A step: which decision's, of which gang (namespace/name), and in words.

    Args:
        many: there is one for each pod, told together.
    """

    what: str
    gang: str
    decision: str
    reason: str = ""
    message: str = ""
    many: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)


def done(instruction: Instruction) -> Done | None:
    """The step; None if it is none, or follows from no decision."""
    match instruction:
        case CommitGang():
            return _commit(instruction)
        case UngatePod():
            return _of(instruction, "pods let go", many=True)
        case EvictPod():
            return _of(instruction, "pods evicted", many=True)
        case ResumeJob():
            return _of(instruction, "job resumed", job=instruction.name)
        case SuspendJob():
            return _of(instruction, "job suspended", job=instruction.name)
        case ResizeJob():
            return _of(instruction, "job resized", job=instruction.name, slots=instruction.size.parallelism)
        case SuspendWorkload():
            what = "workload suspended" if instruction.suspend else "workload resumed"
            return _of(instruction, what, kind=instruction.kind, workload=instruction.name)
        case AnswerCheck(state="Ready" | "Retry"):
            return _of(instruction, f"Kueue is answered {instruction.state}", workload=instruction.name)
        case WriteGangStatus():
            return _status(instruction)
    return None


def _of(instruction: Any, what: str, *, many: bool = False, **more: Any) -> Done | None:
    if not instruction.decision:
        return None
    return Done(
        what, f"{instruction.namespace}/{instruction.gang}", instruction.decision, many=many, more=more
    )


def _commit(instruction: CommitGang) -> Done:
    status = instruction.status
    what = "placed"
    more: dict[str, Any] = {"nominal_watts": status.get("reservedNominalWatts")}
    if instruction.previous:
        what = "grown" if status.get("slots") is not None else "slots moved"
        more["previous"] = instruction.previous
    gang = f"{instruction.namespace}/{instruction.name}"
    return Done(what, gang, instruction.decision_id, message=str(status.get("message", "")), more=more)


def _status(instruction: WriteGangStatus) -> Done | None:
    status, phase = instruction.status, instruction.status.get("phase")
    if not instruction.decision:
        return None
    found = {str(c.get("type")): str(c.get("reason", "")) for c in status.get("conditions") or ()}
    reason = ""
    match phase:
        case "Stopping":
            what, reason = "stopping", found.get("Admitted", "")
        case "Running":
            what = "running"
        case "Finished" | "Failed":
            what = phase.lower()
        case "Pending" | "Held":
            what, reason = "place given up", found.get("Admitted", "")
        case _:
            what, reason = _change(status), found.get("PowerCapped", "")
    if not what:
        return None
    message = str(status.get("message") or "")
    gang = f"{instruction.namespace}/{instruction.name}"
    return Done(what, gang, instruction.decision, reason, message)


def _change(status: Mapping[str, Any]) -> str:
    """What a write changes of a gang that keeps its place; "" if that is not worth telling."""
    if "shed" in status:
        shed = status["shed"]
        if shed is None:
            return "power profile raised" if "powerProfile" in status else "stop called off"
        return "stop announced" if shed.get("action") == "Stop" else "power profile lowered"
    if "powerProfile" in status:
        return "power profile raised"
    return "shrunk" if status.get("slots") is not None else ""
