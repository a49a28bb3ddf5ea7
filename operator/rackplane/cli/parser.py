"""Commands, flags and environment variables.

A command that answers questions is a module of its own, named in `_QUESTIONS`. It has ``add(commands)``, which calls
``commands.add_parser(...)`` on what `argparse` calls the subparsers, adds its arguments (those of `cli.source` among
them) and ends with ``parser.set_defaults(run=function)``. The function takes the parsed options and returns the exit
code; a `CommandError` that it raises is printed, and its code returned.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, NoReturn

from rackplane import __version__
from rackplane.cli import (
    capacity,
    defrag,
    device_plugin,
    discover,
    drill,
    exchange,
    explain,
    facility,
    kind_demo,
    node_agent,
    release,
    simulate,
    tree,
    trial,
    uninstall,
    validate,
    verify,
)
from rackplane.cli.errors import CommandError, nearest

# Commands import what they run when they run: `rackplane version` must not take seconds to load kopf.

__all__ = ["main"]

_ENVIRONMENT = "RACKPLANE_"
_QUESTIONS = (
    tree,
    explain,
    capacity,
    drill,
    defrag,
    validate,
    verify,
    discover,
    exchange,
    facility,
    simulate,
    trial,
    release,
    uninstall,
    node_agent,
    device_plugin,
    kind_demo,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 done, 1 failed, 2 wrong usage, or what the command's --help says."""
    parser = _parser(os.environ)
    options, rest = parser.parse_known_args(arguments)
    if len(rest) == 1 and not rest[0].startswith("-") and getattr(options, "name", "") is None:
        # argparse takes an optional name only right beside the word before it: `tree power --facility DIR ups-a`.
        options.name, rest = rest[0], []
    if rest and options.command != "demo":
        parser.unrecognized(options.command, rest)
    try:
        if "run" in options:
            return _answer(options)
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


def _answer(options: argparse.Namespace) -> int:
    try:
        code = int(options.run(options))
        sys.stdout.flush()
    except CommandError as error:
        print(f"rackplane: {error}", file=sys.stderr)
        return error.code
    except BrokenPipeError:
        # Whoever reads has seen enough (`| head`); Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


