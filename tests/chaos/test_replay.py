"""A seed decides everything: what a run finds, the next run of the same seed finds again."""

from __future__ import annotations

import msgspec

from rackplane.localcluster.store import Change
from tests.chaos.storm import Storm
from tests.support.virtualtime import run


def journal(*, seed: int) -> list[str]:
    """Every change that a small storm makes to the cluster: when, by whom, and the whole object."""
    storm, written = Storm(seed=seed, gangs=4, events=40), list[str]()

    def changed(change: Change) -> None:
        body = msgspec.json.encode(change.object).decode()
        written.append(f"{storm.h.time.now:.6f} {storm.judge.writer or 'test'} {change.type} {body}")

    storm.h.cluster.store.subscribe(changed)
    run(storm.run(), replayable=True)
    return [*storm.log, *written]


def test_a_seed_replays_to_the_last_write() -> None:
    first = journal(seed=3)
    assert len(first) > 300
    assert journal(seed=3) == first
