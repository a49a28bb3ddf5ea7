"""Random writers and random faults: at every quiet point an informer's cache is the server's state."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rackplane.localcluster.effects import Effect
from tests.property.kube.histories import RECOVERY_SECONDS, History, Step
from tests.support import virtualtime
from tests.support.thorough import some

RUNS: Final = some(100)
STEPS: Final = 100

writes = ("create", "create", "update", "update", "label", "label", "delete", "release", "recreate", "burst")
faults = (
    "refuse",
    "lose",
    "lose",
    "stream",
    "slow",
    "stale",
    "compact",
    "outage",
    "jump",
    "relist",
    "relist",
)
step = st.tuples(
    st.sampled_from(("nothing", *writes, *writes, *faults, "quiet")),
    st.integers(0, 5),
    st.integers(0, 7),
    st.sampled_from((0.0, 0.0, 0.0, 0.01, 1.0, 5.0, 70.0)),
)


def test_thousands_of_random_steps(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "rackplane.kube")
    done = Counter[str]()
    fired = Counter[str]()
    slowest = 0.0

    @settings(max_examples=RUNS, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(step, min_size=STEPS, max_size=STEPS), st.integers(0, 2**16))
    def follows_the_server(steps: list[Step], seed: int) -> None:
        nonlocal slowest

        async def scenario() -> History:
            history = History(seed)
            await history.run(steps)
            return history

        history = virtualtime.run(scenario())
        slowest = max(slowest, *history.recoveries)
        done.update(kind for kind, *_ in steps)
        done["quiet"] += 1
        fired.update(type(entry.effect).__name__ for entry in history.cluster.faults.fired)

    follows_the_server()
    assert done.total() >= RUNS * STEPS
    # Every kind of fault took place, or the steps prove less than they seem to.
    assert set(fired) >= {kind.__name__ for kind in _kinds()} - {"Act", "StreamEffect"}
    print(f"{done.total()} steps, {done['quiet']} quiet points; faults that took place: {dict(fired)}")
    print(f"caches equal to the server {slowest:.1f} s after the last fault, {RECOVERY_SECONDS:.0f} allowed")


def _kinds() -> list[type[Effect]]:
    kinds: list[type[Effect]] = []
    for kind in Effect.__subclasses__():
        kinds += [kind, *kind.__subclasses__()]
    return kinds
