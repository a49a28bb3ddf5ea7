"""HTML and SVG from Python: what is put between tags and in attributes is escaped, so that names of users stay text."""

from __future__ import annotations

from html import escape
from typing import Any

__all__ = ["Markup", "join", "tag"]

_ALONE = frozenset({"meta", "link", "br"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: Any) -> Markup:
    """An element.

    Args:
        children: `Markup` as it is, None left out, anything else as text.
        attributes: ``class_``, ``data_series``, ...: underscores are hyphens but for one at the end; None and False are
            left out, and True is an attribute without a value.
    """
    said = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _ALONE:
        return Markup(f"<{name}{said}>")
    return Markup(f"<{name}{said}>{join(*children)}</{name}>")


def join(*children: object) -> Markup:
    """Children one after the other, without an element around them."""
    return Markup("".join(c if isinstance(c, Markup) else escape(str(c)) for c in children if c is not None))


def _attribute(key: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    # SVG's own names have capitals, and are written as they are.
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{escape(_short(value) if isinstance(value, float) else str(value))}"'


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
