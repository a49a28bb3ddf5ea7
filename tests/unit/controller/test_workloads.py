"""Informers of workloads of other projects."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from rackplane.controller.informers import core_informers
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


async def test_pod_groups_that_the_operator_may_not_list_keep_nobody_waiting() -> None:
    told = list[e.Event]()
    options: dict[str, Any] = {"kinds": (), "compute_domains": False}
    informer = core_informers(Refusing(), told.append, pod_groups=True, **options)["podgroups"]
    await informer.relist()
    assert (informer.synced.is_set(), informer.forbidden, told) == (True, True, [])
    assert "podgroups" not in core_informers(Refusing(), told.append, pod_groups=False, **options)
