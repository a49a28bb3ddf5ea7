"""`rackplane try`: does it work here? One small Job goes the whole way, and is deleted again.

`helm test` runs it. It shows that the admission rule queues what is labelled, that an operator leads and decides, and
that pods are let go and start; where one of these fails it says which, and what to look at.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rackplane.cli.cluster import add_cluster_arguments, connected
from rackplane.cli.errors import CommandError, Exit
from rackplane.cli.source import positive

if TYPE_CHECKING:  # Reading a cluster takes a third of a second to import, and --help shall not.
    from rackplane.kube.client import Client

__all__ = ["Outcome", "Trial", "add", "follow", "job_of"]

_EXAMPLES = """\
examples:
  rackplane try                              two pods of one GPU each, in queue research of namespace default
  rackplane try --queue train -n ml --slots 4 --gpus 8 --topology nvlink
  rackplane try --decided                    a decision is enough: it may wait, if it is told why

exit codes:
  0  all pods started (with --decided: or the gang waits and is told why)
  1  something does not work: it is said what, and where to look
  3  the Job could not be created, or the cluster cannot be read
  4  it waits, and is told why
"""
_CODES = {"Started": Exit.YES, "Waits": Exit.PARTLY, "Broken": Exit.NO}


class Outcome(StrEnum):
    """How a trial ends."""

    STARTED = "Started"
    WAITS = "Waits"
    BROKEN = "Broken"


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of the Job, and why, in words."""

    outcome: Outcome
    why: str


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "try",
        description="Creates a small Job, follows it until its pods run or it is told why not, and deletes it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--queue", default="research", help="its queue (default: %(default)s)")
    parser.add_argument("-n", "--namespace", default="default", help="its namespace (default: %(default)s)")
    parser.add_argument("--slots", type=positive, default=2, help="its pods (default: %(default)s)")
    parser.add_argument("--gpus", type=positive, default=1, help="GPUs of a pod (default: %(default)s)")
    parser.add_argument(
        "--resource", default="nvidia.com/gpu", help="what a GPU is called (default: %(default)s)"
    )
    parser.add_argument("--topology", metavar="LEVEL", help="all pods in one domain of this level, as nvlink")
    parser.add_argument("--image", default="busybox:1.37", help="image of its pods (default: %(default)s)")
    parser.add_argument(
        "--run",
        dest="line",
        default="sleep 5",
        metavar="COMMAND",
        help="what they run (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout",
        type=positive,
        default=60,
        metavar="SECONDS",
        help="give up after (default: %(default)s)",
    )
    parser.add_argument(
        "--decided", action="store_true", help="do not wait for a start where the gang is told why it waits"
    )
    parser.add_argument("--keep", action="store_true", help="do not delete the Job")
    add_cluster_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run one small Job; the exit code says how it went (see --help).

    Raises:
        CommandError: the Job cannot be created, or the cluster cannot be read.
    """
    trial = asyncio.run(_on_cluster(options))
    print(f"{trial.outcome}: {trial.why}")
    return 0 if options.decided and trial.outcome is Outcome.WAITS else _CODES[trial.outcome]


async def _on_cluster(options: argparse.Namespace) -> Trial:
    body = job_of(
        f"rackplane-try-{secrets.token_hex(3)}",
        namespace=options.namespace,
        queue=options.queue,
        slots=options.slots,
        resources={options.resource: options.gpus},
        image=options.image,
        command=shlex.split(options.line),
        topology=options.topology,
    )
    async with connected(options.kubeconfig, options.context) as client:
        return await follow(
            client, body, seconds=options.timeout, decided=options.decided, keep=options.keep, say=print
        )


def job_of(
    name: str,
    *,
    namespace: str,
    queue: str,
    slots: int,
    resources: Mapping[str, int],
    image: str,
    command: list[str],
    topology: str | None = None,
) -> dict[str, Any]:
    """The Job, as a user would write it, and as the strictest Pod Security level lets it pass."""
    from rackplane.api.labels import DISRUPTION, EXPECTED_DURATION, QUEUE_LABEL, REQUIRED_TOPOLOGY

    notes = {EXPECTED_DURATION: "5m", DISRUPTION: "Sheddable"}
    if topology:
        notes[REQUIRED_TOPOLOGY] = topology
    limits = {resource: str(count) for resource, count in resources.items()}
    container = {
        "name": "worker",
        "image": image,
        "command": command,
        "resources": {"limits": limits},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    ids = {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {QUEUE_LABEL: queue},
            "annotations": notes,
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": slots,
            "parallelism": slots,
            "ttlSecondsAfterFinished": 600,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "securityContext": {**ids, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [container],
                }
            },
        },
    }


async def follow(
    client: Client,
    job: Mapping[str, Any],
    *,
    seconds: int,
    decided: bool = False,
    keep: bool = False,
    say: Callable[[str], None] = lambda _: None,
    pause: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(1.0),
) -> Trial:
    """Create the Job, follow its Gang, and delete the Job.

    Args:
        seconds: how often it is looked at, a pause between each two.
        decided: a refusal with a reason ends it.
        say: told of each step.
        pause: waits a second.

    Raises:
        CommandError: the Job was refused, or something cannot be read.
    """
    import msgspec

    from rackplane.kube.client import ApiError
    from rackplane.kube.resources import JOBS

    namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
    try:
        made = msgspec.json.decode(await client.request("POST", JOBS.path(namespace), body=job))
    except ApiError as error:
        raise CommandError(f"Job {namespace}/{name} was not created: {error}") from error
    say(f"Job {namespace}/{name} created")
    try:
        if not made["spec"].get("suspend"):
            return Trial(
                Outcome.BROKEN,
                "the Job was not suspended when it was created, so it started past the queue: there is no "
                "MutatingAdmissionPolicy of Rackplane, it does not select this namespace, or the chart's mode is "
                "Observe (kubectl get mutatingadmissionpolicybindings)",
            )
        return await _watch(client, namespace, name, seconds, decided=decided, say=say, pause=pause)
    finally:
        if not keep:
            # Background, which the API server does not choose for Jobs by itself: their pods go too.
            query = {"propagationPolicy": "Background"}
            try:
                await client.request("DELETE", JOBS.path(namespace, name), query=query)
            except ApiError as error:
                if error.status != 404:
                    say(f"Job {namespace}/{name} could not be deleted, do it by hand: {error}")


async def _watch(
    client: Client,
    namespace: str,
    name: str,
    seconds: int,
    *,
    decided: bool,
    say: Callable[[str], None],
    pause: Callable[[], Awaitable[None]],
) -> Trial:
    import msgspec

    from rackplane.kube.client import ApiError
    from rackplane.kube.resources import GANGS

    last, refusal, admitted = "", "", False
    for _ in range(seconds):
        try:
            gang = msgspec.json.decode(await client.request("GET", GANGS.path(namespace, f"job-{name}")))
        except ApiError as error:
            if error.status != 404:
                raise CommandError(f"Gang {namespace}/job-{name} cannot be read: {error}") from error
            gang = {}
        status = gang.get("status") or {}
        phase, message = status.get("phase") or "", status.get("message") or ""
        if phase and (line := f"{phase}: {message}") != last:
            last = line
            say(line)
        if phase in ("Running", "Finished"):
            return Trial(Outcome.STARTED, message)
        if phase == "Failed":
            return Trial(Outcome.BROKEN, message)
        conditions = {c["type"]: c for c in status.get("conditions") or ()}
        judged = conditions.get("Admitted")
        admitted = judged is not None and judged["status"] == "True"
        refusal = message if judged is not None and not admitted else ""
        if decided and refusal:
            return Trial(Outcome.WAITS, refusal)
        await pause()
    if refusal:
        return Trial(Outcome.WAITS, refusal)
    if admitted:
        return Trial(
            Outcome.BROKEN,
            f"it has a place, and its pods did not start within {seconds} s ({last}): see the pods' Events and the "
            "kubelets of their nodes, or give it longer by --timeout",
        )
    return Trial(
        Outcome.BROKEN,
        f"nobody decided about it within {seconds} s: no operator leads, or it cannot see this namespace "
        "(kubectl -n rackplane-system get pods,leases, and the leader's log)",
    )