class _Parser(argparse.ArgumentParser):
    """argparse, with a guess at what was meant."""

    commands: argparse._SubParsersAction[_Parser]
    usage_code = 2
    """Exit code of wrong usage."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(self.usage_code, f"{self.prog}: error: {message}\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            hint = nearest(str(value), choices) or f"; it is one of {', '.join(choices)}"
            raise argparse.ArgumentError(action, f"there is no {str(value)!r}{hint}")

    def unrecognized(self, command: str | None, rest: Sequence[str]) -> NoReturn:
        parser = self.commands.choices.get(command or "", self)
        flags = [flag for action in parser._actions for flag in action.option_strings]
        hint = nearest(rest[0].partition("=")[0], flags) if rest[0].startswith("-") else ""
        parser.error(f"unrecognized arguments: {' '.join(rest)}{hint}")


def _parser(environment: Mapping[str, str]) -> _Parser:
    plugin = PurePath(sys.argv[0]).name.startswith("kubectl-")
    parser = _Parser(
        prog="kubectl rackplane" if plugin else "rackplane",
        description="Places gang-scheduled training jobs on GPU racks by fabric, power and cooling.",
    )
    commands = parser.commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", parser_class=_Parser, title="commands"
    )
    for question in _QUESTIONS:
        question.add(commands)
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
    "mode": "Active, or Observe: tell where gangs would be placed, and touch nothing (default: %(default)s)",
    "lease_name": "name of the Lease (default: %(default)s)",
    "lease_seconds": "seconds after the last sign of life of its leader until a Lease is free (default: %(default)s)",
    "lease_renew_seconds": "seconds between its signs of life (default: %(default)s)",
    "lease_retry_seconds": "seconds between two looks of a standby at the Lease (default: %(default)s)",
    "identity": "holder of the Lease, unique to this process (default: pod or host name and a random suffix)",
    "host": "address for metrics and probes (default: %(default)s)",
    "metrics_port": "port of /metrics (default: %(default)s)",
    "health_port": "port of /healthz and /readyz (default: %(default)s)",
    "reports_tokens": "directory with tokens of those who may report facility events over HTTP, a file for each source "
    "(default: the endpoint is off)",
    "reports_port": "port of that endpoint (default: %(default)s)",
    "reports_tls": "directory with tls.crt and tls.key of that endpoint (default: plain HTTP)",
    "log_level": "DEBUG, INFO, WARNING or ERROR (default: %(default)s)",
    "log_format": "json, or text for a terminal (default: %(default)s)",
    "concurrency": "the most writes to the API server at a time (default: %(default)s)",
    "facility_resync_seconds": "seconds between full lists of the facility (default: %(default)s)",
    "silence_seconds": "seconds of silence of a watch that fail the liveness probe (default: %(default)s)",
    "shutdown_seconds": "seconds that writes under way may take at shutdown (default: %(default)s)",
    "node_loss_seconds": "a node must be lost for so long before what a gang has there goes elsewhere, in seconds "
    "(default: %(default)s)",
    "compute_domains": "make a ComputeDomain for each gang that asks for one",
    "ignore_pod_groups": "pods that name a PodGroup of kube-scheduler are no gang by that",
    "workload_kinds": "kinds of other projects whose workloads queue (default: %(default)s)",
    "kueue": "answer for Kueue's Workloads, as the controller rackplane.dev/placement of its AdmissionChecks",
    "lost_node_conditions": "conditions of a Node that mean it is lost to gangs: KernelDeadlock,GpuHealthy=False "
    "(default: none but Ready)",
    "admit_after_loss": "while a survivable element is out of service, start gangs that only a second loss would put "
    "over a limit",
    "shedding": "what is done to running gangs while an element is over its limit: Stop, after lower power profiles; "
    "Cap, lower power profiles alone; or Off (default: %(default)s)",
    "shed_protected": "Protected gangs give way too, after all others",
    "actuation_seconds": "a power cap that is not in force after so long counts as not done (default: %(default)s)",
    "emergency_admission": "a loss may take a power domain up to its emergency rating, where confirmed caps are sure "
    "to end that in time",
    "emergency_margin_seconds": "so much earlier than at the end of an emergency rating's seconds caps must be in "
    "force, in seconds (default: %(default)s)",
    "confirmation": "who says that a power cap is in force: None, nobody, it counts from when it is written; Agent, "
    "the agent on the node; Endpoint, the answer of --power-endpoint (default: %(default)s)",
    "power_endpoint": "URL that power caps are posted to as well (default: none)",
    "power_endpoint_token_file": "file that holds the bearer token for it (default: none is sent)",
    "power_endpoint_timeout_seconds": "seconds that a request to it may take (default: %(default)s)",
    "telemetry_url": "URL of a Prometheus that is asked what nodes draw (default: none is)",
    "telemetry_query": "kepler, dcgm, or a query with one value in watts for each node (default: %(default)s)",
    "telemetry_label": "the label that names the node (default: that of kepler or dcgm; else node)",
    "telemetry_token_file": "file that holds the bearer token for it (default: none is sent)",
    "telemetry_host_watts": "watts of a node that the readings do not include (default: %(default)s)",
    "telemetry_seconds": "seconds between two questions (default: %(default)s)",
    "telemetry_stale_seconds": "a reading counts for so long, then the reserved peak does (default: %(default)s)",
    "telemetry_drift_percent": "so far above its reserved nominal watts a rack may draw (default: %(default)s)",
    "telemetry_supply_query": "a query with one value in degrees Celsius for each cooling_zone (default: none)",
    "telemetry_state_query": "a query with one value for each power_domain, 0 where it is lost (default: none)",
    "restore_seconds": "so long there must have been room before a cap is lifted (default: %(default)s)",
    "ramp_watts_per_second": "caps are lifted no faster than this, over the whole facility (default: at once)",
    "assumed_duration_seconds": "how long a gang that does not say is taken to run, in seconds (default: %(default)s)",
    "defragmentation": "Off; Propose: tell gangs that wait which moves of running ones would let them start; or Move: "
    "carry them out (default: %(default)s)",
    "defragmentation_max_moves": "gangs that one such plan moves at most (default: %(default)s)",
    "defragmentation_max_gpu_hours": "work that one such plan loses at most, in GPU-hours (default: %(default)s)",
    "defragmentation_moves_per_hour": "with Move: gangs moved at most within an hour (default: %(default)s)",
    "defragmentation_gpu_hours_per_hour": "with Move: GPU-hours of work lost at most within an hour; inf: any "
    "(default: %(default)s)",
    "defragmentation_least_gain": "with Move: GPU-hours of waiting that moves must save for each one that they lose "
    "(default: %(default)s)",
    "defragmentation_domain_gpu_hours": "with Move: GPU-hours that may be lost for one more whole free NVLink domain "
    "or rack; 0: none are freed (default: %(default)s)",
    "defragmentation_rest_seconds": "with Move: seconds for which a moved gang is not moved again, 3600 at least "
    "(default: %(default)s)",
    "reservations": "so many gangs at the head of the queue that cannot start hold a place which nobody may delay; "
    "0: none (default: %(default)s)",
    "share_half_life_seconds": "after so many seconds what a queue has held counts half in its share; 0: only what is "
    "held now counts (default: %(default)s)",
    "lookahead_seconds": "how far ahead starts of waiting gangs are looked for, in seconds (default: %(default)s)",
    "fabric_levels": "levels that gangs may ask for, innermost first; those before nvlink lie below the NVLink domain "
    "(default: %(default)s)",
    "fabric_labels": "node labels, or presets of them, by level: leaf=eks,example.com/tor;spine=example.com/spine "
    "(default: all presets)",
    "taint_nodes": "put the taint rackplane.dev/managed:NoSchedule on the nodes of racks; it is never taken off",
    "discovery": "write Racks and NVLinkDomains from the labels of nodes, never over what a person wrote",
    "discovery_rack_labels": "node labels, or levels, that name racks: example.com/rack,nvlink (default: usual ones)",
    "discovery_rack_template": "what labels do not say of racks, as YAML or JSON: a Rack's spec with limitWatts and "
    "feeds (default: no Rack is written)",
    "discovery_seconds": "seconds between two looks at labels (default: %(default)s)",
    "validate": "check every invariant after every batch of events; slow",
}
_LEAST = {
    "power_endpoint_timeout_seconds": (0.1, "0.1 s or more"),
    "telemetry_host_watts": (0, "0 W or more"),
    "telemetry_seconds": (0.1, "0.1 s or more"),
    "telemetry_stale_seconds": (1, "1 s or more"),
    "telemetry_drift_percent": (1, "1 % or more"),
    "node_loss_seconds": (0, "0 s or more"),
    "defragmentation_moves_per_hour": (0, "0 moves or more"),
    "defragmentation_gpu_hours_per_hour": (0, "0 GPU-hours or more"),
    "defragmentation_least_gain": (0.01, "0.01 or more: moves for nothing are not made"),
    "defragmentation_domain_gpu_hours": (0, "0 GPU-hours or more"),
    "discovery_seconds": (1, "1 s or more"),
    "defragmentation_rest_seconds": (3600, "3600 s or more, for which a move counts"),
}
"""Settings that must be so much at least, and how that is said."""
_LONGEST_LOOK = 400 * 86_400
_MOST_MOVES = 64
_LONGEST_HALF_LIFE = 400 * 86_400
_MOST_RESERVATIONS = 100
_CHOICES = {
    "mode": ("Active", "Observe"),
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR"),
    "log_format": ("json", "text"),
    "defragmentation": ("Off", "Propose", "Move"),
    "shedding": ("Stop", "Cap", "Off"),
    "confirmation": ("None", "Agent", "Endpoint"),
}


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

    from rackplane.api.fabric import FabricError, parse_fabric, parse_rack_labels
    from rackplane.controller.logging import configure_logging
    from rackplane.controller.operator import run
    from rackplane.controller.settings import OperatorSettings
    from rackplane.core.discovery.template import TemplateError, read_template
    from rackplane.core.settings import parse_conditions
    from rackplane.core.workloads.kinds import kinds_named
    from rackplane.kube.client import ApiError
    from rackplane.kube.leader import lease_problem

    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(OperatorSettings)}
    for name, choices in _CHOICES.items():
        # argparse does not check defaults against choices, and an environment variable comes as one.
        if values[name] not in choices:
            parser.error(f"{name}: {values[name]!r} is none of {', '.join(choices)}")
    # Without a length a gang would overlap no PowerBudget that is to come; and not-a-number is below nothing.
    if not values["assumed_duration_seconds"] >= 1:
        parser.error(f"assumed_duration_seconds: {values['assumed_duration_seconds']} is not 1 s or more")
    if not 1 <= values["defragmentation_max_moves"] <= _MOST_MOVES:
        parser.error(
            f"defragmentation_max_moves: {values['defragmentation_max_moves']} is not within 1 to {_MOST_MOVES}"
        )
    if not values["defragmentation_max_gpu_hours"] > 0:
        parser.error(
            f"defragmentation_max_gpu_hours: {values['defragmentation_max_gpu_hours']} is not more than 0 GPU-hours"
        )
    for name, (least, what) in _LEAST.items():
        if not values[name] >= least:
            parser.error(f"{name}: {values[name]} is not {what}")
    if not math.isfinite(values["defragmentation_domain_gpu_hours"]):
        parser.error("defragmentation_domain_gpu_hours: a free domain must have a price")
    if not 0 <= values["reservations"] <= _MOST_RESERVATIONS:
        parser.error(f"reservations: {values['reservations']} is not within 0 to {_MOST_RESERVATIONS}")
    if not 0 <= values["share_half_life_seconds"] <= _LONGEST_HALF_LIFE:
        parser.error(
            f"share_half_life_seconds: {values['share_half_life_seconds']} is not within 0 to {_LONGEST_HALF_LIFE} s"
        )
    if not 1 <= values["lookahead_seconds"] <= _LONGEST_LOOK:
        parser.error(f"lookahead_seconds: {values['lookahead_seconds']} is not within 1 to {_LONGEST_LOOK} s")
    for name in ("power_endpoint", "telemetry_url"):
        if values[name] and not values[name].startswith(("http://", "https://")):
            parser.error(f"{name}: {values[name]!r} is no http:// or https:// URL")
    for name in ("telemetry_supply_query", "telemetry_state_query"):
        if values[name] and not values["telemetry_url"]:
            parser.error(f"{name}: it needs a telemetry_url to ask")
    if values["confirmation"] == "Endpoint" and not values["power_endpoint"]:
        parser.error("confirmation: Endpoint needs a power_endpoint to ask")
    problem = lease_problem(
        values["lease_seconds"], values["lease_renew_seconds"], values["lease_retry_seconds"]
    )
    if problem:
        parser.error(problem)
    try:
        parse_conditions(values["lost_node_conditions"])
    except ValueError as error:
        parser.error(f"lost_node_conditions: {error}")
    try:
        kinds_named(values["workload_kinds"])
    except ValueError as error:
        parser.error(f"workload_kinds: {error}")
    try:
        fabric = parse_fabric(values["fabric_levels"], values["fabric_labels"])
    except FabricError as error:
        parser.error(f"fabric_levels, fabric_labels: {error}")
    try:
        if values["discovery_rack_labels"]:
            parse_rack_labels(values["discovery_rack_labels"], fabric)
    except FabricError as error:
        parser.error(f"discovery_rack_labels: {error}")
    try:
        if values["discovery_rack_template"]:
            read_template(values["discovery_rack_template"])
    except TemplateError as error:
        parser.error(f"discovery_rack_template: {error}")
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
