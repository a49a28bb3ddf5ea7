"""Processes of a storm end as those of a Deployment do."""

from __future__ import annotations

import asyncio

from tests.chaos.hall import hall
from tests.chaos.replicas import Replica
from tests.chaos.storm import VirtualTime
from tests.support.harness import Harness
from tests.support.virtualtime import virtual


@virtual
async def test_one_that_is_told_to_stop_as_its_clock_is_set_back_has_stopped() -> None:
    h = Harness(time=VirtualTime())
    h.apply(*hall())
    await h.cluster.start(port=None)
    replica = Replica(h.cluster, "op-0", "1", lambda replica, when: None)
    replica.start()
    await asyncio.sleep(3)
    assert replica.leads
    replica.skew(-20)
    stopped = asyncio.create_task(replica.stop())
    await asyncio.sleep(3)
    await stopped
    assert not replica.alive
    replica.start()
    await asyncio.sleep(6)
    assert replica.leads
    await replica.kill()
    await h.cluster.stop()
