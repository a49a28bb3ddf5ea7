"""The messages of two of the kubelet's gRPC APIs, as far as they are used here, built from tables.

Names, numbers and types of the fields are the wire contract of the device plugin API v1beta1 and of the pod resources
API v1. Generated code would do the same, but it ties the protobuf runtime to the version of its generator, and other
packages of the tests hold that runtime back. Fields that are not named here are skipped when they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = [
    "ALLOCATE",
    "GET_OPTIONS",
    "LIST_AND_WATCH",
    "LIST_PODS",
    "PREFER",
    "PRE_START",
    "REGISTER",
    "VERSION",
    "Method",
    "call",
    "channel",
    "handlers",
    "plugin",
    "pods",
]

VERSION: Final = "v1beta1"
"""Of the device plugin API; the only one that kubelets take."""

_Fields = Mapping[str, tuple[int, str]]

_PLUGIN_MESSAGES: Final[Mapping[str, _Fields]] = {
    "Empty": {},
    "DevicePluginOptions": {
        "pre_start_required": (1, "bool"),
        "get_preferred_allocation_available": (2, "bool"),
    },
    "RegisterRequest": {
        "version": (1, "string"),
        "endpoint": (2, "string"),
        "resource_name": (3, "string"),
        "options": (4, "DevicePluginOptions"),
    },
    "Device": {"ID": (1, "string"), "health": (2, "string")},
    "ListAndWatchResponse": {"devices": (1, "repeated Device")},
    "ContainerPreferredAllocationRequest": {
        "available_deviceIDs": (1, "repeated string"),
        "must_include_deviceIDs": (2, "repeated string"),
        "allocation_size": (3, "int32"),
    },
    "PreferredAllocationRequest": {
        "container_requests": (1, "repeated ContainerPreferredAllocationRequest"),
    },
    "ContainerPreferredAllocationResponse": {"deviceIDs": (1, "repeated string")},
    "PreferredAllocationResponse": {
        "container_responses": (1, "repeated ContainerPreferredAllocationResponse"),
    },
    "ContainerAllocateRequest": {"devices_ids": (1, "repeated string")},
    "AllocateRequest": {"container_requests": (1, "repeated ContainerAllocateRequest")},
    "ContainerAllocateResponse": {"envs": (1, "map"), "annotations": (4, "map")},
    "AllocateResponse": {"container_responses": (1, "repeated ContainerAllocateResponse")},
    "PreStartContainerRequest": {"devices_ids": (1, "repeated string")},
    "PreStartContainerResponse": {},
}

_POD_MESSAGES: Final[Mapping[str, _Fields]] = {
    "ListPodResourcesRequest": {},
    "ContainerDevices": {"resource_name": (1, "string"), "device_ids": (2, "repeated string")},
    "ContainerResources": {"name": (1, "string"), "devices": (2, "repeated ContainerDevices")},
    "PodResources": {
        "name": (1, "string"),
        "namespace": (2, "string"),
        "containers": (3, "repeated ContainerResources"),
    },
    "ListPodResourcesResponse": {"pod_resources": (1, "repeated PodResources")},
}

_Proto: Final = descriptor_pb2.FieldDescriptorProto
_TYPES: Final = {"bool": _Proto.TYPE_BOOL, "int32": _Proto.TYPE_INT32, "string": _Proto.TYPE_STRING}


class Messages:
    """Message classes by name, as attributes."""

    def __init__(self, package: str, messages: Mapping[str, _Fields]) -> None:
        # A pool of its own: other packages may know messages of these names.
        pool = descriptor_pool.DescriptorPool()
        file = descriptor_pb2.FileDescriptorProto(
            name=f"rackplane/{package}.proto", package=package, syntax="proto3"
        )
        for name, fields in messages.items():
            message = file.message_type.add(name=name)
            for field, (number, kind) in fields.items():
                _add_field(package, message, field, number, kind)
        pool.Add(file)
        self._classes = {
            name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
            for name in messages
        }

    def __getattr__(self, name: str) -> Any:
        try:
            return self._classes[name]
        except KeyError:
            raise AttributeError(name) from None


def _add_field(package: str, message: Any, name: str, number: int, kind: str) -> None:
    many, _, kind = kind.rpartition(" ")
    field = message.field.add(name=name, number=number)
    field.label = _Proto.LABEL_REPEATED if many or kind == "map" else _Proto.LABEL_OPTIONAL
    if kind in _TYPES:
        field.type = _TYPES[kind]
        return
    field.type = _Proto.TYPE_MESSAGE
    if kind != "map":
        field.type_name = f".{package}.{kind}"
        return
    # On the wire a map is a repeated message of a key and a value; its class must bear this name.
    entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
    entry.options.map_entry = True
    for part, at in (("key", 1), ("value", 2)):
        entry.field.add(name=part, number=at, type=_Proto.TYPE_STRING, label=_Proto.LABEL_OPTIONAL)
    field.type_name = f".{package}.{message.name}.{entry.name}"


plugin: Final = Messages("v1beta1", _PLUGIN_MESSAGES)
"""Those of the device plugin API."""
pods: Final = Messages("v1", _POD_MESSAGES)
"""Those of the pod resources API."""


@dataclass(frozen=True, slots=True)
class Method:
    """One remote procedure; `stream`: its answer is a stream."""

    service: str
    name: str
    request: Any
    response: Any
    stream: bool = False

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.name}"


_REGISTRATION: Final = "v1beta1.Registration"
_PLUGIN: Final = "v1beta1.DevicePlugin"
_PODS: Final = "v1.PodResourcesLister"

REGISTER: Final = Method(_REGISTRATION, "Register", plugin.RegisterRequest, plugin.Empty)
GET_OPTIONS: Final = Method(_PLUGIN, "GetDevicePluginOptions", plugin.Empty, plugin.DevicePluginOptions)
LIST_AND_WATCH: Final = Method(
    _PLUGIN, "ListAndWatch", plugin.Empty, plugin.ListAndWatchResponse, stream=True
)
PREFER: Final = Method(
    _PLUGIN, "GetPreferredAllocation", plugin.PreferredAllocationRequest, plugin.PreferredAllocationResponse
)
ALLOCATE: Final = Method(_PLUGIN, "Allocate", plugin.AllocateRequest, plugin.AllocateResponse)
PRE_START: Final = Method(
    _PLUGIN, "PreStartContainer", plugin.PreStartContainerRequest, plugin.PreStartContainerResponse
)
LIST_PODS: Final = Method(_PODS, "List", pods.ListPodResourcesRequest, pods.ListPodResourcesResponse)


def handlers(implementations: Mapping[Method, Callable[[Any, Any], Any]]) -> tuple[Any, ...]:
    """What a grpc.aio server needs to serve these methods.

    implementations: coroutine functions, or async generator functions where the answer is a stream, of request and
        grpc.aio.ServicerContext.
    """
    services: dict[str, dict[str, Any]] = {}
    for method, function in implementations.items():
        make = grpc.unary_stream_rpc_method_handler if method.stream else grpc.unary_unary_rpc_method_handler
        services.setdefault(method.service, {})[method.name] = make(
            function,
            request_deserializer=method.request.FromString,
            response_serializer=method.response.SerializeToString,
        )
    return tuple(grpc.method_handlers_generic_handler(name, made) for name, made in services.items())


def channel(socket: Path) -> Any:
    """An open grpc.aio channel to a Unix socket, an async context manager. It connects with the first call."""
    # A proxy for HTTP in the environment has no say over a socket of this machine.
    return grpc.aio.insecure_channel(f"unix:{socket}", options=(("grpc.enable_http_proxy", 0),))


def call(through: Any, method: Method) -> Any:
    """The method as a function of its request on a channel."""
    make = through.unary_stream if method.stream else through.unary_unary
    return make(
        method.path,
        request_serializer=method.request.SerializeToString,
        response_deserializer=method.response.FromString,
    )
