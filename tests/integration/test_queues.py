"""Queues over HTTP, on the embedded cluster or any other: what a user sees of preemption, reclaim, backfill and holds.

No Job fails for anything that the operator does.
"""

from __future__ import annotations

from tests.integration.test_any_cluster import GROUP, Body, Site, endless
from tests.integration.test_any_cluster import pytestmark as pytestmark
from tests.integration.test_any_cluster import site as site


def _of_priority(body: Body, name: str, value: int) -> Body:
    body["spec"]["template"]["spec"].update(priorityClassName=name, priority=value)
    return body


async def test_a_gang_of_higher_priority_has_the_cheapest_other_suspended_and_gets_its_place(
    site: Site,
) -> None:
    queue = f"{GROUP}/queues/{site.word}"
    await site.patch(queue, {"spec": {"preemption": {"withinQueue": "LowerPriority"}}})
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
    await site.create(classes, {"metadata": {"name": f"{site.word}-high"}, "value": 1_000})
    shed = endless(site.job("shed", slots=4))
    shed["metadata"]["annotations"]["rackplane.dev/disruption"] = "Sheddable"
    await site.create(site.jobs, endless(site.job("keep", slots=4)))
    await site.create(site.jobs, shed)
    for name in ("keep", "shed"):
        await site.until(site.gang(f"job-{name}"), lambda g: g.get("status", {}).get("phase") == "Running")
    before = (await site.get(site.gang("job-shed")))["status"]
    await site.create(site.jobs, _of_priority(site.job("urgent", slots=4), f"{site.word}-high", 1_000))
    urgent = await site.until(
        site.gang("job-urgent"), lambda g: g.get("status", {}).get("phase") in ("Running", "Finished")
    )
    assert urgent["status"]["assignment"] == before["assignment"]
    assert "reservation" not in urgent["status"]
    words = f"stopped for gang {site.namespace}/job-urgent, whose priority 1000 is above its own, 0"
    events = f"/api/v1/namespaces/{site.namespace}/events"
    told = await site.until(
        events, lambda found: sum(e["message"].startswith(f"{words} (decision ") for e in found["items"]) == 2
    )
    assert {
        (e["involvedObject"]["kind"], e["involvedObject"]["name"], e["reason"])
        for e in told["items"]
        if e["message"].startswith(f"{words} (decision ")
    } == {("Gang", "job-shed", "Preempted"), ("Job", "shed", "Preempted")}
    # The urgent one ends by itself; whoever made way comes back, of the age that it had, and no Job has failed.
    again = await site.until(
        site.gang("job-shed"),
        lambda g: g["status"]["phase"] == "Running" and g["status"]["decision"] != before["decision"],
    )
    assert again["status"]["submittedAt"] == before["submittedAt"]
    for name in ("keep", "shed", "urgent"):
        assert not (await site.get(f"{site.jobs}/{name}"))["status"].get("failed"), name
    assert (await site.get(site.gang("job-keep")))["status"]["phase"] == "Running"


