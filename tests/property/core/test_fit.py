"""A node takes as many pods as kube-scheduler would bind there.

The oracle is the embedded cluster's scheduler, which is held to answers recorded from a real kube-scheduler: pods are
put on the node one after another for as long as its filters let them.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackplane.api.labels import MANAGED_TAINT
from rackplane.core.objects import Node, Pod
from rackplane.core.pods.podclass import Amounts, PodClass, held_by
from rackplane.localcluster.scheduling.filters import Fit
from rackplane.localcluster.scheduling.nodes import NodeInfo, requests
from rackplane.localcluster.scheduling.others import Neighbours
from tests.support.thorough import some

GPU = "nvidia.com/gpu"
OURS = {"key": MANAGED_TAINT, "operator": "Exists", "effect": "NoSchedule"}
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
MOST = 6

keys = st.sampled_from(["pool", "gen"])
values = st.sampled_from(["a", "b", "3", "7", "-2", ""])
effects = st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"])
taint_keys = st.sampled_from(["x", "y", MANAGED_TAINT])


def sparse(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


taints = st.builds(
    lambda key, value, effect: {"key": key, "value": value, "effect": effect}, taint_keys, values, effects
)
amounts = sparse(
    cpu=st.sampled_from(["0", "250m", "1", "1500m", "3"]),
    memory=st.sampled_from(["0", "64Mi", "1Gi", "1500M"]),
    **{
        "ephemeral-storage": st.sampled_from(["1Gi", "10G"]),
        GPU: st.sampled_from(["0", "1", "2", "4"]),
        "rdma/hca": st.sampled_from(["1", "2"]),
    },
)
nodes = st.builds(
    lambda labels, taints, cordoned, ready, allocatable: {
        "metadata": {"name": "n1", "labels": labels},
        "spec": {"taints": taints, "unschedulable": cordoned},
        "status": {
            "allocatable": allocatable,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    },
    sparse(pool=values, gen=values),
    st.lists(taints, max_size=2),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([True, True, True, False]),
    sparse(
        cpu=st.sampled_from(["500m", "4", "8"]),
        memory=st.sampled_from(["512Mi", "4Gi", "8G"]),
        pods=st.sampled_from(["0", "2", "110"]),
        **{
            "ephemeral-storage": st.sampled_from(["5Gi", "20G"]),
            GPU: st.sampled_from(["0", "4", "8"]),
            "rdma/hca": st.sampled_from(["2", "4"]),
        },
    ),
)
tolerations = st.fixed_dictionaries(
    {"operator": st.sampled_from(["Exists", "Equal"])},
    optional={
        "key": st.sampled_from(["x", "y", UNSCHEDULABLE]),
        "value": values,
        "effect": effects,
        "tolerationSeconds": st.integers(0, 300),
    },
)
expressions = st.one_of(
    st.builds(
        lambda key, operator, values: {"key": key, "operator": operator, "values": values},
        keys,
        st.sampled_from(["In", "NotIn"]),
        st.lists(values, min_size=1, max_size=2),
    ),
    st.builds(
        lambda key, operator: {"key": key, "operator": operator},
        keys,
        st.sampled_from(["Exists", "DoesNotExist"]),
    ),
    st.builds(
        lambda key, operator, bound: {"key": key, "operator": operator, "values": [bound]},
        keys,
        st.sampled_from(["Gt", "Lt"]),
        st.sampled_from(["3", "5", "-3"]),
    ),
)
fields = st.builds(
    lambda operator, name: {"key": "metadata.name", "operator": operator, "values": [name]},
    st.sampled_from(["In", "NotIn"]),
    st.sampled_from(["n1", "n2"]),
)
terms = sparse(
    matchExpressions=st.lists(expressions, max_size=2), matchFields=st.lists(fields, min_size=1, max_size=1)
)
ports = st.builds(
    lambda number, address, protocol: {
        "containerPort": number,
        "hostPort": number,
        "hostIP": address,
        "protocol": protocol,
    },
    st.sampled_from([80, 81]),
    st.sampled_from(["", "0.0.0.0", "10.0.0.1", "10.0.0.2"]),
    st.sampled_from(["TCP", "UDP"]),
)
containers = sparse(resources=sparse(requests=amounts, limits=amounts), ports=st.lists(ports, max_size=1))
initial = sparse(resources=sparse(requests=amounts), restartPolicy=st.just("Always"))
whole = st.builds(lambda asked: {"requests": asked}, sparse(cpu=st.just("2"), memory=st.just("2Gi")))
affinities = st.lists(terms, min_size=1, max_size=2).map(
    lambda terms: {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    }
)
specs = st.fixed_dictionaries(
    {"containers": st.lists(containers, min_size=1, max_size=2)},
    optional={
        "initContainers": st.lists(initial, max_size=2),
        "nodeSelector": sparse(pool=values),
        "affinity": affinities,
        "tolerations": st.lists(tolerations, max_size=2),
        "overhead": sparse(cpu=st.just("250m")),
        "resources": whole,
    },
)


def decoded(body: dict[str, Any], kind: type[Any]) -> Any:
    return msgspec.json.decode(msgspec.json.encode(body), type=kind)


def pod(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": spec}


def bound_by_the_scheduler(node: dict[str, Any], there: list[dict[str, Any]], spec: dict[str, Any]) -> int:
    """How many pods it binds, up to MOST, as we let them go: with our toleration."""
    info = NodeInfo("n1")
    info.read(node)
    for i, other in enumerate(there):
        body = pod(f"other-{i}", other)
        info.add(("ns", f"other-{i}"), body, requests(body))
    ours = {**spec, "tolerations": [*spec.get("tolerations", ()), OURS]}
    for i in range(MOST):
        body = pod(f"p-{i}", ours)
        if Fit(body, Neighbours(body, [info], {}), {}).refusal(info) is not None:
            return i
        info.add(("ns", f"p-{i}"), body, requests(body))
    return MOST


def taken_by_us(node: dict[str, Any], there: list[dict[str, Any]], spec: dict[str, Any]) -> int:
    used: dict[str, int] = {}
    for other in there:
        held: Amounts = held_by(decoded(pod("other", other), Pod).spec)
        for name, amount in held.items():
            used[name] = used.get(name, 0) + amount
    kind = PodClass(decoded(pod("p", spec), Pod).spec)
    return min(kind.slots_on(decoded(node, Node), used), MOST)


@settings(max_examples=some(600), deadline=None)
@given(nodes, st.lists(specs, max_size=2), specs)
def test_a_node_takes_as_many_pods_as_the_scheduler_would_bind(
    node: dict[str, Any], there: list[dict[str, Any]], spec: dict[str, Any]
) -> None:
    taken, bound = taken_by_us(node, there, spec), bound_by_the_scheduler(node, there, spec)
    ready = node["status"]["conditions"][0]["status"] == "True"
    if node["spec"]["unschedulable"] or not ready:
        # Stricter than the scheduler on purpose: it looks at taints only, which a pod may tolerate.
        assert taken == 0
    else:
        assert taken == bound


NODE: dict[str, Any] = {
    "metadata": {"name": "n1", "labels": {"pool": "a", "gen": "7"}},
    "spec": {},
    "status": {
        "allocatable": {
            GPU: "4",
            "cpu": "8",
            "memory": "64Gi",
            "ephemeral-storage": "10Gi",
            "rdma/hca": "2",
            "pods": "110",
        },
        "conditions": [{"type": "Ready", "status": "True"}],
    },
}


def asks(**more: Any) -> dict[str, Any]:
    return {"containers": [{"resources": {"limits": {GPU: "1"}}}], **more}


def needs(**amounts: str) -> dict[str, Any]:
    named = {name.replace("__", "/").replace("_", "-"): amount for name, amount in amounts.items()}
    return {"containers": [{"resources": {"requests": named}}]}


def affine(*terms: dict[str, Any]) -> dict[str, Any]:
    wanted = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return asks(affinity={"nodeAffinity": wanted})


def expression(operator: str, *values: str, key: str = "gen") -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def tainted(*taints: dict[str, str]) -> dict[str, Any]:
    return {**NODE, "spec": {"taints": list(taints)}}


def tolerating(**toleration: Any) -> dict[str, Any]:
    return asks(tolerations=[toleration])


PORT = {"containers": [{"ports": [{"hostPort": 80, "containerPort": 80}]}]}
X = {"key": "x", "value": "v", "effect": "NoSchedule"}
CASES = [
    pytest.param(NODE, [], asks(), 4, id="GPUs"),
    pytest.param(NODE, [asks(), asks()], asks(), 2, id="GPUs that others hold"),
    pytest.param(NODE, [], needs(ephemeral_storage="4Gi"), 2, id="ephemeral storage"),
    pytest.param(NODE, [], needs(rdma__hca="1"), 2, id="an extended resource"),
    pytest.param(NODE, [], needs(rdma__nic="1"), 0, id="an extended resource that the node lacks"),
    pytest.param(NODE, [], needs(rdma__nic="0"), MOST, id="none of a resource that the node lacks"),
    pytest.param(
        NODE, [], {"containers": [{}], "initContainers": needs(cpu="5")["containers"]}, 1, id="init"
    ),
    pytest.param(
        NODE,
        [],
        {
            "containers": needs(cpu="2")["containers"],
            "initContainers": [{**needs(cpu="2")["containers"][0], "restartPolicy": "Always"}],
        },
        2,
        id="a sidecar counts beside the containers",
    ),
    pytest.param(NODE, [], needs(cpu="2") | {"overhead": {"cpu": "1"}}, 2, id="overhead"),
    pytest.param(
        NODE,
        [],
        needs(cpu="1") | {"resources": {"requests": {"cpu": "4"}}},
        2,
        id="asked for by the whole pod",
    ),
    pytest.param(NODE, [], PORT, 1, id="a port of the node"),
    pytest.param(NODE, [PORT], PORT, 0, id="a port of the node that is taken"),
    pytest.param(tainted(X), [], asks(), 0, id="taint"),
    pytest.param(tainted(X), [], tolerating(key="x", value="v"), 4, id="taint tolerated"),
    pytest.param(tainted(X), [], tolerating(key="x", value="w"), 0, id="taint of another value"),
    pytest.param(tainted(X), [], tolerating(key="x", operator="Exists", effect="NoExecute"), 0, id="effect"),
    pytest.param(
        tainted(X, X | {"key": "y"}), [], tolerating(key="x", operator="Exists"), 0, id="one of two"
    ),
    pytest.param(tainted(X | {"effect": "NoExecute"}), [], asks(), 0, id="NoExecute"),
    pytest.param(
        tainted(X | {"effect": "NoExecute"}),
        [],
        tolerating(key="x", operator="Exists", effect="NoExecute", tolerationSeconds=30),
        4,
        id="NoExecute tolerated for a while",
    ),
    pytest.param(tainted(X | {"effect": "PreferNoSchedule"}), [], asks(), 4, id="PreferNoSchedule"),
    pytest.param(tainted(X | {"key": MANAGED_TAINT}), [], asks(), 4, id="our own taint"),
    pytest.param(
        tainted(X | {"key": MANAGED_TAINT, "effect": "NoExecute"}),
        [],
        asks(),
        0,
        id="our key, another effect",
    ),
    pytest.param(NODE, [], asks(nodeSelector={"pool": "a"}), 4, id="selector"),
    pytest.param(NODE, [], asks(nodeSelector={"pool": "b"}), 0, id="selector of other nodes"),
    *(
        pytest.param(
            NODE, [], affine(expression(operator, *values, key=key)), count, id=f"{key} {operator} {values}"
        )
        for key, operator, values, count in [
            ("gen", "In", ("6", "7"), 4),
            ("gen", "In", ("6",), 0),
            ("none", "In", ("6",), 0),
            ("gen", "NotIn", ("7",), 0),
            ("none", "NotIn", ("7",), 4),
            ("gen", "Exists", (), 4),
            ("none", "Exists", (), 0),
            ("gen", "DoesNotExist", (), 0),
            ("none", "DoesNotExist", (), 4),
            ("gen", "Gt", ("6",), 4),
            ("gen", "Gt", ("7",), 0),
            ("gen", "Lt", ("8",), 4),
            ("pool", "Gt", ("6",), 0),
            ("none", "Lt", ("6",), 0),
        ]
    ),
    pytest.param(NODE, [], affine({}), 0, id="an empty term matches nothing"),
    pytest.param(NODE, [], affine({}, expression("Exists")), 4, id="terms are alternatives"),
    pytest.param(
        NODE,
        [],
        affine({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}),
        4,
        id="the node by its name",
    ),
    pytest.param(
        NODE,
        [],
        affine({"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n1"]}]}),
        0,
        id="any node but this",
    ),
]


@pytest.mark.parametrize(("node", "there", "spec", "count"), CASES)
def test_what_a_pod_asks_for_is_honoured_as_the_scheduler_honours_it(
    node: dict[str, Any], there: list[dict[str, Any]], spec: dict[str, Any], count: int
) -> None:
    assert (taken_by_us(node, there, spec), bound_by_the_scheduler(node, there, spec)) == (count, count)


def test_a_gang_is_not_started_on_a_node_that_is_cordoned_though_its_pods_would_tolerate_that() -> None:
    cordoned = {**NODE, "spec": {"unschedulable": True}}
    anything = tolerating(operator="Exists")
    assert (taken_by_us(cordoned, [], anything), bound_by_the_scheduler(cordoned, [], anything)) == (0, 4)
