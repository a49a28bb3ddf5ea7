"""PowerBudgets: when they are in force, what they bound, and that a broken one never bounds less."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rackplane.core.site.budgets import GroupBudget
from rackplane.core.site.budgettimes import Stretch
from rackplane.engine.model import (
    BudgetSpec,
    Problem,
)
from tests.unit.core.facility_cases import (
    NOW,
    POWER,
    budget,
    compiled,
    put,
)


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


EVENING = {"days": ["Mon", "Fri"], "from": "17:00", "to": "21:00", "timeZone": "America/Chicago"}


class TestBudgets:
    def test_without_a_time_it_holds_always(self) -> None:
        catalog = budget()
        assert catalog.spec(0).budgets == (BudgetSpec("pb", ("ups",), ("a",), 9),)
        assert catalog.budgets.next_change(0) is None

    def test_interval(self) -> None:
        catalog = budget(interval={"start": "2026-11-21T10:00:00Z", "end": "2026-11-21T12:00:00+01:00"})
        start, end = at("2026-11-21T10:00"), at("2026-11-21T11:00")
        moments = [start - 1, start, end - 1, end]
        coming, now_on = (
            BudgetSpec("pb", ("ups",), ("a",), 9, starts_at=starts_at, ends_at=end)
            for starts_at in (start, None)
        )
        assert [catalog.spec(t).budgets for t in moments] == [(coming,), (now_on,), (now_on,), ()]
        assert [catalog.budgets.in_force("pb", t) for t in moments] == [False, True, True, False]
        assert [catalog.budgets.next_change(t) for t in moments] == [start, end, end, None]

    @pytest.mark.parametrize(
        ("local", "holds", "change"),
        [
            ("2026-11-20T16:59", False, "2026-11-20T17:00"),  # a Friday
            ("2026-11-20T17:00", True, "2026-11-20T21:00"),
            ("2026-11-20T21:00", False, "2026-11-23T17:00"),
            ("2026-11-22T18:00", False, "2026-11-23T17:00"),
            ("2026-11-23T20:59", True, "2026-11-23T21:00"),
        ],
    )
    def test_schedule(self, local: str, holds: bool, change: str) -> None:
        catalog = budget(schedule=[EVENING])
        now = at(local, "America/Chicago")
        assert catalog.budgets.in_force("pb", now) is holds
        assert catalog.budgets.next_change(now) == at(change, "America/Chicago")

    def test_a_window_over_midnight_belongs_to_the_day_it_starts_on(self) -> None:
        catalog = budget(schedule=[{"days": ["Fri"], "from": "22:00", "to": "06:00"}])
        assert catalog.budgets.in_force("pb", at("2026-11-21T05:59"))
        assert not catalog.budgets.in_force("pb", at("2026-11-20T05:59"))
        assert catalog.budgets.next_change(at("2026-11-20T23:00")) == at("2026-11-21T06:00")

    def test_windows_that_meet_are_one(self) -> None:
        catalog = budget(
            schedule=[
                {"days": ["Fri"], "from": "22:00", "to": "24:00"},
                {"days": ["Sat"], "from": "00:00", "to": "06:00"},
            ]
        )
        assert catalog.budgets.next_change(at("2026-11-20T23:00")) == at("2026-11-21T06:00")

    def test_all_week_long_never_changes(self) -> None:
        catalog = budget(schedule=[{"from": "00:00", "to": "24:00"}])
        assert catalog.budgets.in_force("pb", NOW)
        assert catalog.budgets.next_change(NOW) is None

    def test_clock_changes_count_for_the_window(self) -> None:
        # In Chicago 01:00 to 02:00 comes twice on 1 November 2026, and 02:00 to 03:00 not at all on 8 March.
        catalog = budget(schedule=[{"from": "01:00", "to": "01:30", "timeZone": "America/Chicago"}])
        first = catalog.budgets.stretches("pb", at("2026-11-01T05:00"))[0]
        assert first == Stretch(at("2026-11-01T06:00"), at("2026-11-01T07:30"))
        catalog = budget(schedule=[{"from": "02:15", "to": "02:30", "timeZone": "America/Chicago"}])
        assert catalog.budgets.in_force("pb", at("2026-03-08T08:15"))

    def test_the_first_of_several_changes(self) -> None:
        catalog = budget(schedule=[EVENING])
        put(
            catalog,
            "PowerBudget",
            "order",
            {
                "targets": {"queues": ["q"]},
                "limitWatts": 1,
                "interval": {"start": "2026-11-20T10:00:00Z", "end": "2026-11-22T00:00:00Z"},
            },
        )
        assert catalog.budgets.next_change(at("2026-11-21T12:00")) == at("2026-11-22T00:00")

    def test_queues_and_namespaces(self) -> None:
        catalog = budget()
        put(
            catalog,
            "PowerBudget",
            "team",
            {"targets": {"queues": ["q"], "namespaces": ["n"]}, "limitWatts": 7, "schedule": [EVENING]},
        )
        put(catalog, "Queue", "q", {})
        noon, evening = at("2026-11-20T12:00", "America/Chicago"), at("2026-11-20T18:00", "America/Chicago")
        days = ["2026-11-20", "2026-11-23", "2026-11-27", "2026-11-30"]
        spans = [(at(f"{d}T17:00", "America/Chicago"), at(f"{d}T21:00", "America/Chicago")) for d in days]
        coming = [GroupBudget("team", ("q",), ("n",), 7, start, end) for start, end in spans]
        assert catalog.budgets.groups(noon) == coming[:3]  # two within a week, and the one after
        now_on = GroupBudget("team", ("q",), ("n",), 7, None, spans[0][1])
        assert catalog.budgets.groups(evening) == [now_on, *coming[1:]]
        assert [b.name for b in catalog.spec(evening).budgets] == ["pb"]

    def test_an_unknown_time_zone_makes_it_hold_always(self) -> None:
        catalog = budget(
            targets={"powerDomains": ["ups"]},
            schedule=[{"from": "01:00", "to": "02:00", "timeZone": "Mars/Base"}],
        )
        assert catalog.budgets.in_force("pb", NOW) and catalog.budgets.next_change(NOW) is None
        assert catalog.problems(compiled(catalog)) == {
            ("PowerBudget", "pb"): [
                Problem(
                    "PowerBudget",
                    "pb",
                    "spec.schedule[0].timeZone",
                    "time zone Mars/Base is not known, so the budget is in force at all times",
                    "write an IANA time zone such as America/Chicago",
                )
            ]
        }

    def test_what_cannot_be_added_up_is_nothing(self) -> None:
        catalog = budget(targets={"powerDomains": ["ups"], "queues": ["q"]})
        put(catalog, "Queue", "q", {})
        assert catalog.spec(NOW).budgets == (BudgetSpec("pb", ("ups",), (), 0),)
        assert catalog.budgets.groups(NOW) == [GroupBudget("pb", ("q",), (), 0)]
        [problem] = catalog.problems(compiled(catalog))["PowerBudget", "pb"]
        assert problem.field == "spec.targets"

    def test_one_that_does_not_decode_bounds_its_targets_by_nothing(self) -> None:
        catalog = budget(limitWatts=-1, targets={"powerDomains": ["ups"], "queues": ["q", 3]})
        assert catalog.spec(NOW).budgets == (BudgetSpec("pb", ("ups",), (), 0),)
        assert catalog.budgets.groups(NOW) == [GroupBudget("pb", ("q",), (), 0)]
        assert catalog.budgets.in_force("pb", NOW)

    def test_one_without_readable_targets_bounds_everything_by_nothing(self) -> None:
        catalog = budget(targets={"powerDomain": ["ups"]})
        assert catalog.spec(NOW).budgets == (BudgetSpec("pb", ("ups",), (), 0),)

    @pytest.mark.parametrize(
        ("targets", "field", "message", "remedy", "bounded"),
        [
            (
                {"powerDomains": ["ups", "upps"]},
                "spec.targets.powerDomains",
                "power domain upps does not exist",
                "create PowerDomain upps or correct the name",
                ("ups", "upps"),
            ),
            (
                {"powerDomains": ["upps"]},
                "spec.targets.powerDomains",
                "power domain upps does not exist",
                "create PowerDomain upps or correct the name",
                ("upps", "ups"),
            ),
            (
                {"powerDomains": ["ups"], "feedTags": ["b"]},
                "spec.targets.feedTags",
                "no power domain has the feed tag b",
                "set feedTag on a PowerDomain or correct the tag",
                ("ups",),
            ),
            (
                {"queues": ["nobody"]},
                "spec.targets.queues",
                "queue nobody does not exist",
                "create Queue nobody or correct the name",
                None,
            ),
        ],
    )
    def test_targets_that_do_not_exist(
        self, targets: dict[str, Any], field: str, message: str, remedy: str, bounded: tuple[str, ...] | None
    ) -> None:
        catalog = budget(targets=targets)
        assert [(b.powers, b.limit_watts) for b in catalog.spec(NOW).budgets] == (
            [(bounded, 0)] if bounded else []
        )
        assert catalog.budgets.groups(NOW) == ([] if bounded else [GroupBudget("pb", ("nobody",), (), 0)])
        assert catalog.problems(compiled(catalog)) == {
            ("PowerBudget", "pb"): [
                Problem("PowerBudget", "pb", field, f"{message}; the budget counts as 0 W", remedy)
            ]
        }

    def test_a_target_that_does_not_decode_has_no_capacity_itself(self) -> None:
        catalog = budget(targets={"powerDomains": ["ups"]})
        put(catalog, "PowerDomain", "ups", {**POWER, "ratedWatts": 0})
        assert catalog.spec(NOW).budgets == (BudgetSpec("pb", ("ups",), (), 9),)
        assert ("PowerBudget", "pb") not in catalog.problems(compiled(catalog))