async def test_an_elastic_job_starts_with_fewer_ranks_grows_and_gives_some_back_to_its_user(
    site: Site,
) -> None:
    first = endless(site.job("first", slots=2))
    await site.create(site.jobs, first)
    await site.until(site.gang("job-first"), lambda g: g.get("status", {}).get("phase") == "Running")
    await site.create(site.jobs, endless(site.job("other", slots=4)))
    await site.until(site.gang("job-other"), lambda g: g.get("status", {}).get("phase") == "Running")
    body = endless(site.job("elastic", slots=4))
    body["metadata"]["annotations"] |= {
        "rackplane.dev/min-slots": "1",
        "rackplane.dev/completions-equal-parallelism": "true",
    }
    await site.create(site.jobs, body)
    gang, job = site.gang("job-elastic"), f"{site.jobs}/elastic"
    small = await site.until(gang, lambda g: g.get("status", {}).get("phase") == "Running")
    assert (small["spec"]["slots"], small["spec"]["minSlots"], small["status"]["slots"]) == (4, 1, 2)
    found = await site.get(job)
    assert (found["spec"]["parallelism"], found["spec"]["completions"]) == (2, 2)
    assert found["metadata"]["annotations"]["rackplane.dev/requested-parallelism"] == "4"
    await site.delete(f"{site.jobs}/first")
    grown = await site.until(job, lambda j: j["status"].get("ready") == 4)
    assert (grown["spec"]["parallelism"], grown["spec"]["completions"]) == (4, 4)
    assert "rackplane.dev/requested-parallelism" not in grown["metadata"]["annotations"]
    status = (await site.get(gang))["status"]
    nodes = [node for group in status["assignment"] for node in group["nodes"]]
    assert (status["slots"], nodes[:2]) == (4, small["status"]["assignment"][0]["nodes"])
    placed = {
        int(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]): pod["spec"][
            "nodeName"
        ]
        for pod in await site.pods()
        if pod["metadata"]["name"].startswith("elastic-")
    }
    assert placed == dict(enumerate(nodes))
    # Its user wants fewer: the highest ranks go, and nothing of the Job has failed.
    await site.patch(job, {"spec": {"parallelism": 3, "completions": 3}})
    shrunk = await site.until(gang, lambda g: g["status"].get("releasedSlots") == "3")
    assert shrunk["status"]["slots"] == 3
    fewer = await site.get(job)
    assert (fewer["spec"]["parallelism"], fewer["status"].get("failed", 0)) == (3, 0)


def _lasting(body: Body, says: int, runs: float) -> Body:
    """A Job that is expected to run for so many seconds, and does run for so many."""
    body["metadata"]["annotations"]["rackplane.dev/expected-duration"] = f"{says}s"
    body["spec"]["template"]["metadata"]["annotations"]["localcluster.rackplane.dev/run-seconds"] = str(runs)
    return body


async def test_a_large_gang_holds_its_place_and_a_short_small_one_goes_ahead_but_not_a_long_one(
    site: Site,
) -> None:
    await site.create(site.jobs, endless(site.job("keep", slots=4)))
    await site.until(site.gang("job-keep"), lambda g: g.get("status", {}).get("phase") == "Running")
    await site.create(site.jobs, _lasting(site.job("first", slots=3), 15, 15))
    first = await site.until(site.gang("job-first"), lambda g: g.get("status", {}).get("phase") == "Running")
    await site.create(site.jobs, _lasting(site.job("large", slots=4), 60, 0.5))
    large = await site.until(site.gang("job-large"), lambda g: "reservation" in g.get("status", {}))
    held, rack = large["status"]["reservation"], first["status"]["assignment"][0]["rack"]
    assert [group["rack"] for group in held["assignment"]] == [rack]
    assert len(held["assignment"][0]["nodes"]) == 4
    assert held["why"] == f"gang {site.namespace}/job-first is expected to be over"
    assert large["status"]["estimatedStart"] == held["startTime"]
    # The other rack is taken by one that says nothing of its end, and so for a day.
    await site.create(site.jobs, _lasting(site.job("long", slots=1), 3_600, 0.5))
    words = f"may not delay gang {site.namespace}/job-large, which holds {rack} from "
    long = await site.until(site.gang("job-long"), lambda g: words in g.get("status", {}).get("message", ""))
    assert long["status"]["phase"] == "Pending"
    await site.create(site.jobs, _lasting(site.job("short", slots=1), 2, 0.5))
    await site.until(site.gang("job-short"), lambda g: g.get("status", {}).get("phase") == "Finished")
    assert (await site.get(site.gang("job-large")))["status"]["phase"] == "Pending"
    assert (await site.get(site.gang("job-long")))["status"]["phase"] == "Pending"
    large = await site.until(site.gang("job-large"), lambda g: g["status"]["phase"] == "Finished")
    assert "reservation" not in large["status"]
    long = await site.until(site.gang("job-long"), lambda g: g["status"]["phase"] == "Finished")
    assert large["status"]["startedAt"] <= long["status"]["startedAt"]


