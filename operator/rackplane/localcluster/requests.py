"""A request, what it was resolved to, and its answer; no sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import bodies
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
    """One answer. A watch has no body: its `watch` is polled instead. `headers` come beside the usual ones."""

    code: int
    payload: Any = None
    watch: Watch | None = None
    warnings: list[str] = field(default_factory=list)
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> Any:
        """A copy of the payload that the caller may change."""
        return thawed(self.payload)


@dataclass(slots=True)
class Call:
    """A request resolved to a resource. `oddities` are what a strict decoder has against the body itself."""

    request: Request
    resource: Resource
    namespace: str
    name: str
    subresource: str
    warnings: list[str] = field(default_factory=list)
    oddities: list[str] = field(default_factory=list)

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
    """The object a request's body says, None where there is none, `bodies.Unreadable` where it does not parse.

    Raises:
        ApiError: 400, malformed protobuf; 415, an encoding that is not spoken here.
    """
    return bodies.decode(raw, content_type)
