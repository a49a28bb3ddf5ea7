"""`rackplane node-agent`: holds the GPUs of one node to its power cap."""

from __future__ import annotations

import argparse
import os
from typing import Any

from rackplane.cli.errors import CommandError, Exit

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser = commands.add_parser(
        "node-agent",
        description="Watches its own Node until SIGTERM, sets the power cap that is written there on mock GPUs, and "
        "writes what is in force and what is drawn. See docs/actuators.md.",
    )
    parser.add_argument(
        "--node", default=os.environ.get("NODE_NAME"), help="name of its Node (default: $NODE_NAME)"
    )
    parser.add_argument("--kubeconfig", help="default: the pod's service account, else $KUBECONFIG")
    parser.add_argument("--gpus", type=int, default=4, help="mock GPUs (default: %(default)s)")
    for name, watts, what in (
        ("idle", 200, "what a mock GPU draws without work"),
        ("least", 200, "the lowest limit that it takes"),
        ("most", 1200, "the highest, which it has without a limit"),
    ):
        parser.add_argument(
            f"--gpu-{name}-watts", type=int, default=watts, help=f"{what} (default: %(default)s)"
        )
    parser.add_argument(
        "--host-watts",
        type=int,
        default=840,
        help="what the rest of the node draws at most; caps are of the whole node (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the agent until SIGTERM or SIGINT."""
    import asyncio

    if not options.node:
        raise CommandError(
            "which node? Give --node, or set NODE_NAME from spec.nodeName of the pod", code=Exit.USAGE
        )
    idle, least, most = options.gpu_idle_watts, options.gpu_least_watts, options.gpu_most_watts
    if options.gpus < 1 or options.host_watts < 0:
        raise CommandError("--gpus must be 1 or more, and --host-watts 0 or more", code=Exit.USAGE)
    if not 0 <= idle <= least <= most or most < 1:
        raise CommandError(
            f"of a GPU, idle {idle} W, least {least} W and most {most} W must not fall from one to the next",
            code=Exit.USAGE,
        )
    return asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> int:
    import asyncio
    import contextlib
    import signal
    import time

    from rackplane.api.labels import NODE_GANGS
    from rackplane.controller.logging import configure_logging
    from rackplane.kube.client import ApiError, KubeClient
    from rackplane.nodeagent.agent import NodeAgent
    from rackplane.nodeagent.gpus import MockGpus
    from rackplane.nodeagent.node import Node

    configure_logging(level="INFO", json=True)
    gpus = MockGpus(
        count=options.gpus,
        idle_watts=options.gpu_idle_watts,
        least_watts=options.gpu_least_watts,
        most_watts=options.gpu_most_watts,
        clock=time.monotonic,
    )
    try:
        client = await KubeClient.connect(options.kubeconfig)
    except ApiError as error:
        raise CommandError(error.message) from error

    def follow(node: Node) -> None:
        # Nothing real runs on them, and nobody says what does: a gang on the node is taken for work on all of them.
        gpus.run(range(gpus.count) if node.metadata.annotations.get(NODE_GANGS) else ())

    try:
        agent = NodeAgent(client, node=options.node, gpus=gpus, host_watts=options.host_watts, on_node=follow)
        working = asyncio.ensure_future(agent.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, working.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await working
    finally:
        await client.close()
    return 0
