"""Budgets on queues and namespaces: who counts, and what is refused."""

from __future__ import annotations

from rackplane.api.decode import decode
from rackplane.api.queue import Queue
from rackplane.core.quota import Usage, group_watts, quota_refusal


def queue(name: str, parent: str | None = None) -> Queue:
    spec = {} if parent is None else {"parent": parent}
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


def refusal(asked: Usage, limit: int) -> str | None:
    budgets = [("contract", ("top",), (), limit)]
    return quota_refusal(asked, admitted=[BELOW], queue=QUEUES.get, budgets=budgets)


def test_a_budget_refuses_its_members_only() -> None:
    assert refusal(BELOW, 11_200) is None
    assert refusal(BELOW, 10_000) == "power budget contract of 10.0 kW would be exceeded by 1.2 kW"
    assert refusal(OTHER, 0) is None
