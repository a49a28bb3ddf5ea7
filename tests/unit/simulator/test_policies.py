"""Policies of a run: what they change, and words about those that there are not."""

from __future__ import annotations

import pytest

from rackplane.api.gang import Disruption
from rackplane.core.settings import Defragmentation, Shedding
from rackplane.simulator.policies import POLICIES, Policy, PolicyError, parse_policies


def test_nothing_is_the_operators_defaults() -> None:
    assert parse_policies("") == Policy()
    settings = Policy().settings(restart_seconds=300)
    assert (settings.reservations, settings.shedding, settings.defragmentation) == (
        *(1, Shedding.STOP, Defragmentation.OFF),
    )


def test_each_changes_what_it_says() -> None:
    assert parse_policies("reservations=3, preemption=all,profile=MaxQ,told=rough:0.5,elastic=50") == Policy(
        reservations=3, preemption="all", profile="MaxQ", told="rough", sigma=0.5, fewest_percent=50
    )
    assert parse_policies("strict-fifo") == Policy(reservations=0, one_at_a_time=True)
    assert parse_policies("no-power") == Policy(watts=False, shedding=Shedding.OFF)
    assert parse_policies("fifo,no-preemption,defragmentation=move,disruption=sheddable,queue=q") == Policy(
        reservations=0,
        preemption="none",
        defragmentation=Defragmentation.MOVE,
        disruption=Disruption.SHEDDABLE,
        queue="q",
    )


def test_queues_are_told_whom_they_may_stop() -> None:
    queue = {"kind": "Queue", "spec": {"weight": 2, "preemption": {"withinQueue": "LowerPriority"}}}
    assert Policy().of_queue(queue) == queue
    assert parse_policies("no-preemption").of_queue(queue) == {
        "kind": "Queue",
        "spec": {"weight": 2, "preemption": {"withinQueue": "Never", "reclaim": "Never"}},
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lifo", f"there is no policy 'lifo'; it is one of {', '.join(POLICIES)}"),
        ("reservations", "policy reservations: write reservations=N"),
        ("fifo=1", "policy fifo: write fifo alone"),
        ("reservations=-1", "policy reservations takes a number from 0 to 100, not '-1'"),
        ("reservations=nan", "policy reservations takes a number from 0 to 100, not 'nan'"),
        ("shedding=never", "policy shedding is one of off, cap, stop, not 'never'"),
        ("told=lies", "policy told is one of exact, rough, none, not 'lies'"),
    ],
)
def test_what_is_no_policy(text: str, words: str) -> None:
    with pytest.raises(PolicyError) as error:
        parse_policies(text)
    assert str(error.value) == words
