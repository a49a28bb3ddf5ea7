"""The best placement of a gang by CP-SAT: limits and objective written down anew, from nodes and watts alone.

The levels of the objective are minimised in turn, as :mod:`engine.placing.objective` states them; ``measure`` reads the
same figures off a placement of the engine.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import floor

from ortools.sat.python import cp_model

from rackplane.engine.model import NVLINK, NodeSpec, NvlinkScope, Placement, Request
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from rackplane.engine.state import State

SCALE = 10**6
"""Watts are scaled up to whole numbers: far below the tolerance, for gangs of this size."""
MOST_WEIGHT = 2**45
"""Parts of the objective are minimised together as long as their weights stay below."""

Part = tuple[int, str]
"""A bin, and a rack that holds some of it."""


@dataclass(frozen=True)
class Score:
    """The objective of a placement, smaller first: its fields in this order.

    ``beyond`` are watts, by the shares of :mod:`engine.physics.even`, which has tests of its own.
    ``around`` and ``emptiness`` are sums over the bins, in millionths: of the bins and of the slots around them, those
    that are pristine and free.
    ``remains`` are the free sizes of all bins afterwards, largest first and negative; ``names`` the bins' orders.
    """

    attempt: int
    bins: int
    racks: int
    straggler: bool
    beyond: int
    pristine: int
    around: int
    outlasted: int
    remains: tuple[int, ...]
    stranded: int
    emptiness: tuple[int, ...]
    names: tuple[int, ...]


class Level:
    """What one level offers: its trees, bins and their free slots by rack."""

    def __init__(self, state: State, request: Request, level: str, *, single: bool) -> None:
        self.single = single
        self.by_domain = single or (request.segment_slots or 1) > 1
        self.run = 1 if single else (request.segment_slots or 1)
        self.free: dict[Part, int] = {}
        self.tree_of: dict[int, tuple[str, ...]] = {}
        self.used: set[int] = set()
        self.of_node: dict[str, int] = {}
        keys: dict[tuple[object, ...], int] = {}
        slots = slots_by_node(state, request)
        for name in state.inventory.names:
            node = state.node(name)
            node_type = state.node_type(name)
            assert node is not None
            assert node_type is not None
            assert node.rack is not None
            tree = _path(state, node, level)
            key = _bin(node, node_type.nvlink_scope, by_domain=self.by_domain)
            if tree is None or key is None or node_type.resource != request.resource:
                continue
            order = keys.setdefault((tree, key), len(keys))
            self.tree_of[order] = tree
            self.of_node[name] = order
            if state.free_gpus(name) < node_type.gpus_per_node:
                self.used.add(order)
            part = order, node.rack
            self.free[part] = self.free.get(part, 0) + slots[name]
        # The same bin name in two trees counts by the tree first; the engine compares by the name alone.
        names = list(dict.fromkeys(key[1] for key in keys))
        self.name = {order: names.index(key[1]) for key, order in keys.items()}
        self.size = dict.fromkeys(keys.values(), 0)
        for (order, _), free in self.free.items():
            self.size[order] += free
        self._emptiness(state, request)
        self._outlasted(state, request)
        self._beyond(state, request)

    def _beyond(self, state: State, request: Request) -> None:
        """By bin: watts of the gang that its racks may not draw without others having to draw less than their share."""
        self.beyond = dict.fromkeys(self.size, 0)
        if not self.single:
            return
        group = state.even.group.tolist()
        for name, order in self.of_node.items():
            one = state.increments_of({name: 1}, request.gpus_per_slot, request.power_profile).nominal_watts
            left = []
            for rack in {rack for o, rack in self.free if o == order}:
                here = group[state.facility.rack_index[rack]]
                drawn = sum(int(state.nominal[r]) for r, g in enumerate(group) if g == here)
                left.append(int(state.even.watts[here]) - drawn)
            self.beyond[order] = max(0, request.slots * one - max(left))

    def _outlasted(self, state: State, request: Request) -> None:
        """By bin: how often the time to its last end must be made four times as long to reach the gang's; 3 at most."""
        self.outlasted = dict.fromkeys(self.size, 0)
        if not self.single or request.lasts is None or request.until is None:
            return
        left = dict.fromkeys(self.size, 0.0)
        for key in list(state.keys()):
            end = state.until(key)
            for name, gpus in state.held_gpus(key).items():
                if end is not None and gpus and name in self.of_node:
                    order = self.of_node[name]
                    left[order] = max(left[order], end - (request.until - request.lasts))
        for order, time in left.items():
            while self.outlasted[order] < 3 and time < request.lasts:
                self.outlasted[order] += 1
                time *= 4

    def _emptiness(self, state: State, request: Request) -> None:
        """By bin and fabric level, innermost first: the part of the slots around it that is free, in millionths."""
        whole: Counter[int] = Counter()
        place: dict[int, dict[str, str]] = {}
        for name, order in self.of_node.items():
            node, node_type = state.node(name), state.node_type(name)
            assert node is not None
            assert node_type is not None
            whole[order] += node_type.gpus_per_node // request.gpus_per_slot
            place.setdefault(order, dict(node.fabric))
        self.emptiness: dict[int, tuple[int, ...]] = dict.fromkeys(self.size, ())
        for level in state.facility.levels:
            # In the drawn halls the names of a level are unique throughout, not only under the level above.
            free_in: Counter[str | None] = Counter()
            whole_in: Counter[str | None] = Counter()
            for order, size in self.size.items():
                free_in[place[order].get(level)] += size
                whole_in[place[order].get(level)] += whole[order]
            for order in self.size:
                here = place[order].get(level)
                part = free_in[here] * 10**6 // max(1, whole_in[here])
                self.emptiness[order] = (*self.emptiness[order], part)
        self.around = dict.fromkeys(self.size, 0)
        if state.facility.levels:
            halls = {order: place[order].get(state.facility.levels[-1]) for order in self.size}
            for order, hall in halls.items():
                there = [other for other in halls if halls[other] == hall]
                untouched = [other for other in there if other not in self.used]
                self.around[order] = len(untouched) * 10**6 // len(there)


