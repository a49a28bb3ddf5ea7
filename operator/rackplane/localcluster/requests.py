"""A request, what it was resolved to, and its answer; no sockets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from . import errors, patches, protobuf
from .objects import thawed
from .resources import Resource
from .users import Caller, identify
from .watch import Watch

JSON_TYPE = "application/json"
#: The longest name of a field manager.
_MANAGER_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    `body` is the decoded JSON (or YAML) body, `user` who the bearer token names or whom the administrator acts as (with
    `groups` then, see `users.identify`), `agent` the User-Agent, whose part before the slash is the field manager where
    the request names none.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = JSON_TYPE
    accept: str = JSON_TYPE
    user: str = "admin"
    groups: tuple[str, ...] = ()
    agent: str = ""

    @property
    def writes(self) -> bool:
        """Whether the request may change anything."""
        return self.method not in ("GET", "HEAD", "OPTIONS")


@dataclass(slots=True)
class Response:
    """One answer. A watch has no body: its `watch` is polled instead."""

    code: int
    payload: Any = None
    watch: Watch | None = None
    warnings: list[str] = field(default_factory=list)
    content_type: str = JSON_TYPE

    @property
    def body(self) -> Any:
        """A copy of the payload that the caller may change."""
        return thawed(self.payload)


@dataclass(slots=True)
class Call:
    """A request resolved to a resource."""

    request: Request
    resource: Resource
    namespace: str
    name: str
    subresource: str
    warnings: list[str] = field(default_factory=list)

    @property
    def dry_run(self) -> bool:
        return "All" in self.request.query.get("dryRun", "")

    @property
    def caller(self) -> Caller:
        """On whose behalf the service acts; its warnings are the call's."""
        return Caller(identify(self.request.user, self.request.groups), self.warnings, self.manager)

    @property
    def manager(self) -> str:
        """The field manager: the one the request names, or the client by its User-Agent."""
        named = self.request.query.get("fieldManager", "")
        if named:
            return named
        agent = self.request.agent.partition("/")[0]
        return "".join(letter for letter in agent if letter.isprintable())[:_MANAGER_LENGTH]


def decode_body(raw: bytes, content_type: str) -> Any:
    """Decode a request body.

    Raises:
        ApiError: 400, it does not parse; 415, it is neither JSON nor YAML.
    """
    if not raw:
        return None
    kind = content_type.partition(";")[0].strip()
    if kind == protobuf.TYPE:
        try:
            decoded = protobuf.decode(raw)
        except (ValueError, KeyError) as problem:
            raise errors.bad_request(f"the protobuf body is malformed: {problem}") from problem
        if decoded is not None:
            return decoded
    if "protobuf" in kind or "cbor" in kind:
        raise errors.unsupported_media_type(kind, [JSON_TYPE, "application/yaml"])
    try:
        if kind in ("application/yaml", patches.APPLY):
            return yaml.safe_load(raw)
        return json.loads(raw)
    except (ValueError, yaml.YAMLError) as problem:
        raise errors.bad_request(f"the object provided is unrecognized: {problem}") from problem
