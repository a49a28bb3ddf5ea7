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
