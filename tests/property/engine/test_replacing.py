"""Lost slots of a gang find other nodes of their domains exactly when some choice of nodes holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import product
from random import Random

import pytest

from rackplane.engine.model import NVLINK, NvlinkScope, Placement, Request
from rackplane.engine.physics.draw import find_cap
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.placing.growing import Place, relocated
from rackplane.engine.placing.placement import find
from rackplane.engine.placing.replacing import replacement
from rackplane.engine.state import State
from tests.property.engine.small_halls import hall, request
from tests.property.engine.unlike import Cpus, unlike
from tests.support.thorough import some

CASES = some(900)
PARTS = 4
KEY = "a/gang"


@pytest.mark.parametrize("part", range(PARTS))
def test_lost_slots_go_where_some_choice_of_nodes_holds_and_only_then(part: int) -> None:
    seen: Counter[str] = Counter()
    for case in range(part, CASES, PARTS):
        random = Random(case)
        state = hall(random, racks=4, nodes=14)
        gang = unlike(random, state, 6) if case % 5 == 0 else replace(request(random, 8), strict=True)
        placement = find(state, gang)
        if placement is None:
            seen["no gang"] += 1
            continue
        state.book(KEY, placement)
        lost = lose(random, state, placement)
        keeps_watts = random.random() < 0.5
        with state.simulation():
            if not keeps_watts:
                state.release(KEY, lost)
            held = state.held(KEY)
            answer = replacement(state, placement, held, lost, gang)
            assert answer.proved, case
            best = first_way(state, gang, placement, held, lost)
            assert (answer.places is None) == (best is None), (case, answer, best)
            if answer.places is None:
                seen["none"] += 1
            else:
                seen["several" if len(answer.places) > 1 else "one"] += 1
                assert set(answer.places) == set(lost), case
                nodes = {slot: node for slot, (_, _, node) in answer.places.items()}
                assert holds(state, gang, placement, held, nodes), case
                check_places(state, answer.places, case)
        state.validate()
    assert all(seen[kind] >= some(5) for kind in ("none", "one", "several")), seen


def lose(random: Random, state: State, placement: Placement) -> list[int]:
    """One to three of its nodes are lost: not ready, gone, or only said to be."""
    nodes = sorted(set(placement.slots))
    gone = random.sample(nodes, min(len(nodes), random.choice([1, 1, 2, 3])))
    for name in gone:
        spec = state.node(name)
        assert spec is not None
        match random.choice(["not ready", "gone", "said"]):
            case "not ready":
                state.set_node(replace(spec, healthy=False))
            case "gone":
                state.remove_node(name)
    return [slot for slot, name in enumerate(placement.slots) if name in gone]


def first_way(
    state: State, gang: Request, placement: Placement, held: Mapping[int, str], lost: Collection[int]
) -> Mapping[int, str] | None:
    names = [name for name in state.inventory.names if name not in {placement.slots[s] for s in lost}]
    ways = [[n for n in names if may(state, gang, placement, held, lost, slot, n)] for slot in sorted(lost)]
    for nodes in product(*ways):
        chosen = dict(zip(sorted(lost), nodes, strict=True))
        if segments_whole(state, gang, placement, chosen) and holds(state, gang, placement, held, chosen):
            return chosen
    return None


def may(
    state: State,
    gang: Request,
    placement: Placement,
    held: Mapping[int, str],
    lost: Collection[int],
    slot: int,
    name: str,
) -> bool:
    """Whether the node by itself may take the slot, by its state, its domain and its kind."""
    spec, node_type = state.node(name), state.node_type(name)
    if spec is None or node_type is None or spec.rack is None or not spec.healthy:
        return False
    if not state.facility.usable(state.facility.rack_index[spec.rack]):
        return False
    policy = state.facility.domains.get(spec.domain or "")
    if policy is not None and not policy.schedulable:
        return False
    gpus = placement.gpus_of(slot)
    cap = find_cap(node_type, gang.power_profile)
    if gpus and (node_type.resource != "gpu" or cap is None):
        return False
    if gpus and cap is not None and state.cap_watts(name) not in (None, cap.node_watts):
        return False
    spans = node_type.nvlink_scope in (NvlinkScope.LABEL, NvlinkScope.OBJECT) and spec.domain is not None
    domain = [g.domain for g in placement.groups for _ in g.nodes][slot]
    if (spec.domain if spans else "") != domain:
        return False
    kept = {node for s, node in held.items() if s not in lost and state.node(node) is not None}
    if not kept:
        return False
    if gang.required is None:
        return True
    if gang.required == NVLINK:
        return bool(domain)
    level = gang.required
    return dict(spec.fabric).get(level) in {dict(state.node(n).fabric).get(level) for n in kept}  # type: ignore[union-attr]


def segments_whole(state: State, gang: Request, placement: Placement, chosen: Mapping[int, str]) -> bool:
    """Where NVLink ends in the node, a segment of several slots stays on one node."""
    for first, run, end in runs(gang):
        if run is None:
            continue
        for start in range(first, end, run):
            nodes = {chosen.get(s, placement.slots[s]) for s in range(start, min(end, start + run))}
            if len(nodes) > 1 and any(
                (t := state.node_type(n)) is not None and t.nvlink_scope == NvlinkScope.NODE for n in nodes
            ):
                return False
    return True


def runs(gang: Request) -> Iterator[tuple[int, int | None, int]]:
    first = 0
    for of in gang.groups or (gang,):
        yield first, of.segment_slots, first + of.slots
        first += of.slots


def holds(
    state: State, gang: Request, placement: Placement, held: Mapping[int, str], chosen: Mapping[int, str]
) -> bool:
    """Whether the nodes have room for all together, and every limit of every contingency bears them."""
    more: Counter[str] = Counter()
    for slot, name in chosen.items():
        more[name] += placement.gpus_of(slot)
    if any(gpus > state.free_gpus(name) for name, gpus in more.items()):
        return False
    if isinstance(gang.beside, Cpus):
        cpus = dict(gang.beside.of_node)
        for slot, name in chosen.items():
            group = next(g for g, (first, _, end) in enumerate(runs(gang)) if first <= slot < end)
            cpus[name] -= gang.beside.of_slot[group]
            if cpus[name] < 0:
                return False
    before = state.loads.copy()
    gpus = dict(state.held_gpus(KEY))
    after = dict(gpus)
    for name, count in more.items():
        after[name] = after.get(name, 0) + count
    draws = state.draws_by_rack(after, gang.power_profile)
    now = state.draws_by_rack(gpus, gang.power_profile)
    deltas: dict[int, list[int]] = {}
    for rack, watts in draws.items():
        had = now.get(rack)
        nominal, peak = (had.nominal, had.peak) if had else (0, 0)
        deltas[rack] = [watts.nominal - nominal, watts.peak - peak, *([0] * len(state.facility.windows))]
    loads = state.after(deltas).loads
    grown = loads > before + TOLERANCE_WATTS / 10
    return bool((loads[grown] <= state.facility.enforced_limits[grown] + TOLERANCE_WATTS).all())


def check_places(state: State, places: Mapping[int, Place], case: int) -> None:
    for _, rack, name in places.values():
        spec = state.node(name)
        assert spec is not None and spec.rack == rack, case


def test_a_spare_node_takes_the_slot_that_nothing_else_of_the_domain_could() -> None:
    found = 0
    for case in range(1_000):
        random = Random(case)
        state = hall(random, racks=1, nodes=6)
        gang = replace(request(random, 4), groups=(), required="nvlink", segment_slots=None, slots=2)
        placement = find(state, gang)
        if placement is None or len(set(placement.slots)) < 2:
            continue
        state.book(KEY, placement)
        spares = {state.inventory.names[i] for i in state.held_back()}
        held = state.held(KEY)
        answer = replacement(state, placement, held, [1], gang)
        if answer.places is None or answer.places[1][2] not in spares:
            continue
        found += 1
        moved = relocated(placement, answer.places, state.reserved(KEY))
        assert moved.slots == (placement.slots[0], answer.places[1][2])
        assert find(state, replace(gang, slots=1, capacity=dict.fromkeys(spares, 1))) is None, case
    assert found >= 3
