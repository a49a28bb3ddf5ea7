"""How the machine behaves where the field leaves a choice."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MachineSettings"]


@dataclass(frozen=True, slots=True)
class MachineSettings:
    start_seconds: float = 300.0
    """From commit until every pod must be bound; a gang that is later is placed again. Seconds."""

    unschedulable_seconds: float = 10.0
    """How long kube-scheduler may call a released pod unschedulable before its promise counts as broken. Seconds."""

    retry_seconds: float = 0.5
    """First pause after a write that failed; doubled with each further failure. Seconds."""

    longest_retry_seconds: float = 30.0
    """The pause grows no longer than this. Seconds."""

    status_seconds: float = 1.0
    """The facility's status is written at most this often. Seconds."""

    dra_drivers: tuple[str, ...] = ("gpu.nvidia.com", "gpu.amd.com")
    """DRA drivers whose devices count as GPUs that are not ours."""

    validate: bool = False
    """Check every invariant after every batch of events. For tests: it costs a recomputation."""
