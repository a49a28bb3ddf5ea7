"""Where a gang goes: levels from the nearest up, the best subtree and set of bins at each, then nodes and slots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

import numpy as np

from rackplane.engine.explaining import explanation
from rackplane.engine.explaining import groups as grouped
from rackplane.engine.model import (
    Considered,
    Group,
    Metered,
    NvlinkScope,
    Placement,
    Refusal,
    RefusalKind,
    Request,
)
from rackplane.engine.physics.draw import find_cap
from rackplane.engine.placing import feeding, quick
from rackplane.engine.placing.attempts import Attempt, Bin, Subtree, attempts
from rackplane.engine.placing.candidates import Candidates, Later, too_few_nodes
from rackplane.engine.placing.groups import Groups
from rackplane.engine.placing.objective import Key, Solution
from rackplane.engine.placing.search import Outcome, Search
from rackplane.engine.placing.sets import SETS_EXAMINED
from rackplane.engine.placing.spreading import evenness, spread_out
from rackplane.engine.state import State
from rackplane.engine.values import dataclass

STEPS_OF_FIND = 400
"""Of the search of every way for slots that differ, where the question is asked many times."""


def place(state: State, request: Request, *, questions: int = 0) -> Placement | Refusal:
    """The best placement of the gang now, or why there is none.  Books nothing.

    If the power profile that is asked for does not fit and the request is not strict, the next lower ones are
    tried in turn; the placement says which one is offered.

    Args:
        questions: how many more placements may be searched for, to find out what would let a refused gang start.
    """
    if request.groups:
        return _place_groups(state, request, questions)
    invalid = explanation.invalid(state, request)
    if invalid is not None:
        return invalid
    first: tuple[Candidates, Sequence[Attempt]] | None = None
    proved = True
    for profile in profiles(state, request):
        candidates = Candidates(state, request, profile)
        tries = attempts(candidates)
        best, certain = _best(candidates, tries)
        if best:
            return _placement(best[0])
        proved = proved and certain
        first = first or (candidates, tries)
    assert first is not None
    kind = RefusalKind.UNPLACEABLE if proved else RefusalKind.NOT_FOUND
    return explanation.refuse(
        first[0], first[1], kind, lambda changed: find(state, changed), questions=questions
    )


def find(
    state: State,
    request: Request,
    admits: Callable[[Placement], bool] = lambda _: True,
    *,
    later: Sequence[Later] = (),
) -> Placement | None:
    """As :func:`place`, without the reasons, for questions that are asked many times.

    Args:
        admits: what else has a say: of each profile's best placement, the first that it takes is the answer. Where
            that was preferred for what GPUs need beside themselves, the best by all else is asked about next.
        later: times at which it must hold under every limit as well; of a gang of unlike slots each group does by
            itself, so that ``admits`` has to look at the whole.
    """
    if request.groups:
        if grouped.invalid(state, request) is not None:
            return None
        groups = (
            Groups(state, request, profile, _alone, steps=STEPS_OF_FIND).find()
            for profile in profiles(state, request)
        )
        return next((offer for offer in groups if offer is not None and admits(offer)), None)
    if too_few_nodes(state, request) or explanation.invalid(state, request) is not None:
        return None
    for profile in profiles(state, request):
        candidates = Candidates(state, request, profile, later=later)
        for choice in _best(candidates, attempts(candidates))[0]:
            offer = _placement(choice)
            if admits(offer):
                return offer
    return None


def refuse(state: State, request: Request) -> Refusal:
    """What :func:`place` says to a request, of slots alike, that is known to exceed what fits under its own profile.

    Nothing is searched for, so that reliefs which take a search are left out.
    """
    invalid = explanation.invalid(state, request)
    if invalid is not None:
        return invalid
    candidates = Candidates(state, request, request.power_profile)
    tries = attempts(candidates)
    proved = candidates.exact or not _rounding_matters(candidates, tries)
    return explanation.refuse(candidates, tries, RefusalKind.UNPLACEABLE if proved else RefusalKind.NOT_FOUND)


def _place_groups(state: State, request: Request, questions: int) -> Placement | Refusal:
    """As :func:`place`, for slots that differ."""
    invalid = grouped.invalid(state, request)
    if invalid is not None:
        return invalid
    first: Groups | None = None
    proved = True
    for profile in profiles(state, request):
        groups = Groups(state, request, profile, _alone)
        found = groups.find()
        if found is not None:
            return found
        proved = proved and groups.proved
        first = first or groups
    assert first is not None
    kind = RefusalKind.UNPLACEABLE if proved else RefusalKind.NOT_FOUND
    return grouped.refuse(first, _alone, kind, lambda changed: find(state, changed), questions=questions)


def _alone(candidates: Candidates) -> tuple[Placement | None, bool]:
    """The best placement of what is alike, and, if there is none, whether that is proved."""
    best, proved = _best(candidates, attempts(candidates))
    return (_placement(best[0]) if best else None), proved


def profiles(state: State, request: Request) -> list[str]:
    """The profile asked for, then (unless strict) those that are lower, highest first."""
    if request.strict or not request.gpus_per_slot:
        return [request.power_profile]
    resources = {group.resource for group in request.groups} or {request.resource}
    lower: dict[str, int] = {}
    for node_type in state.facility.types:
        if node_type.resource not in resources:
            continue
        asked = find_cap(node_type, request.power_profile)
        for cap in node_type.caps:
            if asked is not None and cap.node_watts < asked.node_watts and cap.name != request.power_profile:
                lower[cap.name] = max(lower.get(cap.name, 0), cap.node_watts)
    return [request.power_profile, *sorted(lower, key=lambda name: (-lower[name], name))]


@dataclass(frozen=True, slots=True)
class _Choice:
    """A solution, of what request by node, and what was looked at for it."""

    candidates: Candidates
    solution: Solution
    considered: tuple[Considered, ...]


def _best(candidates: Candidates, tries: Sequence[Attempt]) -> tuple[tuple[_Choice, ...], bool]:
    """The best solution of the nearest level that has one; if there is none at all, whether that is proved.

    Where it is preferred for what GPUs need beside themselves, the best by all else comes after it.
    """
    proved = True
    considered: list[Considered] = []
    for attempt in tries:
        outcome = _at(attempt)
        domains = len(attempt.bin_cap) if attempt.single else len(attempt.layout.tree_starts)
        considered.append(Considered(attempt.level, domains, outcome.fitting, outcome.runner_up))
        if outcome.solution is not None:
            best = _Choice(candidates, outcome.solution, tuple(considered))
            fed = _fed(attempt, best)
            return ((best,) if fed is None else (fed, best)), True
        proved = outcome.proved
    return (), proved and (candidates.exact or not _rounding_matters(candidates, tries))


def _fed(attempt: Attempt, best: _Choice) -> _Choice | None:
    """The best at that level that leaves no more GPUs without what they need; None if something comes before that."""
    less = feeding.limited(best.candidates)
    if less is None:
        return None
    found = _at(attempt.limited(less)).solution
    if found is None or not feeding.no_worse(found, best.solution):
        return None
    return _Choice(less, found, best.considered)


def _at(attempt: Attempt) -> Outcome:
    """The best at one level."""
    return _in_one_domain(attempt) if attempt.single else _in_one_tree(attempt)


def _in_one_domain(attempt: Attempt) -> Outcome:
    """The best NVLink domain for the whole gang."""
    candidates = attempt.candidates
    fitting = quick.in_one_rack(attempt, candidates.request.slots)
    count = int(np.count_nonzero(attempt.bin_cap >= candidates.request.slots))
    if len(fitting) == 1 and (solution := quick.solution_in_one_rack(attempt, fitting[0])) is not None:
        return Outcome(solution, True, count)
    fitting = fitting or attempt.fitting()
    if not fitting:
        return Outcome(None, True)
    found = Search(candidates, Subtree("", attempt.bins(fitting)), single=True).solve()
    return Outcome(found.solution, found.proved, count)


def _in_one_tree(attempt: Attempt) -> Outcome:
    """The best of the level's domains: by the fewest bins first, or where the gang is spread most evenly."""
    todo = [
        (least, tree)
        for tree in range(len(attempt.layout.tree_starts))
        if (least := quick.least_bins_of(attempt, tree)) is not None
    ]
    if attempt.candidates.request.spread:
        spread = _most_even(attempt)
        if spread is not None:
            return Outcome(spread, True, len(todo))
    best: Solution | None = None
    others: list[tuple[Key, str]] = []
    chosen = 0
    proved = True
    for least, tree in sorted(todo):
        if best is not None and least > best.key[0]:
            break
        solution = _of_a_large_set(attempt, tree)
        if solution is None:
            outcome = Search(attempt.candidates, attempt.subtree(tree), single=False).solve()
            proved = proved and outcome.proved
            solution = outcome.solution
        if solution is None:
            continue
        if best is not None:
            loses = chosen if solution.key < best.key else tree
            others.append((max(solution.key, best.key), attempt.tree_name(loses)))
        if best is None or solution.key < best.key:
            best, chosen = solution, tree
    return Outcome(best, proved, len(todo), min(others)[1] if others else "")


