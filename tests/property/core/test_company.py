"""What other pods leave to a gang's is what kube-scheduler leaves to them, followed event by event.

The oracle is the embedded cluster's scheduler, which is held to answers recorded from a real kube-scheduler.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rackplane.core.objects import Node, Pod
from rackplane.core.pods.neighbours import Neighbours, Pods
from rackplane.core.pods.podclass import PodClass, held_by
from rackplane.core.pods.restrictions import Restrictions, restriction
from rackplane.core.pods.room import Room
from rackplane.core.pods.unmet import unmet
from rackplane.localcluster.scheduling.filters import Fit
from rackplane.localcluster.scheduling.nodes import NodeInfo, requests
from rackplane.localcluster.scheduling.others import Neighbours as Oracle
from tests.support.thorough import some

HOST = "kubernetes.io/hostname"
NODES = ("n0", "n1", "n2", "n3")
Body = dict[str, Any]
Key = tuple[str, str]


def decoded(body: Body, kind: type[Any]) -> Any:
    return msgspec.json.decode(msgspec.json.encode(body), type=kind)


names = st.sampled_from(NODES)
namespaces = st.sampled_from(["ns", "other"])
apps = st.sampled_from(["a", "b"])
labels = st.fixed_dictionaries({}, optional={"app": apps, "tier": st.just("x")})
requirements = st.one_of(
    st.builds(
        lambda operator, values: {"key": "app", "operator": operator, "values": values},
        st.sampled_from(["In", "NotIn"]),
        st.lists(apps, min_size=1, max_size=2, unique=True),
    ),
    st.builds(
        lambda key, operator: {"key": key, "operator": operator},
        st.sampled_from(["app", "tier"]),
        st.sampled_from(["Exists", "DoesNotExist"]),
    ),
)
selectors = st.one_of(
    st.builds(lambda app: {"matchLabels": {"app": app}}, apps),
    st.builds(lambda e: {"matchExpressions": [e]}, requirements),
    st.just({}),
    st.none(),
)
terms = st.builds(
    lambda key, selector, more: {"topologyKey": key, "labelSelector": selector, **more},
    st.sampled_from([HOST, "zone"]),
    selectors,
    st.sampled_from([{}, {"namespaces": ["other"]}, {"namespaceSelector": {}}]),
)
several = st.fixed_dictionaries(
    {"requiredDuringSchedulingIgnoredDuringExecution": st.lists(terms, min_size=1, max_size=2)}
)
spreads = st.builds(
    lambda skew, selector, more: {
        "maxSkew": skew,
        "topologyKey": HOST,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": selector,
        **more,
    },
    st.integers(1, 2),
    selectors,
    st.sampled_from([{}, {"nodeAffinityPolicy": "Ignore"}, {"minDomains": 3}]),
)


def pods(**affinity: st.SearchStrategy[Any]) -> st.SearchStrategy[Body]:
    return st.builds(
        lambda namespace, labels, affinity, spread: {
            "metadata": {"name": "p", "namespace": namespace, "labels": labels},
            "spec": {
                "containers": [{"resources": {"requests": {"cpu": "1"}}}],
                **({"affinity": affinity} if affinity else {}),
                **({"topologySpreadConstraints": [spread]} if spread else {}),
            },
        },
        namespaces,
        labels,
        st.fixed_dictionaries({}, optional=affinity),
        st.one_of(st.none(), spreads) if "podAffinity" in affinity else st.none(),
    )


others = pods(podAntiAffinity=several)
ours = pods(podAntiAffinity=several, podAffinity=several)
topologies = st.dictionaries(
    names, st.fixed_dictionaries({}, optional={"zone": st.sampled_from("yz")}), min_size=2, max_size=4
)


def node(name: str, more: Body, *, host: bool = True) -> Body:
    return {
        "metadata": {"name": name, "labels": {**more, **({HOST: name} if host else {})}},
        "spec": {},
        "status": {
            "allocatable": {"cpu": "3", "pods": "9"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def named(body: Body, name: str, where: str = "") -> Body:
    spec = {**body["spec"], **({"nodeName": where} if where else {})}
    return {**body, "metadata": {**body["metadata"], "name": name}, "spec": spec}


class Seen:
    """Our side and the oracle's, told the same."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.pods: dict[Key, Pod] = {}
        self.promises: dict[Key, tuple[Pods, dict[str, int]]] = {}
        self.room = Room(self.nodes)
        self.neighbours = Neighbours(self.nodes, self.pods)
        self.restrictions = Restrictions(self.nodes, self.neighbours)
        self.infos: dict[str, NodeInfo] = {}

    def put_node(self, body: Body) -> None:
        name = body["metadata"]["name"]
        self.nodes[name] = decoded(body, Node)
        self.infos.setdefault(name, NodeInfo(name)).read(body)
        self.room.look(name)
        self.neighbours.node(name)

    def drop_node(self, name: str) -> None:
        self.nodes.pop(name, None)
        self.room.look(name)
        self.neighbours.node(name)

    def put_pod(self, body: Body) -> None:
        pod = decoded(body, Pod)
        key = (pod.metadata.namespace, pod.metadata.name)
        before = self.pods.get(key)
        self.pods[key] = pod
        self.neighbours.pod(before, pod)
        if pod.status.phase == "Succeeded":
            self.room.let_go(key)
        else:
            self.room.hold(key, pod.spec.node_name, held_by(pod.spec))
        if pod.spec.node_name in self.infos:
            self.infos[pod.spec.node_name].add(key, body, requests(body))

    def drop_pod(self, key: Key) -> None:
        pod = self.pods.pop(key, None)
        self.neighbours.pod(pod, None)
        self.room.let_go(key)

    def promise(self, gang: Key, body: Body, counts: dict[str, int]) -> None:
        pod = decoded(body, Pod)
        kind = Pods.like(pod.metadata.namespace, pod.metadata.labels, pod.spec.affinity)
        self.promises[gang] = (kind, counts)
        self.neighbours.promise(gang, kind, counts)

    def mask(self, body: Body) -> dict[str, int]:
        pod = decoded(body, Pod)
        kind = PodClass(pod.spec)
        base = self.room.mask(kind)
        like = Pods.like(pod.metadata.namespace, pod.metadata.labels, pod.spec.affinity)
        by = restriction(self.neighbours, pod.spec, [like])
        return (base if by is None else self.restrictions.mask(kind, base, by)).as_dict()

    def check(self) -> None:
        self.neighbours.validate(self.promises)
        self.restrictions.validate(self.room.masks())

    def binds(self, body: Body, name: str) -> bool:
        """Whether the scheduler would bind such a pod there."""
        return Fit(body, Oracle(body, self.infos.values(), {}), {}).refusal(self.infos[name]) is None


