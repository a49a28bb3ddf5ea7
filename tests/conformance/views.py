"""What of a large answer is compared, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

View = Callable[[Any], Any]

VIEWS: dict[str, View] = {}


def view(function: View) -> View:
    """Make a function of an answer's object known by its name."""
    VIEWS[function.__name__] = function
    return function


@view
def nothing(answer: Any) -> Any:
    """Only the status code counts."""
    return None


@view
def kind_and_message(answer: Any) -> Any:
    """Of a Status, what people and clients read; of anything else, its kind."""
    keys = ("kind", "status", "reason", "message", "code")
    return {key: answer[key] for key in keys if key in answer}


@view
def spec_or_causes(answer: Any) -> Any:
    """Of a Status, its causes in order of their fields; of an object, its kind and spec, defaults included."""
    if answer.get("kind") != "Status":
        return {"kind": answer["kind"], "spec": answer.get("spec")}
    causes = answer.get("details", {}).get("causes")
    if causes is None:
        return {"message": answer["message"]}
    return {"causes": sorted(causes, key=lambda cause: (cause["field"], cause["message"]))}


@view
def names(answer: Any) -> Any:
    """Of a list, the names of its items."""
    return [item["metadata"]["name"] for item in answer["items"]]


@view
def reasons(answer: Any) -> Any:
    """Of a Status, its reason and the messages of its causes: what does not tell the object's name."""
    causes = answer.get("details", {}).get("causes", ())
    return {"reason": answer.get("reason"), "causes": [cause["message"] for cause in causes]}