def _most_even(attempt: Attempt) -> Solution | None:
    """The gang spread over one of the level's domains, as evenly as in any."""
    best: Solution | None = None
    for tree in range(len(attempt.layout.tree_starts)):
        if quick.least_bins_of(attempt, tree) is None:
            continue
        subtree = Subtree(attempt.tree_name(tree), attempt.bins(attempt.layout.bins(tree)))
        found = spread_out(Search(attempt.candidates, subtree, single=False))
        if found is not None and (best is None or evenness(found) < evenness(best)):
            best = found
    return best


def _of_a_large_set(attempt: Attempt, tree: int) -> Solution | None:
    chosen = quick.in_many_bins(attempt, tree, examined=SETS_EXAMINED)
    if chosen is None:
        return None
    return Search(attempt.candidates, Subtree("", attempt.bins(chosen)), single=False).fill_all()


def _rounding_matters(candidates: Candidates, tries: Sequence[Attempt]) -> bool:
    """Whether watts bind at all: by nodes alone nothing is rounded, so that failure is proved."""
    last = tries[-1]
    need = candidates.request.slots
    if last.single:
        return bool((last.bin_free >= need).any())
    return bool((last.layout.sum_by_tree(last.bin_free) >= need).any())


def _placement(choice: _Choice) -> Placement:
    candidates, solution = choice.candidates, choice.solution
    state, request, all_names = candidates.state, candidates.request, candidates.names
    groups: list[Group] = []
    counts: dict[str, int] = {}
    performance = 100
    for bin_, racks in solution.parts:
        for rack in sorted(racks):
            nodes = _nodes(candidates, bin_, rack, racks[rack])
            names = [all_names[i] for i in sorted(nodes)]
            if len(nodes) < racks[rack]:  # several slots on a node
                counts.update(zip(names, (nodes[i] for i in sorted(nodes)), strict=True))
                names = [name for name in names for _ in range(counts[name])]
            else:
                counts.update(dict.fromkeys(names, 1))
            performance = min(performance, int(candidates.performance[rack]))
            groups.append(Group(bin_.group, state.facility.racks[rack].name, tuple(names)))
    watts = state.increments_of(counts, request.gpus_per_slot, candidates.profile, candidates.metered)
    return Placement(
        slots=tuple(chain.from_iterable(group.nodes for group in groups)),
        groups=tuple(groups),
        gpus_per_slot=request.gpus_per_slot,
        power_profile=candidates.profile,
        nominal_watts=watts.nominal_watts,
        peak_watts=watts.peak_watts,
        liquid_watts=watts.liquid_watts,
        air_watts=watts.air_watts,
        relative_performance_percent=performance,
        metered=_metered(candidates, counts),
        considered=choice.considered,
    )