def _in_queue(body: Body, name: str) -> Body:
    body["metadata"]["labels"]["rackplane.dev/queue"] = name
    return body


async def test_a_queue_takes_its_quota_back_from_one_that_borrows_it(site: Site) -> None:
    ours, theirs = f"{site.word}-ours", f"{site.word}-theirs"
    for name in (ours, theirs):
        await site.facility(
            "queues", name, parent=site.word, quota={"gpus": 16}, preemption={"reclaim": "Any"}
        )
        await site.until(f"{GROUP}/queues/{name}", lambda q: bool(q.get("status", {}).get("conditions")))
    for name in ("own", "borrowed"):
        await site.create(site.jobs, _in_queue(endless(site.job(name, slots=4)), theirs))
        await site.until(site.gang(f"job-{name}"), lambda g: g.get("status", {}).get("phase") == "Running")
    await site.create(site.jobs, _in_queue(endless(site.job("mine", slots=4)), ours))
    await site.until(site.gang("job-mine"), lambda g: g.get("status", {}).get("phase") == "Running")
    phases = {n: (await site.get(site.gang(f"job-{n}")))["status"]["phase"] for n in ("own", "borrowed")}
    assert sorted(phases.values()) == ["Pending", "Running"]
    [stopped] = [n for n, phase in phases.items() if phase == "Pending"]
    words = f"stopped for gang {site.namespace}/job-mine: queue {ours} takes back quota that queue {theirs} borrows"
    events = f"/api/v1/namespaces/{site.namespace}/events"
    told = await site.until(
        events, lambda found: sum(e["message"].startswith(f"{words} (decision ") for e in found["items"]) == 2
    )
    assert {
        (e["involvedObject"]["name"], e["reason"])
        for e in told["items"]
        if e["message"].startswith(f"{words} (decision ")
    } == {
        (f"job-{stopped}", "Reclaimed"),
        (stopped, "Reclaimed"),
    }
    job = await site.get(f"{site.jobs}/{stopped}")
    assert job["spec"]["suspend"] is True
    assert not job["status"].get("failed")


async def _phase(site: Site, name: str, phase: str) -> Body:
    return await site.until(site.gang(f"job-{name}"), lambda g: g.get("status", {}).get("phase") == phase)


async def _unfailed(site: Site) -> None:
    """No Job of the namespace has a failed pod or has failed."""
    for job in (await site.get(site.jobs))["items"]:
        assert not job["status"].get("failed"), job["metadata"]["name"]


