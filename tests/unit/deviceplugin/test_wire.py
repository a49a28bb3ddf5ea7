"""The messages, byte by byte as the kubelet's own code writes them.

The bytes were printed once by a Go program over k8s.io/kubelet (Kubernetes 1.36), deterministic marshalling.
"""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from rackplane.deviceplugin.wire import plugin, pods

OPTIONS = {"pre_start_required": True, "get_preferred_allocation_available": True}
MESSAGES = [
    pytest.param(plugin.Empty, {}, "", id="Empty"),
    pytest.param(plugin.DevicePluginOptions, OPTIONS, "08011001", id="DevicePluginOptions"),
    pytest.param(
        plugin.RegisterRequest,
        {
            "version": "v1beta1",
            "endpoint": "rackplane-mock-gpus.sock",
            "resource_name": "nvidia.com/gpu",
            "options": OPTIONS,
        },
        "0a077631626574613112187261636b706c616e652d6d6f636b2d677075732e736f636b1a0e6e76696469612e636f6d2f677075"
        "220408011001",
        id="RegisterRequest",
    ),
    pytest.param(
        plugin.ListAndWatchResponse,
        {"devices": [{"ID": "GPU-0", "health": "Healthy"}, {"ID": "GPU-1", "health": "Unhealthy"}]},
        "0a100a054750552d3012074865616c7468790a120a054750552d311209556e6865616c746879",
        id="ListAndWatchResponse",
    ),
    pytest.param(
        plugin.PreferredAllocationRequest,
        {
            "container_requests": [
                {
                    "available_deviceIDs": ["GPU-0", "GPU-1", "GPU-2"],
                    "must_include_deviceIDs": ["GPU-1"],
                    "allocation_size": 2,
                }
            ]
        },
        "0a1e0a054750552d300a054750552d310a054750552d3212054750552d311802",
        id="PreferredAllocationRequest",
    ),
    pytest.param(
        plugin.PreferredAllocationResponse,
        {"container_responses": [{"deviceIDs": ["GPU-1", "GPU-0"]}]},
        "0a0e0a054750552d310a054750552d30",
        id="PreferredAllocationResponse",
    ),
    pytest.param(
        plugin.AllocateRequest,
        {"container_requests": [{"devices_ids": ["GPU-0", "GPU-1"]}, {"devices_ids": ["GPU-2"]}]},
        "0a0e0a054750552d300a054750552d310a070a054750552d32",
        id="AllocateRequest",
    ),
    pytest.param(
        plugin.AllocateResponse,
        {
            "container_responses": [
                {
                    "envs": {"NVIDIA_VISIBLE_DEVICES": "GPU-0,GPU-1"},
                    "annotations": {"rackplane.dev/mock-gpu-indexes": "0,1"},
                }
            ]
        },
        "0a4e0a250a164e56494449415f56495349424c455f44455649434553120b4750552d302c4750552d3122250a1e7261636b706c61"
        "6e652e6465762f6d6f636b2d6770752d696e64657865731203302c31",
        id="AllocateResponse",
    ),
    pytest.param(
        plugin.PreStartContainerRequest,
        {"devices_ids": ["GPU-0", "GPU-1"]},
        "0a054750552d300a054750552d31",
        id="PreStartContainerRequest",
    ),
    pytest.param(plugin.PreStartContainerResponse, {}, "", id="PreStartContainerResponse"),
    pytest.param(pods.ListPodResourcesRequest, {}, "", id="ListPodResourcesRequest"),
]


@pytest.mark.parametrize(("message", "fields", "golden"), MESSAGES)
def test_it_is_written_and_read_as_the_kubelet_does(
    message: Any, fields: dict[str, Any], golden: str
) -> None:
    made = json_format.ParseDict(fields, message())
    assert made.SerializeToString(deterministic=True).hex() == golden
    read = message.FromString(bytes.fromhex(golden))
    assert json_format.MessageToDict(read, preserving_proto_field_name=True) == fields


def test_fields_that_are_not_used_here_are_passed_over() -> None:
    """A device's NUMA node; topology and cpu_ids of a container."""
    devices = plugin.ListAndWatchResponse.FromString(
        bytes.fromhex("0a160a054750552d3012074865616c7468791a040a020801")
    )
    assert [(device.ID, device.health) for device in devices.devices] == [("GPU-0", "Healthy")]
    listed = pods.ListPodResourcesResponse.FromString(
        bytes.fromhex(
            "0a450a07747261696e2d30120872657365617263681a300a06776f726b657212220a0e6e76696469612e636f6d2f6770751205"
            "4750552d3012054750552d311a020a001a020203"
        )
    )
    found = json_format.MessageToDict(listed, preserving_proto_field_name=True)
    gpus = {"resource_name": "nvidia.com/gpu", "device_ids": ["GPU-0", "GPU-1"]}
    assert found == {
        "pod_resources": [
            {
                "name": "train-0",
                "namespace": "research",
                "containers": [{"name": "worker", "devices": [gpus]}],
            }
        ]
    }
