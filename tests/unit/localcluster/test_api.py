"""Reading, writing, watching and refusing, without sockets."""

from __future__ import annotations

from typing import Any

import pytest

from rackplane.localcluster import ApiError, Request

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"


def config(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def refused(driver: Any, *args: Any, **query: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        driver.do(*args, **query)
    return caught.value


def test_a_stale_update_conflicts_and_a_fresh_one_does_not(driver: Any) -> None:
    first = driver.do("POST", MAPS, config("a", x="1"))
    driver.do("PUT", f"{MAPS}/a", {**first, "data": {"x": "2"}})
    problem = refused(driver, "PUT", f"{MAPS}/a", {**first, "data": {"x": "3"}})
    assert (problem.code, problem.reason) == (409, "Conflict")
    assert driver.do("GET", f"{MAPS}/a")["data"] == {"x": "2"}


def test_an_identical_update_is_no_write(driver: Any) -> None:
    first = driver.do("POST", MAPS, config("a", x="1"))
    assert driver.do("PUT", f"{MAPS}/a", first)["metadata"] == first["metadata"]


def test_a_wrong_uid_in_a_patch_is_refused(driver: Any) -> None:
    driver.do("POST", MAPS, config("a"))
    problem = refused(driver, "PATCH", f"{MAPS}/a", {"metadata": {"uid": "other"}}, MERGE)
    assert problem.code == 422
    assert 'metadata.uid: Invalid value: "other": field is immutable' in problem.message


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        pytest.param("/api/v1/namespaces/default/pods/none", 404, "NotFound", id="no-object"),
        pytest.param("/apis/batch/v1/things", 404, "NotFound", id="no-resource"),
        pytest.param("/apis/apps/v1/deployments", 501, "NotImplemented", id="known-elsewhere"),
        pytest.param(
            "/api/v1/namespaces/default/pods/p/log", 501, "NotImplemented", id="subresource-elsewhere"
        ),
    ],
)
def test_what_is_not_there_says_so(driver: Any, path: str, code: int, reason: str) -> None:
    problem = refused(driver, "GET", path)
    assert (problem.code, problem.reason) == (code, reason)


def test_a_list_is_served_in_consistent_pages(driver: Any) -> None:
    for name in "abcde":
        driver.do("POST", MAPS, config(name))
    page = driver.do("GET", MAPS, limit="2")
    driver.do("DELETE", f"{MAPS}/d")
    names = [item["metadata"]["name"] for item in page["items"]]
    assert page["metadata"]["remainingItemCount"] == 3
    while token := page["metadata"].get("continue"):
        page = driver.do("GET", MAPS, **{"limit": "2", "continue": token})
        names += [item["metadata"]["name"] for item in page["items"]]
    assert names == list("abcde")


def test_an_old_continue_token_expires(driver: Any) -> None:
    for name in "abc":
        driver.do("POST", MAPS, config(name))
    token = driver.do("GET", MAPS, limit="1")["metadata"]["continue"]
    driver.cluster.store.compact()
    driver.do("POST", MAPS, config("d"))
    driver.cluster.store.compact()
    problem = refused(driver, "GET", MAPS, **{"limit": "1", "continue": token})
    assert (problem.code, problem.reason) == (410, "Expired")


def test_a_watch_sees_objects_enter_and_leave_its_selector(driver: Any) -> None:
    query = {
        "watch": "true",
        "labelSelector": "team=a",
        "resourceVersion": str(driver.cluster.store.revision),
    }
    watch = driver.cluster.handle(Request("GET", MAPS, query=query)).watch
    driver.do("POST", MAPS, config("m"))
    for value in ("a", "b"):
        driver.do("PATCH", f"{MAPS}/m", {"metadata": {"labels": {"team": value}}}, MERGE)
    assert [event["type"] for event in watch.poll()] == ["ADDED", "DELETED"]
    driver.do("PATCH", f"{MAPS}/m", {"metadata": {"labels": {"team": "a"}}}, MERGE)
    driver.do("DELETE", f"{MAPS}/m")
    assert [event["type"] for event in watch.poll()] == ["ADDED", "DELETED"]


