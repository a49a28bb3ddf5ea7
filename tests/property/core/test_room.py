"""What nodes still take, followed event by event, is what a count of everything anew would say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.core.objects import Node, PodSpec
from rackplane.core.pods.podclass import Amounts, PodClass, held_by
from rackplane.core.pods.room import CLASSES_KEPT, Room
from rackplane.engine.model import InvariantViolation
from rackplane.engine.nodes.changelog import ChangeLog
from tests.support.thorough import some

NODES = ("n0", "n1", "n2", "n3")
SPECS = [
    msgspec.convert({"containers": [{"resources": {"requests": {"cpu": "1"}}}], **more}, PodSpec)
    for more in (
        {},
        {"nodeSelector": {"pool": "a"}},
        {"tolerations": [{"key": "t", "operator": "Exists"}]},
        {"containers": [{"resources": {"requests": {"cpu": "2", "g": "1"}}}]},
        {"containers": [{"ports": [{"hostPort": 80}]}]},
    )
]


def node(name: str, pool: str, cpus: int, ready: bool, tainted: bool) -> Node:
    body: dict[str, Any] = {
        "metadata": {"name": name, "labels": {"pool": pool}},
        "spec": {"taints": [{"key": "t", "effect": "NoSchedule"}] if tainted else []},
        "status": {
            "allocatable": {"cpu": str(cpus), "g": "4", "pods": "8"},
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }
    return msgspec.convert(body, Node)


names, specs = st.sampled_from(NODES), st.sampled_from(SPECS)
steps = st.one_of(
    st.builds(node, names, st.sampled_from("ab"), st.integers(0, 9), st.booleans(), st.booleans()),
    names,
    st.tuples(st.just("hold"), st.integers(0, 5), names, specs),
    st.tuples(st.just("let go"), st.integers(0, 5)),
    st.tuples(st.just("promise"), st.integers(0, 2), specs, st.dictionaries(names, st.integers(1, 3))),
    st.tuples(st.just("ask"), specs),
    st.tuples(st.just("ask without"), specs, st.dictionaries(names, specs)),
)


class Known:
    """A Room, and beside it all that it was told, as plain facts."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.pods: dict[int, tuple[str, PodSpec]] = {}
        self.promises: dict[int, tuple[PodSpec, dict[str, int]]] = {}
        self.room = Room(self.nodes)

    def step(self, step: Any) -> None:
        match step:
            case Node():
                self.nodes[step.metadata.name] = step
                self.room.look(step.metadata.name)
            case str():
                self.nodes.pop(step, None)
                self.room.look(step)
            case ("hold", pod, where, spec):
                self.pods[pod] = (where, spec)
                self.room.hold(("ns", str(pod)), where, held_by(spec))
            case ("let go", pod):
                self.pods.pop(pod, None)
                self.room.let_go(("ns", str(pod)))
            case ("promise", gang, spec, pods):
                self.promises[gang] = (spec, pods)
                self.room.promise(("ns", str(gang)), (held_by(spec), pods))
            case ("ask", spec):
                self.room.mask(PodClass(spec))
            case ("ask without", spec, gone):
                freed = {name: held_by(each) for name, each in gone.items()}
                found = self.room.slots_without_each(PodClass(spec), freed)
                assert found == {name: self.slots_without(spec, name, held) for name, held in freed.items()}

    def slots_without(self, spec: PodSpec, name: str, freed: Amounts) -> int:
        """From nothing but the facts."""
        used = self.used().get(name, {})
        left = {each: used.get(each, 0) - freed.get(each, 0) for each in {**used, **freed}}
        return PodClass(spec).slots_on(self.nodes[name], left) if name in self.nodes else 0

    def used(self) -> dict[str, dict[str, int]]:
        held = list(self.pods.values())
        held += [
            (n, spec) for spec, pods in self.promises.values() for n, c in pods.items() for _ in range(c)
        ]
        total: dict[str, dict[str, int]] = {}
        for name, spec in held:
            for resource, amount in held_by(spec).items():
                of_node = total.setdefault(name, {})
                of_node[resource] = of_node.get(resource, 0) + amount
        return total

    def slots(self, spec: PodSpec) -> dict[str, int]:
        """From nothing but the facts."""
        kind, used = PodClass(spec), self.used()
        found = {name: kind.slots_on(n, used.get(name, {})) for name, n in self.nodes.items()}
        return {name: count for name, count in found.items() if count}


