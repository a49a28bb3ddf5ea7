"""One job of a trace, whatever format it was read from."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TraceJob"]


@dataclass(frozen=True, slots=True)
class TraceJob:
    """What a trace says of a job. Times are whole seconds.

    Args:
        submit: seconds on the trace's own clock; only differences count.
        duration: how long it runs undisturbed, with all of its GPUs and at full power.
        gpus: over all of its nodes.
        nodes: that it ran on where it was recorded; None where the trace does not say.
        segment_gpus: GPUs that are to share one NVLink domain; None: by the policy of the simulation.
        queue: "" where the trace names none.
        profile: power profile to ask for; "" is MaxP.
        node_watts: what a whole node of it is known to draw on average; None: sampled.
        node_peak_watts: and at most.
    """

    name: str
    submit: int
    duration: int
    gpus: int
    nodes: int | None = None
    segment_gpus: int | None = None
    queue: str = ""
    priority: int = 0
    profile: str = ""
    node_watts: int | None = None
    node_peak_watts: int | None = None
    user: str = ""

    @property
    def gpu_seconds(self) -> int:
        return self.gpus * self.duration
