"""Who is not asked would be refused: to ask only whom an event could unblock decides as asking all does.

Both see the same random events. The other one takes every line for one that may start, so that each pass after
something has become free is over all who wait.

Decisions are the same at every moment, and so is what is held once nothing is due. Until then it may differ: a pass
searches for few places only, so that what one pass had no searches left for is held by the next, and how many passes
there are at one moment depends on who is written what.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rackplane.core import events as e
from rackplane.core.gangs.statuses import timestamp
from rackplane.core.objects import Node
from rackplane.core.queues import queueing
from rackplane.core.queues.gates import Gates
from rackplane.core.queues.wanted import Wanted
from rackplane.core.settings import MachineSettings
from rackplane.engine.queueing.order import Line
from tests.property.core.sites import Site
from tests.support.harness import START, facility, node, thing
from tests.support.thorough import some

QUEUES = ("left", "right", "deep", "free")


def queues(quotas: tuple[int | None, ...], watts: int | None) -> list[dict[str, Any]]:
    top: dict[str, Any] = {"quota": {"gpus": 24, **({} if watts is None else {"watts": watts})}}
    limited = ({} if q is None else {"quota": {"gpus": q, "borrowingLimitGpus": 8}} for q in quotas)
    left, right, deep = limited
    stops = {"withinQueue": "LowerPriority"}
    return [
        thing("Queue", "top", **top),
        thing("Queue", "left", parent="top", **left),
        thing("Queue", "right", parent="top", preemption=stops, **right),
        thing("Queue", "deep", parent="left", **deep),
        thing("Queue", "free"),
    ]


@contextmanager
def asking_all() -> Iterator[None]:
    """Meanwhile every line may start, as far as the gates know, and none is told again what it was told before."""

    def everybody(gates: Gates) -> list[Line]:
        order = gates._world.waiting.order
        return [line for queue in order.queues() for line in order.turn(lambda _: (), ()).behind(queue)]

    with (
        patch.object(Gates, "may_start", everybody),
        patch.object(Gates, "has_quota", lambda *_: True),
        patch.object(Gates, "has_room", lambda *_: True),
        patch.object(queueing, "is_told_again", lambda *_: False),
        patch.object(Wanted, "_is_shut", lambda *_: False),
    ):
        yield


class Compared(Site):
    """One of the two sites."""

    def __init__(self, objects: list[dict[str, Any]], *, all_asked: bool) -> None:
        self.all_asked = all_asked
        super().__init__(objects, MachineSettings(reservations=2, estimate_seconds=3.0, explain_gangs=1))

    def handle(self, *events: e.Event) -> None:
        with asking_all() if self.all_asked else nullcontext():
            super().handle(*events)

    def held(self) -> tuple[Any, ...]:
        """What is held for those who wait: places with their times, and what they need of quotas and budgets."""
        world = self.machine.world
        places = {
            key: (h.reservation.at, h.reservation.placement.slots, h.victims)
            for key, h in world.held_places.items()
        }
        return places, {key: h.share for key, h in world.held_quota.items()}


def budget(targets: dict[str, list[str]], nodes: int, start: float | None) -> dict[str, Any]:
    """On what so many nodes in use draw; from `start` seconds on for half a minute, or always."""
    times = {} if start is None else {"start": timestamp(START + start), "end": timestamp(START + start + 30)}
    more = {"interval": times} if times else {}
    return thing("PowerBudget", "team", targets=targets, limitWatts=4_000 * nodes, **more)


budgets = st.builds(
    budget,
    st.sampled_from([{"queues": ["left"]}, {"queues": ["deep", "free"]}, {"namespaces": ["ns"]}]),
    st.integers(1, 6),
    st.sampled_from([None, 0.0, 20.0, 40.0]),
)
gangs = st.fixed_dictionaries(
    {
        "queue": st.sampled_from(QUEUES),
        "slots": st.integers(1, 9),
        "gpusPerSlot": st.sampled_from([1, 4, 4]),
        "priority": st.sampled_from([0, 0, 0, 10]),
    },
    optional={
        "expectedDurationSeconds": st.sampled_from([20, 60, 300]),
        "topology": st.sampled_from([{"required": "nvlink"}, {"segmentSlots": 2}]),
    },
)
steps = st.one_of(
    st.tuples(st.just("submit"), st.lists(gangs, min_size=1, max_size=4)),
    st.tuples(st.just("submit"), st.lists(gangs, min_size=1, max_size=4)),
    st.tuples(st.just("end"), st.integers(0, 9)),
    st.tuples(st.just("end"), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.sampled_from([1, 1, 4, 30])),
    st.tuples(st.just("hold"), st.sampled_from(QUEUES)),
    st.tuples(st.just("cordon"), st.integers(0, 7)),
)


def one(gpus: int, slots: int = 1, queue: str = "left", **more: Any) -> dict[str, Any]:
    return {"queue": queue, "slots": slots, "gpusPerSlot": gpus, "priority": 0} | more


_FIRST = one(4, 8, "free", priority=10, expectedDurationSeconds=60)
_LARGE = one(1, 9, expectedDurationSeconds=20, topology={"required": "nvlink"})


# The large one lacks quota when it is asked, and room only once the last has started.
@example(
    row_watts=36_000,
    quotas=(4, None, None),
    watts=None,
    team=None,
    history=[
        ("submit", [one(1), one(1), one(4)]),
        ("submit", [one(1), one(4), one(4), one(1, 2)]),
        ("submit", [one(4), one(4), one(4), _LARGE]),
        ("end", 0),
        ("submit", [_LARGE, one(4, queue="right")]),
    ],
)
# One that lacked room when its turn came is short of quota once another has started: not its turn any more.
@example(
    row_watts=26_000,
    quotas=(None, None, None),
    watts=None,
    team=None,
    history=[
        ("submit", [one(1, 3, "right"), one(1, 5, "free"), one(4, 6, "right")]),
        ("submit", [one(4, 2, "right")]),
        ("submit", [one(4, 7, "right", priority=10)]),
        ("submit", [one(4, 7, "right", priority=10)]),
        ("wait", 4),
        ("end", 2),
    ],
)
# One that lacked room when it was asked lacks quota since another has started: that is held for it in the next pass.
@example(
    row_watts=1_000_000,
    quotas=(4, None, None),
    watts=None,
    team=None,
    history=[
        ("submit", [one(4, slots, "free", expectedDurationSeconds=300) for slots in (7, 1)]),
        ("submit", [_FIRST, {**_FIRST, "slots": 7}, one(4, 3), one(4, expectedDurationSeconds=20)]),
        ("end", 1),
        ("wait", 4),
    ],
)
@settings(max_examples=some(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    row_watts=st.sampled_from([26_000, 36_000, 1_000_000]),
    quotas=st.tuples(*[st.sampled_from([None, 4, 8, 16])] * 3),
    watts=st.sampled_from([None, 20_000]),
    team=st.none() | budgets,
    history=st.lists(steps, min_size=3, max_size=16),
)
def test_who_is_not_asked_would_be_refused(
    row_watts: int,
    quotas: tuple[int | None, ...],
    watts: int | None,
    team: dict[str, Any] | None,
    history: list[tuple[str, Any]],
) -> None:
    objects = [*facility(racks=2, row_watts=row_watts, cooling=False), *queues(quotas, watts)]
    objects += [] if team is None else [team]
    some, every = Compared(objects, all_asked=False), Compared(objects, all_asked=True)
    count, changed = 0, dict[str, bool]()
    for kind, what in history:
        for site in (some, every):
            site.now += 1.0
            site.handle(e.TimePassed())
            match kind:
                case "submit":
                    site.handle(*[site.submit(f"g{count + i}", dict(spec)) for i, spec in enumerate(what)])
                case "end" if site.running:
                    over = site.running[what % len(site.running)]
                    del site.bodies[over]
                    site.handle(e.GangDeleted("ns", over))
                case "wait":
                    for _ in range(what):
                        site.now += 1.0
                        site.handle(e.TimePassed())
                case "hold":
                    body = next(b for b in objects if b["kind"] == "Queue" and b["metadata"]["name"] == what)
                    is_held = not changed.get(what, False)
                    site.handle(site.facility({**body, "spec": {**body["spec"], "hold": is_held}}))
                case "cordon":
                    name = f"r{what % 2 + 1}-n{what // 2}"
                    body = node(name, f"r{what % 2 + 1}")
                    body["spec"]["unschedulable"] = not changed.get(name, False)
                    site.handle(e.NodeChanged(msgspec.convert(body, Node)))
        if kind == "submit":
            count += len(what)
        elif kind == "hold":
            changed[what] = not changed.get(what, False)
        elif kind == "cordon":
            name = f"r{what % 2 + 1}-n{what // 2}"
            changed[name] = not changed.get(name, False)
        assert some.decided == every.decided
        assert some.held() == every.held()
