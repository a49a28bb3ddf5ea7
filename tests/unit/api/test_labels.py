"""What a user writes in annotations, and what is said about what does not parse."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rackplane.api import labels
from rackplane.api.gang import Disruption
from rackplane.api.labels import FieldProblem, UserRequest, parse_duration, parse_request
from tests.support.thorough import some

OURS = "rackplane.dev"
KUEUE = "kueue.x-k8s.io"


def _parse(annotations: object, **options: Any) -> UserRequest:
    request, problems = parse_request(annotations, **options)
    assert problems == []
    return request


def _problem(annotations: object, **options: Any) -> FieldProblem:
    _, problems = parse_request(annotations, **options)
    (problem,) = problems
    assert problem.what
    assert problem.remedy.endswith((".", "?"))
    return problem


@pytest.mark.parametrize("nothing", [None, {}, {"example.com/other": "value"}])
def test_nothing_asked_for(nothing: object) -> None:
    assert _parse(nothing) == UserRequest(
        required_topology=None,
        preferred_topology=None,
        segment_slots=None,
        power_profile="MaxP",
        power_strict=False,
        expected_duration_seconds=None,
        disruption=Disruption.CHECKPOINTABLE,
        flex_tier=0,
        min_slots=None,
        gang_size=None,
    )


def test_everything_asked_for() -> None:
    request = _parse(
        {
            f"{OURS}/required-topology": "spine",
            f"{OURS}/preferred-topology": "nvlink",
            f"{OURS}/segment-size": "16",
            f"{OURS}/power-profile": "MaxQ",
            f"{OURS}/power-strict": "true",
            f"{OURS}/expected-duration": "2h30m",
            f"{OURS}/disruption": "Protected",
            f"{OURS}/flex-tier": "3",
            f"{OURS}/min-slots": "8",
            f"{OURS}/gang-size": "32",
        }
    )
    assert request == UserRequest(
        required_topology="spine",
        preferred_topology="nvlink",
        segment_slots=16,
        power_profile="MaxQ",
        power_strict=True,
        expected_duration_seconds=9000,
        disruption=Disruption.PROTECTED,
        flex_tier=3,
        min_slots=8,
        gang_size=32,
    )


def test_what_we_write_ourselves_is_no_problem() -> None:
    _parse(
        {labels.SUSPENDED_BY: labels.SUSPENDED_BY_VALUE, labels.SLOT_ANNOTATION: "3", labels.QUEUE_LABEL: "q"}
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90m", 5400),
        ("2h30m", 9000),
        ("3600s", 3600),
        ("1.5h", 5400),
        (".5h", 1800),
        ("1.h", 3600),
        ("1h0m0s", 3600),
        ("30m1h", 5400),
        ("1500ms", 2),
        ("1ns", 1),
        ("2us", 1),
        ("2µs", 1),
        ("2μs", 1),
        (" 45s ", 45),
        ("87600h", 315_360_000),
    ],
)
def test_durations(text: str, seconds: int) -> None:
    assert _parse({labels.EXPECTED_DURATION: text}).expected_duration_seconds == seconds
    assert parse_duration(text.strip()) == seconds


@pytest.mark.parametrize(
    ("text", "what", "remedy"),
    [
        ("", "not a duration", "90m"),
        ("soon", "not a duration", "90m"),
        ("90", "without a unit", "90s"),
        ("2d", "no unit for days", "48h"),
        ("-5m", "negative", "90m"),
        ("0s", "no time at all", "90m"),
        ("1h30", "not a duration", "90m"),
        ("1 h", "not a duration", "90m"),
        ("1H", "not a duration", "90m"),
        ("1e3s", "not a duration", "90m"),
        ("inf", "not a duration", "90m"),
        ("٣m", "not a duration", "90m"),
        ("87601h", "ten years", "90m"),
        ("9" * 250 + "h", "ten years", "90m"),
        ("9" * 5000 + "h", "not a duration", "90m"),
    ],
)
def test_durations_that_do_not_parse(text: str, what: str, remedy: str) -> None:
    problem = _problem({labels.EXPECTED_DURATION: text})
    assert problem.where == "metadata.annotations[rackplane.dev/expected-duration]"
    assert what in problem.what
    assert remedy in problem.remedy
    assert len(str(problem)) < 300
    with pytest.raises(ValueError, match=what):
        parse_duration(text)


@pytest.mark.parametrize(
    ("key", "text", "what"),
    [
        (labels.SEGMENT_SIZE, "0", "not between 1 and 65536"),
        (labels.SEGMENT_SIZE, "-1", "not between 1 and 65536"),
        (labels.SEGMENT_SIZE, "65537", "not between 1 and 65536"),
        (labels.SEGMENT_SIZE, "sixteen", "not a whole number"),
        (labels.SEGMENT_SIZE, "16.0", "not a whole number"),
        (labels.SEGMENT_SIZE, "+16", "not a whole number"),
        (labels.SEGMENT_SIZE, "1_6", "not a whole number"),
        (labels.SEGMENT_SIZE, "١٦", "not a whole number"),
        (labels.SEGMENT_SIZE, "", "not a whole number"),
        (labels.SEGMENT_SIZE, "9" * 5000, "not a whole number"),
        (labels.GANG_SIZE, "0", "not between 1 and 65536"),
        (labels.FLEX_TIER, "4", "not between 0 and 3"),
        (labels.FLEX_TIER, "-1", "not between 0 and 3"),
        (labels.FLEX_TIER, "high", "not a whole number"),
        (labels.POWER_STRICT, "yes", "neither true nor false"),
        (labels.POWER_STRICT, "1", "neither true nor false"),
        (labels.POWER_STRICT, "", "neither true nor false"),
        (labels.DISRUPTION, "never", "none of the three"),
        (labels.POWER_PROFILE, "Max P", "not the name of a power profile"),
        (labels.POWER_PROFILE, "", "not the name of a power profile"),
        (labels.POWER_PROFILE, "x" * 64, "not the name of a power profile"),
        (labels.REQUIRED_TOPOLOGY, "", "not the name of a level"),
        (labels.REQUIRED_TOPOLOGY, "Leaf", "not the name of a level"),
        (labels.PREFERRED_TOPOLOGY, "the leaf", "not the name of a level"),
        (labels.PREFERRED_TOPOLOGY, "kubernetes.io/hostname", "a node label"),
        (labels.KUEUE_REQUIRED_TOPOLOGY, "example.com/room", "a node label"),
        (labels.KUEUE_SLICE_SIZE, "many", "not a whole number"),
        (labels.KUEUE_SLICE_REQUIRED_TOPOLOGY, "fabric.topograph.run/tier-0", "inside one NVLink domain"),
    ],
)
def test_values_that_do_not_parse(key: str, text: str, what: str) -> None:
    problem = _problem({key: text})
    assert problem.where == f"metadata.annotations[{key}]"
    assert what in problem.what
    request, _ = parse_request({key: text})
    assert request == UserRequest(), "what does not parse keeps its default"


@pytest.mark.parametrize(
    ("key", "text", "field", "value"),
    [
        (labels.POWER_PROFILE, "maxq", "power_profile", "MaxQ"),
        (labels.POWER_PROFILE, "maxlps", "power_profile", "MaxLPS"),
        (labels.POWER_PROFILE, "night-Shift", "power_profile", "night-Shift"),
        (labels.POWER_STRICT, "False", "power_strict", False),
        (labels.POWER_STRICT, "TRUE", "power_strict", True),
        (labels.DISRUPTION, "sheddable", "disruption", Disruption.SHEDDABLE),
        (labels.SEGMENT_SIZE, " 016 ", "segment_slots", 16),
        (labels.REQUIRED_TOPOLOGY, "nvidia.com/gpu.clique", "required_topology", "nvlink"),
    ],
)
def test_spellings_that_are_clear_enough(key: str, text: str, field: str, value: object) -> None:
    assert getattr(_parse({key: text}), field) == value


@pytest.mark.parametrize(("label", "level"), labels.LEVEL_BY_NODE_LABEL.items())
def test_kueue_names_levels_by_node_label(label: str, level: str) -> None:
    request = _parse({labels.KUEUE_REQUIRED_TOPOLOGY: label, labels.KUEUE_PREFERRED_TOPOLOGY: label})
    assert (request.required_topology, request.preferred_topology) == (level, level)


def test_kueues_slices_are_segments() -> None:
    request = _parse(
        {
            f"{KUEUE}/podset-required-topology": "network.topology.nvidia.com/spine",
            f"{KUEUE}/podset-slice-size": "9",
            f"{KUEUE}/podset-slice-required-topology": "nvidia.com/gpu.clique",
        }
    )
    assert (request.required_topology, request.segment_slots) == ("spine", 9)


def test_own_node_labels_can_be_configured() -> None:
    mine = {"example.com/pod": "leaf"}
    request = _parse({labels.KUEUE_REQUIRED_TOPOLOGY: "example.com/pod"}, level_by_node_label=mine)
    assert request.required_topology == "leaf"
    problem = _problem({labels.KUEUE_REQUIRED_TOPOLOGY: "nvidia.com/gpu.clique"}, level_by_node_label=mine)
    assert "stands for no configured level" in problem.what


def test_saying_the_same_twice_is_fine_saying_two_things_is_not() -> None:
    same = {labels.REQUIRED_TOPOLOGY: "nvlink", labels.KUEUE_REQUIRED_TOPOLOGY: "nvidia.com/gpu.clique"}
    assert _parse(same).required_topology == "nvlink"
    problem = _problem({**same, labels.REQUIRED_TOPOLOGY: "leaf"})
    assert problem.where == f"metadata.annotations[{labels.KUEUE_REQUIRED_TOPOLOGY}]"
    assert problem.what == 'says "nvlink" but rackplane.dev/required-topology says "leaf"'


def test_levels_are_checked_against_the_configured_ones() -> None:
    levels = ("leaf", "spine")
    for level in ("nvlink", *levels):
        assert _parse({labels.REQUIRED_TOPOLOGY: level}, levels=levels).required_topology == level
    problem = _problem({labels.REQUIRED_TOPOLOGY: "core"}, levels=levels)
    assert problem.what == 'is "core", a level that is not configured'
    assert problem.remedy == "Write one of nvlink, leaf, spine."
    assert _parse({labels.REQUIRED_TOPOLOGY: "core"}).required_topology == "core"


@pytest.mark.parametrize("key", [labels.SEGMENT_SIZE, labels.MIN_SLOTS])
def test_a_part_larger_than_the_gang(key: str) -> None:
    problem = _problem({key: "17", labels.GANG_SIZE: "16"})
    assert (problem.where, problem.what) == (
        f"metadata.annotations[{key}]",
        "is 17, more than the gang of 16",
    )


def test_kueues_least_parallelism_is_the_fewest_slots() -> None:
    assert _parse({f"{KUEUE}/job-min-parallelism": "5"}).min_slots == 5


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("required-toplogy", "required-topology"),
        ("Required-Topology", "required-topology"),
        ("prefered-topology", "preferred-topology"),
        ("power-profil", "power-profile"),
        ("flextier", "flex-tier"),
        ("distruption", "disruption"),
        ("expected_duration", "expected-duration"),
    ],
)
def test_a_slip_in_a_key_is_noticed(key: str, meant: str) -> None:
    problem = _problem({f"{OURS}/{key}": "nvlink"})
    assert problem.remedy == f"Did you mean {OURS}/{meant}?"


@pytest.mark.parametrize(
    "key", ["note", "owner", "cost-centre", "kubectl.kubernetes.io/last-applied-configuration"]
)
def test_foreign_keys_are_left_alone(key: str) -> None:
    assert _parse({f"{OURS}/{key}" if "/" not in key else key: "x"}) == UserRequest()


@pytest.mark.parametrize(
    ("value", "shown"), [(16, "16"), (True, "true"), ([1], "a list of 1"), ({}, "an empty object")]
)
def test_values_that_are_not_text(value: object, shown: str) -> None:
    assert _problem({labels.SEGMENT_SIZE: value}).what == f"is {shown}, not text"


@pytest.mark.parametrize("annotations", [[], "text", 5])
def test_annotations_that_are_no_map(annotations: object) -> None:
    assert _problem(annotations).where == "metadata.annotations"


def test_every_problem_is_reported() -> None:
    _, problems = parse_request({labels.SEGMENT_SIZE: "x", labels.FLEX_TIER: "9", labels.DISRUPTION: "no"})
    assert len(problems) == 3


_keys = st.sampled_from(
    (*labels.USER_ANNOTATIONS, labels.KUEUE_REQUIRED_TOPOLOGY, labels.KUEUE_SLICE_SIZE, "rackplane.dev/x")
) | st.text(max_size=40)
_junk = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.just("9" * 5000)


@settings(max_examples=some(300), deadline=None)
@given(st.dictionaries(_keys, _junk, max_size=8) | _junk | st.lists(_junk, max_size=2))
@example({labels.SEGMENT_SIZE: 10**5000})
@example({5: "x", None: "y"})
def test_never_raises(annotations: object) -> None:
    request, problems = parse_request(annotations)
    assert isinstance(request, UserRequest)
    for problem in problems:
        assert str(problem).isprintable() or "metadata.annotations[" in problem.where
        assert len(problem.what) < 200


def test_names_are_as_documented() -> None:
    assert labels.GROUP == "rackplane.dev"
    assert labels.QUEUE_LABEL == "rackplane.dev/queue"
    assert labels.GANG_LABEL == "rackplane.dev/gang"
    assert labels.PLACEMENT_GATE == "rackplane.dev/placement"
    assert labels.MANAGED_TAINT == "rackplane.dev/managed"
    assert labels.SLOT_ANNOTATION == "rackplane.dev/slot"
    assert (labels.SUSPENDED_BY, labels.SUSPENDED_BY_VALUE) == ("rackplane.dev/suspended-by", "rackplane")
