"""The API server that is measured, and processes beside it: the operator, or the ungater that decides nothing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml

from rackplane.kube.client import MERGE_PATCH, ApiError, KubeClient

__all__ = ["Process", "Server", "figures_of", "free_port", "operator", "running", "server", "with_token"]

KUBECONFIG = os.environ.get("RACKPLANE_TEST_KUBECONFIG", "")
_CRDS = Path(__file__).parents[3] / "crds"
_CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_TICKS = os.sysconf("SC_CLK_TCK")
_WRITES = re.compile(r'rackplane_api_requests_total\{code="(\d+)",verb="(\w+)"\} (\S+)')


class Process:
    """A program that runs beside this one."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_bytes(self, what: str = "VmRSS") -> int:
        """Resident memory now; `VmHWM`: the most so far."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return int(status.split(f"{what}:")[1].split()[0]) * 1024

    def check(self) -> None:
        """Raises RuntimeError, with the end of its log, if it has ended."""
        if self._process.returncode is not None:
            text = self._log.read_text(encoding="utf-8")[-2000:]
            raise RuntimeError(f"it ended with {self._process.returncode}: {text}")

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()


@asynccontextmanager
async def running(log: Path, *arguments: str) -> AsyncIterator[Process]:
    """A Python program (`-m module ...`) as long as the block lasts."""
    with log.open("ab") as out:
        made = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdout=out,
            stderr=out,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    process = Process(made, log)
    try:
        yield process
    finally:
        await process.stop()


class Server:
    """A client of the server, and what the operator needs to reach it too."""

    def __init__(self, client: KubeClient, kubeconfig: str, process: Process | None) -> None:
        self.client = client
        self.kubeconfig = kubeconfig
        self.process = process
        """The embedded cluster; None: a real one."""

    @property
    def name(self) -> str:
        return "embedded cluster" if self.process is not None else "real kube-apiserver"


@asynccontextmanager
async def server(folder: Path, *, real: bool = bool(KUBECONFIG)) -> AsyncIterator[Server]:
    """The cluster that RACKPLANE_TEST_KUBECONFIG names, else the embedded one in a process of its own."""
    if real:
        client = await KubeClient.connect(KUBECONFIG)
        try:
            await _install_crds(client)
            yield Server(client, KUBECONFIG, None)
        finally:
            await client.close()
        return
    path = folder / "kubeconfig"
    async with running(
        folder / "cluster.log", "-m", "rackplane", "cluster", "--bare", "--kubeconfig", str(path)
    ) as process:
        while not path.exists() or not path.read_text(encoding="utf-8"):
            process.check()
            await asyncio.sleep(0.05)
        client = await KubeClient.connect(str(path))
        try:
            await _install_crds(client)
            yield Server(client, str(path), process)
        finally:
            await client.close()


async def _install_crds(client: KubeClient) -> None:
    for path in sorted(_CRDS.glob("*.yaml")):
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
        try:
            await client.request("POST", _CRD_PATH, body=body)
        except ApiError as problem:
            if problem.status != 409:
                raise
            where = f"{_CRD_PATH}/{body['metadata']['name']}"
            await client.request("PATCH", where, body={"spec": body["spec"]}, content_type=MERGE_PATCH)
    for plural in ("racks", "gangs", "queues"):
        end = time.monotonic() + 30
        while True:
            try:
                await client.request("GET", f"/apis/rackplane.dev/v1alpha1/{plural}")
                break
            except ApiError as problem:
                if problem.status != 404 or time.monotonic() > end:
                    raise
            await asyncio.sleep(0.1)


class Operator:
    """`rackplane operator`, and what it says of itself."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self._url = f"http://127.0.0.1:{port}/metrics"

    async def metrics(self) -> str:
        async with aiohttp.ClientSession() as session, session.get(self._url) as answer:
            return await answer.text()

    async def figures(self) -> dict[str, float]:
        """CPU seconds and writes so far."""
        text = await self.metrics()
        return {"cpu": self.process.cpu_seconds(), **figures_of(text)}


def figures_of(metrics: str) -> dict[str, float]:
    """Writes that the operator has sent, by verb and in all, and those among them that were refused."""
    found: dict[str, float] = {"writes": 0.0, "refused": 0.0}
    for code, verb, count in _WRITES.findall(metrics):
        found[verb] = found.get(verb, 0.0) + float(count)
        found["writes"] += float(count)
        if not 200 <= int(code) < 300:
            found["refused"] += float(count)
    return found


@asynccontextmanager
async def with_token(folder: Path, where: Server, namespace: str) -> AsyncIterator[Server]:
    """A real server as the operator reaches it when Helm has installed it: by the token of a ServiceAccount.

    A client certificate is verified anew with every request, which costs the API server 0.3 ms of CPU.
    """
    if where.process is not None:
        yield where
        return
    name = f"{namespace}-operator"
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    asked = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 7200},
    }
    about = {"metadata": {"name": name}}
    await where.client.request("POST", accounts, body=about)
    await where.client.request("POST", bindings, body={**about, "roleRef": role, "subjects": [subject]})
    try:
        given = await where.client.request("POST", f"{accounts}/{name}/token", body=asked)
        path = _by_token(where.kubeconfig, json.loads(given)["status"]["token"], folder)
        yield Server(where.client, str(path), None)
    finally:
        await where.client.request("DELETE", f"{bindings}/{name}")


def _by_token(kubeconfig: str, token: str, folder: Path) -> Path:
    """A copy of a kubeconfig with that token in place of what its users have."""
    known = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
    for user in known["users"]:
        user["user"] = {"token": token}
    path = folder / "token.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(known), encoding="utf-8")
    return path


@asynccontextmanager
async def operator(
    folder: Path, where: Server, namespace: str, *, concurrency: int = 32, wait_seconds: float = 300
) -> AsyncIterator[Operator]:
    """The operator as a process of its own, once it leads."""
    log = folder / "operator.log"
    port = free_port()
    async with running(
        log, "-m", "rackplane", "operator", "--kubeconfig", where.kubeconfig, "--namespace", namespace,
        "--host", "127.0.0.1", "--metrics-port", str(port), "--health-port", str(port),
        "--concurrency", str(concurrency), "--log-format", "text",
    ) as process:  # fmt: skip
        made = Operator(process, port)
        end = time.monotonic() + wait_seconds
        while True:
            process.check()
            try:
                if "rackplane_leader 1.0" in await made.metrics():
                    break
            except aiohttp.ClientError:
                pass
            if time.monotonic() > end:
                raise RuntimeError(f"the operator does not lead: {log.read_text(encoding='utf-8')[-2000:]}")
            await asyncio.sleep(0.2)
        yield made


def free_port() -> int:
    """A port of this host that nobody listens on."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
