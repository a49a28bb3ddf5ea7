"""`rackplane device-plugin`: mock GPUs for a node that has none."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from rackplane.cli.errors import CommandError, Exit

__all__ = ["add"]

_SILENT_SECONDS = 60.0
"""The mock node looks at what is to be every few seconds; after so long it hangs."""


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser = commands.add_parser(
        "device-plugin",
        description="Offers mock GPUs to the kubelet of its node until SIGTERM: as many, of the model and with the "
        "watts that the Rack and the HardwareProfile of the node say. They run at the node's power cap, break where "
        "the Node's annotation rackplane.dev/fail-gpus says so, and are metered under DCGM's names. Needs the extra "
        "[device-plugin]. See docs/device-plugin.md.",
    )
    parser.add_argument(
        "--node", default=os.environ.get("NODE_NAME"), help="name of its Node (default: $NODE_NAME)"
    )
    parser.add_argument("--kubeconfig", help="default: the pod's service account, else $KUBECONFIG")
    parser.add_argument(
        "--host-watts",
        type=int,
        help="what the node draws beside its GPUs, always (default: half of the profile's idleWatts)",
    )
    parser.add_argument(
        "--kubelet-dir",
        type=Path,
        default=Path("/var/lib/kubelet"),
        help="the kubelet's directory, with device-plugins and pod-resources (default: %(default)s)",
    )
    parser.add_argument(
        "--metrics-port",
        type=int,
        default=9400,
        help="port of /metrics, /healthz and /readyz; 0: any free one (default: %(default)s)",
    )
    parser.add_argument(
        "--listen-address", default="0.0.0.0", help="address of that port (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the plugin until SIGTERM or SIGINT."""
    import asyncio

    if not options.node:
        raise CommandError(
            "which node? Give --node, or set NODE_NAME from spec.nodeName of the pod", code=Exit.USAGE
        )
    if options.host_watts is not None and options.host_watts < 0:
        raise CommandError("--host-watts must be 0 or more", code=Exit.USAGE)
    try:
        from rackplane.deviceplugin import wire as wire
    except ImportError as error:
        raise CommandError(f"{error}: pip install 'rackplane[device-plugin]'") from error
    return asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> int:
    import asyncio
    import contextlib
    import signal

    import structlog
    from prometheus_client import CollectorRegistry

    from rackplane.controller.http import Health, HttpServer
    from rackplane.controller.logging import configure_logging
    from rackplane.deviceplugin.dcgm import DcgmCollector
    from rackplane.deviceplugin.mocknode import MockNode
    from rackplane.kube.client import ApiError, KubeClient

    configure_logging(level="INFO", json=True)
    try:
        client = await KubeClient.connect(options.kubeconfig)
    except ApiError as error:
        raise CommandError(error.message) from error
    try:
        node = MockNode(
            client,
            node=options.node,
            sockets=options.kubelet_dir / "device-plugins",
            pod_resources=options.kubelet_dir / "pod-resources" / "kubelet.sock",
            host_watts=options.host_watts,
        )
        registry = CollectorRegistry()
        registry.register(DcgmCollector(options.node, node.states))
        health = Health(
            ages={"mock node": lambda: node.turned_at},
            limits={"mock node": _SILENT_SECONDS},
            ready=lambda: node.ready,
        )
        port = options.metrics_port
        async with HttpServer(
            registry=registry, health=health, host=options.listen_address, metrics_port=port, health_port=port
        ) as server:
            structlog.get_logger(__name__).info("listening", port=server.ports[0])
            working = asyncio.ensure_future(node.run())
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, working.cancel)
            with contextlib.suppress(asyncio.CancelledError):
                await working
    except OSError as error:
        raise CommandError(
            f"cannot listen on {options.listen_address}:{options.metrics_port}: {error}"
        ) from error
    finally:
        await client.close()
    return 0