async def test_an_elastic_gang_gives_ranks_up_for_one_of_higher_priority_and_has_them_back(
    site: Site,
) -> None:
    queue = f"{GROUP}/queues/{site.word}"
    await site.patch(queue, {"spec": {"preemption": {"withinQueue": "LowerPriority"}}})
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
    await site.create(classes, {"metadata": {"name": f"{site.word}-high"}, "value": 1_000})
    keep = endless(site.job("keep", slots=4))
    keep["metadata"]["annotations"]["rackplane.dev/disruption"] = "Protected"
    await site.create(site.jobs, keep)
    await _phase(site, "keep", "Running")
    body = endless(site.job("elastic", slots=4))
    body["metadata"]["annotations"] |= {
        "rackplane.dev/min-slots": "1",
        "rackplane.dev/completions-equal-parallelism": "true",
    }
    await site.create(site.jobs, body)
    before = await _phase(site, "elastic", "Running")
    nodes = [node for group in before["status"]["assignment"] for node in group["nodes"]]
    urgent = _lasting(site.job("urgent", slots=2), 60, 5)
    await site.create(site.jobs, _of_priority(urgent, f"{site.word}-high", 1_000))
    started = await site.until(
        site.gang("job-urgent"), lambda g: g.get("status", {}).get("phase") in ("Running", "Finished")
    )
    assert {n for group in started["status"]["assignment"] for n in group["nodes"]} == set(nodes[2:])
    shrunk = await site.get(site.gang("job-elastic"))
    assert (shrunk["status"]["phase"], shrunk["status"]["slots"]) == ("Running", 2)
    assert shrunk["status"]["startedAt"] == before["status"]["startedAt"]
    words = (
        f"runs with 2 of 4 slots: gives slots to gang {site.namespace}/job-urgent, whose priority 1000 is above its "
        "own, 0"
    )
    events = f"/api/v1/namespaces/{site.namespace}/events"
    told = await site.until(
        events, lambda found: sum(e["message"].startswith(f"{words} (decision ") for e in found["items"]) == 2
    )
    assert {
        (e["involvedObject"]["kind"], e["reason"])
        for e in told["items"]
        if e["message"].startswith(f"{words} (decision ")
    } == {
        ("Gang", "Preempted"),
        ("Job", "Preempted"),
    }
    fewer = await site.until(f"{site.jobs}/elastic", lambda j: j["status"].get("ready") == 2)
    assert (fewer["spec"]["parallelism"], fewer["spec"]["suspend"]) == (2, False)
    await _phase(site, "urgent", "Finished")
    assert (await site.get(site.gang("job-keep")))["status"]["phase"] == "Running"
    await _unfailed(site)


async def test_a_queue_on_hold_starts_nobody_stops_nobody_and_says_so(site: Site) -> None:
    queue = f"{GROUP}/queues/{site.word}"
    await site.create(site.jobs, endless(site.job("runs", slots=2)))
    await _phase(site, "runs", "Running")
    await site.patch(queue, {"spec": {"hold": True}})
    await site.until(
        queue, lambda q: q.get("status", {}).get("observedGeneration") == q["metadata"]["generation"]
    )
    await site.create(site.jobs, site.job("waits", slots=1))
    words = f"queue {site.word} is on hold: set spec.hold to false to let it go on"
    waits = await site.until(site.gang("job-waits"), lambda g: g.get("status", {}).get("message") == words)
    assert waits["status"]["phase"] == "Pending"
    assert (await site.get(f"{site.jobs}/waits"))["spec"]["suspend"] is True
    status = (await site.until(queue, lambda q: q.get("status", {}).get("pending") == 1))["status"]
    figures = ("admitted", "usedGpus", "borrowedGpus", "oldestWait")
    assert {name: status.get(name) for name in figures} == {
        "admitted": 1,
        "usedGpus": 8,
        "borrowedGpus": 0,
        "oldestWait": waits["status"].get("submittedAt") or waits["metadata"]["creationTimestamp"],
    }
    assert (await site.get(site.gang("job-runs")))["status"]["phase"] == "Running"
    await site.patch(queue, {"spec": {"hold": False}})
    await _phase(site, "waits", "Finished")
    await site.until(
        queue, lambda q: tuple(q.get("status", {}).get(f) for f in ("pending", "usedGpus")) == (0, 8)
    )
    await _unfailed(site)


async def test_a_queue_is_open_to_the_namespaces_it_names(site: Site) -> None:
    queue = f"{GROUP}/queues/{site.word}"
    await site.patch(queue, {"spec": {"namespaces": [f"{site.word}-other"]}})
    await site.until(
        queue, lambda q: q.get("status", {}).get("observedGeneration") == q["metadata"]["generation"]
    )
    await site.create(site.jobs, site.job("waits", slots=1))
    words = f"namespace {site.namespace} may not use queue {site.word}: it is open to {site.word}-other"
    await site.until(site.gang("job-waits"), lambda g: g.get("status", {}).get("message") == words)
    await site.patch(queue, {"spec": {"namespaces": [site.namespace, f"{site.word}-other"]}})
    await _phase(site, "waits", "Finished")
    await _unfailed(site)
