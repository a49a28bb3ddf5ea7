"""Raw objects into models, and bad ones into words."""

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rackplane.api.cooling_zone import CoolingZone
from rackplane.api.decode import decode, decode_any
from rackplane.api.gang import Gang, GangPhase
from rackplane.api.kinds import BY_KIND, KINDS
from rackplane.api.power_budget import PowerBudget
from rackplane.api.power_domain import PowerDomain
from rackplane.api.problems import FieldProblem, show
from rackplane.api.queue import Queue
from rackplane.api.rack import Rack
from tests.support.thorough import some
from tests.unit.api.cases import BASE, change, valid


def _problems(obj: object, model: Any = None) -> list[FieldProblem]:
    result = decode_any(obj) if model is None else decode(model, obj)
    assert isinstance(result, list)
    return result


def _rack(**changes: Any) -> dict[str, Any]:
    obj = valid("Rack")
    for path, value in changes.items():
        change(obj, path.replace("__", "."), value)
    return obj


def test_a_good_object() -> None:
    rack = decode(Rack, valid("Rack"))
    assert isinstance(rack, Rack)
    assert rack.name == "it"
    assert rack.spec.limit_watts == 132_000
    assert rack.spec.feeds[1].limit_watts is None
    with pytest.raises(ValueError, match="frozen"):
        rack.spec.limit_watts = 1  # type: ignore[misc]


def test_items_of_a_list_carry_no_kind_and_nulls_count_as_absent() -> None:
    obj = _rack(spec__cooling=None, spec__state=None)
    del obj["kind"], obj["apiVersion"]
    rack = decode(Rack, obj)
    assert isinstance(rack, Rack)
    assert rack.spec.cooling is None
    assert rack.kind == "Rack"


def test_any_mapping_will_do() -> None:
    obj = valid("Rack")
    obj["spec"] = MappingProxyType(obj["spec"])
    assert isinstance(decode(Rack, MappingProxyType(obj)), Rack)


@pytest.mark.parametrize(
    ("path", "value", "where", "what", "remedy"),
    [
        (
            "spec.limitWatts",
            -5,
            "spec.limitWatts",
            "is -5, too small",
            "Write a whole number from 1 to 100000000000. It means: Nominal watts the rack may draw, overhead and "
            "idle nodes included.",
        ),
        (
            "spec.limitWatts",
            "132kW",
            "spec.limitWatts",
            'is "132kW", not a whole number',
            "Write a whole number",
        ),
        ("spec.limitWatts", True, "spec.limitWatts", "is true, not a whole number", "Write a whole number"),
        ("spec.limitWatts", 1.5, "spec.limitWatts", "is 1.5, not a whole number", "Write a whole number"),
        ("spec.limitWatts", 10**30, "spec.limitWatts", f"is {10**30}, too large", "Write a whole number"),
        ("spec.feeds", [], "spec.feeds", "has 0 entries", "Write a list of 1 to 8 entries."),
        ("spec.feeds", {}, "spec.feeds", "is an empty object, which does not fit", "Write a list"),
        (
            "spec.feeds[0]",
            {"weight": 1},
            "spec.feeds[0].powerDomain",
            "is missing",
            "Write text of at most 253",
        ),
        (
            "spec.feeds[1].role",
            "Passive",
            "spec.feeds[1].role",
            "not one of the choices",
            "one of Active, Standby.",
        ),
        (
            "spec.profile",
            "GB 300",
            "spec.profile",
            'is "GB 300", which is not a valid',
            "Write text of at most 253",
        ),
        ("spec.profile", "a" * 300, "spec.profile", "has 300 characters", "Write text of at most 253"),
        ("spec.profile", 300, "spec.profile", "is 300, not text", "Write text of at most 253"),
        ("spec.nodeSelector", {"a": 1}, "spec.nodeSelector.a", "is 1, not text", "Write text of at most 63"),
        ("spec.nodeSelector", {}, "spec.nodeSelector", "has 0 entries", "Write a map of 1 to 16 entries."),
        (
            "spec.overheadWatts",
            200_000,
            "spec.overheadWatts",
            "breaks a rule: overheadWatts is above",
            "Set overhead",
        ),
        (
            "spec",
            "text",
            "spec",
            "which does not fit",
            "Write an object with profile, nodeSelector, limitWatts",
        ),
        ("metadata", "text", "metadata", "which does not fit", "Write"),
    ],
)
def test_words(path: str, value: object, where: str, what: str, remedy: str) -> None:
    obj = valid("Rack")
    change(obj, path, value)
    (problem,) = _problems(obj)
    assert problem.where == where
    assert what in problem.what
    assert problem.remedy.startswith(remedy) or remedy in problem.remedy
    assert str(problem) == f"{problem.where} {problem.what}. {problem.remedy}"


def test_a_typing_error_in_a_field_is_pointed_out() -> None:
    obj = valid("PowerDomain")
    obj["spec"]["ratedWats"] = obj["spec"].pop("ratedWatts")
    (problem,) = _problems(obj)
    assert problem.what == 'is missing (there is "ratedWats": a typing error?)'


def test_all_problems_at_once() -> None:
    obj = _rack(spec__limitWatts=0, spec__overheadWatts=-1, spec__profile="")
    assert {problem.where for problem in _problems(obj)} == {
        "spec.limitWatts",
        "spec.overheadWatts",
        "spec.profile",
    }


@pytest.mark.parametrize("raw", [None, [], "text", 5, True])
def test_what_is_no_object(raw: object) -> None:
    assert _problems(raw)[0].where == "object"
    assert _problems(raw, Rack)[0].where == "Rack"