def _path(state: State, node: NodeSpec, level: str) -> tuple[str, ...] | None:
    if not level:
        return ()
    names = dict(node.fabric)
    if level not in names:
        return None
    levels = state.facility.levels
    return tuple(names[above] for above in levels[levels.index(level) :] if above in names)


def _bin(node: NodeSpec, scope: NvlinkScope, *, by_domain: bool) -> tuple[str, str] | None:
    if scope in (NvlinkScope.LABEL, NvlinkScope.OBJECT) and node.domain is not None:
        return "domain", node.domain
    if not by_domain:
        return "rack", node.rack or ""
    return ("node", node.name) if scope is NvlinkScope.NODE else None


def slots_by_node(state: State, request: Request) -> dict[str, int]:
    """Slots of each node by its GPUs, health, spares, power cap and rack; watts apart."""
    facility = state.facility
    spares = {name: d.spare_nodes for name, d in facility.domains.items()}
    for each in state.nodes():
        if not each.healthy and not state.booked_gpus(each.name):
            spares[each.domain or ""] = spares.get(each.domain or "", 0) - 1  # a spare stands for it
    result: dict[str, int] = {}
    for name in reversed(state.inventory.names):
        node, node_type = state.node(name), state.node_type(name)
        assert node is not None
        assert node_type is not None
        free, cap = state.free_gpus(name), state.cap_watts(name)
        result[name] = 0
        if node.healthy and free == node_type.gpus_per_node and spares.get(node.domain or "", 0) > 0:
            spares[node.domain or ""] -= 1
            continue
        caps = {c.name: c.node_watts for c in node_type.caps} | {"MaxP": node_type.max_watts}
        fits = node_type.resource == request.resource and request.power_profile in caps
        if not fits or not node.healthy or not facility.usable(facility.rack_index[node.rack or ""]):
            continue
        if cap is None or cap == caps[request.power_profile]:
            result[name] = free // request.gpus_per_slot
    return result


def levels(state: State, request: Request) -> list[Level]:
    """What is tried in turn: one NVLink domain, then from the preferred level up to the required one."""
    top = request.required if request.required not in (None, NVLINK) else ""
    tried = [Level(state, request, top or "", single=True)]
    if request.required == NVLINK:
        return tried
    ladder = [NVLINK, *state.facility.levels, ""]
    last = ladder.index(request.required or "")
    first = min(last, ladder.index(request.preferred) if request.preferred is not None else last)
    tried.extend(
        Level(state, request, level, single=False) for level in ladder[first : last + 1] if level != NVLINK
    )
    return tried


