"""Budgets on queues and namespaces: who counts, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rackplane.api.decode import decode
from rackplane.api.queue import Queue
from rackplane.core.queues.quota import (
    QuotaRefusal,
    Usage,
    budget_refusal,
    group_watts,
    queue_spec,
    quota_refusal,
)
from rackplane.core.site.budgets import GroupBudget
from rackplane.engine.queueing.quotas import GPUS, QuotaTree


def queue(name: str, parent: str | None = None, **spec: Any) -> Queue:
    if parent is not None:
        spec["parent"] = parent
    body = {"apiVersion": "rackplane.dev/v1alpha1", "kind": "Queue", "metadata": {"name": name}, "spec": spec}
    decoded = decode(Queue, body)
    assert isinstance(decoded, Queue)
    return decoded


QUEUES = {"top": queue("top"), "below": queue("below", "top"), "other": queue("other")}
BELOW = Usage(queue="below", namespace="a", gpus=4, nominal_watts=5_600)
OTHER = Usage(queue="other", namespace="b", gpus=4, nominal_watts=1_000)


def watts(*, queues: tuple[str, ...] = (), namespaces: tuple[str, ...] = ()) -> int:
    return group_watts([BELOW, OTHER], queues=queues, namespaces=namespaces, queue=QUEUES.get)


def test_queues_count_those_below_them_and_nobody_twice() -> None:
    assert watts(queues=("top",)) == 5_600
    assert watts(queues=("other",)) == 1_000
    assert watts(queues=("top", "below"), namespaces=("a", "b")) == 6_600
    assert watts(namespaces=("c",)) == 0


def refusal(
    asked: Usage, budget: GroupBudget, *, at: float = 0.0, admitted: Sequence[Usage] = (BELOW,)
) -> str | None:
    found = budget_refusal(asked, admitted=admitted, queue=QUEUES.get, budgets=[budget], at=at)
    assert found is None or found.of_watts
    return None if found is None else found.message


def contract(limit: int, **times: float) -> GroupBudget:
    return GroupBudget("contract", ("top",), (), limit, **times)


def test_a_budget_refuses_its_members_only() -> None:
    assert refusal(BELOW, contract(11_200)) is None
    assert refusal(BELOW, contract(10_000)) == "power budget contract of 10.0 kW would be exceeded by 1.2 kW"
    assert refusal(OTHER, contract(0)) is None


class TestComingBudgets:
    """BELOW runs for ever; the budget of 10 kW is in force from 17:00 to 21:00."""

    ORDER = contract(10_000, starts_at=17 * 3600, ends_at=21 * 3600)

    def test_who_is_over_before_it_starts_is_not_bound(self) -> None:
        assert refusal(replace(BELOW, until=17 * 3600), self.ORDER) is None

    def test_who_still_runs_then_is(self) -> None:
        words = "power budget contract of 10.0 kW, in force from 1970-01-01 17:00 UTC, would be exceeded by 1.2 kW then"
        assert refusal(replace(BELOW, until=17 * 3600 + 1), self.ORDER) == words
        assert refusal(BELOW, self.ORDER) == words

    def test_others_count_only_while_they_are_expected_to_run(self) -> None:
        passing = replace(BELOW, until=16 * 3600)
        assert refusal(BELOW, self.ORDER, admitted=[passing, passing]) is None
        assert refusal(BELOW, self.ORDER, admitted=[passing, BELOW]) is not None

    def test_a_later_start_sees_it_in_force_and_then_over(self) -> None:
        assert refusal(BELOW, self.ORDER, at=17 * 3600) == (
            "power budget contract of 10.0 kW would be exceeded by 1.2 kW"
        )
        assert refusal(BELOW, self.ORDER, at=21 * 3600 - 1) is not None
        assert refusal(BELOW, self.ORDER, at=21 * 3600) is None


def test_a_lack_of_gpus_is_not_one_of_watts() -> None:
    few = queue("few", quota={"gpus": 6})
    asked = replace(BELOW, queue="few")
    tree = QuotaTree([queue_spec(few)])
    tree.add("few", asked.amounts())
    assert quota_refusal(asked, tree) == QuotaRefusal(
        "queue few has 2 of its 6 GPUs left, and the gang needs 4", of_watts=False, resource=GPUS
    )