@settings(max_examples=some(300), deadline=None)
@given(st.lists(steps, max_size=40))
def test_after_any_events_every_mask_is_what_a_count_anew_says(events: list[Any]) -> None:
    known = Known()
    for step in events:
        known.step(step)
        known.room.validate(known.used())
    for spec in SPECS:
        assert known.room.mask(PodClass(spec)).as_dict() == known.slots(spec)


def test_the_mask_of_a_class_is_one_object_whose_log_names_the_nodes_that_changed() -> None:
    known = Known()
    for name in NODES:
        known.step(node(name, "a", 4, True, False))
    mask = known.room.mask(PodClass(SPECS[0]))
    position = mask.position
    known.step(("hold", 1, "n2", SPECS[0]))
    assert known.room.mask(PodClass(SPECS[0])) is mask
    assert list(mask.changes(position) or ()) == ["n2"]


def test_a_pod_that_takes_what_was_promised_changes_nothing_for_others() -> None:
    known = Known()
    known.step(node("n0", "a", 4, True, False))
    known.step(("promise", 0, SPECS[0], {"n0": 1}))
    assert known.room.settle()
    known.step(("hold", 1, "n0", SPECS[0]))
    known.step(("promise", 0, SPECS[0], {}))
    assert not known.room.settle()


def test_a_count_that_has_gone_wrong_is_found() -> None:
    known = Known()
    known.step(node("n0", "a", 4, True, False))
    known.step(("ask", SPECS[0]))
    known.nodes["n0"] = node("n0", "a", 4, False, False)  # nobody told the room
    with pytest.raises(InvariantViolation, match="differ from a new count"):
        known.room.validate(known.used())
    with pytest.raises(InvariantViolation, match=r"node n0 holds {'cpu': 1} by a new count, not {}"):
        known.room.validate({"n0": {"cpu": 1}})


def test_classes_nobody_asks_for_make_way() -> None:
    room = Room({"n0": node("n0", "a", 4, True, False)})
    kinds = [
        PodClass(msgspec.convert({"nodeSelector": {"pool": str(i)}}, PodSpec))
        for i in range(CLASSES_KEPT + 1)
    ]
    masks = [room.mask(kind) for kind in kinds[:-1]]
    assert room.mask(kinds[0]) is masks[0]
    room.mask(kinds[-1])
    assert room.mask(kinds[0]) is masks[0]
    assert room.mask(kinds[1]) is not masks[1]


def test_who_is_far_behind_a_log_is_told_to_look_at_everything() -> None:
    log = ChangeLog[int](kept=4)
    for i in (1, 2, 2, 3):
        log.add(i)
    assert list(log.since(1) or ()) == [2, 3]
    log.add(4)
    assert (log.position, log.since(2), log.since(3)) == (5, None, {3: None, 4: None})


def test_a_mask_that_fell_behind_its_log_is_brought_up_to_date() -> None:
    known = Known()
    for name in NODES:
        known.step(node(name, "a", 9, True, False))
    known.step(("ask", SPECS[0]))
    known.room._log = _short(known.room._log)
    for cpus in range(9):
        for name in NODES[:3]:
            known.step(node(name, "a", cpus, True, False))
    known.step("n3")
    assert known.room.mask(PodClass(SPECS[0])).as_dict() == dict.fromkeys(NODES[:3], 8)


def _short(log: ChangeLog[str]) -> ChangeLog[str]:
    short = ChangeLog[str](kept=4)
    for name in log.since(0) or ():
        short.add(name)
    return short
