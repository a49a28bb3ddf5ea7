"""Why a gang of unlike slots cannot be placed: the group that has no room, where the others have, and what would help.

Where one group does not fit even by itself, the words are those of a gang of its slots alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from rackplane.engine.explaining import explanation, relief, trials
from rackplane.engine.explaining.phrases import level_words
from rackplane.engine.model import Cause, LevelCount, Refusal, RefusalKind, Request, SlotGroup
from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.placing.attempts import attempts
from rackplane.engine.placing.groups import Groups, Jammed, Solve
from rackplane.engine.reasons import Relief, ReliefKind
from rackplane.engine.state import State

GANGS = 8
"""Gangs whose end is tried, smallest first."""


def invalid(state: State, request: Request) -> Refusal | None:
    """A request of which some group, or their number, no facility of this kind could ever take."""
    if len(request.groups) < 2 or request.slots != sum(g.slots for g in request.groups):
        return explanation.refusal(
            Cause.NODES,
            f"asks for {request.slots} slots in {len(request.groups)} groups, which have "
            f"{sum(g.slots for g in request.groups)}",
            "ask for two groups or more, and for as many slots as they have",
        )
    for group in request.groups:
        found = explanation.invalid(
            state,
            replace(
                request,
                slots=group.slots,
                gpus_per_slot=group.gpus_per_slot,
                resource=group.resource,
                segment_slots=group.segment_slots,
            ),
        )
        if found is not None:
            return replace(found, message=f"{named(group)}: {found.message}")
    return None


def refuse(
    asked: Groups, solve: Solve, kind: RefusalKind, fits: relief.Fits | None = None, *, questions: int = 0
) -> Refusal:
    """Explain what ``asked``, whose ``find`` gave nothing, could not do.

    Args:
        fits: where a changed request would be placed; without it reliefs that need that answer are left out.
        questions: how often it may be asked.
    """
    state, request = asked.state, asked.request
    found = _alone(asked, solve)
    if found is None:
        found = _together(asked, kind)
    reliefs = found.reliefs
    if fits is not None and questions and not found.misfit:
        reliefs = (*reliefs, *_tried(state, request, fits, questions))
    ordered = relief.ordered(reliefs)
    return replace(found, kind=kind, reliefs=ordered, relief=relief.sentence(ordered, misfit=found.misfit))


def named(group: SlotGroup) -> str:
    """ "group workers"."""
    return f"group {group.name}" if group.name else "a group"


def _alone(asked: Groups, solve: Solve) -> Refusal | None:
    """Of the groups that do not fit by themselves, the hardest to place."""
    level = asked.request.required or ""
    for g in asked.order:
        candidates = asked.candidates(g, level)
        if solve(candidates)[0] is None:
            inner = explanation.refuse(candidates, attempts(candidates), RefusalKind.UNPLACEABLE)
            return replace(inner, message=f"{named(asked.request.groups[g])} {inner.message}")
    return None


def _together(asked: Groups, kind: RefusalKind) -> Refusal:
    """Each group fits by itself: where most of them were placed, what the next one lacks."""
    jams = [jam for tried in asked.tried for jam in tried.jammed if tried is asked.tried[-1]]
    if not jams:
        return _answer(asked, kind, Cause.NODES, _too_few(asked), ())
    best = max(jams, key=lambda jam: sum(len(p.slots) for p in jam.placed.values()))
    cause, message, inner = _in_domain(asked, best)
    if inner is None:
        return _answer(asked, kind, cause, message, ())
    return replace(_answer(asked, kind, cause, message, inner.reliefs), tightest=inner.tightest)


def _too_few(asked: Groups) -> str:
    """No domain has nodes enough for all: what the nearest one lacks."""
    request, tried = asked.request, asked.tried[-1]
    words = " and ".join(_wanted(g) for g in request.groups)
    place = f" in one {level_words(request.required)}" if request.required else ""
    assert tried.room is not None  # each group by itself has room in some domain
    enough = tried.room[:-1] >= np.array([[g.slots] for g in request.groups])
    nearest = int(np.lexsort((tried.room[-1], enough.sum(axis=0)))[-1])
    short = [g for g in asked.order if not enough[g, nearest]]
    if short:
        group = request.groups[short[0]]
        has = f"has room for {int(tried.room[short[0], nearest]):,} of the {group.slots:,} of {named(group)}"
    else:
        gpus = sum(g.slots * g.gpus_per_slot for g in request.groups)
        has = f"has {int(tried.room[-1, nearest]):,} GPUs free for them, and they need {gpus:,}"
    return f"needs {words}{place}; {tried.names[nearest]} {has}"


def _in_domain(asked: Groups, jam: Jammed) -> tuple[Cause, str, Refusal | None]:
    group = asked.request.groups[jam.group]
    others = " and ".join(named(asked.request.groups[g]).removeprefix("group ") for g in jam.placed)
    with asked.state.simulation():
        for g, placement in jam.placed.items():
            asked.book(g, placement)
        allowed = asked.left(jam.group, jam.inside, jam.placed)
        candidates = asked.candidates(jam.group, jam.level).only(allowed)
        room = int(candidates.node_slots.clip(max=group.slots).sum())
        if room >= group.slots:
            inner = explanation.refuse(candidates, attempts(candidates), RefusalKind.NOT_FOUND)
            return inner.cause, f"with {others} placed, {named(group)} {inner.message}", inner
    place = jam.domain if jam.level else "the facility"
    left = f"{place} then has room for {room:,}" if room else f"{place} then has no node for it"
    return Cause.NODES, f"with {others} placed, {named(group)} needs {_wanted(group)}; {left}", None


def _wanted(group: SlotGroup) -> str:
    gpus = "1 GPU" if group.gpus_per_slot == 1 else f"{group.gpus_per_slot} GPUs"
    each = f"of {gpus}" if group.gpus_per_slot else "without GPUs"
    return f"{group.slots:,} {'pod' if group.slots == 1 else 'pods'} {each}"


def _answer(
    asked: Groups, kind: RefusalKind, cause: Cause, message: str, reliefs: Sequence[Relief]
) -> Refusal:
    return Refusal(
        kind=kind,
        cause=cause,
        counts=tuple(_counts(asked, cause)),
        message=message,
        relief="",
        reliefs=tuple(reliefs),
    )


def _counts(asked: Groups, cause: Cause) -> list[LevelCount]:
    result = []
    for tried in asked.tried:
        failing = {Cause.NODES: tried.too_few}
        for jam in tried.jammed:
            own = _in_domain(asked, jam)[0]
            failing[own] = failing.get(own, 0) + 1
        failing[cause if cause is not Cause.NODES else Cause.POWER] = (
            failing.get(cause if cause is not Cause.NODES else Cause.POWER, 0) + tried.unfit
        )
        kept = {c: failing[c] for c in Cause if failing.get(c)}
        result.append(LevelCount(level_words(tried.level), len(tried.names), kept))
    return result


def _tried(state: State, request: Request, fits: relief.Fits, questions: int) -> list[Relief]:
    """What would let the whole gang start: a wider level, the end of one gang."""
    found: list[Relief] = []
    ladder = [*state.facility.ladder, ""]
    if request.required is not None:
        for level in ladder[ladder.index(request.required) + 1 :]:
            if questions <= 0:
                return found
            questions -= 1
            if fits(replace(request, required=level or None)) is not None:
                found.append(Relief(kind=ReliefKind.LEVEL, message=relief.level_message(level), level=level))
                break
    sizes = {key: sum(state.held_gpus(key).values()) for key in tuple(state.keys())}
    for key in sorted((k for k in sizes if sizes[k]), key=lambda k: (sizes[k], k))[:GANGS]:
        if questions <= 0:
            break
        questions -= 1
        nodes = state.held_gpus(key)
        with state.simulation():
            state.release(key)
            fitting = fits(_freed(state, request, nodes)) is not None
        if fitting:
            found.append(trials.wait_for(state, (key,)))
            break
    return found


def _freed(state: State, request: Request, nodes: Iterable[str]) -> Request:
    """The request with room for its GPUs on nodes that have come free: it had none there while they were in use."""
    groups = []
    for group in request.groups:
        if group.capacity is not None and group.gpus_per_slot:
            freed = {name: state.free_gpus(name) // group.gpus_per_slot for name in nodes}
            group = replace(group, capacity=NodeMask.of(group.capacity).changed(freed))
        groups.append(group)
    return replace(request, groups=tuple(groups))
