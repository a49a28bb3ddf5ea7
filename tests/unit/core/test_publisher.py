"""When the facility's status is looked at: what has changed decides, and now and then time."""

from __future__ import annotations

from rackplane.core.instructions import WriteFacilityStatus
from rackplane.core.settings import MachineSettings
from rackplane.core.site.publishing import Publisher, _Published
from rackplane.core.world import World
from tests.support.harness import Harness, started


def quiet() -> tuple[Harness, Publisher]:
    """Everything is written, and the time is that of the last look."""
    h = started()
    h.advance(20)
    publisher = Publisher()
    list(publisher.run(h.machine.world))
    return h, publisher


def due(h: Harness, publisher: Publisher, later: float) -> bool:
    world = h.machine.world
    now, world.now = world.now, world.now + later
    try:
        return publisher.due(world)
    finally:
        world.now = now


def test_where_nothing_changes_there_is_a_look_in_one_of_five_periods() -> None:
    h, publisher = quiet()
    assert [due(h, publisher, later) for later in (0.5, 1, 4, 5)] == [False, False, False, True]


def test_what_changes_is_looked_at_in_the_next_period() -> None:
    h, publisher = quiet()
    world = h.machine.world
    world.placements += 1
    assert [due(h, publisher, later) for later in (0.5, 1)] == [False, True]
    list(publisher.run(world))
    assert not due(h, publisher, 1)
    world.version += 1
    assert due(h, publisher, 1)
    list(publisher.run(world))
    h.job("train", slots=400)  # more than there is: it waits
    h.settle()
    list(publisher.run(world))
    h.request("DELETE", "/apis/batch/v1/namespaces/default/jobs/train")
    h.settle()
    assert due(h, publisher, 1)


def test_a_write_that_failed_is_asked_for_again_in_the_next_period() -> None:
    h, publisher = quiet()
    publisher.failed("Rack", "r1")
    assert due(h, publisher, 1)


def test_an_object_whose_write_is_not_answered_is_looked_at_in_the_next_period() -> None:
    h, publisher = quiet()
    world = h.machine.world
    publisher.forget("Rack", "r1")
    world.catalog.status("Rack", "r1")
    h.patch("/apis/rackplane.dev/v1alpha1/racks/r1", {"spec": {"limitWatts": 61_000}})
    while h.deliver():
        pass
    [*asked] = [i for i in publisher.run(world) if isinstance(i, WriteFacilityStatus) and i.name == "r1"]
    assert len(asked) == 1
    list(publisher.run(world))
    assert due(h, publisher, 1)
    publisher.succeeded("Rack", "r1")
    list(publisher.run(world))
    assert not due(h, publisher, 1)


def test_a_figure_whose_write_failed_does_not_wait_for_its_pace() -> None:
    settings = MachineSettings(validate=True, status_writes=1, status_pause_seconds=600)
    h = started(settings=settings)
    h.advance(20)
    publisher, world = Publisher(), h.machine.world
    publisher._published["Rack", "r1"] = _Published(world.now, {"conditions": []})
    [first] = rack_writes(publisher, world)
    publisher.failed("Rack", "r1")
    assert [write.status for write in rack_writes(publisher, world)] == [first.status]


def rack_writes(publisher: Publisher, world: World) -> list[WriteFacilityStatus]:
    return [i for i in publisher.run(world) if isinstance(i, WriteFacilityStatus) and i.name == "r1"]
