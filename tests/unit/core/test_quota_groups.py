"""Budgets on queues and namespaces: who counts, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rackplane.api.decode import decode
from rackplane.api.queue import Queue
from rackplane.core.queues.following import share_of
from rackplane.core.queues.groupbudgets import budget_refusal, excess_of
from rackplane.core.queues.ledger import Ledger
from rackplane.core.queues.quota import QuotaRefusal, Usage, queue_spec, quota_refusal
from rackplane.core.site.budgets import Group, GroupBudget
from rackplane.engine.queueing.later import Share
from rackplane.engine.queueing.quotas import GPUS, WATTS, QuotaTree


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


def ledger(*admitted: Usage) -> Ledger:
    found = Ledger(0.0)
    found.shape(QUEUES, {}, {}, 0.0)
    for number, usage in enumerate(admitted):
        found.put((usage.namespace, f"g{number}"), usage, 0.0)
    return found


def watts(*, queues: tuple[str, ...] = (), namespaces: tuple[str, ...] = ()) -> int:
    return ledger(BELOW, OTHER).draws(Group(queues, namespaces)).at(0.0)


def test_queues_count_those_below_them_and_nobody_twice() -> None:
    assert watts(queues=("top",)) == 5_600
    assert watts(queues=("other",)) == 1_000
    assert watts(queues=("top", "below"), namespaces=("a", "b")) == 6_600
    assert watts(namespaces=("c",)) == 0


def test_a_sum_follows_who_comes_and_goes_and_where_the_queues_are() -> None:
    group, found = Group(("top",), ()), ledger(BELOW, OTHER)
    assert found.draws(group).at(0.0) == 5_600
    found.put(("a", "g0"), replace(BELOW, nominal_watts=3_000, until=50.0), 0.0)
    found.put(("a", "new"), BELOW, 0.0)
    assert [found.draws(group).at(time) for time in (0.0, 49.0, 50.0)] == [8_600, 8_600, 5_600]
    found.put(("a", "new"), None, 0.0)
    assert [found.draws(group).at(time) for time in (0.0, 50.0)] == [3_000, 0]
    found.shape({**QUEUES, "other": queue("other", "top")}, {}, {}, 0.0)
    assert found.draws(group).at(50.0) == 1_000
    found.validate([replace(BELOW, nominal_watts=3_000, until=50.0), OTHER])


def refusal(
    asked: Usage,
    budget: GroupBudget,
    *,
    at: float = 0.0,
    admitted: Sequence[Usage] = (BELOW,),
    plus: Sequence[Share] = (),
) -> str | None:
    share = replace(share_of(f"{asked.namespace}/asked", asked), at=at)
    found = excess_of(ledger(*admitted), [budget], share, plus=plus)
    if found is None:
        return None
    said = budget_refusal(found, at)
    assert said.of_watts and said.budget == budget.name
    return said.message


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

    def test_what_is_held_for_others_counts_from_when_it_is(self) -> None:
        def held(at: float, until: float) -> list[Share]:
            return [Share("a/held", "below", ((WATTS, 5_000),), at * 3600, until * 3600)]

        assert refusal(BELOW, self.ORDER, admitted=(), plus=held(21, 22)) is None
        assert refusal(BELOW, self.ORDER, admitted=(), plus=held(16, 17)) is None
        for span in ((16, 18), (20, 22)):
            words = refusal(BELOW, self.ORDER, admitted=(), plus=held(*span))
            assert words is not None and words.endswith("would be exceeded by 0.6 kW then")
        assert refusal(replace(BELOW, until=20 * 3600), self.ORDER, admitted=(), plus=held(20, 22)) is None
        assert refusal(replace(OTHER, nominal_watts=20_000), self.ORDER, plus=held(16, 22)) is None

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
