"""PowerBudgets in time: what starts before one, what waits for its end, and what its status says."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from tests.stepped.test_status import table
from tests.support.harness import GROUP, Harness, facility, thing

HOUR = 3_600.0
PAGE = Path(__file__).parents[2] / "docs" / "budgets.md"


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def site(
    now: str = "2026-11-23T12:00", zone: str = "UTC", *budgets: dict[str, Any], racks: int = 2
) -> Harness:
    """Racks of four nodes that draw 6 kW idle; a node in use adds 4 kW, or 2 kW at MaxQ. All under `row`."""
    h = Harness()
    h.time.now = at(now, zone)
    objects = facility(racks=racks)
    for body in objects:
        if body["kind"] == "HardwareProfile":
            body["spec"]["powerProfiles"] = [
                {"name": "MaxQ", "nodeWatts": 3_000, "relativePerformancePercent": 75}
            ]
    h.apply(*objects, *budgets)
    h.start_machine()
    h.settle()
    return h


def budget(name: str = "grid-order", *, limit: int = 20_000, **spec: Any) -> dict[str, Any]:
    return thing("PowerBudget", name, **{"targets": {"powerDomains": ["row"]}, "limitWatts": limit, **spec})


def interval(start: str, end: str) -> dict[str, str]:
    return {"start": f"2026-11-{start}:00Z", "end": f"2026-11-{end}:00Z"}


ORDER = budget(interval=interval("23T14:00", "23T17:00"), correlationId="DSX-4711", bestEffort=True)


def job(
    h: Harness, name: str, hours: float | None, *, slots: int = 4, strict: bool = True, **more: Any
) -> None:
    """A job whose pods run until they are told otherwise, and which is expected to run for so many hours."""
    annotations = {"rackplane.dev/power-strict": "true"} if strict else {}
    if hours is not None:
        annotations["rackplane.dev/expected-duration"] = f"{hours * 3600:.0f}s"
    h.job(name, slots=slots, annotations=annotations, **{"run": None, **more})
    h.settle()
    h.advance(2)


def status(h: Harness, name: str) -> dict[str, Any]:
    found: dict[str, Any] = h.gang(f"job-{name}")["status"]
    return found


def budget_status(h: Harness, name: str = "grid-order") -> dict[str, Any]:
    found: dict[str, Any] = h.get(GROUP, "powerbudgets", name, "")["status"]
    return {key: value for key, value in found.items() if key not in ("conditions", "observedGeneration")}


class TestAnOrderInTwoHours:
    def test_what_is_over_by_then_starts_and_what_is_not_waits_for_its_end(self) -> None:
        h = site("2026-11-23T12:00", "UTC", ORDER)
        job(h, "short", 1, run=HOUR)
        job(h, "long", 4)
        assert (h.phase("job-short"), h.phase("job-long")) == ("Running", "Pending")
        waits = status(h, "long")
        assert waits["estimatedStart"] == "2026-11-23T17:00:00Z"
        assert waits["message"].endswith(
            "; holds r1 from 2026-11-23 17:00 UTC, when PowerBudget grid-order ends"
        )
        h.advance(at("2026-11-23T16:59") - h.time.now, step=60)
        assert h.gangs() == {"job-short": "Finished", "job-long": "Pending"}
        h.advance(70, step=10)
        assert h.phase("job-long") == "Running"
        assert status(h, "long")["startedAt"] == "2026-11-23T17:00:00Z"
        assert "estimatedStart" not in status(h, "long")

    def test_at_a_lower_profile_that_fits_then_it_is_admitted_now(self) -> None:
        h = site("2026-11-23T12:00", "UTC", ORDER)
        job(h, "long", 4, strict=False)
        assert h.phase("job-long") == "Running"
        assert (status(h, "long")["powerProfile"], status(h, "long")["reservedNominalWatts"]) == (
            "MaxQ",
            8_000,
        )

    def test_who_does_not_say_how_long_is_taken_to_run_for_a_day(self) -> None:
        h = site("2026-11-23T12:00", "UTC", budget(interval=interval("24T12:10", "24T13:00")))
        job(h, "day", None)
        assert h.phase("job-day") == "Running"
        h = site("2026-11-23T12:00", "UTC", budget(interval=interval("24T11:50", "24T13:00")))
        job(h, "day", None)
        assert h.phase("job-day") == "Pending"
        assert status(h, "day")["estimatedStart"] == "2026-11-24T13:00:00Z"

    def test_without_it_the_gang_starts_at_once(self) -> None:
        h = site("2026-11-23T12:00", "UTC", ORDER)
        job(h, "long", 4)
        assert h.phase("job-long") == "Pending"
        h.request("DELETE", f"/apis/{GROUP}/v1alpha1/powerbudgets/grid-order")
        h.settle()
        assert h.phase("job-long") == "Running"

    def test_its_status_says_what_it_will_find_and_what_it_finds(self) -> None:
        h = site("2026-11-23T12:00", "UTC", ORDER)
        job(h, "short", 1, run=HOUR, slots=4)
        job(h, "half", 4, slots=2)
        assert budget_status(h) == {
            "active": False,
            "nextStart": "2026-11-23T14:00:00Z",
            "nextEnd": "2026-11-23T17:00:00Z",
            "expectedWatts": 20_000,
            "expectedHeadroomWatts": 0,
            "expectedKilowatts": "20.0",
            "limitKilowatts": "20.0",
        }
        h.advance(at("2026-11-23T14:01") - h.time.now, step=60)
        assert budget_status(h) == {
            "active": True,
            "activeUntil": "2026-11-23T17:00:00Z",
            "reservedNominalWatts": 20_000,
            "headroomWatts": 0,
            "limitKilowatts": "20.0",
            "reservedKilowatts": "20.0",
            "headroomKilowatts": "0.0",
        }

    def test_one_that_comes_while_gangs_run_stops_nothing_and_says_by_how_much_it_is_exceeded(self) -> None:
        h = site()
        job(h, "long", 4)
        h.apply(ORDER)
        h.advance(2)
        assert h.phase("job-long") == "Running"
        expected = budget_status(h)
        assert (expected["expectedWatts"], expected["expectedHeadroomWatts"]) == (28_000, -8_000)
        h.advance(at("2026-11-23T14:01") - h.time.now, step=60)
        assert h.phase("job-long") == "Running"
        found = budget_status(h)
        assert (found["active"], found["headroomWatts"], found["headroomKilowatts"]) == (True, -8_000, "-8.0")
        exceeded = next(
            c
            for c in h.get(GROUP, "powerbudgets", "grid-order", "")["status"]["conditions"]
            if c["type"] == "Exceeded"
        )
        assert (exceeded["status"], exceeded["reason"], exceeded["message"]) == (
            "True",
            "AboveLimit",
            "28 kW of 20 kW (8 kW over) by the books: what would add to it waits (order DSX-4711, best effort)",
        )


def test_a_gang_that_overruns_counts_as_running_on_and_a_restart_knows_it() -> None:
    h = site("2026-11-23T12:00", "UTC", budget(limit=24_000, interval=interval("23T14:00", "23T17:00")))
    job(h, "late", 1, slots=2)
    job(h, "half", 4, slots=2)
    assert budget_status(h)["expectedWatts"] == 20_000
    h.advance(at("2026-11-23T12:59") - h.time.now, step=30)
    assert budget_status(h)["expectedWatts"] == 20_000
    h.advance(120, step=10)
    assert budget_status(h)["expectedWatts"] == 28_000
    job(h, "third", 4, slots=1)
    # Late may be over any time, and is taken to be in so long again as it has run over.
    assert status(h, "third")["estimatedStart"] == "2026-11-23T13:01:20Z"
    h.restart_machine()
    h.advance(5)
    assert budget_status(h)["expectedWatts"] == 28_000
    assert h.gangs() == {"job-late": "Running", "job-half": "Running", "job-third": "Pending"}
    assert status(h, "third")["estimatedStart"] == "2026-11-23T13:01:20Z"


def test_a_restart_expects_the_same_ends() -> None:
    h = site("2026-11-23T12:00", "UTC", ORDER)
    h.time.now += 0.7
    job(h, "half", 1.5, slots=2)
    state = h.machine.state
    assert state is not None
    before = state.until("default/job-half")
    h.advance(100, step=10)
    h.restart_machine()
    h.settle()
    assert h.machine.state is not None and h.machine.state is not state
    assert before == at("2026-11-23T13:30") == h.machine.state.until("default/job-half")


class TestASchedule:
    """17:00 to 21:00 in Chicago on weekdays; on 1 November 2026 its clocks go back by an hour."""

    PEAK = budget(
        "peak",
        schedule=[
            {
                "days": ["Mon", "Tue", "Wed", "Thu", "Fri"],
                "from": "17:00",
                "to": "21:00",
                "timeZone": "America/Chicago",
            }
        ],
    )

    @pytest.mark.parametrize(
        ("hours", "start"),
        [
            (5, None),  # over at 17:00
            (6, "2026-10-31T02:00:00Z"),  # Friday 21:00
            (69, "2026-10-31T02:00:00Z"),  # until Monday 17:00, an hour more than in other weeks
        ],
    )
    def test_a_start_is_foreseen_after_the_window_that_it_would_break(
        self, hours: int, start: str | None
    ) -> None:
        h = site("2026-10-30T12:00", "America/Chicago", self.PEAK)
        job(h, "train", hours)
        assert h.phase("job-train") == ("Running" if start is None else "Pending")
        assert status(h, "train").get("estimatedStart") == start

    def test_who_fits_between_no_two_windows_is_told_that_waiting_does_not_help(self) -> None:
        h = site("2026-10-30T12:00", "America/Chicago", self.PEAK)
        job(h, "train", 70)
        assert "estimatedStart" not in status(h, "train")
        assert status(h, "train")["message"].endswith(
            "; nothing that is expected within 7 days would let it start"
        )

    def test_it_starts_when_the_window_ends_by_the_local_clock(self) -> None:
        h = site("2026-11-02T12:00", "America/Chicago", self.PEAK)
        job(h, "train", 6)
        h.advance(at("2026-11-02T21:00", "America/Chicago") - h.time.now, step=60)
        h.advance(1)
        assert status(h, "train")["startedAt"] == "2026-11-03T03:00:00Z"
        found = budget_status(h, "peak")
        assert (found["active"], found["nextStart"]) == (False, "2026-11-03T23:00:00Z")


def test_of_two_orders_the_gang_waits_for_the_one_that_holds_it_up() -> None:
    first = budget("first", limit=40_000, interval=interval("23T13:00", "23T15:00"))
    second = budget("second", interval=interval("23T14:00", "23T16:00"))
    h = site("2026-11-23T12:00", "UTC", first, second)
    job(h, "eight", 1.5, slots=8)  # 44 kW: over before the second, but not before the first has begun
    job(h, "four", 3, slots=4)  # 28 kW: fits under the first
    assert status(h, "eight")["estimatedStart"] == "2026-11-23T16:00:00Z"
    # The second order is over at four; but then eight takes all nodes.
    assert status(h, "four")["estimatedStart"] == "2026-11-23T17:30:00Z"
    h.request("DELETE", f"/apis/{GROUP}/v1alpha1/powerbudgets/second")
    h.settle()
    assert h.phase("job-four") == "Running"


class TestAlways:
    """Feeds a and b share the racks; each carries half, and all of it when the other is lost."""

    @staticmethod
    def site(applies_to: str, **times: Any) -> Harness:
        order = budget(targets={"powerDomains": ["a"]}, appliesTo=applies_to, **times)
        h = site("2026-11-23T12:00", "UTC", order)
        for name in ("a", "b"):
            h.patch(f"/apis/{GROUP}/v1alpha1/powerdomains/{name}", {"spec": {"survivable": True}})
        h.settle()
        return h

    @pytest.mark.parametrize(
        ("applies_to", "hours", "phase"),
        [("Normal", 4, "Running"), ("Always", 4, "Pending"), ("Always", 1, "Running")],
    )
    def test_a_coming_one_holds_after_a_loss_too(self, applies_to: str, hours: int, phase: str) -> None:
        h = self.site(applies_to, interval=interval("23T14:00", "23T17:00"))
        job(h, "train", hours)  # 28 kW: 14 kW on each feed
        assert h.phase("job-train") == phase
        if phase == "Pending":
            assert status(h, "train")["estimatedStart"] == "2026-11-23T17:00:00Z"
            assert "b" in status(h, "train")["message"]

    def test_one_in_force_holds_after_a_loss_too(self) -> None:
        h = self.site("Always")
        job(h, "train", 1)
        assert h.phase("job-train") == "Pending"
        job(h, "small", 1, slots=2)  # 20 kW on a after the loss of b
        assert h.phase("job-small") == "Running"


class TestQueuesAndNamespaces:
    def team(self, **more: Any) -> dict[str, Any]:
        return budget("team", targets={"queues": ["research"]}, limit=8_000, **more)

    def test_a_coming_one_is_looked_ahead_to(self) -> None:
        h = site("2026-11-23T12:00", "UTC", self.team(interval=interval("23T14:00", "23T17:00")))
        job(h, "short", 1, run=HOUR, slots=4)
        job(h, "long", 4, slots=4)
        assert (h.phase("job-short"), h.phase("job-long")) == ("Running", "Pending")
        assert status(h, "long")["message"] == (
            "power budget team of 8.0 kW, in force from 2026-11-23 14:00 UTC, would be exceeded by 8.0 kW then; "
            "could start at 2026-11-23 17:00 UTC, when PowerBudget team ends"
        )
        expected = budget_status(h, "team")
        assert (expected["expectedWatts"], expected["expectedHeadroomWatts"]) == (0, 8_000)
        h.advance(at("2026-11-23T17:00") - h.time.now, step=60)
        assert h.phase("job-long") == "Running"

    def test_a_lower_profile_serves_here_too(self) -> None:
        h = site("2026-11-23T12:00", "UTC", self.team())
        job(h, "strict", 1)
        job(h, "free", 1, strict=False)
        assert (h.phase("job-strict"), h.phase("job-free")) == ("Pending", "Running")
        assert (status(h, "free")["powerProfile"], status(h, "free")["reservedNominalWatts"]) == (
            "MaxQ",
            8_000,
        )

    def test_a_namespace_waits_for_its_own_gangs_to_end(self) -> None:
        h = site("2026-11-23T12:00", "UTC", budget("ns", targets={"namespaces": ["default"]}, limit=16_000))
        job(h, "first", 1, run=HOUR)
        job(h, "second", 1)
        assert status(h, "second")["message"] == (
            "power budget ns of 16.0 kW would be exceeded by 16.0 kW; "
            "could start at 2026-11-23 13:00 UTC, when gang default/job-first is expected to be over; "
            "16.0 kW of PowerBudget ns are held for it from 2026-11-23 13:00 UTC"
        )
        assert status(h, "second")["estimatedStart"] == "2026-11-23T13:00:00Z"
        h.advance(HOUR + 10, step=10)
        assert h.gangs() == {"job-first": "Finished", "job-second": "Running"}


class TestEstimatesWithoutBudgets:
    def test_a_gang_that_waits_for_nodes_is_told_which_gangs_end(self) -> None:
        h = site()
        job(h, "first", 1, slots=4)
        job(h, "second", 2, slots=4)
        job(h, "all", 1, slots=8)
        assert status(h, "all")["estimatedStart"] == "2026-11-23T14:00:02Z"
        assert status(h, "all")["message"].endswith(
            "; holds r1 and 1 more from 2026-11-23 14:01 UTC, when gang default/job-second is expected to be over"
        )

    def test_one_that_no_hall_of_this_size_can_take_is_given_no_time(self) -> None:
        h = site()
        job(h, "huge", 1, slots=9)
        assert "estimatedStart" not in status(h, "huge")
        assert "could start" not in status(h, "huge")["message"]

    def test_only_the_first_of_the_queue_are_worked_out(self) -> None:
        h = site()
        job(h, "first", 1, slots=8)
        for index in range(12):
            job(h, f"w{index:02}", 1, slots=8)
        h.advance(10)
        known = [n for n in sorted(h.gangs()) if "estimatedStart" in h.gang(n)["status"]]
        assert known == [f"job-w{index:02}" for index in range(10)]


def test_a_time_is_not_said_twice() -> None:
    h = site("2026-11-23T14:30", "UTC", ORDER)
    job(h, "long", 4)
    words = status(h, "long")["message"]
    assert status(h, "long")["estimatedStart"] == "2026-11-23T17:00:00Z"
    assert words.count("2026-11-23 17:00 UTC") == 1
    assert "wait until 2026-11-23 17:00 UTC, when PowerBudget grid-order ends" in words


def test_the_example_on_the_page_is_what_is_printed() -> None:
    order = budget(
        limit=26_000, **{k: v for k, v in ORDER["spec"].items() if k not in ("targets", "limitWatts")}
    )
    h = site("2026-11-23T12:00", "UTC", order, racks=3)
    job(h, "short", 1, run=HOUR)
    job(h, "strict", 4)
    job(h, "flexible", 4, strict=False)
    h.advance(12)
    page = PAGE.read_text()
    assert f"$ kubectl get gangs\n{table(h, 'gangs')}\n" in page
    assert f"$ kubectl get powerbudgets\n{table(h, 'powerbudgets')}\n" in page
    for field in ("message", "estimatedStart"):
        said = status(h, "strict")[field]
        assert f"$ kubectl get gang job-strict -o jsonpath='{{.status.{field}}}'\n{said}\n" in page
    h.advance(at("2026-11-23T14:00:30") - h.time.now, step=30)
    assert f"$ kubectl get powerbudgets\n{table(h, 'powerbudgets')}\n" in page
    h.advance(at("2026-11-23T17:00") - h.time.now, step=60)
    assert h.phase("job-strict") == "Running"
    assert yaml.safe_load(page.split("```yaml\n")[1].split("```")[0]) == order
