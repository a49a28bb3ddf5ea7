"""The order of those who wait is that of a plain sort, asked from the front and with shares that grow."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.engine.queueing.order import Line, Order, Place
from rackplane.engine.queueing.quotas import GPUS, WATTS, QueueSpec, QuotaTree
from rackplane.engine.queueing.shares import History, Shares
from tests.property.engine.queue_trees import NAMES, amounts, trees
from tests.support.thorough import some

EVERYTHING = {GPUS: 20, WATTS: 30}
Key = tuple[int, tuple[int, ...], float, str]

waiting = st.dictionaries(
    st.text("xyz", min_size=1, max_size=3),
    st.builds(
        Place,
        st.builds(Line, st.sampled_from(NAMES), st.integers(0, 1)),
        st.integers(0, 2),
        st.integers(0, 3),
    ),
    max_size=12,
)


def plain(places: dict[str, Place], shares: Shares, now: float) -> list[str]:
    def key(name: str) -> Key:
        place = places[name]
        return (-place.priority, shares.rank(place.line.queue, now), float(place.since), name)

    return sorted(places, key=key)


@given(
    trees(),
    st.lists(st.tuples(st.sampled_from(NAMES), amounts), max_size=6),
    st.lists(waiting, min_size=1, max_size=3),
    st.data(),
)
@settings(max_examples=some(150), deadline=None)
def test_order_is_a_plain_sort_at_every_step(
    specs: tuple[QueueSpec, ...],
    held: list[tuple[str, dict[str, int]]],
    changes: list[dict[str, Place]],
    data: st.DataObject,
) -> None:
    shares, order = Shares(60.0), Order[str]()
    shares.shape(QuotaTree(specs), EVERYTHING, 0.0)
    for queue, amount in held:
        shares.add(queue, amount, 0.0)

    def rank(queue: str) -> tuple[int, ...]:
        return shares.rank(queue, 10.0)

    places: dict[str, Place] = {}
    for change in changes:
        for name in {*places, *change}:
            order.put(name, change.get(name))
        places = dict(change)
        assert order.first(rank) == plain(places, shares, 10.0)
        assert order.first(rank, 1) == plain(places, shares, 10.0)[:1]
        for queue in NAMES:
            mine = [place for place in places.values() if place.line.queue == queue]
            assert order.count(queue) == len(mine)
            assert order.oldest(queue) == min((place.since for place in mine), default=None)
    left = dict(places)
    some = data.draw(st.none() | st.sets(st.builds(Line, st.sampled_from(NAMES), st.integers(0, 1))))
    turn = order.turn(rank, some)
    while (asked := turn.next(others=some is not None)) is not None:
        line, member = asked
        assert member == plain(left, shares, 10.0)[0]
        assert left.pop(member).line == line
        match data.draw(st.sampled_from(["let go", "pass", "close"])):
            case "let go":
                shares.add(line.queue, {GPUS: 1, WATTS: 2}, 10.0)
            case "close":
                behind = list(turn.rest())
                assert behind == [name for name in order.line(line) if name in left]
                for name in behind:
                    del left[name]
                turn.close()
    assert not left
    some = {place.line for name, place in places.items() if name < "y"}
    turn, found = order.turn(rank, some), []
    while (asked := turn.next()) is not None:
        found.append(asked[1])
    assert found == [n for n in plain(places, shares, 10.0) if places[n].line in some]


lines = st.builds(Line, st.sampled_from(NAMES[:2]), st.integers(0, 4))
many = st.lists(st.builds(Place, lines, st.integers(0, 1), st.integers(0, 9)), min_size=3, max_size=9)


@given(trees(), many, st.sets(lines, min_size=2), st.data())
@settings(max_examples=some(100), deadline=None)
def test_behind_are_the_lines_whose_turn_is_still_to_come(
    specs: tuple[QueueSpec, ...], waiting: list[Place], some: set[Line], data: st.DataObject
) -> None:
    """Also where a queue has got something since, and comes after others now that it was before."""
    shares, order, places = Shares(60.0), Order[str](), {str(n): place for n, place in enumerate(waiting)}
    shares.shape(QuotaTree(specs), EVERYTHING, 0.0)
    for name, place in places.items():
        order.put(name, place)
    firsts = {place.line: next(order.line(place.line)) for place in places.values()}
    turn = order.turn(lambda queue: shares.rank(queue, 10.0), some)
    to_come = set(firsts)
    while (asked := turn.next()) is not None:
        now = plain(places, shares, 10.0)
        to_come -= {line for line, first in firsts.items() if now.index(first) <= now.index(asked[1])}
        if data.draw(st.booleans()):
            turn.shares_grow(NAMES)
            shares.add(asked[0].queue, data.draw(amounts), 10.0)
        now = plain(places, shares, 10.0)
        for queue in NAMES:
            left = [line for line in to_come - some if line.queue == queue]
            left.sort(key=lambda line: now.index(firsts[line]))
            assert list(turn.behind(queue)) == left


@given(many, st.sets(st.integers(0, 8)), st.data())
@settings(max_examples=some(100), deadline=None)
def test_a_line_that_is_shut_does_not_get_its_turn(
    waiting: list[Place], shut: set[int], data: st.DataObject
) -> None:
    order, left = Order[str](), {str(n): place for n, place in enumerate(waiting)}
    shares, queues = Shares(60.0), [QueueSpec(name) for name in NAMES]
    shares.shape(QuotaTree(queues), EVERYTHING, 0.0)
    for name, place in left.items():
        order.put(name, place)
    turn, sated = order.turn(lambda queue: shares.rank(queue, 10.0)), set[str]()

    def is_shut(line: Line, member: str) -> bool:
        return line.queue in sated and int(member) in shut

    while (asked := turn.next(shut=is_shut)) is not None:
        assert asked[1] == plain(left, shares, 10.0)[0]
        del left[asked[1]]
        sated.add(data.draw(st.sampled_from(NAMES[:2])))
        if data.draw(st.booleans()):
            shares.add(asked[0].queue, data.draw(amounts), 10.0)
        for line in {place.line for place in left.values()}:
            mine = [name for name in order.line(line) if name in left]
            if is_shut(line, mine[0]):
                left = {name: place for name, place in left.items() if name not in mine}
    assert not left


changes = st.tuples(st.sampled_from(NAMES), amounts, st.sampled_from([1, 1, -1]), st.sampled_from([0, 0, 7]))


@given(trees(), st.lists(changes, max_size=12))
@settings(max_examples=some(150), deadline=None)
def test_ranks_that_are_asked_for_all_the_time_are_those_of_one_who_asks_once(
    specs: tuple[QueueSpec, ...], changes: list[tuple[str, dict[str, int], int, int]]
) -> None:
    """Between changes of any queue, and as time passes: what is kept of a rank is never an old one."""
    tree, shares, now = QuotaTree(specs), Shares(50.0), 0.0
    shares.shape(tree, EVERYTHING, now)
    for number, (queue, amount, times, pause) in enumerate(changes, start=1):
        now += pause
        shares.add(queue, amount, now, times)
        other, then = Shares(50.0), 0.0
        other.shape(tree, EVERYTHING, then)
        for of, each, so_often, later in changes[:number]:
            then += later
            if later:
                for name in NAMES:
                    other.rank(name, then)  # time passes in the same steps
            other.add(of, each, then, so_often)
        assert [shares.rank(name, now) for name in NAMES] == [other.rank(name, now) for name in NAMES]


@given(trees(), st.lists(st.tuples(st.sampled_from(NAMES), amounts, st.floats(0, 100)), max_size=10))
@settings(max_examples=some(100), deadline=None)
def test_shares_survive_a_restart(
    specs: tuple[QueueSpec, ...], gangs: list[tuple[str, dict[str, int], float]]
) -> None:
    """What one process wrote down at some time, another goes on from, with the same gangs."""
    names = sorted(spec.name for spec in specs)
    tree, now = QuotaTree(specs), 0.0
    shares = Shares(50.0)
    shares.shape(tree, EVERYTHING, now)
    held = []
    for queue, amount, pause in gangs:
        if queue in names:
            shares.add(queue, amount, now)
            held.append((queue, amount))
            now += pause
    shares.validate(held)
    written = {name: shares.history(name, now) for name in names}
    other = Shares(50.0)
    other.shape(tree, EVERYTHING, now + 5)
    for queue, amount in held:
        other.add(queue, amount, now + 5)
    for name, history in written.items():
        assert history is not None
        other.remember(name, History(history.at, history.gpu_seconds, history.watt_seconds))
    other.validate(held)
    for name in names:
        mine, theirs = shares.share(name, now + 20), other.share(name, now + 20)
        assert abs(mine - theirs) < 1e-9 * max(1.0, mine)
