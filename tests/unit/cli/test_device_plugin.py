"""`rackplane device-plugin` as a process: it registers, answers its probes, and ends with SIGTERM."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
import yaml

from rackplane.cli import main
from rackplane.localcluster import LocalCluster
from tests.support.kubelet import LIMIT_SECONDS, FakeKubelet
from tests.support.manifests import shipped_crds

GPU = "nvidia.com/gpu"
ROOT = Path(__file__).parents[3]


async def test_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    async with LocalCluster(seed=1) as cluster, FakeKubelet() as kubelet:
        for body in shipped_crds():
            cluster.apply(body)
        cluster.settle()
        for name in ("profile.yaml", "racks.yaml"):
            for body in yaml.safe_load_all((ROOT / "examples" / "facilities" / "2n" / name).read_text()):
                cluster.apply(body)
        labels = {"rackplane.dev/rack": "r1"}
        cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n0", "labels": labels}})
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rackplane", "device-plugin", "--node=n0", "--metrics-port=0",
            f"--kubeconfig={cluster.kubeconfig(tmp_path / 'kubeconfig')}", f"--kubelet-dir={kubelet.root}",
            "--listen-address=127.0.0.1", stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                assert process.stderr is not None
                said = json.loads(await process.stderr.readline())
            assert said["event"] == "listening"
            await kubelet.until(lambda: len(kubelet.healthy(GPU)) == 4)
            async with aiohttp.ClientSession(f"http://127.0.0.1:{said['port']}") as session:
                for probe, status in (("/healthz", 200), ("/readyz", 200)):
                    async with session.get(probe) as answer:
                        assert answer.status == status, probe
                async with session.get("/metrics") as answer:
                    lines = (await answer.text()).splitlines()
            assert sum(line.startswith("DCGM_FI_DEV_POWER_USAGE{") for line in lines) == 4
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(LIMIT_SECONDS):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "rackplane: which node? Give --node, or set NODE_NAME from spec.nodeName of the pod\n"),
        (["--node=n0", "--host-watts=-1"], "rackplane: --host-watts must be 0 or more\n"),
    ],
)
def test_wrong_usage_is_told(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NODE_NAME", raising=False)
    assert main(["device-plugin", *arguments]) == 2
    assert capsys.readouterr().err == said
