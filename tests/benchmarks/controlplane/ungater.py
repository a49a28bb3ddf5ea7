"""An ungater that decides nothing: it resumes every Job it sees and lets each pod go to the next node in a list.

What Rackplane is measured against: the same informer, client, patches and concurrency, without a Gang, an order, an
engine or a lease. Run as `python -m tests.benchmarks.controlplane.ungater KUBECONFIG NAMESPACE NODES_FILE`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from rackplane.controller.requests import Write, requests_for
from rackplane.core.gangs.ranks import is_gated
from rackplane.core.instructions import UngatePod
from rackplane.core.objects import Job, Pod
from rackplane.kube.client import MERGE_PATCH, KubeClient
from rackplane.kube.informer import Informer
from rackplane.kube.resources import JOBS, PODS
from tests.benchmarks.controlplane.site import GPUS_A_NODE, IN_FLIGHT


class Ungater:
    def __init__(
        self, client: KubeClient, namespace: str, nodes: list[str], tasks: asyncio.TaskGroup
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._places = (name for name in nodes for _ in range(GPUS_A_NODE))
        self._tasks = tasks
        self._limit = asyncio.Semaphore(IN_FLIGHT)
        self._done: set[str] = set()

    def job(self, job: Job) -> None:
        meta = job.metadata
        if meta.namespace == self._namespace and job.spec.suspend and meta.uid not in self._done:
            self._done.add(meta.uid)
            # Without a resourceVersion: it need not notice a user who changes the Job meanwhile.
            body = {"spec": {"suspend": False}}
            self._write(Write("PATCH", JOBS.path(meta.namespace, meta.name), body, MERGE_PATCH))

    def pod(self, pod: Pod) -> None:
        meta = pod.metadata
        if meta.namespace != self._namespace or not is_gated(pod) or meta.uid in self._done:
            return
        self._done.add(meta.uid)
        self._write(
            requests_for(
                UngatePod(
                    namespace=meta.namespace,
                    name=meta.name,
                    uid=meta.uid,
                    resource_version=meta.resource_version,
                    hostname=next(self._places),
                    slot=0,
                    gang="none",
                    power_profile="MaxP",
                    tolerations=(),
                    cap_watts=10_200,
                ),
                now=0.0,
            )
        )

    def _write(self, write: Write) -> None:
        self._tasks.create_task(self._send(write))

    async def _send(self, write: Write) -> None:
        async with self._limit:
            await self._client.request(
                write.method, write.path, body=write.body, content_type=write.content_type
            )


async def main(kubeconfig: str, namespace: str, names: list[str]) -> None:
    client = await KubeClient.connect(kubeconfig)
    async with asyncio.TaskGroup() as tasks:
        ungater = Ungater(client, namespace, names, tasks)
        tasks.create_task(
            Informer(client, JOBS, Job, on_change=ungater.job, on_delete=lambda *key: None).run()
        )
        tasks.create_task(
            Informer(client, PODS, Pod, on_change=ungater.pod, on_delete=lambda *key: None).run()
        )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_text(encoding="utf-8").split()))
