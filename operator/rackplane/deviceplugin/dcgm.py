"""Metrics of the GPUs under the names and labels of NVIDIA's DCGM exporter, so that its dashboards and queries work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from rackplane.deviceplugin.podresources import Use
from rackplane.nodeagent.gpus import Reading

__all__ = ["DcgmCollector", "GpuState"]


@dataclass(frozen=True, slots=True)
class GpuState:
    """All that there is to tell of one GPU."""

    id: str
    model: str
    limit_watts: int
    reading: Reading
    use: Use | None
    xid: int


_Values = Callable[[GpuState], float]

# A GPU that has failed does not answer: of it there is no more than the number of its failure.
_ANSWERS: Mapping[str, tuple[str, str, _Values]] = {
    "DCGM_FI_DEV_POWER_USAGE": ("Watts that it draws.", "gauge", lambda s: s.reading.watts),
    "DCGM_FI_DEV_POWER_MGMT_LIMIT": ("Watts that it is held to.", "gauge", lambda s: s.limit_watts),
    "DCGM_FI_DEV_GPU_TEMP": ("Degrees Celsius.", "gauge", lambda s: s.reading.celsius),
    "DCGM_FI_DEV_GPU_UTIL": (
        "Percent of the time that work runs on it.",
        "gauge",
        lambda s: 100 if s.reading.busy else 0,
    ),
    # Not a counter to the client library: that would call it ..._total.
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": (
        "Millijoules since the plugin has started.",
        "unknown",
        lambda s: round(s.reading.joules * 1000),
    ),
}


class DcgmCollector(Collector):
    """Reads the GPUs at scrape time.

    Args:
        node: name of the Node.
        states: of the GPUs by index, as they are now.
    """

    def __init__(self, node: str, states: Callable[[], Sequence[GpuState]]) -> None:
        self._node = node
        self._states = states

    def collect(self) -> Iterator[Metric]:
        states = self._states()
        for name, (text, kind, value) in _ANSWERS.items():
            metric = Metric(name, text, kind)
            for index, state in enumerate(states):
                if not state.reading.failed:
                    metric.add_sample(name, self._labels(index, state), value(state))
            yield metric
        failures = Metric("DCGM_FI_DEV_XID_ERRORS", "XID of its failure; 0: it is well.", "gauge")
        for index, state in enumerate(states):
            failures.add_sample(failures.name, self._labels(index, state), state.xid)
        yield failures

    def _labels(self, index: int, state: GpuState) -> dict[str, str]:
        use = state.use or Use("", "", "")
        return {
            "gpu": str(index),
            "UUID": state.id,
            "device": f"nvidia{index}",
            "modelName": state.model,
            "Hostname": self._node,
            "container": use.container,
            "namespace": use.namespace,
            "pod": use.pod,
        }
