"""Over HTTP: the kubernetes client, node agents, kubectl."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import client, config, watch

from rackplane.localcluster import LocalCluster
from rackplane.localcluster.nodeagent import NodeAgents
from rackplane.localcluster.podruns import EXIT_CODE, RUN_SECONDS

NODES = ("n1", "n2")


@contextlib.asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[tuple[LocalCluster, Any]]:
    """A started cluster with two nodes, their agents and a client."""
    cluster = LocalCluster(seed=3)
    room = {"cpu": "8", "memory": "8Gi", "pods": "110"}
    for name in NODES:
        cluster.apply(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"allocatable": room}}
        )
    await cluster.start()
    api = await config.new_client_from_config(str(cluster.kubeconfig(tmp_path / "kubeconfig")))
    agents = asyncio.create_task(NodeAgents(api, NODES).run())
    try:
        yield cluster, api
    finally:
        agents.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await agents
        await api.close()
        await cluster.stop()


def job(code: int = 0) -> dict[str, Any]:
    annotations = {RUN_SECONDS: "0.01", EXIT_CODE: str(code)}
    spec = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "train:1"}]}
    template = {"metadata": {"annotations": annotations}, "spec": spec}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
        "spec": {"completions": 3, "parallelism": 2, "backoffLimit": 0, "template": template},
    }  # fmt: skip


@pytest.mark.parametrize(("code", "ends"), [(0, "Complete"), (3, "Failed")])
def test_a_job_runs_to_its_end(tmp_path: Path, code: int, ends: str) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (cluster, api):
            await client.BatchV1Api(api).create_namespaced_job("default", job(code))

            def ended() -> bool:
                found = cluster.store.get(("batch", "jobs"), "default", "j") or {}
                return any(entry["type"] == ends for entry in found.get("status", {}).get("conditions", ()))

            assert await cluster.until(ended)
            pods = await client.CoreV1Api(api).list_namespaced_pod("default")
            assert {pod.status.phase for pod in pods.items} <= {"Succeeded", "Failed"}
            leases = await client.CoordinationV1Api(api).list_namespaced_lease("kube-node-lease")
            assert [lease.metadata.name for lease in leases.items] == list(NODES)

    asyncio.run(scenario())


def test_a_watch_streams(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        async with running(tmp_path) as (_, api):
            core = client.CoreV1Api(api)
            stream = watch.Watch()
            seen = []
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}
            await core.create_namespaced_config_map("default", body)
            async for event in stream.stream(core.list_namespaced_config_map, "default", timeout_seconds=5):
                seen.append(event["type"])
                if event["type"] == "ADDED":
                    await core.delete_namespaced_config_map("m", "default")
                else:
                    break
            await stream.close()
            return seen

    assert asyncio.run(scenario()) == ["ADDED", "DELETED"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")
def test_kubectl(tmp_path: Path) -> None:
    manifest = tmp_path / "pod.yaml"
    manifest.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
        "spec: {schedulingGates: [{name: a/b}], containers: [{name: c, image: 'x:1'}]}\n"
    )

    async def kubectl(*words: str) -> str:
        environment = {**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig"), "HOME": str(tmp_path)}
        process = await asyncio.create_subprocess_exec(
            "kubectl",
            *words,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return (await process.communicate())[0].decode()

    async def scenario() -> None:
        async with running(tmp_path):
            assert "pod/p created" in await kubectl("apply", "-f", str(manifest))
            assert "pod/p unchanged" in await kubectl("apply", "-f", str(manifest))
            assert "serverside-applied" in await kubectl("apply", "--server-side", "-f", str(manifest))
            assert "SchedulingGated" in await kubectl("get", "pods")
            assert "pod/p labeled" in await kubectl("label", "pod", "p", "a=b")
            change = '{"spec":{"schedulingGates":[{"name":"a/b","$patch":"delete"}]}}'
            assert "pod/p patched" in await kubectl("patch", "pod", "p", "-p", change)
            assert "condition met" in await kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=5s")
            assert "Successfully assigned default/p" in await kubectl("describe", "pod", "p")
            assert "namespace/t created" in await kubectl("create", "namespace", "t")
            assert "configmap/m created" in await kubectl("create", "configmap", "m", "--from-literal=a=b")
            assert await kubectl("get", "configmap", "m", "-o", "jsonpath={.data.a}") == "b"
            assert "leases" in await kubectl("api-resources")
            assert 'pod "p" deleted' in await kubectl("delete", "pod", "p")

    asyncio.run(scenario())
