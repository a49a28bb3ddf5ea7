"""The rules of the power benchmark: what each lets run in an unbalanced hall, and what a loss makes of it."""

from __future__ import annotations

import pytest

from rackplane.simulator.facilityevents import Change
from rackplane.simulator.gangs import merged
from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.policies import Policy
from rackplane.simulator.requests import requests_of
from tests.benchmarks.power.admission import RULES
from tests.benchmarks.power.hall import BALANCED, NAMEPLATE, UNBALANCED, site
from tests.benchmarks.power.runs import run

HOUR = 3_600


@pytest.mark.parametrize(
    ("rows", "rule", "over", "after_a_loss", "worst"),
    [
        # All 12 racks run. Without ups-a two rows hang on ups-b whole and two by halves: 6 of 12 racks, which peak at
        # 141.504 kW each, on 566.016 kW.
        (UNBALANCED, "one tree", HOUR, HOUR, 283_008),
        (BALANCED, "one tree", 0, 0, 0),
        (UNBALANCED, "ours", 0, 0, 0),
    ],
)
def test_sums_up_one_tree_do_not_see_a_loss_coming(
    rows: tuple[str, ...], rule: str, over: int, after_a_loss: int, worst: int
) -> None:
    here = site(rows, NAMEPLATE)
    jobs = [TraceJob(str(i), 0, 10 * HOUR, 72) for i in range(12)]
    requests = requests_of(jobs, here, Policy(), seed=0)
    ups = here.bodies["PowerDomain", "ups-a"]
    gone = merged(ups, {"spec": {"state": "Offline"}, "metadata": {"generation": 2}})
    [asked] = [of for of in RULES if of.name == rule]
    lost = [Change(HOUR, "PowerDomain", "ups-a", "is lost", body=gone)]
    found = run(asked, here, requests, lost, budget=NAMEPLATE, horizon=2 * HOUR, seed=0)
    exceeded = found.reserved
    assert (exceeded.seconds, exceeded.worst_watts) == (over, worst)
    # Before the loss it was to be seen that one would be too much.
    assert exceeded.after_a_loss_seconds >= after_a_loss
    assert (
        found.work == pytest.approx(12 * 72 * 2, rel=0.001)
        if rule == "one tree"
        else found.work < 12 * 72 * 2
    )