def problems(body: Body, slots: int) -> list[Any]:
    pod = decoded(body, Pod)
    kinds = [(pod.metadata.namespace, pod.metadata.labels)]
    return list(unmet("spec", pod.spec, kinds, slots=slots, resources=(), level_by_node_label={}))


def cluster(topology: dict[str, Body], there: list[tuple[str, Body]]) -> Seen:
    seen = Seen()
    for name, more in sorted(topology.items()):
        seen.put_node(node(name, more))
    for i, (where, body) in enumerate(there):
        if where in topology:
            seen.put_pod(named(body, f"other-{i}", where))
    return seen


@settings(max_examples=some(500), deadline=None)
@given(topologies, st.lists(st.tuples(names, others), max_size=4), ours)
def test_a_node_is_open_to_a_pod_if_the_scheduler_would_bind_it_there(
    topology: dict[str, Body], there: list[tuple[str, Body]], body: Body
) -> None:
    seen = cluster(topology, there)
    if "topologySpreadConstraints" in body["spec"]:
        # Counted from nothing and not from the fewest: as strict or stricter, and the same where a node has none.
        assert set(seen.mask(body)) <= {n for n in topology if seen.binds(body, n)}
    else:
        assert set(seen.mask(body)) == {n for n in topology if seen.binds(body, n)}


