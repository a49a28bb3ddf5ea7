"""The order of a gang's pods, and the slots that they name."""

from __future__ import annotations

from collections.abc import Iterable

from rackplane.api.labels import COMPLETION_INDEX, PLACEMENT_GATE, SLOT_ANNOTATION
from rackplane.api.numbers import whole_number
from rackplane.core.objects import Pod

__all__ = ["annotated_slot", "completion_index", "in_order", "is_gated"]


def in_order(pods: Iterable[Pod]) -> list[Pod]:
    """By completion index, then by name, worker-10 after worker-9."""
    return sorted(pods, key=_rank)


def is_gated(pod: Pod) -> bool:
    """Whether the pod still has our gate."""
    # No generator: asked of every pod of a gang at each look at it.
    for gate in pod.spec.scheduling_gates:  # noqa: SIM110
        if gate.name == PLACEMENT_GATE:
            return True
    return False


def completion_index(pod: Pod) -> int | None:
    """The index that an Indexed Job gave it; None if it has none."""
    return whole_number(pod.metadata.annotations.get(COMPLETION_INDEX))


def annotated_slot(pod: Pod) -> int | None:
    """The slot that was written on it when it was let go; None before."""
    return whole_number(pod.metadata.annotations.get(SLOT_ANNOTATION))


def _rank(pod: Pod) -> tuple[int, int, str]:
    index = completion_index(pod)
    # Natural order, so that worker-10 comes after worker-9.
    return (0 if index is not None else 1, index or 0, _natural(pod.metadata.name))


def _natural(name: str) -> str:
    return "".join(part.zfill(12) if part.isdecimal() else part for part in _split_digits(name))


def _split_digits(name: str) -> list[str]:
    parts: list[str] = []
    for char in name:
        if parts and parts[-1][-1].isdecimal() == char.isdecimal():
            parts[-1] += char
        else:
            parts.append(char)
    return parts
