"""Which pods of one gang are alike, and what unlike ones leave each other on a node."""

from __future__ import annotations

from typing import Any

import msgspec

from rackplane.core.gangs.ranks import in_order
from rackplane.core.gangs.unlike import gpus_of, groups_of, slot_gpus, slots_by_group, too_many
from rackplane.core.objects import GangGroup, GangSpec, Node, Pod
from rackplane.core.pods.accelerators import Accelerators
from rackplane.core.pods.podclass import PodClass
from rackplane.core.pods.room import Room
from rackplane.core.pods.sharing import Sharing
from tests.support.harness import GPU

AMD = "amd.com/gpu"


def pod(name: str, *, requests: dict[str, str] | None = None, **spec: Any) -> Pod:
    wanted = {GPU: "4", "memory": "64Gi", **(requests or {})}
    body = {
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"containers": [{"resources": {"requests": wanted}}], **spec},
    }
    return msgspec.convert(body, Pod)


def digest(one: Pod) -> str:
    return PodClass(one.spec).digest


WORKERS = [pod(f"w-{i}") for i in range(4)]
LEAD = pod("lead", requests={GPU: "0", "memory": "8Gi"})


def test_pods_that_are_alike_make_no_groups() -> None:
    written_otherwise = [
        pod("a", tolerations=[{"key": "a"}, {"key": "b"}], nodeSelector={"x": "1", "y": "2"}),
        pod("b", tolerations=[{"key": "b"}, {"key": "a"}], nodeSelector={"y": "2", "x": "1"}),
    ]
    assert groups_of(WORKERS, Accelerators([GPU])) == []
    assert groups_of(written_otherwise, Accelerators([GPU])) == []


def test_groups_are_called_as_their_first_pod_and_stand_in_the_order_of_pods() -> None:
    odd = [pod("w-10", requests={GPU: "2"}), pod("w-9", requests={AMD: "8", GPU: "0"})]
    assert groups_of(in_order([*odd, *WORKERS, LEAD]), Accelerators([AMD, GPU])) == [
        GangGroup("lead", 1, 0, AMD, digest(LEAD)),
        GangGroup("w", 4, 4, GPU, digest(WORKERS[0])),
        GangGroup("w-9", 1, 8, AMD, digest(odd[1])),
        GangGroup("w-10", 1, 2, GPU, digest(odd[0])),
    ]


def test_more_kinds_of_pods_than_a_gang_can_hold_are_refused_in_words() -> None:
    groups = groups_of([pod(f"p-{i}", requests={"cpu": str(i + 1)}) for i in range(33)], Accelerators([GPU]))
    found = too_many(groups)
    assert found is not None
    assert f"{found.where} {found.what}. {found.remedy}" == (
        "metadata.labels[rackplane.dev/gang] is on pods of 33 kinds, which differ in what they ask of a node. "
        "Let pods of one gang be of at most 32 kinds."
    )
    assert too_many(groups[:32]) is None


def test_what_a_spec_says_of_its_slots() -> None:
    groups = [GangGroup("lead", 1, 0, GPU, "x"), GangGroup("w", 2, 4, GPU, "y")]
    uneven = GangSpec(slots=3, gpus_per_slot=4, groups=groups)
    assert (gpus_of(uneven), slots_by_group(groups)) == (8, [range(1), range(1, 3)])
    assert slot_gpus(uneven, 3) == (0, 4, 4)
    # A spec that somebody has changed under a running gang: no slot is taken for smaller than it may be.
    assert slot_gpus(uneven, 4) == ()
    assert gpus_of(GangSpec(slots=3, gpus_per_slot=4)) == 12


def test_unlike_pods_take_cpus_and_ports_from_each_other() -> None:
    node = msgspec.convert(
        {
            "metadata": {"name": "n"},
            "status": {
                "allocatable": {"cpu": "10", "memory": "256Gi", GPU: "4", "pods": "20"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        },
        Node,
    )
    room = Room({"n": node})
    port = [{"resources": {"requests": {"cpu": "3"}}, "ports": [{"hostPort": 80, "containerPort": 80}]}]
    kinds = (
        PodClass(pod("a", requests={"cpu": "4", GPU: "1"}).spec),
        PodClass(pod("b", containers=port).spec),
        PodClass(pod("c", containers=port, nodeSelector={}).spec),
    )
    sharing = Sharing(room, kinds)
    assert [sharing.slots(0, "n", (0, n, 0)) for n in (0, 1)] == [2, 1]
    assert [sharing.slots(1, "n", (n, 0, 0)) for n in (0, 1, 2)] == [1, 1, 0]
    assert sharing.slots(2, "n", (0, 1, 0)) == 0  # the port is taken
    assert sharing.slots(0, "gone", (0, 0, 0)) == 0
    room.hold(("ns", "other"), "n", {"cpu": 8_000, "pods": 1_000})
    assert sharing.slots(0, "n", (0, 0, 0)) == 0
    freed = Sharing(room, kinds, {"n": {"cpu": 8_000, "pods": 1_000}})
    assert freed.slots(0, "n", (0, 1, 0)) == 1
