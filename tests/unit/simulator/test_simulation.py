"""Runs on a hall of three racks of four nodes of 4 GPUs, whose schedules are worked out by hand.

ups-a and ups-b, 100 kW each, feed r1 and r2; ups-b and ups-c feed r3. A node is 1 kW idle and 10 kW at work. After the
loss of any one UPS eleven of the twelve nodes can be at MaxP (tests/unit/cli/test_capacity.py).
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from rackplane.core.queues import ahead, reserving
from rackplane.simulator.draws import PowerModel
from rackplane.simulator.facilityevents import read_events
from rackplane.simulator.files import Tables
from rackplane.simulator.jobs import TraceJob as Job
from rackplane.simulator.policies import parse_policies
from rackplane.simulator.progress import Rules
from rackplane.simulator.requests import requests_of
from rackplane.simulator.simulation import BEGIN, Simulation, Stuck
from rackplane.simulator.site import Site, site_of
from tests.unit.cli.hall import HALL

A, B, C = Job("a", 0, 3_000, 16), Job("b", 10, 5_000, 16), Job("c", 20, 2_000, 16)


@pytest.fixture(scope="module")
def site() -> Site:
    return site_of("hall", HALL)


class Run:
    """One run, and what was written of it."""

    def __init__(
        self,
        site: Site,
        jobs: list[Job],
        policy: str = "",
        *,
        events: Path | None = None,
        rules: Rules | None = None,
        model: PowerModel | None = None,
        every: int = 1_000,
    ) -> None:
        self.tables, chosen = Tables(), parse_policies(policy)
        self.simulation = Simulation(
            site,
            requests_of(jobs, site, chosen, seed=0),
            chosen,
            changes=[] if events is None else read_events(events, site, begin=BEGIN),
            rules=rules or Rules(),
            output=self.tables,
            every=every,
            model=model,
            seed=3,
        )
        self.simulation.run()
        self.simulation.finish()

    def jobs(self, *fields: str) -> dict[str, tuple[Any, ...]]:
        return {
            row["name"]: tuple(row[f] for f in fields)
            for row in sorted(self.rows("jobs"), key=lambda r: r["name"])
        }

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self.tables.rows[f"{table}.csv"]

    @property
    def over(self) -> tuple[int, int, str]:
        """Seconds over a limit, and after one loss more, by what is reserved; and the worst limit."""
        found = self.simulation.reserved.exceeded
        return found.seconds, found.after_a_loss_seconds, found.worst


def order(folder: Path) -> Path:
    """An order of 75 kW for ten minutes: the idle hall is 18 kW, and 9 kW more is each node at work."""
    path = folder / "events.yaml"
    spec = "{targets: {powerDomains: [utility]}, limitWatts: 75000}"
    budget = f"{{kind: PowerBudget, metadata: {{name: order}}, spec: {spec}}}"
    path.write_text(f"- {{at: 10m, create: {budget}, until: 20m}}\n", encoding="utf-8")
    return path


def event(folder: Path, text: str) -> Path:
    path = folder / "events.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_third_gets_less_power_and_runs_longer_or_waits_for_its_own(site: Site) -> None:
    run = Run(site, [A, B, C])
    assert run.jobs("start", "end", "profile", "watts", "racks", "domains") == {
        "a": (0, 3_000, "MaxP", 36_000, 1, 1),
        "b": (10, 5_010, "MaxP", 36_000, 1, 1),
        "c": (20, 20 + 2_353, "MaxQ", 24_000, 1, 1),  # 2,000 s at 85 %
    }
    assert run.over == (0, 0, "")
    waits = Run(site, [A, B, C], "strict-power")
    assert waits.jobs("start", "end", "wait", "profile") == {
        "a": (0, 3_000, 0, "MaxP"),
        "b": (10, 5_010, 0, "MaxP"),
        "c": (3_000, 5_000, 2_980, "MaxP"),
    }


def test_what_no_limit_of_power_holds_back_is_measured(site: Site, tmp_path: Path) -> None:
    lost = event(tmp_path, "- {at: 10m, lose: PowerDomain/ups-a, until: 20m}")
    run = Run(site, [A, B, C], "no-power", events=lost)
    assert run.jobs("start", "end", "profile") == {
        "a": (0, 3_000, "MaxP"),
        "b": (10, 5_010, "MaxP"),
        "c": (20, 2_020, "MaxP"),
    }
    # Two racks of 42 kW and half of a third: ups-b carries 105 kW while ups-a is lost, and would after its loss.
    assert run.over == (600, 2_000, "power domain ups-b")
    assert run.simulation.reserved.exceeded.worst_watts == 5_000
    ours = Run(site, [A, B, C], events=lost)
    assert ours.over == (0, 600, "")  # while ups-a is lost nothing would be left for a second loss


def test_an_order_caps_those_who_run_until_there_has_been_room_for_five_minutes(
    site: Site, tmp_path: Path
) -> None:
    run = Run(site, [A, B], events=order(tmp_path))
    # Capped from 600 until 1,500: 900 s at 85 %.
    assert run.jobs("end", "profile", "stops") == {"a": (3_135, "MaxP", 0), "b": (5_145, "MaxP", 0)}
    assert run.over == (0, 0, "")
    told = [(row["seconds"], row["name"], row["reason"]) for row in run.rows("events")]
    assert [row for row in told if row[0]] == [
        (10, "j00001", "Placed"),
        (600, "order", "FacilityEvent"),
        (600, "j00000", "PowerCapped"),
        (600, "j00001", "PowerCapped"),
        (1_200, "order", "FacilityEvent"),
        (1_500, "j00000", "PowerRestored"),
        (1_500, "j00001", "PowerRestored"),
    ]


def test_where_nobody_takes_a_cap_one_is_stopped_and_starts_over(site: Site, tmp_path: Path) -> None:
    run = Run(site, [A, B], "strict-power", events=order(tmp_path), rules=Rules(3_600, 300, 30))
    # Stopped at 602, after the two seconds that an overload must last; gone at 632; 592 s of 16 GPUs done again.
    assert run.jobs("start", "end", "stops", "lost_gpu_seconds") == {
        "a": (0, 3_000, 0, 0),
        "b": (10, 1_200 + 300 + 5_000, 1, 592 * 16),
    }
    assert run.over == (32, 0, "budget order")


def test_a_gang_of_higher_priority_has_one_stopped_that_goes_on_from_its_checkpoint(site: Site) -> None:
    urgent = Job("u", 1_000, 500, 16, priority=10)
    run = Run(site, [A, B, C, urgent], "no-power,preemption=within-queue", rules=Rules(300, 50, 30))
    # c runs from 20: at 1,000 it has 980 s, 900 of them saved; u starts when its pods are gone.
    assert run.jobs("start", "end", "stops", "lost_gpu_seconds") == {
        "a": (0, 3_000, 0, 0),
        "b": (10, 5_010, 0, 0),
        "c": (20, 1_530 + 50 + 1_100, 1, 80 * 16),
        "u": (1_030, 1_530, 0, 0),
    }


def test_a_gang_on_a_lost_node_stands_still_and_starts_again_elsewhere(site: Site, tmp_path: Path) -> None:
    lost = event(tmp_path, "- {at: 650s, lose: Node/r1-02, until: 20m}")
    run = Run(site, [A, B], events=lost, rules=Rules(200, 50, 10))
    # 600 s are saved; it is stopped after 30 s, gone after 10 more, and works again from 740 on.
    assert run.jobs("end", "stops", "lost_gpu_seconds") == {
        "a": (740 + 2_400, 1, 50 * 16),
        "b": (5_010, 0, 0),
    }


def test_a_node_that_is_back_in_time_costs_the_work_since_the_checkpoint(site: Site, tmp_path: Path) -> None:
    lost = event(tmp_path, "- {at: 650s, lose: Node/r1-02, until: 670s}")
    run = Run(site, [A, B], events=lost, rules=Rules(200, 50, 10))
    assert run.jobs("end", "stops", "lost_gpu_seconds") == {
        "a": (670 + 50 + 2_400, 1, 50 * 16),
        "b": (5_010, 0, 0),
    }


def test_who_goes_first_by_policy(site: Site) -> None:
    jobs = [Job("a", 0, 1_000, 40), Job("b", 10, 500, 16), Job("c", 20, 2_000, 4), Job("d", 30, 900, 4)]
    policies = "strict-fifo", "fifo", "reservations=1"
    starts = {policy: Run(site, jobs, f"no-power,{policy}").jobs("start") for policy in policies}
    assert starts == {
        "strict-fifo": {"a": (0,), "b": (1_000,), "c": (1_000,), "d": (1_000,)},
        "fifo": {"a": (0,), "b": (1_000,), "c": (20,), "d": (30,)},
        # b holds a rack from 1,000 on; c, of a node of the third rack, is in nobody's way, and nor is d.
        "reservations=1": {"a": (0,), "b": (1_000,), "c": (20,), "d": (30,)},
    }


def test_a_gang_that_starts_with_half_of_its_slots_takes_twice_as_long(site: Site) -> None:
    run = Run(site, [Job("a", 0, 1_000, 40), Job("b", 10, 500, 16)], "no-power,elastic=50")
    assert run.jobs("start", "end", "gpus", "nodes") == {"a": (0, 1_000, 40, 10), "b": (10, 1_010, 16, 2)}


def test_samples_say_what_is_and_what_could_still_start(site: Site) -> None:
    run = Run(site, [A, B, Job("late", 2_500, 100, 8)])
    fields = (
        "seconds",
        "gpus_busy",
        "gangs_running",
        "gpus_free",
        "largest_gang_gpus",
        "largest_in_domain_gpus",
    )
    assert [tuple(row[f] for f in fields) for row in run.rows("series")] == [
        (0, 16, 1, 32, 28, 16),  # ten nodes of twelve, for what two UPS carry after a loss, are eleven
        (1_000, 32, 2, 16, 12, 12),
        (2_000, 32, 2, 16, 12, 12),
        (3_000, 16, 1, 32, 28, 16),
        (4_000, 16, 1, 32, 28, 16),
        (5_000, 16, 1, 32, 28, 16),
    ]
    first = {row["name"]: row for row in run.rows("elements") if row["seconds"] == 1_000}
    # r1 and r3 carry 42 kW each, r2 6 kW; ups-c has 5 kW of pdu-x and 4 kW of the pump as well.
    assert {name: first[name]["reserved_watts"] for name in ("ups-a", "ups-b", "ups-c", "utility")} == {
        "ups-a": 24_000,
        "ups-b": 45_000,
        "ups-c": 30_000,
        "utility": 99_000,
    }
    assert (
        first["ups-b"]["limit_watts"],
        first["ups-b"]["worst_headroom_watts"],
        first["ups-b"]["worst_loss"],
    ) == (*(100_000, 31_000, "ups-a"),)


def test_what_could_never_start_is_told(site: Site) -> None:
    with pytest.raises(Stuck, match=r"1 jobs wait for nothing at second 0: a, 20 GPUs: "):
        Run(site, [Job("a", 0, 10, 20)], "topology=nvlink")


def test_draws_are_within_what_nodes_may_draw_and_the_same_for_the_same_seed(site: Site) -> None:
    first, second = (Run(site, [A, B, C], model=PowerModel(), every=100) for _ in range(2))
    assert first.tables.rows == second.tables.rows
    idle, running = 18_000, [row for row in first.rows("series") if row["seconds"] > 400]
    for row in running:
        assert idle <= row["drawn_watts"] <= row["reserved_peak_watts"]
    assert len({row["drawn_watts"] for row in running}) > 3  # gangs have phases
    workers = first.simulation.workers
    assert workers is not None and workers.meter.watts == idle


def test_a_job_whose_watts_are_known_draws_them(site: Site) -> None:
    known = Job("k", 0, 1_000, 16, node_watts=6_000)
    run = Run(site, [known], model=PowerModel(), every=100)
    assert {row["drawn_watts"] for row in run.rows("series") if row["seconds"] < 1_000} == {
        18_000 + 4 * 5_000
    }


def test_no_earlier_place_is_looked_for_while_jobs_end_as_they_were_told_to(site: Site) -> None:
    draw = random.Random(4)
    submits = sorted(draw.randrange(12_000) for _ in range(36))
    jobs = [Job(f"j{s}", s, draw.randrange(100, 3_000), draw.choice((1, 2, 4, 8, 16, 32))) for s in submits]
    with patch.object(reserving, "room_before", wraps=ahead.room_before) as looks:
        run = Run(site, jobs, "strict-power")
        assert looks.call_count == 0
        roughly = Run(site, jobs, "strict-power,told=rough")
        assert looks.call_count > 3, "these end before or after that"
        looks.reset_mock()
        with patch.object(reserving, "is_first", return_value=False):
            looked = Run(site, jobs, "strict-power")
        assert looks.call_count > 3
    assert looked.rows("jobs") == run.rows("jobs") != roughly.rows("jobs")
    assert max(row["wait"] for row in run.rows("jobs")) > 1_000
