"""The chart's checks of annotations: never stricter than the operator, and as strict wherever a pattern can say it."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.api import labels
from rackplane.api.labels import parse_request
from rackplane.localcluster import LocalCluster
from rackplane.localcluster.errors import ApiError
from tests.chart.helm import Manifest, render
from tests.support.thorough import some

JOBS = "/apis/batch/v1/namespaces/default/jobs"
CHECKED = (
    labels.SEGMENT_SIZE,
    labels.MIN_SLOTS,
    labels.GANG_SIZE,
    labels.FLEX_TIER,
    labels.POWER_STRICT,
    labels.COMPLETIONS_EQUAL,
    labels.COMPUTE_DOMAIN,
    labels.DISRUPTION,
    labels.ON_NODE_LOSS,
    labels.EXPECTED_DURATION,
)


@functools.cache
def cluster(checks: str = "Deny") -> LocalCluster:
    it = LocalCluster()
    # Without the kinds of other projects, some of whose policies the embedded cluster does not know.
    for manifest in render({"admission": {"checks": checks}, "workloads": {"kinds": []}}):
        if "AdmissionPolicy" in manifest["kind"]:
            it.apply(manifest)
    return it


def job(annotations: dict[str, str], **pod: Any) -> Manifest:
    template = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}], **pod}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": "j-",
            "labels": {"rackplane.dev/queue": "research"},
            "annotations": annotations,
        },
        "spec": {"template": {"spec": template}},
    }


def refused(annotations: dict[str, str], **pod: Any) -> str:
    """Why the Job is not taken; nothing if it is."""
    try:
        cluster().request("POST", JOBS, job(annotations, **pod))
    except ApiError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("name", "good", "bad", "remedy"),
    [
        (
            "segment-size",
            ["16", " 4 ", "016"],
            ["0", "-1", "four", ""],
            "Write a whole number in quotes, 1 or more.",
        ),
        ("flex-tier", ["0", "3"], ["4", "-1", "high"], 'Write "0", "1", "2" or "3", in quotes.'),
        ("power-strict", ["true", "False"], ["yes", "1"], 'Write "true" or "false", in quotes.'),
        ("compute-domain", ["auto", " Auto"], ["yes", "true"], "Write auto, or remove it."),
        (
            "disruption",
            ["protected", "Sheddable"],
            ["never"],
            "Write Protected, Checkpointable or Sheddable.",
        ),
        ("on-node-loss", ["swap", "Wait"], ["move"], "Write Swap, Restart or Wait."),
        (
            "expected-duration",
            ["90m", "2h30m", "1.5h", "100µs"],
            ["90", "1d", "-5m", "soon"],
            "Write hours, minutes and seconds: 90m, 2h30m, 3600s.",
        ),
    ],
)
def test_a_value_that_cannot_be_read_is_refused_with_what_to_write(
    name: str, good: list[str], bad: list[str], remedy: str
) -> None:
    key = f"rackplane.dev/{name}"
    assert [refused({key: value}) for value in good] == [""] * len(good)
    for value in bad:
        assert refused({key: value}).endswith(f'metadata.annotations[{key}] is "{value}"; {remedy}'), value


@given(
    st.sampled_from(CHECKED),
    st.one_of(
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8),
        st.from_regex(r"\A ?-?[0-9]{0,4}(h|m|s|ms|d|\.|) ?\Z"),
        st.sampled_from(["true", "TRUE", "False", "protected", "Sheddable", "Swap", "wait", "1h30m", "2H"]),
    ),
)
@settings(max_examples=some(300))
def test_what_the_operator_takes_is_never_refused(key: str, value: str) -> None:
    if not parse_request({key: value})[1]:
        assert refused({key: value}) == ""


@pytest.mark.parametrize("key", CHECKED)
def test_every_annotation_with_a_closed_set_of_values_is_checked(key: str) -> None:
    assert f"metadata.annotations[{key}]" in refused({key: "?"})


def test_a_job_that_names_its_node_is_refused() -> None:
    assert "spec.template.spec.nodeName: Rackplane chooses the nodes" in refused({}, nodeName="n1")


def test_what_is_there_already_can_be_changed_in_other_ways() -> None:
    loose = cluster("Off")
    made = loose.request("POST", JOBS, job({labels.FLEX_TIER: "9"}))
    for manifest in render({"admission": {"checks": "Deny"}}):
        if manifest["metadata"]["name"] == "rackplane-check-jobs":
            loose.apply(manifest)
    path = f"{JOBS}/{made['metadata']['name']}"
    loose.request(
        "PATCH", path, {"metadata": {"labels": {"a": "b"}}}, content_type="application/merge-patch+json"
    )
    with pytest.raises(ApiError, match="flex-tier"):
        loose.request(
            "PATCH",
            path,
            {"metadata": {"annotations": {labels.FLEX_TIER: "8"}}},
            content_type="application/merge-patch+json",
        )


def test_warned_of_it_is_created() -> None:
    made = cluster("Warn").request("POST", JOBS, job({labels.FLEX_TIER: "9"}))
    assert made["spec"]["suspend"] is True
