"""A whole mock node: an embedded cluster, a kubelet on Unix sockets, and a clock by hand for the GPUs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from rackplane.deviceplugin.dcgm import DcgmCollector
from rackplane.deviceplugin.mocknode import MockNode
from rackplane.deviceplugin.plugin import device_ids
from rackplane.kube.client import KubeClient
from rackplane.localcluster import LocalCluster
from tests.support.kubelet import LIMIT_SECONDS, FakeKubelet, running, soon
from tests.support.manifests import shipped_crds

GPU = "nvidia.com/gpu"
IDS = device_ids("n0", 4)
ROOT = Path(__file__).parents[3]
MOCK, FAIL = "rackplane.dev/mock-gpus", "rackplane.dev/fail-gpus"
CAP, APPLIED = "rackplane.dev/power-cap-watts", "rackplane.dev/power-cap-applied-watts"
FACILITY = """
apiVersion: rackplane.dev/v1alpha1
kind: HardwareProfile
metadata: {name: gb300}
spec: {gpuModel: NVIDIA GB300, gpusPerNode: 4, nvlinkScope: Object, idleWatts: 1000, maxWatts: 6600}
---
apiVersion: rackplane.dev/v1alpha1
kind: Rack
metadata: {name: r1}
spec: {profile: gb300, nodeSelector: {rack: r1}, limitWatts: 132000, feeds: [{powerDomain: b, weight: 1}]}
---
apiVersion: rackplane.dev/v1alpha1
kind: NVLinkDomain
metadata: {name: nvl-r1}
spec: {racks: [r1]}
"""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """Node n0 of rack r1, its kubelet and what the mock node makes of it."""

    def __init__(self, cluster: LocalCluster, client: KubeClient, kubelet: FakeKubelet) -> None:
        self.cluster, self.kubelet, self.clock = cluster, kubelet, Clock()
        self.mock = MockNode(
            client,
            node="n0",
            sockets=kubelet.sockets,
            pod_resources=kubelet.pod_resources,
            clock=self.clock,
            sleep=soon,
        )

    def node(self) -> Any:
        return self.cluster.request("GET", "/api/v1/nodes/n0")

    def annotate(self, **values: str | None) -> None:
        keys = {"fail": FAIL, "cap": CAP}
        body = {"metadata": {"annotations": {keys[key]: value for key, value in values.items()}}}
        self.cluster.request("PATCH", "/api/v1/nodes/n0", body, content_type="application/merge-patch+json")

    def annotation(self, key: str) -> str | None:
        found = self.node()["metadata"].get("annotations", {}).get(key)
        return None if found is None else str(found)

    def labels(self) -> dict[str, str]:
        found = self.node()["metadata"]["labels"]
        return {key: value for key, value in found.items() if key.startswith("nvidia.com/")}

    async def until(self, holds: Callable[[], Any]) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not holds():  # noqa: ASYNC110 - of what is asked nothing tells when it changes
                await asyncio.sleep(0.005)

    async def offered(self, *gpus: int) -> None:
        await self.kubelet.until(lambda: self.kubelet.healthy(GPU) == [IDS[gpu] for gpu in gpus])

    def metrics(self) -> dict[str, list[float]]:
        """Values by name, in the order of the GPUs."""
        registry, found = CollectorRegistry(), dict[str, list[float]]()
        registry.register(DcgmCollector("n0", self.mock.states))
        for line in generate_latest(registry).decode().splitlines():
            if not line.startswith("#"):
                name, _, rest = line.partition("{")
                found.setdefault(name.removeprefix("DCGM_FI_DEV_"), []).append(float(rest.rpartition(" ")[2]))
        return found


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with LocalCluster(seed=1) as cluster, FakeKubelet() as kubelet:
        for body in shipped_crds():
            cluster.apply(body)
        cluster.settle()
        node = {"name": "n0", "labels": {"rack": "r1"}}
        cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": node})
        client = await KubeClient.connect(str(cluster.kubeconfig(tmp_path / "kubeconfig")))
        try:
            yield Bench(cluster, client, kubelet)
        finally:
            await client.close()


def describe(cluster: LocalCluster) -> None:
    for body in yaml.safe_load_all(FACILITY):
        cluster.apply(body)


@pytest.fixture
async def described(bench: Bench) -> Bench:
    describe(bench.cluster)
    return bench


async def test_the_node_is_labelled_and_its_gpus_are_offered(described: Bench) -> None:
    bench = described
    domain = bench.cluster.request("GET", "/apis/rackplane.dev/v1alpha1/nvlinkdomains/nvl-r1")
    async with running(bench.mock.run()):
        await bench.offered(0, 1, 2, 3)
        assert bench.labels() == {
            "nvidia.com/gpu.product": "NVIDIA-GB300",
            "nvidia.com/gpu.count": "4",
            "nvidia.com/gpu.clique": f"{domain['metadata']['uid']}.0",
        }
        assert bench.annotation(MOCK) == "all 4 well"
        assert bench.mock.ready


async def test_a_facility_that_is_described_later_and_taken_away_again(bench: Bench) -> None:
    async with running(bench.mock.run()):
        await bench.until(lambda: bench.mock.ready)  # there are no GPUs to offer
        assert (bench.kubelet.registrations, bench.annotation(MOCK), bench.mock.states()) == ([], None, [])
        describe(bench.cluster)
        await bench.offered(0, 1, 2, 3)
        profile = "/apis/rackplane.dev/v1alpha1/hardwareprofiles/gb300"
        bench.cluster.request(
            "PATCH", profile, {"spec": {"gpusPerNode": 2}}, content_type="application/merge-patch+json"
        )
        await bench.offered(0, 1)
        assert bench.labels()["nvidia.com/gpu.count"] == "2"
        bench.cluster.request("DELETE", "/apis/rackplane.dev/v1alpha1/racks/r1")
        await bench.offered()
        await bench.until(lambda: bench.annotation(MOCK) is None)
        assert bench.labels() == {}


async def test_real_gpus_and_labels_of_others_are_left_alone(described: Bench) -> None:
    bench = described
    room = {"status": {"capacity": {GPU: "8"}, "allocatable": {GPU: "8"}}}
    bench.cluster.request(
        "PATCH", "/api/v1/nodes/n0/status", room, content_type="application/merge-patch+json"
    )
    async with running(bench.mock.run()):
        await bench.until(lambda: bench.mock.ready)
        assert (bench.kubelet.registrations, bench.annotation(MOCK), bench.labels()) == ([], None, {})


async def test_a_clique_label_that_nobody_here_wrote_stays(described: Bench) -> None:
    bench = described
    bench.cluster.request("DELETE", "/apis/rackplane.dev/v1alpha1/nvlinkdomains/nvl-r1")
    clique = {"metadata": {"labels": {"nvidia.com/gpu.clique": "theirs.7"}}}
    bench.cluster.request("PATCH", "/api/v1/nodes/n0", clique, content_type="application/merge-patch+json")
    async with running(bench.mock.run()):
        await bench.offered(0, 1, 2, 3)
        assert bench.labels()["nvidia.com/gpu.clique"] == "theirs.7"
        bench.cluster.request("DELETE", "/apis/rackplane.dev/v1alpha1/racks/r1")
        await bench.offered()
        await bench.until(lambda: bench.labels() == {"nvidia.com/gpu.clique": "theirs.7"})


async def test_draw_and_heat_follow_what_the_kubelet_gave_out_and_the_cap(described: Bench) -> None:
    bench = described
    async with running(bench.mock.run()):
        await bench.offered(0, 1, 2, 3)
        # 500 W are the host's, half of the node's idle watts; 125 W a GPU idle, 1,525 W at most.
        assert bench.metrics() == {
            "POWER_USAGE": [125] * 4,
            "POWER_MGMT_LIMIT": [1525] * 4,
            "GPU_TEMP": [34] * 4,
            "GPU_UTIL": [0] * 4,
            "TOTAL_ENERGY_CONSUMPTION": [0] * 4,
            "XID_ERRORS": [0] * 4,
        }
        await bench.kubelet.admit("research", "a", "worker", GPU, 2)
        await bench.kubelet.admit("sales", "b", "main", GPU, 1)
        await bench.until(lambda: bench.metrics()["GPU_UTIL"] == [100, 100, 100, 0])
        bench.clock.now = 600.0
        found = bench.metrics()
        assert found["POWER_USAGE"] == [1525, 1525, 1525, 125]
        assert found["GPU_TEMP"] == [76, 76, 76, 34]
        # Half a second of lag short of ten minutes at full draw, in millijoules.
        assert found["TOTAL_ENERGY_CONSUMPTION"][0] == (600 * 1525 - 0.5 * 1400) * 1000
        # The cap of the whole node: (4,500 - 500) / 4.
        bench.annotate(cap="4500")
        await bench.until(lambda: bench.annotation(APPLIED) == "4500")
        bench.clock.now = 1200.0
        found = bench.metrics()
        assert (found["POWER_MGMT_LIMIT"], found["POWER_USAGE"]) == ([1000] * 4, [1000, 1000, 1000, 125])
        bench.kubelet.end("research", "a")
        await bench.until(lambda: bench.metrics()["GPU_UTIL"] == [0, 0, 100, 0])
        bench.clock.now = 1800.0
        assert bench.metrics()["POWER_USAGE"] == [125, 125, 1000, 125]


async def test_metrics_name_the_pod_as_dcgms_do(described: Bench) -> None:
    bench = described
    async with running(bench.mock.run()):
        await bench.offered(0, 1, 2, 3)
        await bench.kubelet.admit("research", "a", "worker", GPU, 1)
        await bench.until(lambda: bench.mock.states()[0].use)
        registry = CollectorRegistry()
        registry.register(DcgmCollector("n0", bench.mock.states))
        text = generate_latest(registry).decode()
    device = 'Hostname="n0",UUID="{}",container="{}",device="nvidia{}",gpu="{}",modelName="NVIDIA GB300"'
    labels = [
        device.format(IDS[0], "worker", 0, 0) + ',namespace="research",pod="a"',
        *(device.format(IDS[i], "", i, i) + ',namespace="",pod=""' for i in (1, 2, 3)),
    ]
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("DCGM_FI_DEV_POWER_USAGE{")] == [
        f"DCGM_FI_DEV_POWER_USAGE{{{given}}} 125.0" for given in labels
    ]
    assert "# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION untyped" in lines


async def test_a_gpu_fails_on_command_and_comes_back(described: Bench) -> None:
    bench = described
    async with running(bench.mock.run()):
        await bench.offered(0, 1, 2, 3)
        await bench.kubelet.admit("research", "a", "worker", GPU, 4)
        await bench.until(lambda: bench.metrics()["GPU_UTIL"] == [100] * 4)
        bench.annotate(fail="2:48")
        await bench.offered(0, 1, 3)
        await bench.until(lambda: bench.annotation(MOCK) == "3 of 4 well; failed: 2 (XID 48)")
        bench.clock.now = 600.0
        found = bench.metrics()
        # One that has failed says nothing but what it failed of.
        assert (found["XID_ERRORS"], found["POWER_USAGE"]) == ([0, 0, 48, 0], [1525] * 3)
        bench.annotate(fail="9")
        said = "rackplane.dev/fail-gpus names GPU 9; there are 0 to 3"
        await bench.until(lambda: bench.annotation(MOCK) == said)
        await bench.offered(0, 1, 3)  # what is broken stays so
        bench.annotate(fail=None)
        await bench.offered(0, 1, 2, 3)
        await bench.until(lambda: bench.annotation(MOCK) == "all 4 well")
        bench.clock.now = 1200.0
        assert bench.metrics()["POWER_USAGE"] == [1525] * 4


async def test_a_plugin_that_starts_anew_finds_what_ran_and_takes_its_own_gpus_for_its_own(
    described: Bench,
) -> None:
    bench = described
    async with running(bench.mock.run()):
        await bench.offered(0, 1, 2, 3)
        await bench.kubelet.admit("research", "a", "worker", GPU, 2)
    room = {"status": {"capacity": {GPU: "4"}, "allocatable": {GPU: "4"}}}
    bench.cluster.request(
        "PATCH", "/api/v1/nodes/n0/status", room, content_type="application/merge-patch+json"
    )
    bench.annotate(fail="3")
    again = Bench(bench.cluster, bench.mock._client, bench.kubelet)  # type: ignore[arg-type]
    async with running(again.mock.run()):
        await again.offered(0, 1, 2)
        await again.until(lambda: again.metrics()["GPU_UTIL"] == [100, 100, 0])
    assert len(bench.kubelet.registrations) == 2
