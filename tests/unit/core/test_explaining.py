"""A refusal as a Gang's status has it, and what an Event is written for once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rackplane.api.explanation import Explanation
from rackplane.core.gangs.explaining import as_patch, explanation, reason, topic
from rackplane.engine.model import Cause, LevelCount, Refusal, RefusalKind
from rackplane.engine.reasons import (
    Element,
    ElementKind,
    ElementWatts,
    Relief,
    ReliefKind,
    Tightest,
)

TIGHTEST = Tightest(
    level="leaf",
    domain="su-1",
    kind=ElementKind.RACK,
    name="r1",
    feed="ups-b",
    peak=True,
    lost="ups-a",
    out_of_service=("ups-c",),
    load_watts=60_000,
    limit_watts=50_000,
    normal_limit_watts=50_000,
    over_watts=10_000,
    needed_watts=40_000,
    added_watts=20_000,
)
REFUSAL = Refusal(
    kind=RefusalKind.UNPLACEABLE,
    cause=Cause.POWER,
    counts=(
        LevelCount("leaf", 3, {Cause.NODES: 1, Cause.POWER: 2}, {"feed limit": 1, "rack peak limit": 1}, 2),
    ),
    message="why",
    relief="what helps",
    tightest=TIGHTEST,
    reliefs=(
        Relief(kind=ReliefKind.RETURN, message="bring it back", returns=(Element(ElementKind.NODE, "n1"),)),
        Relief(
            kind=ReliefKind.WATTS,
            message="free watts",
            now=False,
            elements=(ElementWatts(ElementKind.RACK, "r1", 10_000, "ups-b", peak=True),),
        ),
        Relief(kind=ReliefKind.BUDGET_END, message="wait", at=1_700_000_000.0),
    ),
)
PARTS: dict[str, Any] = {
    "cause": "power",
    "levels": [
        {
            "level": "leaf",
            "domains": 3,
            "failing": {"nodes": 1, "power": 2},
            "powerLimits": {"feed": 1, "rackPeak": 1},
            "afterLoss": 2,
        }
    ],
    "tightest": {
        "level": "leaf",
        "domain": "su-1",
        "kind": "Rack",
        "name": "r1",
        "feed": "ups-b",
        "peak": True,
        "lost": "ups-a",
        "outOfService": ["ups-c"],
        "loadWatts": 60_000,
        "limitWatts": 50_000,
        "overWatts": 10_000,
        "neededWatts": 40_000,
        "addedWatts": 20_000,
    },
    "reliefs": [
        {
            "type": "Return",
            "message": "bring it back",
            "now": True,
            "returns": [{"kind": "Node", "name": "n1"}],
        },
        {
            "type": "Watts",
            "message": "free watts",
            "now": False,
            "elements": [{"kind": "Rack", "name": "r1", "feed": "ups-b", "watts": 10_000, "peak": True}],
        },
        {"type": "BudgetEnd", "message": "wait", "now": True, "at": "2023-11-14T22:13:20Z"},
    ],
}


def test_every_part_is_written_and_the_api_reads_it_back() -> None:
    assert explanation(REFUSAL) == PARTS
    assert Explanation.model_validate(PARTS).to_dict() == PARTS


def merged(old: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """RFC 7386, as the API server does it."""
    result = dict(old)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            inner = result.get(key)
            result[key] = merged(inner if isinstance(inner, dict) else {}, value)
        else:
            result[key] = value
    return result


def test_nothing_of_an_earlier_reason_is_left() -> None:
    plain = replace(TIGHTEST, kind=ElementKind.POWER_DOMAIN, name="row", feed="", peak=False, lost="")
    plain = replace(plain, out_of_service=())
    for now in (replace(REFUSAL, tightest=plain, reliefs=()), replace(REFUSAL, tightest=None)):
        parts = explanation(now)
        assert merged({"explanation": PARTS}, {"explanation": as_patch(parts)}) == {"explanation": parts}
    assert merged({"explanation": PARTS}, {"explanation": as_patch(None)}) == {}


@pytest.mark.parametrize(
    ("cause", "word"),
    [
        (Cause.NODES, "InsufficientNodes"),
        (Cause.POWER, "InsufficientPower"),
        (Cause.BUDGET, "OverBudget"),
        (Cause.LIQUID, "InsufficientLiquidCooling"),
        (Cause.AIR, "InsufficientAirCooling"),
        (Cause.PROFILE, "PowerProfileUnavailable"),
    ],
)
def test_each_cause_has_a_reason_and_what_never_fits_another(cause: Cause, word: str) -> None:
    assert reason(replace(REFUSAL, cause=cause)) == word
    assert reason(replace(REFUSAL, cause=cause, misfit=True)) == "DoesNotFit"


def test_watts_are_no_new_topic_and_another_limit_or_loss_is() -> None:
    def told(refusal: Refusal) -> tuple[object, ...]:
        return topic(reason(refusal), refusal.message, explanation(refusal))

    heavier = replace(TIGHTEST, load_watts=61_000, over_watts=11_000)
    same = replace(REFUSAL, message="why, with other numbers", tightest=heavier, reliefs=())
    assert told(same) == told(REFUSAL)
    for change in ({"lost": "ups-d"}, {"name": "r2"}, {"feed": ""}, {"kind": ElementKind.POWER_DOMAIN}):
        assert told(replace(REFUSAL, tightest=replace(TIGHTEST, **change))) != told(REFUSAL)
    assert told(replace(REFUSAL, cause=Cause.NODES, tightest=None)) != told(REFUSAL)
    # Words without a limit behind them are news as soon as they change.
    assert topic("Waiting", "1 of 2 pods exist", None) != topic("Waiting", "2 of 2 pods exist", None)
    assert topic("OverQuota", "3 GPUs left", None) == topic("OverQuota", "2 GPUs left", None)
