"""When a gang that waits could start, and where, with what is expected to be over, and reserved for others, by then."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from rackplane.core.gangs.asking import mask_of, request_of, slots_beside, slots_without, usage_of
from rackplane.core.gangs.decisions import booking_key, key_of
from rackplane.core.gangs.ends import end_of_start
from rackplane.core.gangs.record import GangRecord
from rackplane.core.queues.counting import count_usages
from rackplane.core.queues.following import quota_later, share_of
from rackplane.core.queues.groupbudgets import counts_anywhere, excess
from rackplane.core.queues.quotaholds import in_way
from rackplane.core.site.budgets import GroupBudget
from rackplane.core.world import World
from rackplane.engine.model import Placement, Request
from rackplane.engine.nodes.masks import NodeMask, Variant
from rackplane.engine.planning.outlook import Ending, Outlook, Span, earliest_start
from rackplane.engine.planning.room import endings_in_order, room_from
from rackplane.engine.queueing.later import Share
from rackplane.engine.queueing.reservations import bounds
from rackplane.engine.queueing.shadow import Shadow

__all__ = ["apart", "bounded", "cause", "fits_then", "has_quota_then", "look_ahead", "only", "room_before"]

_MASKS_KEPT = 16
"""Of so many kinds of pods it is remembered which nodes take others of them later."""


def look_ahead(world: World, record: GangRecord) -> Outlook:
    """The earliest start beside what is reserved for others; to be asked after `follow`."""
    assert world.state is not None
    key = booking_key(record.key)
    count_usages(world)
    now = mask_of(world, record)
    # One mask for all probes and questions, so that the engine follows it instead of counting every node for each.
    later = _later(world, now)

    def beside(at: float) -> Sequence[Shadow]:
        return world.reserved.beside(at, end_of_start(world, record, at), but=key)

    def request(at: float, over: frozenset[str]) -> Request:
        ended = [other for key in over if (other := world.gangs.get(key_of(key))) is not None]
        freed, shadows = slots_without(world, record, ended), beside(at)
        less = bounded(world, record, shadows, lambda node: freed.get(node, now.get(node)))
        changed = {**freed, **less}
        mask = later.with_slots(changed) if changed else now
        return apart(request_of(world, record, mask, at=at, over=ended), shadows)

    def admits(placement: Placement, at: float) -> bool:
        return _quota_admits(world, record, placement, at)

    budgets = [_spanned(budget) for budget in world.catalog.budgets.groups(world.now)]
    shares = [held.share for held in world.quota_ahead.values()]
    quota = [Span(s.key, s.at, s.until, of_budget=False) for s in shares if s.key != key]
    return earliest_start(
        world.state,
        now=world.now,
        horizon=world.settings.lookahead_seconds,
        duration=end_of_start(world, record, 0.0),
        request=request,
        admits=admits,
        spans=[*budgets, *world.reserved.spans(but=key), *quota],
        ends=world.reserved.ends,
        beside=beside,
        afterwards=world.afterwards,
    )


def _later(world: World, mask: NodeMask) -> Variant:
    known = world.masks_later.pop(id(mask), None)
    found = known if known is not None and known.base is mask else Variant(mask)
    world.masks_later[id(mask)] = found  # at the end: the first is the one unused for longest
    if len(world.masks_later) > _MASKS_KEPT:
        del world.masks_later[next(iter(world.masks_later))]
    return found


def room_before(world: World, record: GangRecord, at: float) -> bool:
    """Whether there may be nodes enough for the gang before that time; if not, :func:`look_ahead` finds no such start.

    To be asked after `follow`.
    """
    assert world.state is not None
    request = request_of(world, record, mask_of(world, record))
    return room_from(world.state, request, endings_in_order(world.state, world.reserved.ends, before=at)) < at


def apart(request: Request, shadows: Sequence[Shadow]) -> Request:
    """The request of a gang of unlike pods without the nodes that reservations touch; another one as it is.

    What its kinds of pods and those of others leave each other on one node is not worked out.
    """
    if not request.groups or not shadows:
        return request
    taken = dict.fromkeys((node for shadow in shadows for node in shadow.nodes), 0)
    groups = (replace(g, capacity=NodeMask.of(g.capacity or {}).changed(taken)) for g in request.groups)
    return replace(request, groups=tuple(groups))


def only(request: Request, nodes: Sequence[str]) -> Request:
    """The request on these nodes alone, slot by slot in order."""

    def mask(capacity: Mapping[str, int] | NodeMask | None, part: Sequence[str]) -> NodeMask:
        known = NodeMask.of(Counter(part) if capacity is None else capacity)
        return NodeMask({node: min(count, known.get(node)) for node, count in Counter(part).items()})

    if not request.groups:
        return replace(request, capacity=mask(request.capacity, nodes))
    groups, start = [], 0
    for group in request.groups:
        groups.append(replace(group, capacity=mask(group.capacity, nodes[start : start + group.slots])))
        start += group.slots
    return replace(request, groups=tuple(groups))


def bounded(
    world: World,
    record: GangRecord,
    shadows: Iterable[Shadow],
    room: Callable[[str], int],
    among: Collection[str] | None = None,
) -> dict[str, int]:
    """Node -> pods of the gang that it takes at each of these times, of the nodes that reservations touch.

    Args:
        room: what a node takes without reservations.
        among: only of these nodes; None: of all.
    """
    assert record.gang is not None
    spec, shadows = record.gang.spec, tuple(shadows)
    found = bounds(shadows, spec.gpus_per_slot, spec.power.profile, among)
    for node, slots in found.items():
        least = min(slots, room(node))
        if least:
            least = min(least, *(slots_beside(world, record, shadow, node) for shadow in shadows))
        found[node] = max(0, least)
    return found


def fits_then(world: World, record: GangRecord, placement: Placement, at: float) -> bool:
    """Whether the gang could start there at that time, by all that is known now."""
    key = booking_key(record.key)
    shadow = world.reserved.at(at, but=key)
    # Pods that differ are looked at when they start.
    counts = {} if record.groups else Counter(placement.slots)
    return (
        shadow.could_start(placement, end_of_start(world, record, at))
        and all(s.takes(placement, end_of_start(world, record, at)) for s in _after(world, record, at))
        and all(slots_beside(world, record, shadow, node) >= count for node, count in counts.items())
        and _quota_admits(world, record, placement, at)
    )


def _quota_admits(world: World, record: GangRecord, placement: Placement, at: float) -> bool:
    if world.quota_ahead:
        key, asked = booking_key(record.key), usage_of(world, record, placement, at=at)
        if in_way(world, asked, at, key=key, but=key) is not None:
            return False
    return has_quota_then(world, record, placement, at)


def has_quota_then(
    world: World,
    record: GangRecord,
    placement: Placement,
    at: float,
    *,
    plus: Iterable[Share] = (),
    without: Iterable[str] = (),
    but: str | None = None,
) -> bool:
    """Whether queues and budgets take it beside what is reserved for others then, with all that is over by then gone.

    Args:
        plus: what counts beside those that do.
        without: bookings that do not count.
        but: another gang whose reservation does not count.
    """
    assert record.gang is not None
    if not counts_anywhere(world, record.gang.spec.queue):
        return True
    gone, more, mine = set(without), list(plus), (booking_key(record.key), but)
    for r in world.reserved:
        other = world.gangs.get(key_of(r.key))
        holds = at < r.until and (r.blocks or r.at <= at) and r.key != but
        if holds and other is not None and other is not record:
            gone |= r.over
            more.append(share_of(r.key, usage_of(world, other, r.placement, at=max(r.at, world.now))))
    more += [
        held.share
        for held in world.quota_ahead.values()
        if held.share.at <= at < held.share.until and held.share.key not in mine
    ]
    asked = replace(share_of(mine[0], usage_of(world, record, placement, at=at)), at=at)
    if not quota_later(world).takes(
        asked, at, [replace(s, at=-math.inf, until=math.inf) for s in more], gone
    ):
        return False
    late = (key for key, end in world.reserved.ends.items() if end <= at)
    plus = [replace(share, at=-math.inf) for share in more]
    return excess(world, asked, gone=gone.union(late), plus=plus) is None


def _after(world: World, record: GangRecord, at: float) -> Sequence[Shadow]:
    return world.reserved.beside(at, end_of_start(world, record, at), but=booking_key(record.key))


def _spanned(budget: GroupBudget) -> Span:
    starts_at = -math.inf if budget.starts_at is None else budget.starts_at
    return Span(budget.name, starts_at, math.inf if budget.ends_at is None else budget.ends_at)


def cause(endings: Iterable[Ending], late: Mapping[str, float]) -> str:
    """What a start waits for: "gang a/b is expected to be over".

    Args:
        late: bookings that have run past their expected end.
    """
    budgets = [e.name for e in endings if e.of_budget]
    maintained = [e.name for e in endings if e.of_maintenance]
    gangs = [e.name for e in endings if not e.of_budget and not e.of_maintenance]
    parts = []
    if maintained:
        parts.append(f"maintenance of {_named(maintained)} ends")
    if budgets:
        parts.append(f"PowerBudget {_named(budgets)} {'ends' if len(budgets) == 1 else 'end'}")
    if gangs:
        known = "taken" if any(name in late for name in gangs) else "expected"
        past = ", past the expected end," if known == "taken" else ""
        parts.append(f"gang {_named(gangs)}{past} {'is' if len(gangs) == 1 else 'are'} {known} to be over")
    return " and ".join(parts)


def _named(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
