"""The real operator's decisions over HTTP, for those whom the cluster lets read them; and its recording, replayed."""

from __future__ import annotations

import asyncio
import gzip
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from rackplane.core.recording.replaying import Replayed, replay
from rackplane.localcluster.users import ACCOUNTS
from tests.integration.test_any_cluster import KUBECONFIG, Body, Site, operated
from tests.integration.test_any_cluster import pytestmark as pytestmark

RBAC = "/apis/rbac.authorization.k8s.io/v1"
READER = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}


async def account(site: Site, name: str, embedded: str) -> tuple[str, Body]:
    """The token of somebody who may nothing, and the subject that they are; ``embedded``: a user of that cluster."""
    if not KUBECONFIG:
        namespace, name = ACCOUNTS[embedded].name.split(":")[2:]
        return f"{embedded}-token", {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    accounts = f"/api/v1/namespaces/{site.namespace}/serviceaccounts"
    await site.create(accounts, {"metadata": {"name": name}})
    found = await site.client.request("POST", f"{accounts}/{name}/token", body={"spec": {}})
    token = msgspec.json.decode(found)["status"]["token"]
    return token, {"kind": "ServiceAccount", "name": name, "namespace": site.namespace}


async def ask(site: Site, token: str, query: str = "") -> tuple[int, Any]:
    assert site.operator is not None
    url = f"http://127.0.0.1:{site.operator.decisions_port}/debug/decisions{query}"
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_who_is_bound_to_the_role_reads_why_a_job_is_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl.gz"
    async with operated(tmp_path, decisions=True, decisions_port=0, record=str(file)) as site:
        token, subject = await account(site, "reader", "node-agents")
        stranger, _ = await account(site, "stranger", "operator")
        await site.create(site.jobs, site.job("train"))
        gang = f"{site.namespace}/job-train"
        done = await site.until(
            site.gang("job-train"), lambda found: found.get("status", {}).get("phase") == "Finished"
        )
        decision = done["status"]["decision"]["id"]
        assert (await ask(site, "nobody"))[0] == 401
        assert (await ask(site, stranger))[0] == 403
        name = f"{site.word}-debug"
        rule = {"nonResourceURLs": ["/debug/decisions"], "verbs": ["get"]}
        await site.create(f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": [rule]})
        binding = {"metadata": {"name": name}, "roleRef": {**READER, "name": name}, "subjects": [subject]}
        await site.create(f"{RBAC}/clusterrolebindings", binding)
        status, body = await until_allowed(site, token, f"?gang={gang}")
        (entry,) = body["decisions"]
        assert (status, entry["id"], entry["gang"], entry["result"]) == (200, decision, gang, "Placed")
        # The last is told when the answer to its write is in: the Gang may have said so before.
        steps = [step["what"] for step in entry["steps"]]
        assert steps[:4] == ["placed", "job resumed", "pods let go", "running"]
        assert steps[4:] in ([], ["finished"])
        assert body["leading"] and body["leader"] == body["identity"]
        (event,) = [
            event
            for event in (await site.get(f"/api/v1/namespaces/{site.namespace}/events"))["items"]
            if event["reason"] == "Placed"
        ]
        assert event["metadata"]["annotations"]["rackplane.dev/decision"] == decision
    found = replayed(file)
    assert found.difference is None and found.decisions >= 1
    assert found.end is not None and found.end.why == "stopped"


async def until_allowed(site: Site, token: str, query: str) -> tuple[int, Any]:
    """A real API server hears of a role a moment after it is made, and a refusal holds for ten seconds."""
    end = time.monotonic() + 30
    while True:
        status, body = await ask(site, token, query)
        if status != 403 or time.monotonic() > end:
            return status, body
        await asyncio.sleep(0.5)


def replayed(file: Path) -> Replayed:
    with gzip.open(file) as lines:
        return replay(line.rstrip(b"\n") for line in lines)