def _metered(candidates: Candidates, nodes: Iterable[str]) -> Metered:
    """What is known of these nodes: of others nothing is kept, for there the gang may never have run."""
    if not candidates.metered:
        return ()
    kinds = {kind.name for node in nodes if (kind := candidates.state.node_type(node)) is not None}
    return tuple((name, watts) for name, watts in candidates.metered if name in kinds)


def _nodes(candidates: Candidates, bin_: Bin, rack: int, slots: int) -> Mapping[int, int]:
    """Node -> slots in one rack of a bin.

    One node that takes all, the fullest such.  Else, where NVLink spans nodes, nodes already in use first (they
    lose nothing); where it ends in the node, the emptiest first, for fewest nodes.
    """
    state = candidates.state
    cell = next(c for c in bin_.cells if c.rack == rack)
    nodes, each = cell.nodes.tolist(), candidates.node_slots[cell.nodes].tolist()
    gpus = state.free[cell.nodes].tolist()
    if max(each) == 1 and min(gpus) == max(gpus):
        return dict.fromkeys(nodes[:slots], 1)  # all alike: the first by name
    room = dict(zip(nodes, each, strict=True))
    free = dict(zip(nodes, gpus, strict=True))
    node_type = state.facility.rack_types[rack]
    assert node_type is not None
    in_node = node_type.nvlink_scope not in (NvlinkScope.LABEL, NvlinkScope.OBJECT)
    result: dict[int, int] = {}
    left = slots
    while left:
        open_nodes = [i for i in room if i not in result]
        enough = [i for i in open_nodes if room[i] >= left]
        if enough:
            result[min(enough, key=lambda i: (free[i], i))] = left
            break
        if in_node:
            best = min(open_nodes, key=lambda i: (-room[i], free[i], i))
        else:
            best = min(open_nodes, key=lambda i: (free[i] == node_type.gpus_per_node, free[i], i))
        result[best] = room[best]
        left -= room[best]
    return result
