"""Who may read decisions: whoever the API server knows by their token, and allows to get the path.

As the components of Kubernetes do it for their own: a TokenReview says whose a bearer token is, a SubjectAccessReview
whether they may, by any ClusterRole that names the path in `nonResourceURLs`. Nothing is known here of users or roles.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec

from rackplane.kube.client import ApiError, Client

__all__ = ["Access", "Answer", "Verdict"]

_TOKENS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCESS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
#: An answer is taken to hold for so long, in seconds, as kube-apiserver's own webhooks have it.
_HOLDS_SECONDS: Final = 10.0
#: Answers that are remembered.
_REMEMBERED: Final = 256
#: Questions to the API server at a time: who guesses tokens must not keep it from its work.
_AT_ONCE: Final = 4
_LONGEST_TOKEN: Final = 16_384


class Answer(Enum):
    """What is done with a request."""

    ALLOWED = 200
    UNKNOWN = 401
    FORBIDDEN = 403
    UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Verdict:
    """Args: ``user``: "" if nobody is known; ``why``: for people, of a request that is not allowed."""

    answer: Answer
    user: str = ""
    why: str = ""


class _User(msgspec.Struct, frozen=True):
    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, list[str]] = {}


class _TokenStatus(msgspec.Struct, frozen=True):
    authenticated: bool = False
    user: _User = _User()
    error: str = ""


class _AccessStatus(msgspec.Struct, frozen=True):
    allowed: bool = False
    reason: str = ""


class _TokenReview(msgspec.Struct, frozen=True):
    status: _TokenStatus = _TokenStatus()


class _AccessReview(msgspec.Struct, frozen=True):
    status: _AccessStatus = _AccessStatus()


class Access:
    """Asks the API server, at most once in a while for one token.

    Args:
        client: who asks must be allowed to create both reviews.
        monotonic: seconds.
    """

    def __init__(self, client: Client, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._monotonic = monotonic
        self._known: OrderedDict[tuple[str, str], tuple[Verdict, float]] = OrderedDict()
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def check(self, header: str, path: str) -> Verdict:
        """Whether whoever sends this Authorization header may get the path."""
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > _LONGEST_TOKEN:
            return Verdict(Answer.UNKNOWN, why="send a token of the cluster: Authorization: Bearer TOKEN")
        key = hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest(), path
        found = self._known.get(key)
        if found is not None and self._monotonic() < found[1]:
            return found[0]
        async with self._places:
            try:
                verdict = await self._ask(token, path)
            except (ApiError, msgspec.DecodeError) as error:
                why = f"the API server did not say whether you may: {error}"
                return Verdict(Answer.UNAVAILABLE, why=why)
        self._known[key] = verdict, self._monotonic() + _HOLDS_SECONDS
        self._known.move_to_end(key)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return verdict

    async def _ask(self, token: str, path: str) -> Verdict:
        body: dict[str, Any] = {"spec": {"token": token}}
        kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        data = await self._client.request("POST", _TOKENS, body={**kind, **body})
        said = msgspec.json.decode(data, type=_TokenReview).status
        user = said.user
        if not said.authenticated or not user.username:
            return Verdict(Answer.UNKNOWN, why="the API server does not know this token")
        asked = {
            "user": user.username,
            "uid": user.uid,
            "groups": user.groups,
            "extra": user.extra,
            "nonResourceAttributes": {"path": path, "verb": "get"},
        }
        kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
        data = await self._client.request("POST", _ACCESS, body={**kind, "spec": asked})
        if msgspec.json.decode(data, type=_AccessReview).status.allowed:
            return Verdict(Answer.ALLOWED, user.username)
        why = f"user {user.username} may not get {path}: bind them to the ClusterRole rackplane-debug"
        return Verdict(Answer.FORBIDDEN, user.username, why)