class Watts:
    """What a slot in a rack takes, and what is left."""

    def __init__(self, state: State, request: Request) -> None:
        facility = state.facility
        self.slack = state.slack(request.until, at=request.at)
        self.entries: dict[str, list[tuple[int, float]]] = {}
        self.one: dict[str, int] = {}
        self.full: dict[str, int] = {}
        self.room: dict[str, int] = {}
        self.headroom: dict[str, int] = {}
        slots = slots_by_node(state, request)
        for name in state.inventory.names:
            node = state.node(name)
            assert node is not None
            rack = node.rack or ""
            self.room[rack] = self.room.get(rack, 0) + slots[name]
            if rack in self.one:
                continue
            one = state.increments_of({name: 1}, request.gpus_per_slot, request.power_profile)
            self.one[rack] = one.nominal_watts
            self.full[rack] = state.increments_of({name: 1}, request.gpus_per_slot, "MaxP").nominal_watts
            index = facility.rack_index[rack]
            span = facility.entries(index)
            self.entries[rack] = []
            for cell, factor in zip(facility.cells[span].tolist(), facility.coefficients[span], strict=True):
                basis = facility.describe(cell)[1].basis
                self.entries[rack].append(
                    (cell, float(factor) * (one.peak_watts if basis else one.nominal_watts))
                )
            self.headroom[rack] = max(
                0, floor(min(2.0**40, state.headrooms()[0][index]) + TOLERANCE_WATTS / 2)
            )

    def stranded(self, rack: str, slots: int) -> int:
        """Watts that so many slots strand in a rack: left there, and of no use to the slots that stay free."""

        def unusable(taken: int) -> int:
            left, full = self.headroom[rack] - taken * self.one[rack], self.full[rack]
            return left - full * min(self.room[rack] - taken, left // full) if full else 0

        return unusable(slots) - unusable(0)


def measure(state: State, request: Request, placement: Placement) -> Score:
    """The objective of a placement, from its nodes."""
    racks = {n.name: n.rack or "" for n in state.nodes()}
    watts = Watts(state, request)
    for attempt, level in enumerate(levels(state, request)):
        taken = Counter(level.of_node.get(name) for name in placement.slots)
        if None in taken or len({level.tree_of[b] for b in taken if b is not None}) > 1:
            continue
        if level.single and len(taken) > 1:
            continue
        by_bin = {b: n for b, n in taken.items() if b is not None}
        by_rack = Counter(racks[name] for name in placement.slots)
        return Score(
            attempt,
            len(by_bin),
            len(by_rack),
            2 * len(by_bin) * min(by_bin.values()) < request.slots,
            sum(level.beyond[b] for b in by_bin),
            len(by_bin.keys() - level.used),
            sum(level.around[b] for b in by_bin),
            sum(level.outlasted[b] for b in by_bin),
            tuple(sorted(by_bin.get(b, 0) - size for b, size in level.size.items())),
            sum(watts.stranded(rack, n) for rack, n in by_rack.items()),
            tuple(map(sum, zip(*(level.emptiness[b] for b in by_bin), strict=True))),
            tuple(sorted(level.name[b] for b in by_bin)),
        )
    raise AssertionError("the placement keeps to no level that was asked for")


def optimum(state: State, request: Request) -> Score | None:
    """The best that there is, or None if nothing fits."""
    watts = Watts(state, request)
    for attempt, level in enumerate(levels(state, request)):
        if sum(level.size.values()) >= request.slots:
            found = _Model(level, request, watts).best(attempt)
            if found is not None:
                return found
    return None


class _Model:
    """One level as an integer program."""

    def __init__(self, level: Level, request: Request, watts: Watts) -> None:
        self.level, self.slots, self.watts = level, request.slots, watts
        self.m = m = cp_model.CpModel()
        self.x = {p: m.new_int_var(0, min(free, self.slots), "") for p, free in level.free.items()}
        m.add(sum(self.x.values()) == self.slots)
        self.bins = {b: m.new_bool_var("") for b in level.size}
        self.n = {b: m.new_int_var(0, min(size, self.slots), "") for b, size in level.size.items()}
        of_rack: dict[str, list[cp_model.IntVar]] = {}
        of_bin: dict[int, list[cp_model.IntVar]] = {}
        for (b, rack), x in self.x.items():
            of_bin.setdefault(b, []).append(x)
            of_rack.setdefault(rack, []).append(x)
        for b, used in self.bins.items():
            m.add(sum(of_bin[b]) == self.n[b])
            m.add(self.n[b] >= used)
            m.add(self.n[b] <= level.size[b] * used)
        self.racks, self.in_rack = {}, {}
        for rack, xs in of_rack.items():
            used = self.racks[rack] = m.new_bool_var("")
            taken = self.in_rack[rack] = m.new_int_var(0, self.slots, "")
            m.add(taken == sum(xs))
            m.add(taken >= used)
            m.add(taken <= self.slots * used)
        trees: dict[tuple[str, ...], cp_model.IntVar] = {}
        for b, tree in level.tree_of.items():
            m.add_implication(self.bins[b], trees.setdefault(tree, m.new_bool_var("")))
        m.add_exactly_one(trees.values())
        if level.single:
            m.add_exactly_one(self.bins.values())
        self._runs()
        self._limits()

    def _runs(self) -> None:
        run, m = self.level.run, self.m
        if run == 1:
            return
        short = self.slots % run
        last = []
        for n in self.n.values():
            whole, ends = m.new_int_var(0, self.slots // run, ""), m.new_bool_var("")
            m.add(n == run * whole + short * ends)
            last.append(ends)
        m.add(sum(last) == (1 if short else 0))

    def _limits(self) -> None:
        terms: dict[int, list[tuple[int, cp_model.IntVar]]] = {}
        for rack, taken in self.in_rack.items():
            for cell, use in self.watts.entries[rack]:
                terms.setdefault(cell, []).append((round(use * SCALE), taken))
        for cell, uses in terms.items():
            left = float(self.watts.slack[cell]) + TOLERANCE_WATTS / 2
            if left < sum(use for use, _ in uses) * self.slots / SCALE:
                # A limit that is exceeded already stops only what would add to it.
                self.m.add(sum(use * n for use, n in uses if use) <= max(0, floor(left * SCALE)))

    def best(self, attempt: int) -> Score | None:
        """Minimise one part of the objective after the other."""
        m, level = self.m, self.level
        every = len(level.size)
        counts = self._minimise((len(self.racks) + 1) * sum(self.bins.values()) + sum(self.racks.values()))
        if counts is None:
            return None
        bins, racks = divmod(counts, len(self.racks) + 1)
        straggler = m.new_bool_var("")
        for b, used in self.bins.items():
            m.add(2 * bins * self.n[b] >= self.slots).only_enforce_if(used, ~straggler)
        remains: dict[int, list[cp_model.IntVar]] = {}
        for b, size in level.size.items():
            values = [m.new_bool_var("") for _ in range(min(size, self.slots) + 1)]
            m.add_exactly_one(values)
            m.add(self.n[b] == sum(n * value for n, value in enumerate(values)))
            for n, value in enumerate(values):
                remains.setdefault(size - n, []).append(value)
        assert self._minimise(straggler) is not None
        beyond = sum(used * level.beyond[b] for b, used in self.bins.items())
        assert self._minimise(beyond) is not None
        pristine = sum(used for b, used in self.bins.items() if b not in level.used)
        around = sum(used * level.around[b] for b, used in self.bins.items())
        most = every * 10**6 + 1
        goal: cp_model.LinearExpr | int = pristine * most + around
        outlasted = sum(used * level.outlasted[b] for b, used in self.bins.items())
        goal = goal * (3 * every + 1) + outlasted
        weight = (every + 1) * most * (3 * every + 1)
        for size in sorted(remains, reverse=True):  # of each free size as many as possible, the largest first
            if weight >= MOST_WEIGHT:
                assert self._minimise(goal) is not None
                goal, weight = 0, 1
            goal, weight = goal * (every + 1) - sum(remains[size]), weight * (every + 1)
        assert self._minimise(goal) is not None
        stranded, least = [], 0
        for rack, taken in self.in_rack.items():
            watts = [self.watts.stranded(rack, n) for n in range(min(self.watts.room[rack], self.slots) + 1)]
            least += min(watts)
            cost = m.new_int_var(min(watts), max(watts), "")
            m.add_element(taken, watts, cost)
            stranded.append(cost)
        # Sets of one size: the first names are those with the most of the first name, then of the second, and so on.
        first = max(level.name.values())
        names = sum(used * 2 ** (first - level.name[b]) for b, used in self.bins.items())
        assert self._minimise(sum(stranded) - least) is not None
        emptiness: cp_model.LinearExpr | int = 0
        for parts in zip(*level.emptiness.values(), strict=True):
            emptiness = emptiness * most + sum(
                self.bins[b] * part for b, part in zip(level.emptiness, parts, strict=True)
            )
        assert self._minimise(emptiness) is not None
        assert self._minimise(-names) is not None
        solver = self.solver
        return Score(
            attempt,
            bins,
            racks,
            bool(solver.value(straggler)),
            solver.value(beyond),
            int(solver.value(pristine)),
            solver.value(around),
            solver.value(outlasted),
            tuple(sorted(solver.value(self.n[b]) - size for b, size in level.size.items())),
            solver.value(sum(stranded)),
            tuple(
                sum(
                    part for b, part in zip(level.emptiness, parts, strict=True) if solver.value(self.bins[b])
                )
                for parts in zip(*level.emptiness.values(), strict=True)
            ),
            tuple(sorted(level.name[b] for b, used in self.bins.items() if solver.value(used))),
        )

    def _minimise(self, goal: cp_model.LinearExprT) -> int | None:
        self.m.minimize(goal)
        self.solver = cp_model.CpSolver()
        self.solver.parameters.num_workers = 1
        self.solver.parameters.cp_model_presolve = True
        status = self.solver.solve(self.m)
        if status == cp_model.INFEASIBLE:
            return None
        assert status == cp_model.OPTIMAL
        value = self.solver.value(goal)
        self.m.add(goal == value)
        return value
