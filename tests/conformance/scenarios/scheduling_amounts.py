"""How much of a node a pod takes: each pair is one pod that just fits and one that asks for a little more.

tests/unit/core/test_amounts.py holds the operator's own count to the same answers.
"""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Scenario

from .pods import container
from .scheduling import gets, left, node, place, waits

ROOM = {"hugepages-2Mi": "64Mi", "ephemeral-storage": "10Gi", "example.com/nic": "2"}


def asks(name: str = "main", *, always: bool = False, **amounts: str) -> Any:
    """A container; a sidecar if it restarts always."""
    requests = {key.replace("__", "/").replace("_", "-"): amount for key, amount in amounts.items()}
    more = {"restartPolicy": "Always"} if always else {}
    return container(name, resources={"requests": requests}, **more)


def limited(name: str = "main", **amounts: str) -> Any:
    return container(name, resources={"limits": amounts})


def nics(name: str, count: str) -> Any:
    return container(name, resources={"limits": {"example.com/nic": count}})


def huge(amount: str) -> Any:
    return limited(**{"cpu": "1", "memory": "1Gi", "hugepages-2Mi": amount})


def ports(*, init: bool = False, **spec: Any) -> Any:
    """A pod that listens on the node's port 8080."""
    port = {"containerPort": 8080, **({} if spec else {"hostPort": 8080})}
    if not init:
        return {"containers": [container(ports=[port])], **spec}
    sidecar = container("side", ports=[port], restartPolicy="Always")
    return {"containers": [container()], "initContainers": [sidecar], **spec}


CASES: dict[str, tuple[Any, Any]] = {
    "the largest init container": (
        {"containers": [asks(cpu="1")], "initContainers": [asks("i", cpu="4"), asks("j", cpu="3")]},
        {"containers": [asks(cpu="1")], "initContainers": [asks("i", cpu="4001m")]},
    ),
    "a sidecar beside the containers": (
        {"containers": [asks(cpu="2")], "initContainers": [asks("s", always=True, cpu="2")]},
        {"containers": [asks(cpu="2")], "initContainers": [asks("s", always=True, cpu="2001m")]},
    ),
    "an init container after a sidecar": (
        {
            "containers": [asks(cpu="1")],
            "initContainers": [asks("s", always=True, cpu="1"), asks("i", cpu="3")],
        },
        {
            "containers": [asks(cpu="1")],
            "initContainers": [asks("s", always=True, cpu="1"), asks("i", cpu="3001m")],
        },
    ),
    "an init container before a sidecar": (
        {
            "containers": [asks(cpu="3")],
            "initContainers": [asks("i", cpu="4"), asks("s", always=True, cpu="1")],
        },
        {
            "containers": [asks(cpu="3001m")],
            "initContainers": [asks("i", cpu="4"), asks("s", always=True, cpu="1")],
        },
    ),
    "two sidecars and an init container between": (
        {
            "containers": [asks(cpu="1")],
            "initContainers": [
                asks("s", always=True, cpu="1"),
                asks("i", cpu="3"),
                asks("t", always=True, cpu="2"),
            ],
        },
        {
            "containers": [asks(cpu="1")],
            "initContainers": [
                asks("s", always=True, cpu="1"),
                asks("i", cpu="3"),
                asks("t", always=True, cpu="2001m"),
            ],
        },
    ),
    "a limit is the request where there is none": (
        {"containers": [limited(cpu="4")]},
        {"containers": [limited(cpu="4001m")]},
    ),
    "the pod as a whole": (
        {"containers": [asks(cpu="1")], "resources": {"requests": {"cpu": "4"}}},
        {"containers": [asks(cpu="1")], "resources": {"requests": {"cpu": "4001m"}}},
    ),
    "the pod as a whole, by its limit": (
        {"containers": [container()], "resources": {"limits": {"cpu": "4"}}},
        {"containers": [container()], "resources": {"limits": {"cpu": "4001m"}}},
    ),
    "the limit of a whole pod whose containers ask": (
        {"containers": [asks(cpu="4")], "resources": {"limits": {"cpu": "9"}}},
        {"containers": [asks(cpu="4001m")], "resources": {"limits": {"cpu": "9"}}},
    ),
    "memory": (
        {"containers": [asks(memory="8Gi")]},
        {"containers": [asks(memory="8589934593")]},
    ),
    "ephemeral storage": (
        {"containers": [asks(ephemeral_storage="10Gi")]},
        {"containers": [asks(ephemeral_storage="10Gi"), asks("b", ephemeral_storage="1")]},
    ),
    "huge pages": ({"containers": [huge("64Mi")]}, {"containers": [huge("66Mi")]}),
    "an extended resource in init containers and containers": (
        {"containers": [nics("main", "1")], "initContainers": [nics("i", "2")]},
        {"containers": [nics("main", "1")], "initContainers": [nics("i", "3")]},
    ),
    "an extended resource that the node lacks": (
        {"containers": [limited(**{"example.com/none": "0"})]},
        {"containers": [limited(**{"example.com/none": "1"})]},
    ),
}
"""What it is about -> the spec of a pod that takes all there is, and of one that takes too much."""

PORTS: dict[str, tuple[Any, Any]] = {
    "a port of the node": (ports(), ports()),
    "a container's port on the node's own network": (ports(hostNetwork=True), ports()),
    "a port of a sidecar": (ports(init=True), ports()),
    "a sidecar's port that is taken": (ports(), ports(init=True)),
}
"""What it is about -> the spec of a pod that is there, and of one that asks for the same port."""

SCENARIOS = (
    *(
        Scenario(
            name=about,
            leftovers=left("a"),
            steps=(
                node("a", room=ROOM),
                place("over", **over),
                waits("over"),
                place("fits", **fits),
                gets("fits", "a"),
            ),
        )
        for about, (fits, over) in CASES.items()
    ),
    *(
        Scenario(
            name=about,
            leftovers=left("a"),
            steps=(
                node("a"),
                place("there", **there),
                gets("there", "a"),
                place("same", **same),
                waits("same"),
            ),
        )
        for about, (there, same) in PORTS.items()
    ),
)