@settings(max_examples=some(500), deadline=None)
@given(topologies, st.lists(st.tuples(names, others), max_size=4), ours, st.permutations(NODES))
def test_every_place_of_a_gang_is_bound_in_whatever_order(
    topology: dict[str, Body], there: list[tuple[str, Body]], body: Body, order: list[str]
) -> None:
    seen = cluster(topology, there)
    slots = seen.mask(body)
    assume(sum(slots.values()) > 1 and not problems(body, sum(slots.values())))
    for name in order:
        for i in range(slots.get(name, 0)):
            chosen = {**body["spec"], "nodeSelector": {HOST: name}}
            assert seen.binds({**body, "spec": chosen}, name), (name, i)
            seen.put_pod(named(body, f"ours-{name}-{i}", name))


steps = st.one_of(
    st.tuples(st.just("node"), names, st.sampled_from([{}, {"zone": "y"}, {"zone": "z"}]), st.booleans()),
    st.tuples(st.just("node gone"), names),
    st.tuples(st.just("pod"), st.integers(0, 3), names, others, st.booleans()),
    st.tuples(st.just("pod gone"), st.integers(0, 3)),
    st.tuples(st.just("promise"), st.integers(0, 1), others, st.dictionaries(names, st.integers(1, 2))),
    st.tuples(st.just("ask"), ours),
)


def step(seen: Seen, what: tuple[Any, ...]) -> None:
    match what:
        case ("node", name, more, host):
            seen.put_node(node(name, more, host=host))
        case ("node gone", name):
            seen.drop_node(name)
        case ("pod", number, where, body, over):
            status = {"status": {"phase": "Succeeded"}} if over else {}
            body = {**named(body, f"o-{number}", where), **status}
            old = next((key for key in seen.pods if key[1] == f"o-{number}"), None)
            if old is not None and old[0] != body["metadata"]["namespace"]:
                seen.drop_pod(old)
            seen.put_pod(body)
        case ("pod gone", number):
            for key in [key for key in seen.pods if key[1] == f"o-{number}"]:
                seen.drop_pod(key)
        case ("promise", gang, body, counts):
            seen.promise(("ns", f"g-{gang}"), body, counts)
        case ("ask", body):
            seen.mask(body)


def test_another_pod_of_the_same_name_on_the_same_node_refuses_whom_it_refuses() -> None:
    apart = {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}
        ]
    }
    spec = {"containers": [{"resources": {"requests": {"cpu": "1"}}}]}
    plain = {"metadata": {"name": "p", "namespace": "ns", "labels": {"app": "a"}}, "spec": spec}
    alone = {**plain, "spec": {**spec, "affinity": {"podAntiAffinity": apart}}}
    seen = Seen()
    for name in NODES:
        seen.put_node(node(name, {"zone": "y"}))
    # A watch that was cut and listed anew tells of both as of one pod that has changed.
    for body in (plain, alone, plain):
        seen.put_pod(named(body, "o-0", "n0"))
        assert ("n0" in seen.mask(plain)) == (body is plain)
        seen.check()


@settings(max_examples=some(200), deadline=None)
@given(st.lists(ours, min_size=1, max_size=3), st.lists(steps, max_size=20))
def test_what_is_followed_is_what_a_new_count_says(asked: list[Body], history: list[tuple[Any, ...]]) -> None:
    seen = Seen()
    for name in NODES:
        seen.put_node(node(name, {"zone": "y"}))
    for what in history:
        step(seen, what)
        for body in asked:
            seen.mask(body)
        seen.check()
    fresh = Seen()
    fresh.nodes.update(seen.nodes)
    fresh.pods.update(seen.pods)
    for key, pod in seen.pods.items():
        fresh.neighbours.pod(None, pod)
        if pod.status.phase != "Succeeded":
            fresh.room.hold(key, pod.spec.node_name, held_by(pod.spec))
    for gang, (kind, counts) in seen.promises.items():
        fresh.neighbours.promise(gang, kind, counts)
    assert [seen.mask(body) for body in asked] == [fresh.mask(body) for body in asked]


