"""`rackplane verify` as its user starts it: of a cluster in which all is well, and of one that somebody has changed."""

from __future__ import annotations

import asyncio
import json
import sys
import time

from tests.integration.test_any_cluster import KUBECONFIG, LIMIT_SECONDS, Body, Site, pytestmark, site

__all__ = ["pytestmark", "site"]

CAP = "rackplane.dev/power-cap-watts"


async def verify(site: Site, *flags: str) -> tuple[int, str, str]:
    """Exit code and output of the command."""
    command = [sys.executable, "-m", "rackplane", "verify", "--kubeconfig", site.kubeconfig, *flags]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), LIMIT_SECONDS)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def of_site(site: Site) -> list[Body]:
    """The differences that are about what this test made: a cluster may serve others too."""
    code, out, err = await verify(site, "-o", "json")
    found: list[Body] = json.loads(out)
    assert (code, err) == (1 if found else 0, "")
    return [each for each in found if site.word in each["subject"]]


async def settled(site: Site) -> None:
    """Until the steps that the operator is just taking are taken."""
    end = time.monotonic() + LIMIT_SECONDS
    while found := await of_site(site):
        assert time.monotonic() < end, found


async def test_nothing_differs_where_all_is_well_and_what_somebody_changed_is_explained(site: Site) -> None:
    job = site.job("train")
    job["spec"]["template"]["metadata"]["annotations"] = {}  # it runs until it is told otherwise
    await site.create(site.jobs, job)
    await site.until(site.gang("job-train"), lambda g: g.get("status", {}).get("phase") == "Running")
    await settled(site)
    if not KUBECONFIG:
        assert await verify(site) == (0, "1 gang with a place, 3 pods, 8 nodes: nothing differs.\n", "")

    assert site.operator is not None
    site.operator.stop()  # who would mend it at once
    node = f"{site.word}-a-1"
    await site.patch(f"/api/v1/nodes/{node}", {"metadata": {"annotations": {CAP: "1"}}})
    difference = {
        "kind": "OtherCap",
        "subject": f"Node {node}",
        "what": f"carries the power cap 1 (MaxP), and gang {site.namespace}/job-train was given another",
        "then": "the operator writes it; until then no pod of the gang is let go there",
    }
    # The operator may still have been at work on the node.
    await site.until(f"/api/v1/nodes/{node}", lambda n: n["metadata"]["annotations"][CAP] == "1")
    assert await of_site(site) == [difference]
    if not KUBECONFIG:
        assert await verify(site) == (
            1,
            f"OtherCap: {difference['subject']} {difference['what']}\n  {difference['then']}\n"
            "1 gang with a place, 3 pods, 8 nodes: 1 difference.\n",
            "",
        )


async def test_a_cluster_that_cannot_be_read_is_said_so_with_exit_code_3(site: Site) -> None:
    code, out, err = await verify(site, "--context", "nobody")
    assert (code, out) == (3, "")
    assert "nobody" in err