@pytest.mark.parametrize(
    ("header", "where"),
    [
        ({"kind": None}, "kind"),
        ({"kind": "Shelf"}, "kind"),
        ({"kind": 5}, "kind"),
        ({"kind": ["Rack"]}, "kind"),
        ({"apiVersion": "rackplane.dev/v9"}, "apiVersion"),
        ({"apiVersion": "v1"}, "apiVersion"),
    ],
)
def test_wrong_headers(header: dict[str, Any], where: str) -> None:
    (problem,) = _problems(valid("Rack") | header)
    assert problem.where == where


def test_another_kind_than_asked_for() -> None:
    assert _problems(valid("Queue"), Rack)[0].where == "kind"


def test_a_status_that_does_not_parse_is_forgotten_but_for_a_gang() -> None:
    status = {"conditions": [{"type": "Ready"}], "nodes": "many"}
    rack = decode(Rack, valid("Rack") | {"status": status})
    assert isinstance(rack, Rack)
    assert rack.status.conditions == ()
    problems = _problems(valid("Gang") | {"status": {"phase": "Sleeping"}})
    assert problems[0].where == "status.phase"


def test_a_bad_status_hides_no_bad_spec() -> None:
    obj = _rack(spec__limitWatts=0) | {"status": {"nodes": "many"}}
    assert "spec.limitWatts" in {problem.where for problem in _problems(obj)}


def test_a_gang_with_its_decision() -> None:
    status = {
        "phase": "Admitted",
        "decision": {"id": "d-1", "term": 7, "time": "2026-11-21T05:00:00.123456Z"},
        "assignment": [{"nvlinkDomain": "n1", "rack": "r1", "nodes": ["a", "a", "b"]}],
        "releasedSlots": "0,2-5",
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Placed",
                "message": "",
                "lastTransitionTime": "2026-11-21T05:00:00Z",
            }
        ],
    }
    gang = decode(Gang, valid("Gang") | {"status": status})
    assert isinstance(gang, Gang)
    assert gang.status.phase is GangPhase.ADMITTED
    assert gang.status.decision is not None
    assert gang.status.decision.time.microsecond == 123_456
    assert gang.status.assignment[0].nodes == ("a", "a", "b")
    assert gang.to_dict()["status"] == {**status, "learned": []}
    ready = gang.status.condition("Ready")
    assert ready is not None
    assert ready.reason == "Placed"
    assert gang.status.condition("Other") is None


def test_a_time_zone_that_nobody_knows() -> None:
    obj = valid("PowerBudget")
    obj["spec"]["schedule"] = [{"from": "17:00", "to": "21:00", "timeZone": "Mars/Olympus"}]
    budget = decode(PowerBudget, obj)
    assert isinstance(budget, PowerBudget)
    assert not budget.spec.schedule[0].time_zone_known
    obj["spec"]["schedule"][0]["timeZone"] = "UTC"
    known = decode(PowerBudget, obj)
    assert isinstance(known, PowerBudget)
    assert known.spec.schedule[0].time_zone_known


@pytest.mark.parametrize(
    ("celsius", "percent"), [(10, 100), (40, 100), (43, 85), (44, 80), (45, 75), (46, 0), (60, 0)]
)
def test_derating_is_a_line_between_points_and_nothing_beyond(celsius: int, percent: int) -> None:
    obj = valid("CoolingZone")
    obj["spec"]["supplyCelsius"] = celsius
    obj["spec"]["deratingCurve"] = [
        {"supplyCelsius": 45, "percent": 75},
        {"supplyCelsius": 40, "percent": 100},
    ]
    zone = decode(CoolingZone, obj)
    assert isinstance(zone, CoolingZone)
    assert zone.spec.derating_percent() == percent


def test_without_a_curve_nothing_is_derated() -> None:
    zone = decode(CoolingZone, valid("CoolingZone"))
    assert isinstance(zone, CoolingZone)
    assert zone.spec.derating_percent() == 100


def test_only_a_queue_may_have_no_spec() -> None:
    for model in KINDS:
        obj = valid(model.info.kind)
        del obj["spec"]
        assert isinstance(decode(model, obj), list) is (model is not Queue)


def test_snake_case_builds_models_too() -> None:
    domain = PowerDomain.model_validate({"spec": {"type": "UPS", "rated_watts": 1}})
    assert domain.to_dict()["spec"]["ratedWatts"] == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        ("x" * 100, '"' + "x" * 56 + "..."),
        ("a\nb", '"a?b"'),
        pytest.param(10**5000, "a number with too many digits", id="huge"),
        ([], "an empty list"),
        ({"a": 1}, "an object"),
    ],
)
def test_shown_values_stay_on_one_line(value: object, shown: str) -> None:
    assert show(value) == shown


_leaf = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.builds(lambda: 10**5000)
)
_json = st.recursive(
    _leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner)
)
_fields = st.sampled_from(sorted({field for spec in BASE.values() for field in spec}))


@settings(max_examples=some(300), deadline=None)
@given(st.sampled_from(sorted(BY_KIND)), st.dictionaries(_fields, _json, max_size=5), _json, _json)
@example("Rack", {"nodeSelector": {1: 2, None: 3}, "feeds": [{5: 6}]}, {}, {7: 8})
@example("Rack", {"nodeSelector": {"a": "\ud800"}}, None, None)
def test_decode_never_raises(kind: str, fields: dict[str, Any], status: Any, metadata: Any) -> None:
    obj = {"kind": kind, "metadata": metadata, "spec": {**BASE[kind], **fields}, "status": status}
    result = decode_any(obj)
    assert isinstance(result, BY_KIND[kind]) or all(isinstance(problem, FieldProblem) for problem in result)


def test_an_endless_object() -> None:
    obj: dict[str, Any] = valid("Rack")
    obj["spec"]["location"] = obj
    assert _problems(obj)[0].what == "is nested too deeply"
