"""Commands, flags and environment variables."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rackplane import __version__

# Commands import what they run when they run: `rackplane version` must not take seconds to load kopf.

__all__ = ["main"]

_ENVIRONMENT = "RACKPLANE_"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 done, 1 failed, 2 wrong usage."""
    parser = _parser(os.environ)
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command != "demo":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        match options.command:
            case "operator":
                return _operator(options, parser)
            case "cluster":
                return _cluster(options)
            case "demo":
                from rackplane.cli import demo

                return int(demo.main(rest) or 0)
            case "version":
                print(f"rackplane {__version__}")
                return 0
    except KeyboardInterrupt:
        return 130
    parser.print_help(sys.stderr)
    return 2


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rackplane",
        description="Places gang-scheduled training jobs on GPU racks by fabric, power and cooling.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    operator = commands.add_parser(
        "operator",
        help="run the operator",
        description="Runs the operator until SIGTERM. Every flag is also an environment variable, e.g. "
        "RACKPLANE_LOG_LEVEL for --log-level; the flag wins.",
    )
    _add_settings(operator, environment)
    cluster = commands.add_parser(
        "cluster",
        help="run an embedded Kubernetes cluster",
        description="Runs a small Kubernetes API server in memory until Ctrl-C, with the chart's admission policies "
        "installed. Nothing is kept.",
    )
    cluster.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    cluster.add_argument(
        "--kubeconfig", default="rackplane-local.kubeconfig", help="file to write (default: %(default)s)"
    )
    cluster.add_argument("--bare", action="store_true", help="without the admission policies")
    commands.add_parser("demo", help="a row of GB300 racks and real jobs, in this terminal", add_help=False)
    commands.add_parser("version", help="print the version")
    return parser


#: What --help says; the docstrings in `settings` say more.
_HELP = {
    "kubeconfig": "default: the pod's service account, else $KUBECONFIG, else ~/.kube/config",
    "namespace": "namespace of the Lease (default: $POD_NAMESPACE, else %(default)s)",
    "lease_name": "name of the Lease (default: %(default)s)",
    "identity": "holder of the Lease, unique to this process (default: pod or host name and a random suffix)",
    "host": "address for metrics and probes (default: %(default)s)",
    "metrics_port": "port of /metrics (default: %(default)s)",
    "health_port": "port of /healthz and /readyz (default: %(default)s)",
    "log_level": "DEBUG, INFO, WARNING or ERROR (default: %(default)s)",
    "log_format": "json, or text for a terminal (default: %(default)s)",
    "concurrency": "the most writes to the API server at a time (default: %(default)s)",
    "facility_resync_seconds": "seconds between full lists of the facility (default: %(default)s)",
    "silence_seconds": "seconds of silence of a watch that fail the liveness probe (default: %(default)s)",
    "shutdown_seconds": "seconds that writes under way may take at shutdown (default: %(default)s)",
    "validate": "check every invariant after every batch of events; slow",
}
_CHOICES = {"log_level": ("DEBUG", "INFO", "WARNING", "ERROR"), "log_format": ("json", "text")}


def _add_settings(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    from rackplane.controller.settings import OperatorSettings

    for field in dataclasses.fields(OperatorSettings):
        default: Any = None if field.default is dataclasses.MISSING else field.default
        value = environment.get(_ENVIRONMENT + field.name.upper())
        if field.name == "namespace":
            default = environment.get("POD_NAMESPACE") or default
        flag = "--" + field.name.replace("_", "-")
        if field.type == "bool":
            on = value is not None and value.lower() in ("1", "true", "yes")
            parser.add_argument(flag, action="store_true", default=on, help=_HELP[field.name])
            continue
        # argparse converts a default that is a string, and so a variable is checked as a flag is.
        parser.add_argument(
            flag,
            type={"int": int, "float": float}.get(str(field.type), str),
            default=default if value is None else value,
            choices=_CHOICES.get(field.name),
            metavar=None if field.name in _CHOICES else field.name.rpartition("_")[2].upper(),
            help=_HELP[field.name],
        )


def _operator(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    import asyncio

    from rackplane.controller.logging import configure_logging
    from rackplane.controller.operator import run
    from rackplane.controller.settings import OperatorSettings
    from rackplane.kube.client import ApiError

    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(OperatorSettings)}
    for name, choices in _CHOICES.items():
        # argparse does not check defaults against choices, and an environment variable comes as one.
        if values[name] not in choices:
            parser.error(f"{name}: {values[name]!r} is none of {', '.join(choices)}")
    if values["identity"] is None:
        del values["identity"]
    settings = OperatorSettings(**values)
    configure_logging(level=settings.log_level, json=settings.log_format == "json")
    try:
        asyncio.run(run(settings))
    except ApiError as error:
        print(f"rackplane: {error.message}", file=sys.stderr)
        return 1
    except Exception:
        # In the format of every other record, for whoever reads why the container restarted.
        logging.getLogger("rackplane").critical("the operator cannot go on", exc_info=True)
        return 1
    return 0


def _cluster(options: argparse.Namespace) -> int:
    import asyncio
    import signal

    from rackplane.api.admission import shipped_policies
    from rackplane.localcluster import LocalCluster

    async def serve() -> None:
        cluster = LocalCluster()
        for policy in () if options.bare else shipped_policies():
            cluster.apply(policy)
        await cluster.start(options.port)
        try:
            path = cluster.kubeconfig(options.kubeconfig)
            print(f"An embedded cluster listens on {cluster.url}. Nothing is kept after Ctrl-C.")
            print("Use it from another terminal:\n")
            print(f"  export KUBECONFIG={path.resolve()}\n  kubectl get nodes", flush=True)
            stopped = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stopped.set)
            await stopped.wait()
        finally:
            await cluster.stop()

    asyncio.run(serve())
    return 0
