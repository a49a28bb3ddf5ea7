"""Informers of workloads of other projects."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from rackplane.controller.workloads import workload_informers
from rackplane.core import events as e
from rackplane.core.workloads.kinds import KINDS
from rackplane.kube.client import ApiError


class Refusing:
    """An API server that lets us list nothing."""

    async def request(self, method: str, path: str, **_: Any) -> bytes:
        raise ApiError(403, "Forbidden", f"cannot {method} {path}")

    async def lines(self, path: str, **_: Any) -> AsyncGenerator[bytes, None]:
        raise ApiError(403, "Forbidden", f"cannot watch {path}")
        yield b""


async def test_kinds_that_the_operator_may_not_list_keep_nobody_waiting() -> None:
    told = list[e.Event]()
    informers = workload_informers(Refusing(), KINDS.values(), told.append)
    for informer in informers.values():
        await informer.relist()
    assert (
        {i.synced.is_set() for i in informers.values()} == {i.forbidden for i in informers.values()} == {True}
    )
    assert told == []
