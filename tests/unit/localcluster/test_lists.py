"""Lists and watches once history is forgotten, which a recording cannot hold; and objects too large to record."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from rackplane.localcluster import ApiError, LocalCluster, Request

MAPS = "/api/v1/namespaces/default/configmaps"


def make(driver: Any, *names: str) -> None:
    for name in names:
        driver.do("POST", MAPS, {"metadata": {"name": name}})


def names(answer: Any) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]


def test_an_expired_page_comes_with_a_token_that_goes_on_with_the_present(driver: Any) -> None:
    make(driver, "a", "b", "d")
    page = driver.do("GET", MAPS, limit="1")
    driver.do("DELETE", f"{MAPS}/b")
    make(driver, "c")
    driver.cluster.store.compact()
    query = {"limit": "5", "continue": page["metadata"]["continue"]}
    answer = driver.cluster.handle(Request("GET", MAPS, query=query))
    status = answer.body
    assert (answer.code, status["reason"]) == (410, "Expired")
    assert status["message"].startswith("The provided continue parameter is too old")
    rest = driver.do("GET", MAPS, **{"continue": status["metadata"]["continue"]})
    assert names(rest) == ["c", "d"]
    assert rest["metadata"] == {"resourceVersion": str(driver.cluster.store.revision)}


def test_a_list_at_a_forgotten_version_is_refused(driver: Any) -> None:
    make(driver, "a", "b")
    version = driver.do("GET", f"{MAPS}/a")["metadata"]["resourceVersion"]
    driver.cluster.store.compact()
    with pytest.raises(ApiError) as caught:
        driver.do("GET", MAPS, resourceVersion=version, resourceVersionMatch="Exact")
    assert (caught.value.code, caught.value.reason) == (410, "Expired")
    assert caught.value.message == "The resourceVersion for the provided list is too old."
    assert names(driver.do("GET", MAPS, resourceVersion=version)) == ["a", "b"]


def test_history_beyond_its_limit_is_forgotten() -> None:
    cluster = LocalCluster(clock=lambda: 1_700_000_000.0, history_limit=3)
    versions = [
        cluster.request("POST", MAPS, {"metadata": {"name": f"m{number}"}})["metadata"]["resourceVersion"]
        for number in range(5)
    ]

    def told(version: str) -> list[str]:
        query = {"watch": "1", "resourceVersion": version}
        events = cluster.handle(Request("GET", MAPS, query=query)).watch.poll()  # type: ignore[union-attr]
        return [event["object"].get("reason") or event["object"]["metadata"]["name"] for event in events]

    assert told(versions[1]) == ["m2", "m3", "m4"]
    assert told(versions[0]) == ["Expired"]


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (
            {"v": "meta.k8s.io/v1", "start": "x"},
            "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        ),
        ({"v": "meta.k8s.io/v1", "rv": 5}, "encoded start key empty (version meta.k8s.io/v1)"),
        ({"v": "v2", "rv": 5}, "server does not recognize this encoded version v2"),
        ({"v": "meta.k8s.io/v1", "rv": 5, "start": "../x"}, "../x"),
    ],
)
def test_a_page_token_somebody_made_up_is_refused(driver: Any, token: dict[str, Any], why: str) -> None:
    text = base64.urlsafe_b64encode(json.dumps(token).encode()).decode().rstrip("=")
    with pytest.raises(ApiError) as caught:
        driver.do("GET", MAPS, **{"continue": text})
    assert str(caught.value) == f"invalid continue token: continue key is not valid: {why}"


def test_annotations_have_a_size_limit(driver: Any) -> None:
    large = {"metadata": {"name": "a", "annotations": {"k": "x" * (256 * 1024)}}}
    with pytest.raises(ApiError) as caught:
        driver.do("POST", MAPS, large)
    assert str(caught.value) == (
        'ConfigMap "a" is invalid: metadata.annotations: Too long: may not be more than 262144 bytes'
    )


def test_data_has_a_size_limit(driver: Any) -> None:
    with pytest.raises(ApiError) as caught:
        driver.do("POST", MAPS, {"metadata": {"name": "a"}, "data": {"k": "x" * (1024 * 1024 + 1)}})
    assert caught.value.details["causes"] == [
        {
            "reason": "FieldValueTooLong",
            "message": "Too long: may not be more than 1048576 bytes",
            "field": "",
        }
    ]
