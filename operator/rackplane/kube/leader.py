"""Leader election on a Lease, with a term that fences what an old leader wrote.

Clocks of other machines are never trusted: a Lease has expired when its record has not changed for its duration by our
own monotonic clock. A leader counts from before the request that renewed it, everybody else from after the answer
that showed the renewal, so a leader always gives up first.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from .client import ApiError, Client
from .resources import LEASES

__all__ = ["Elector", "lease_problem"]

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0
"""A request on the Lease is given no longer: a hanging one must not use up the time to try again."""

UNKNOWN_LIMIT = 2
"""Acquisitions in a row whose outcome stays unknown, after which a candidate stands aside.

It may hold the Lease without knowing. Trying on would renew it for ever, and neither this process nor another would
lead.
"""


def lease_problem(lease_seconds: float, renew_seconds: float, retry_seconds: float) -> str:
    """What is wrong with these times of a Lease; empty: nothing."""
    if not math.isfinite(lease_seconds):
        return f"lease_seconds: {lease_seconds} is no number of seconds, and without an end nobody could take over"
    if not 0 < renew_seconds * 2 < lease_seconds:
        return (
            f"lease_renew_seconds: {renew_seconds} must be more than 0 s and less than half of lease_seconds "
            f"({lease_seconds})"
        )
    if not 0 < retry_seconds <= renew_seconds:
        return (
            f"lease_retry_seconds: {retry_seconds} must be more than 0 s and not more than lease_renew_seconds "
            f"({renew_seconds})"
        )
    return ""


class Elector:
    """Competes for one Lease. Drive it with `run`; ask `verify` before acting on what was committed.

    identity: must be unique to this process, not only to its pod: a restarted container is another candidate.
    lease_seconds: how long the others wait after the last renewal they saw. The leader itself gives up
        `renew_seconds` earlier. renew_seconds: between renewals. retry_seconds: between attempts to acquire, and to
        renew after a failure.
    least_term: the lowest term to take, asked at each acquisition: with the highest term found in the cluster, terms
        keep growing even after somebody deleted the Lease.
    monotonic, wall (seconds since 1970; written into the Lease for people, never compared), sleep: for tests.

    The term is the Lease's leaseTransitions. It grows with every acquisition, also by the last holder again.
    """

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        lease_seconds: float = 15,
        renew_seconds: float = 5,
        retry_seconds: float = 2,
        least_term: Callable[[], int] = lambda: 1,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if not identity:
            raise ValueError("identity must not be empty: an empty holder means a released Lease")
        problem = lease_problem(lease_seconds, renew_seconds, retry_seconds)
        if problem:
            raise ValueError(problem)
        self.identity = identity
        self._client = client
        self._collection = LEASES.path(namespace)
        self._path = LEASES.path(namespace, name)
        self._namespace = namespace
        self._name = name
        self._lease_seconds = lease_seconds
        self._renew_seconds = renew_seconds
        self._retry_seconds = retry_seconds
        self._least_term = least_term
        self._monotonic = monotonic
        self._wall = wall
        self._sleep = sleep
        self._stopping = asyncio.Event()
        self._term: int | None = None
        self._highest = 0
        self._written: datetime | None = None
        self._unknown = 0
        self._aside_until = 0.0
        self._renewed_at = 0.0
        # The Lease as last read or written, and since when its record has looked like that.
        self._lease: dict[str, Any] = {}
        self._seen: dict[str, Any] | None = None
        self._seen_at = 0.0

    @property
    def term(self) -> int | None:
        """The term in which this process leads; None while it does not, or can no longer be sure that it does."""
        return self._term if self._monotonic() < self._deadline else None

    @property
    def holder(self) -> str:
        """Who held the Lease when it was last seen; empty: nobody."""
        return str(_spec(self._lease).get("holderIdentity") or "")

    def stop(self) -> None:
        """Makes `run` give up leadership, release the Lease and return."""
        self._stopping.set()

    async def run(
        self, on_gained: Callable[[int], Awaitable[None]], on_lost: Callable[[], Awaitable[None]]
    ) -> None:
        """Competes until stopped or cancelled; either way a held Lease is released, after `on_lost`.

        on_gained runs beside the renewals, for as long as it likes; it is cancelled, and has ended, before on_lost
        is called. What on_gained raises ends `run` (as an ExceptionGroup). Each on_gained is followed by one on_lost.
        """
        while not self._stopping.is_set():
            term = await self._acquire()
            if term is None:
                await self._pause(self._retry_seconds)
                continue
            logger.info("leading in term %d", term)
            try:
                async with asyncio.TaskGroup() as group:
                    gained = group.create_task(_call(on_gained, term))
                    await self._keep()
                    gained.cancel()
            finally:
                # The term stays readable to nobody from here on: verify() is False while on_lost cleans up.
                held = self.term is not None
                self._term = None
                try:
                    await on_lost()
                finally:
                    if held:
                        await self._release()
            logger.info("no longer leading in term %d", term)

    async def verify(self) -> bool:
        """Re-reads the Lease: whether this process, in this term, still holds it.

        False also if the Lease could not be read: what cannot be shown must not be acted upon.
        """
        term = self.term
        if term is None:
            return False
        try:
            spec = _spec(await self._read())
        except (ApiError, msgspec.DecodeError) as error:
            logger.warning("whether we still lead is unknown: %s", error)
            return False
        if spec.get("holderIdentity") != self.identity or spec.get("leaseTransitions") != term:
            return False
        # The answer may have been long on its way, and the term may have ended meanwhile.
        return self.term == term

    @property
    def _deadline(self) -> float:
        return self._renewed_at + self._lease_seconds - self._renew_seconds

    async def _acquire(self) -> int | None:
        """One attempt; the term, or None if another holds the Lease or the attempt failed."""
        try:
            try:
                lease = await self._read()
            except ApiError as error:
                if error.status != 404:
                    raise
                return await self._take({})
            self._note(lease)
            spec = _spec(lease)
            holder = spec.get("holderIdentity")
            # Our own identity without a term: the answer to our last request got lost, or we gave up too early.
            if holder and holder != self.identity:
                duration = float(spec.get("leaseDurationSeconds") or self._lease_seconds)
                if self._monotonic() - self._seen_at < duration:
                    return None
                logger.info("the Lease of %s has expired", holder)
            if self._monotonic() < self._aside_until:
                return None
            return await self._take(lease)
        except (ApiError, msgspec.DecodeError) as error:
            if isinstance(error, ApiError) and error.status == 409:
                logger.info("another candidate was faster")
            else:
                logger.warning("could not acquire the Lease: %s", error)
            return None

    async def _take(self, lease: dict[str, Any]) -> int:
        term = max(self._highest + 1, self._least_term())
        now = self._microtime()
        spec = {
            "holderIdentity": self.identity,
            # Whole seconds only: rounded up, others wait rather too long.
            "leaseDurationSeconds": -int(-self._lease_seconds // 1),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": term,
        }
        try:
            await self._write(lease, spec, REQUEST_SECONDS)
        except ApiError as error:
            self._unknown = 0 if error.status else self._unknown + 1
            if self._unknown >= UNKNOWN_LIMIT:
                # Long enough for the others to see that nothing changes, and to take it.
                self._aside_until = self._monotonic() + self._lease_seconds + 3 * self._retry_seconds
            raise
        self._unknown = 0
        self._term = term
        return term

    async def _keep(self) -> None:
        """Renews until leadership is lost or `stop` is called."""
        # From the last renewal's start, not its answer: a slow server must not make the next one late.
        due = self._renewed_at + self._renew_seconds
        while True:
            left = self._deadline - self._monotonic()
            if left <= 0:
                logger.warning("the Lease could not be renewed in time")
                return
            await self._pause(min(max(0.0, due - self._monotonic()), left))
            if self._stopping.is_set():
                return
            left = self._deadline - self._monotonic()
            if left <= 0:
                continue
            try:
                if await self._renew():
                    due = self._renewed_at + self._renew_seconds
                else:
                    logger.warning("the Lease has gone to %s", self.holder or "nobody")
                    self._term = None
                    return
            except (ApiError, msgspec.DecodeError) as error:
                logger.warning("could not renew the Lease: %s", error)
                due = self._monotonic() + self._retry_seconds

    async def _renew(self) -> bool:
        """Whether the Lease is still ours. Raises if that could not be found out before the term runs out."""
        try:
            await self._write(self._lease, {"renewTime": self._microtime()}, self._left())
        except ApiError as error:
            if error.status == 404:
                self._lease = {}
                return False
            if error.status != 409:
                raise
            # Somebody wrote it: a successor, a person who added a label, or our own renewal whose answer got lost.
            self._note(await self._read(self._left()))
            spec = _spec(self._lease)
            if spec.get("holderIdentity") != self.identity or spec.get("leaseTransitions") != self._term:
                return False
            await self._write(self._lease, {"renewTime": self._microtime()}, self._left())
        return True

    def _left(self) -> float:
        """Seconds that the next request may take: none of several in a row may outlast the term."""
        left = min(REQUEST_SECONDS, self._deadline - self._monotonic())
        if left <= 0:
            raise ApiError(0, "Timeout", "no time is left in this term")
        return left

    async def _release(self) -> None:
        try:
            # Not below one second: the API refuses it.
            await self._write(
                self._lease,
                {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._microtime()},
                REQUEST_SECONDS,
            )
        except (ApiError, msgspec.DecodeError) as error:
            logger.warning("could not release the Lease; the others wait until it expires: %s", error)

    async def _read(self, seconds: float = REQUEST_SECONDS) -> dict[str, Any]:
        answer = await self._client.request("GET", self._path, timeout=seconds)
        return msgspec.json.decode(answer, type=dict[str, Any])

    async def _write(self, lease: dict[str, Any], spec: dict[str, Any], seconds: float) -> None:
        """Creates the Lease (if `lease` is empty) or replaces exactly the version in `lease`."""
        started = self._monotonic()
        body = lease or {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
        }
        # What others wrote into it (labels, owners, fields of later versions) stays.
        body = {**body, "spec": {**_spec(body), **spec}}
        method, path = ("PUT", self._path) if lease else ("POST", self._collection)
        answer = await self._client.request(method, path, body=body, timeout=seconds)
        # Counted from before the request, as others may have seen its effect ever since.
        self._renewed_at = started
        self._note(msgspec.json.decode(answer, type=dict[str, Any]))

    def _note(self, lease: dict[str, Any]) -> None:
        self._lease = lease
        # Remembered beyond the Lease: somebody may delete it.
        self._highest = max(self._highest, _spec(lease).get("leaseTransitions") or 0)
        if self._seen is None or _spec(lease) != self._seen:
            self._seen = _spec(lease)
            self._seen_at = self._monotonic()

    def _microtime(self) -> str:
        now = datetime.fromtimestamp(self._wall(), UTC)
        # Others see a renewal by its time being another: a clock that is set back must not show one a second time.
        if self._written is not None and now <= self._written:
            now = self._written + timedelta(microseconds=1)
        self._written = now
        return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    async def _pause(self, seconds: float) -> None:
        """Sleeps, or until `stop`."""
        sleep = asyncio.ensure_future(self._sleep(seconds))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({sleep, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            stop.cancel()


def _spec(lease: dict[str, Any]) -> dict[str, Any]:
    spec = lease.get("spec")
    return spec if isinstance(spec, dict) else {}


async def _call(function: Callable[[int], Awaitable[None]], term: int) -> None:
    await function(term)
