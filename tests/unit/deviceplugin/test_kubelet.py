"""The plugin and a kubelet, over gRPC on Unix sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from rackplane.deviceplugin.kubelet import SOCKET, Registrar
from rackplane.deviceplugin.plugin import CONTAINER_GPUS, DevicePlugin, device_ids
from rackplane.deviceplugin.podresources import PodResources, Use
from tests.support.kubelet import FakeKubelet, running, soon

GPU = "nvidia.com/gpu"
IDS = device_ids("n0", 4)


@pytest.fixture
async def kubelet() -> AsyncIterator[FakeKubelet]:
    async with FakeKubelet() as kubelet:
        yield kubelet


@pytest.fixture
def plugin() -> DevicePlugin:
    return DevicePlugin(IDS)


def registrar(plugin: DevicePlugin, kubelet: FakeKubelet) -> Registrar:
    return Registrar(plugin, resource=GPU, directory=kubelet.sockets, sleep=soon)


def test_names_of_gpus_are_theirs_for_ever_and_nobody_elses() -> None:
    assert device_ids("n0", 4) == IDS
    assert len({*IDS, *device_ids("n1", 4)}) == 8
    # The kubelet takes 63 characters.
    assert IDS[0] == "GPU-a17c8223-4e34-51b3-9db3-e2dce5570492"


async def test_it_registers_and_all_gpus_are_offered(kubelet: FakeKubelet, plugin: DevicePlugin) -> None:
    async with running(registrar(plugin, kubelet).run()):
        await kubelet.until(lambda: len(kubelet.healthy(GPU)) == 4)
    [request] = kubelet.registrations
    assert (request.version, request.endpoint, request.resource_name) == ("v1beta1", SOCKET, GPU)
    assert request.options == kubelet.options == plugin.options()
    # It is gone, which the kubelet sees when the connection ends.
    await kubelet.until(lambda: kubelet.devices[GPU] == dict.fromkeys(IDS, "Unhealthy"))


async def test_it_registers_again_with_a_kubelet_that_started_anew(
    kubelet: FakeKubelet, plugin: DevicePlugin
) -> None:
    async with running(registrar(plugin, kubelet).run()):
        await kubelet.until(lambda: kubelet.healthy(GPU))
        plugin.fail({1})
        for restart in (1, 2):
            await kubelet.stop()
            await kubelet.start()
            await kubelet.until(lambda: kubelet.devices.get(GPU))
            assert kubelet.healthy(GPU) == [IDS[0], IDS[2], IDS[3]]
            assert len(kubelet.registrations) == 1 + restart


async def test_it_waits_for_a_kubelet_that_is_not_there_yet(plugin: DevicePlugin) -> None:
    kubelet = FakeKubelet()
    it = registrar(plugin, kubelet)
    async with running(it.run()):
        await soon(1)
        assert not it.registered
        async with kubelet:
            await kubelet.until(lambda: kubelet.healthy(GPU))
            assert it.registered


async def test_a_kubelet_that_refuses_is_asked_again(kubelet: FakeKubelet, plugin: DevicePlugin) -> None:
    taken, refused = kubelet._register, 0

    async def refuse(request: Any, context: Any) -> Any:
        nonlocal refused
        if refused < 2:
            refused += 1
            await context.abort(grpc.StatusCode.INTERNAL, "not now")
        return await taken(request, context)

    await kubelet.stop()
    kubelet._register = refuse  # type: ignore[method-assign, assignment]
    await kubelet.start()
    async with running(registrar(plugin, kubelet).run()):
        await kubelet.until(lambda: kubelet.healthy(GPU))
    assert refused == 2


async def test_a_gpu_that_fails_and_comes_back_is_told_at_once(
    kubelet: FakeKubelet, plugin: DevicePlugin
) -> None:
    async with running(registrar(plugin, kubelet).run()):
        await kubelet.until(lambda: kubelet.healthy(GPU))
        plugin.fail({0, 3})
        await kubelet.until(lambda: kubelet.healthy(GPU) == [IDS[1], IDS[2]])
        plugin.fail(())
        await kubelet.until(lambda: kubelet.healthy(GPU) == list(IDS))


async def test_a_container_is_told_which_gpus_it_got(kubelet: FakeKubelet, plugin: DevicePlugin) -> None:
    async with running(registrar(plugin, kubelet).run()):
        await kubelet.until(lambda: kubelet.healthy(GPU))
        one = await kubelet.admit("research", "a", "worker", GPU, 1)
        two = await kubelet.admit("research", "b", "worker", GPU, 2)
    assert (dict(one.envs), dict(one.annotations)) == (
        {"NVIDIA_VISIBLE_DEVICES": IDS[0]},
        {CONTAINER_GPUS: "0"},
    )
    assert (dict(two.envs), dict(two.annotations)) == (
        {"NVIDIA_VISIBLE_DEVICES": f"{IDS[2]},{IDS[3]}"},
        {CONTAINER_GPUS: "2,3"},
    )


@pytest.mark.parametrize(
    ("available", "must", "size", "preferred"),
    [
        pytest.param([0, 1, 2, 3], [], 2, [0, 1], id="a-whole-board"),
        pytest.param([1, 2, 3], [], 2, [2, 3], id="a-whole-board-behind-a-broken-one"),
        pytest.param([1, 2, 3], [], 1, [1], id="the-rest-of-a-broken-board"),
        pytest.param([0, 1, 3], [], 3, [0, 1, 3], id="all"),
        pytest.param([0, 1, 2, 3], [2], 2, [2, 3], id="beside-the-one-that-must-be-in"),
        pytest.param([0, 3], [], 3, [0, 3], id="fewer-than-asked-for"),
        pytest.param([1, 2, 3], [], 3, [2, 3, 1], id="a-board-and-a-rest"),
    ],
)
def test_whole_boards_are_preferred(
    plugin: DevicePlugin, available: list[int], must: list[int], size: int, preferred: list[int]
) -> None:
    found = plugin.preferred([IDS[i] for i in available], [IDS[i] for i in must], size)
    assert found == [IDS[i] for i in preferred]


async def test_a_failed_gpu_and_one_that_is_not_there_are_refused_in_words(
    kubelet: FakeKubelet, plugin: DevicePlugin
) -> None:
    async with running(registrar(plugin, kubelet).run()):
        await kubelet.until(lambda: kubelet.healthy(GPU))
        await kubelet.admit("research", "a", "worker", GPU, 2)
        plugin.fail({1})
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await kubelet.allocate(GPU, [IDS[1], IDS[2]])
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.value.details() == f"has failed, as was asked for: GPU 1 ({IDS[1]})"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await kubelet.start_again("research", "a", "worker")
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await kubelet.allocate(GPU, ["GPU-7"])
        assert (refused.value.code(), refused.value.details()) == (
            grpc.StatusCode.NOT_FOUND,
            "there is no GPU GPU-7 here",
        )


async def test_what_runs_on_the_gpus_is_what_the_kubelet_says(
    kubelet: FakeKubelet, plugin: DevicePlugin
) -> None:
    said: list[dict[str, Use]] = []
    resources = PodResources(
        resource=GPU, on_change=lambda uses: said.append(dict(uses)), socket=kubelet.pod_resources, sleep=soon
    )

    async def told(count: int) -> None:
        while len(said) < count:
            await soon(1)

    a, b = Use("research", "a", "worker"), Use("sales", "b", "main")
    async with running(registrar(plugin, kubelet).run()), running(resources.run()):
        await kubelet.until(lambda: kubelet.healthy(GPU))
        await told(1)
        await kubelet.admit("research", "a", "worker", GPU, 2)
        await told(2)
        await kubelet.admit("sales", "b", "main", GPU, 1)
        await told(3)
        # While nobody answers, what was said last holds; and who has what outlives the kubelet.
        await kubelet.stop()
        await kubelet.start()
        await kubelet.until(lambda: kubelet.healthy(GPU))
        kubelet.end("research", "a")
        await told(4)
    assert said == [
        {},
        {IDS[0]: a, IDS[1]: a},
        {IDS[0]: a, IDS[1]: a, IDS[2]: b},
        {IDS[2]: b},
    ]


async def test_other_resources_of_a_pod_are_none_of_its_business(kubelet: FakeKubelet) -> None:
    said: list[dict[str, Use]] = []
    kubelet._held["research", "a", "worker"] = "example.com/nic", ["nic-0"]
    resources = PodResources(
        resource=GPU, on_change=lambda uses: said.append(dict(uses)), socket=kubelet.pod_resources, sleep=soon
    )
    async with running(resources.run()):
        while not said:
            await soon(1)
    assert said == [{}]
