"""The parameters of lists and watches: what they say, which of them do not fit together, and page tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

from . import errors, jsonsyntax
from .errors import Cause, bad_request, forbidden_value

Key = tuple[str, str]

_NOT_OLDER, _EXACT = "NotOlderThan", "Exact"
_TOKEN_VERSION = "meta.k8s.io/v1"
_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
#: The revision in the token of a list that goes on with the present state, as the old one is gone.
PRESENT = -1


@dataclass(frozen=True, slots=True)
class ListOptions:
    """`limit` 0 is no limit; `timeout` is in seconds, None where the client gave none."""

    watch: bool
    limit: int
    token: str
    version: str
    match: str
    bookmarks: bool
    initial: bool | None
    timeout: float | None
    labels: str
    fields: str

    @property
    def exact(self) -> bool:
        """Whether a list must show the very version it names."""
        return self.match == _EXACT


def read(query: Mapping[str, str]) -> ListOptions:
    """Understand the parameters of a list or watch.

    Raises:
        ApiError: 400, one does not parse; 422, some do not fit together.
    """
    options = ListOptions(
        _truth(query, "watch"),
        max(0, _number(query, "limit")),
        query.get("continue", ""),
        query.get("resourceVersion", ""),
        query.get("resourceVersionMatch", ""),
        _truth(query, "allowWatchBookmarks"),
        _truth(query, "sendInitialEvents") if "sendInitialEvents" in query else None,
        float(_number(query, "timeoutSeconds")) if query.get("timeoutSeconds") else None,
        query.get("labelSelector", ""),
        query.get("fieldSelector", ""),
    )
    causes = _watch_causes(options) if options.watch else _list_causes(options)
    if causes:
        raise errors.invalid("meta.k8s.io", "ListOptions", "", causes)
    return options


def _truth(query: Mapping[str, str], name: str) -> bool:
    # A parameter that is there is true, unless it says otherwise.
    return name in query and query[name].lower() not in ("0", "false")


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name) or "0"
    try:
        return int(text)
    except ValueError as problem:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from problem


def _list_causes(options: ListOptions) -> list[Cause]:
    found: list[Cause] = []
    path = "resourceVersionMatch"
    if options.match:
        if not options.version:
            text = "resourceVersionMatch is forbidden unless resourceVersion is provided"
            found.append(forbidden_value(path, text))
        if options.token:
            found.append(forbidden_value(path, "resourceVersionMatch is forbidden when continue is provided"))
        if options.match not in (_EXACT, _NOT_OLDER):
            found.append(errors.unsupported_value(path, options.match, [_EXACT, _NOT_OLDER, ""]))
        if options.exact and options.version == "0":
            text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            found.append(forbidden_value(path, text))
    if options.initial is not None:
        found.append(forbidden_value("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return found


def _watch_causes(options: ListOptions) -> list[Cause]:
    found: list[Cause] = []
    path = "resourceVersionMatch"
    if options.token and options.initial is None and not options.match and options.version in ("", "0"):
        # Such a watch counts as one that asks for what there is, from then on.
        return [forbidden_value(path, "resourceVersionMatch is forbidden when continue is provided")]
    if options.initial is not None and options.match != _NOT_OLDER:
        text = f"sendInitialEvents requires setting resourceVersionMatch to {_NOT_OLDER}"
        found.append(forbidden_value(path, text))
    if options.match:
        if options.initial is None:
            text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            found.append(forbidden_value(path, text))
        if options.match != _NOT_OLDER:
            found.append(errors.unsupported_value(path, options.match, [_NOT_OLDER]))
        if options.token:
            found.append(forbidden_value(path, "resourceVersionMatch is forbidden when continue is provided"))
    return found


def revision(text: str, code: int = 400) -> int:
    """The number of a resourceVersion; 0 for none.

    Raises:
        ApiError: 400 or, where the server takes no malformed one into account, 500.
    """
    if not text:
        return 0
    if not text.isdecimal():
        problem = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        cause = errors.invalid_value("resourceVersion", text, problem)
        if code == 500:
            raise errors.ApiError(500, "", str(cause))
        raise bad_request(f"invalid resource version: {cause}")
    return int(text)


def write_token(number: int, after: Key) -> str:
    """The token of the page that follows an object."""
    start = "/".join(part for part in after if part) + "\0"
    body = json.dumps({"v": _TOKEN_VERSION, "rv": number, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def read_token(token: str, namespace: str, *, namespaced: bool) -> tuple[int, Key]:
    """The revision a page belongs to, and the object it follows.

    Raises:
        ApiError: 400.
    """
    bad = next((place for place, char in enumerate(token) if char not in _ALPHABET), None)
    if bad is None and len(token) % 4 == 1:
        bad = len(token) - 1
    if bad is not None:
        raise _invalid(f": illegal base64 data at input byte {bad}")
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    text = raw.decode("latin-1")
    if problem := jsonsyntax.problem(text):
        raise _invalid(f": {problem}")
    body = json.loads(raw)
    if not isinstance(body, dict) or body.get("v") != _TOKEN_VERSION:
        known = body.get("v", "") if isinstance(body, dict) else ""
        raise _invalid(f": server does not recognize this encoded version {known}")
    number, start = body.get("rv") or 0, body.get("start") or ""
    if not number:
        raise _invalid(f": incorrect encoded start resourceVersion (version {_TOKEN_VERSION})")
    if not start:
        raise _invalid(f": encoded start key empty (version {_TOKEN_VERSION})")
    key = start.rstrip("\0")
    where, _, name = key.rpartition("/") if namespaced else ("", "", key)
    if ".." in key.split("/") or key.count("/") > (1 if namespaced else 0):
        raise _invalid(f": {start}")
    return int(number), (where or namespace, name)


def _invalid(why: str) -> errors.ApiError:
    return bad_request(f"invalid continue token: continue key is not valid{why}")