@settings(max_examples=some(300), deadline=None)
@given(
    topologies,
    st.lists(st.tuples(names, others), max_size=4),
    st.tuples(others, st.dictionaries(names, st.integers(1, 2))),
    ours,
    st.sets(st.integers(0, 3)),
)
def test_with_others_gone_it_is_as_if_they_had_not_come(
    topology: dict[str, Body],
    there: list[tuple[str, Body]],
    promised: tuple[Body, dict[str, int]],
    body: Body,
    leaving: set[int],
) -> None:
    seen, without = (
        cluster(topology, there),
        cluster(topology, [(w, b) if i not in leaving else ("", b) for i, (w, b) in enumerate(there)]),
    )
    seen.promise(("ns", "g"), *promised)
    gone = [
        (Pods.of(pod), pod.spec.node_name, 1)
        for (_, name), pod in seen.pods.items()
        if int(name.removeprefix("other-")) in leaving
    ]
    gone += [(seen.promises["ns", "g"][0], n, number) for n, number in promised[1].items()]
    pod = decoded(body, Pod)
    kind, like = PodClass(pod.spec), Pods.like(pod.metadata.namespace, pod.metadata.labels, pod.spec.affinity)
    by = restriction(seen.neighbours, pod.spec, [like])
    assume(by is not None)
    assert by is not None
    base, before = seen.room.mask(kind), seen.mask(body)
    freed: dict[str, int] = {}
    for _, name, _ in gone:
        held: dict[str, int] = {}
        for other, where, _ in gone:
            if where == name and not other.promised:
                for what, amount in {"cpu": 1000, "pods": 1000}.items():
                    held[what] = held.get(what, 0) + amount
        freed[name] = seen.room.slots_without(kind, name, held)
    changed = seen.restrictions.slots_without(kind, base, by, freed, gone)
    assert {n: s for n, s in {**before, **changed}.items() if s} == without.mask(body)
    assert seen.mask(body) == before


def test_a_pod_that_takes_what_was_promised_changes_nothing_for_others() -> None:
    apart = {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": "a"}}}
    body: Body = {
        "metadata": {"name": "p", "namespace": "ns", "labels": {"app": "a"}},
        "spec": {
            "containers": [{}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}},
        },
    }
    seen = cluster({"n0": {}, "n1": {}}, [])
    assert seen.mask(body) == {"n0": 1, "n1": 1}
    seen.promise(("ns", "g"), body, {"n0": 1})
    assert seen.neighbours.settle()
    assert seen.mask(body) == {"n1": 1}
    seen.put_pod(named(body, "o-1", "n0"))
    seen.promise(("ns", "g"), body, {})
    assert not seen.neighbours.settle()
    seen.drop_pod(("ns", "o-1"))
    assert seen.neighbours.settle()
    assert seen.mask(body) == {"n0": 1, "n1": 1}


def test_a_label_that_changes_on_a_bound_pod_is_seen() -> None:
    seen = cluster({"n0": {}, "n1": {}}, [])
    wanted = {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": "cache"}}}
    body: Body = {
        "metadata": {"name": "p", "namespace": "ns", "labels": {}},
        "spec": {
            "containers": [{}],
            "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [wanted]}},
        },
    }
    other: Body = {"metadata": {"name": "c", "namespace": "ns", "labels": {}}, "spec": {"nodeName": "n1"}}
    seen.put_pod(other)
    assert seen.mask(body) == {}
    seen.neighbours.settle()
    seen.put_pod({**other, "metadata": {**other["metadata"], "labels": {"app": "cache"}}})
    assert seen.neighbours.settle()
    assert seen.mask(body) == {"n1": 8}


def test_who_may_be_the_first_must_follow_once_another_is() -> None:
    wanted = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "a"}}}
    body: Body = {
        "metadata": {"name": "p", "namespace": "ns", "labels": {"app": "a"}},
        "spec": {
            "containers": [{"resources": {"requests": {"cpu": "1"}}}],
            "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [wanted]}},
        },
    }
    seen = cluster({"n0": {"zone": "y"}, "n1": {"zone": "y"}, "n2": {"zone": "z"}}, [])
    assert seen.mask(body) == {"n0": 3, "n1": 3, "n2": 3}
    seen.put_pod(named(body, "other-0", "n0"))
    assert seen.mask(body) == {"n0": 2, "n1": 3}
    seen.drop_pod(("ns", "other-0"))
    assert seen.mask(body) == {"n0": 3, "n1": 3, "n2": 3}
