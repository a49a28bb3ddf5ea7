"""Defragmentation over HTTP, on the embedded cluster or any other: what a user sees of a gang that is moved."""

from __future__ import annotations

import pytest

from tests.integration.test_any_cluster import Site, endless
from tests.integration.test_any_cluster import pytestmark as pytestmark
from tests.integration.test_any_cluster import site as site


@pytest.mark.parametrize("site", [{"defragmentation": "Move"}], indirect=True)
async def test_a_gang_is_moved_so_that_one_that_needs_a_whole_rack_starts(site: Site) -> None:
    for name, slots in (("first", 3), ("a", 1), ("second", 3), ("b", 1)):
        await site.create(site.jobs, endless(site.job(name, slots=slots)))
        await site.until(site.gang(f"job-{name}"), lambda g: g.get("status", {}).get("phase") == "Running")
    for name in ("first", "second"):
        await site.delete(f"{site.jobs}/{name}")
        await site.gone(site.gang(f"job-{name}"))
    before = {name: (await site.get(site.gang(f"job-{name}")))["status"] for name in "ab"}
    racks = {name: status["assignment"][0]["rack"] for name, status in before.items()}
    assert len(set(racks.values())) == 2
    await site.create(site.jobs, endless(site.job("want", slots=4)))
    want = await site.until(site.gang("job-want"), lambda g: g.get("status", {}).get("phase") == "Running")
    assert "reservation" not in want["status"]
    here = want["status"]["assignment"][0]["rack"]
    moved, stayed = ("a", "b") if racks["a"] == here else ("b", "a")
    after = await site.until(
        site.gang(f"job-{moved}"),
        lambda g: g["status"]["phase"] == "Running" and g["status"]["decision"] != before[moved]["decision"],
    )
    status = after["status"]
    assert status["assignment"][0]["rack"] == racks[stayed]
    assert status["submittedAt"] == before[moved]["submittedAt"]
    assert status["lastMove"]["before"] == before[moved]["assignment"]
    cause = f"so that gang {site.namespace}/job-want can start on {here}"
    assert status["lastMove"]["why"] == cause
    events = f"/api/v1/namespaces/{site.namespace}/events"
    words = f"moves to {racks[stayed]} {cause}: "
    told = await site.until(
        events, lambda found: sum(e["message"].startswith(words) for e in found["items"]) == 2
    )
    assert {
        (e["involvedObject"]["kind"], e["involvedObject"]["name"], e["reason"])
        for e in told["items"]
        if e["message"].startswith(words)
    } == {("Gang", f"job-{moved}", "Moved"), ("Job", moved, "Moved")}
    assert (await site.get(site.gang(f"job-{stayed}")))["status"]["decision"] == before[stayed]["decision"]
    for name in ("a", "b", "want"):
        assert not (await site.get(f"{site.jobs}/{name}"))["status"].get("failed"), name