def test_a_watch_from_before_compaction_gets_410(driver: Any) -> None:
    old = str(driver.cluster.store.revision)
    driver.do("POST", MAPS, config("m"))
    driver.cluster.store.compact()
    watch = driver.cluster.handle(Request("GET", MAPS, query={"watch": "1", "resourceVersion": old})).watch
    event = watch.poll()[0]
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
    assert watch.closed


def test_initial_events_end_with_a_bookmark(driver: Any) -> None:
    driver.do("POST", MAPS, config("m"))
    query = {"watch": "1", "sendInitialEvents": "true", "allowWatchBookmarks": "true"}
    query["resourceVersionMatch"] = "NotOlderThan"
    events = driver.cluster.handle(Request("GET", MAPS, query=query)).watch.poll()
    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("a=1", ["x"]),
        ("a!=1", ["y", "z"]),
        ("a in (1,2)", ["x", "y"]),
        ("a notin (1)", ["y", "z"]),
        ("a", ["x", "y"]),
        ("!a", ["z"]),
        ("a,b=2", ["y"]),
    ],
)
def test_label_selectors(driver: Any, selector: str, names: list[str]) -> None:
    for name, labels in (("x", {"a": "1"}), ("y", {"a": "2", "b": "2"}), ("z", {})):
        body = config(name)
        body["metadata"]["labels"] = labels
        driver.do("POST", MAPS, body)
    assert [i["metadata"]["name"] for i in driver.do("GET", MAPS, labelSelector=selector)["items"]] == names


def test_an_unknown_field_selector_is_refused(driver: Any) -> None:
    assert (
        refused(driver, "GET", PODS, fieldSelector="spec.foo=1").message
        == "field label not supported: spec.foo"
    )


def test_finalizers_hold_an_object_until_they_are_gone(driver: Any) -> None:
    body = config("m")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    driver.do("POST", MAPS, body)
    assert driver.do("DELETE", f"{MAPS}/m")["metadata"]["deletionTimestamp"]
    driver.do("PATCH", f"{MAPS}/m", {"metadata": {"finalizers": None}}, MERGE)
    assert refused(driver, "GET", f"{MAPS}/m").code == 404


def test_deleting_a_namespace_empties_it(driver: Any) -> None:
    driver.do(
        "POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "t"}}
    )
    driver.do("POST", "/api/v1/namespaces/t/configmaps", config("m"))
    driver.do("DELETE", "/api/v1/namespaces/t")
    assert refused(driver, "GET", "/api/v1/namespaces/t").code == 404
    assert refused(driver, "POST", "/api/v1/namespaces/t/configmaps", config("m")).code == 404


def test_server_side_apply_owns_conflicts_and_removes(driver: Any) -> None:
    kind = "application/apply-patch+yaml"
    driver.do("PATCH", f"{MAPS}/m", config("m", a="1", b="1"), kind, fieldManager="one")
    problem = refused(driver, "PATCH", f"{MAPS}/m", config("m", a="2"), kind, fieldManager="two")
    assert (problem.code, problem.reason) == (409, "Conflict")
    assert (
        driver.do("PATCH", f"{MAPS}/m", config("m", a="2"), kind, fieldManager="two", force="true")["data"][
            "a"
        ]
        == "2"
    )
    assert driver.do("PATCH", f"{MAPS}/m", config("m"), kind, fieldManager="one")["data"] == {"a": "2"}


def test_an_event_has_two_faces(driver: Any) -> None:
    about = {"kind": "Pod", "name": "p", "namespace": "default"}
    body = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "e"},
        "regarding": about,
        "note": "hello",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reason": "R",
        "action": "A",
        "type": "Normal",
        "reportingController": "example.com/c",
        "reportingInstance": "i",
    }
    driver.do("POST", "/apis/events.k8s.io/v1/namespaces/default/events", body)
    core = driver.do("GET", "/api/v1/namespaces/default/events/e")
    assert (core["message"], core["involvedObject"]["name"], core["apiVersion"]) == ("hello", "p", "v1")
