"""`make kind-demo` without kind: the same facility, jobs and steps, on the nodes that kind-config.yaml describes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from kubernetes.aio import config

from rackplane.api.admission import shipped_policies
from rackplane.cli.errors import CommandError
from rackplane.cli.kind_demo_steps import Demo
from rackplane.controller.operator import Operator
from rackplane.controller.settings import OperatorSettings
from rackplane.kube.client import KubeClient
from rackplane.localcluster import LocalCluster
from rackplane.localcluster.nodeagent import NodeAgents
from tests.support.machines import Machine
from tests.support.manifests import shipped_crds

ROOT = Path(__file__).parents[2]
FACILITY, JOBS = ROOT / "examples" / "facilities" / "kind", ROOT / "examples" / "jobs" / "kind"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[KubeClient]:
    """Of a cluster with kind's workers, Rackplane as `make kind-demo` sets it, and device plugins."""
    async with contextlib.AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(LocalCluster(seed=1))
        for body in shipped_crds():
            cluster.apply(body)
        for policy in shipped_policies():
            if "Mutating" in policy["kind"]:
                cluster.apply(policy)
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "rackplane-system"}})
        kubeconfig = str(cluster.kubeconfig(tmp_path / "kubeconfig"))
        client = await KubeClient.connect(kubeconfig)
        stack.push_async_callback(client.close)
        api = await config.new_client_from_config(kubeconfig)
        stack.push_async_callback(api.close)
        workers = [
            n for n in yaml.safe_load((ROOT / "kind-config.yaml").read_text())["nodes"] if "labels" in n
        ]
        names = [f"worker{index}" for index in range(len(workers))]
        for name, worker in zip(names, workers, strict=True):
            labels = {"kubernetes.io/hostname": name, **worker["labels"]}
            cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
            room = {"cpu": "8", "memory": "16Gi", "pods": "110"}
            status = f"/api/v1/nodes/{name}/status"
            body = {"status": {"capacity": room, "allocatable": room}}
            cluster.request("PATCH", status, body, content_type="application/merge-patch+json")
            await stack.enter_async_context(Machine(client, name).on())
        settings = OperatorSettings(
            kubeconfig=kubeconfig, namespace="rackplane-system", host="127.0.0.1", metrics_port=0, health_port=0,
            validate=True, confirmation="Agent", node_loss_seconds=1.0, restore_seconds=2,
        )  # fmt: skip
        operator = Operator(settings=settings, client=client)
        async with asyncio.TaskGroup() as tasks:
            agents = tasks.create_task(NodeAgents(api, names).run())
            running = tasks.create_task(operator.run())
            yield client
            operator.stop()
            await running
            agents.cancel()


async def test_every_step_ends_as_it_says(client: KubeClient, capsys: pytest.CaptureFixture[str]) -> None:
    await Demo(client, namespace="default", patience=60).run(FACILITY, JOBS)
    said = capsys.readouterr().out
    assert "3 of 4 well; failed: 2 (XID 79)" in said
    assert "2 gangs run as before" in said
    lines = [line.split() for line in said.splitlines()]
    # 6 kW of the racks, 7 kW each of five nodes at work and 1 kW of the idle one; 5 kW a node under the cap.
    assert [line for line in lines if line[:1] == ["ups-a"]] == [
        ["ups-a", "Online", "42.0", "48.0"],
        ["ups-a", "Online", "32.0", "32.0"],
    ]
    assert sum(line == ["ups-b", "Offline", "0.0", "0.0"] for line in lines) == 2
    capped = [line for line in lines if line[1:] == ["5000", "5000"]]
    assert len(capped) == 5
    profiles = [line[2] for line in lines if line[:2] == ["job-pretrain", "Running"]]
    assert profiles == ["MaxP", "MaxLPS", "MaxP"]
    domains = (await client.request("GET", "/apis/rackplane.dev/v1alpha1/powerdomains")).decode()
    assert "Offline" not in domains and '"online"' not in domains


async def test_what_does_not_come_is_said_with_what_there_is_instead(
    client: KubeClient, tmp_path: Path
) -> None:
    text = (JOBS / "train.yaml").read_text().replace("parallelism: 3", "parallelism: 4")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "train.yaml").write_text(text.replace("completions: 3", "completions: 4"))
    with pytest.raises(CommandError) as error:
        await Demo(client, namespace="default", patience=8).run(FACILITY, tmp_path / "jobs")
    said = str(error.value)
    assert said.startswith("waited 8 s for this, in vain: all gangs run. gangs: ")
    assert "job-pretrain is Pending (" in said and "the largest, nvl-r1, has 3 in all" in said
