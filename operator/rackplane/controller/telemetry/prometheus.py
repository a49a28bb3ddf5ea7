"""Instant queries to a Prometheus over HTTP, and what its answers say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

__all__ = ["Prometheus", "PrometheusError", "Sample"]

_WORDS_KEPT = 200
"""Of what is answered in place of a result, so many characters are passed on."""


class PrometheusError(Exception):
    """No answer, or one that is no vector; in words."""


class Sample(msgspec.Struct, frozen=True):
    """One series of an instant vector: its labels, and its value; Prometheus writes numbers as strings."""

    metric: dict[str, str]
    value: tuple[float, str]

    def number(self) -> float:
        """The value; NaN where it is no number."""
        try:
            return float(self.value[1])
        except ValueError:
            return math.nan


class _Data(msgspec.Struct, rename="camel"):
    result_type: str = ""
    result: Any = None


class _Answer(msgspec.Struct, rename="camel"):
    status: str = ""
    error_type: str = ""
    error: str = ""
    data: _Data | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class Prometheus:
    """A Prometheus, or what speaks its HTTP API (`/api/v1/query`).

    Args:
        url: where it is, without `/api/v1`.
        token_file: holds a bearer token, read for each request; empty: none is sent.
        timeout: seconds that a query may take.
    """

    def __init__(self, url: str, *, token_file: str = "", timeout: float = 10.0) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._token_file = token_file
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    def _token(self) -> str:
        return Path(self._token_file).read_text(encoding="utf-8").strip() if self._token_file else ""

    async def query(self, session: aiohttp.ClientSession, text: str) -> list[Sample]:
        """The instant vector that a query evaluates to now.

        Raises:
            PrometheusError: there is none.
        """
        try:
            headers = {"Authorization": f"Bearer {token}"} if (token := self._token()) else {}
            # Posted, for a query may be longer than a URL may be. A redirect would carry the token to somebody else.
            async with session.post(
                self._url, data={"query": text}, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as response:
                body, status = await response.read(), response.status
        except TimeoutError:
            raise PrometheusError(f"no answer within {self._timeout.total:g} s") from None
        except (OSError, aiohttp.ClientError) as error:
            raise PrometheusError(str(error) or type(error).__name__) from error
        try:
            answer = _decode(body)
        except msgspec.DecodeError as error:
            words = body[:_WORDS_KEPT].decode(errors="replace").strip()
            raise PrometheusError(f"HTTP {status}: {words or 'an empty answer'}") from error
        if answer.status != "success" or answer.data is None:
            # Errors of the query come with HTTP 400 or 422 and a body that names them.
            raise PrometheusError(f"HTTP {status}: {answer.error_type}: {answer.error}"[:_WORDS_KEPT])
        if answer.data.result_type != "vector":
            raise PrometheusError(
                f"the query gives a {answer.data.result_type}, not a vector with one value a node"
            )
        try:
            return msgspec.convert(answer.data.result, list[Sample], strict=False)
        except msgspec.ValidationError as error:
            raise PrometheusError(f"unreadable vector: {error}") from error
