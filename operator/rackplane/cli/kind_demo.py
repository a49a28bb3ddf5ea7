"""`rackplane kind-demo`: gangs on a small cluster with mock GPUs, and what becomes of them when things break."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rackplane.cli.cluster import add_cluster_arguments, connected
from rackplane.cli.errors import CommandError, Exit

__all__ = ["add"]

_EPILOG = """\
It applies the facility and the jobs, waits for the gangs, then breaks a GPU, a UPS, and modules of the other, one after
the other, and prints what came of each. At the end all is repaired, and the jobs are deleted. The facility stays.

exit codes:
  0  all went as it should
  1  something did not; it says what was waited for, and what there was instead
  3  the cluster cannot be asked
"""


def add(commands: Any) -> None:
    """Register the command (see `rackplane.cli.commands`)."""
    parser = commands.add_parser(
        "kind-demo",
        description="Runs the gangs of examples/jobs/kind on the facility of examples/facilities/kind, and loses parts "
        "of it. For a cluster that serves nothing else. See docs/kind.md.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_cluster_arguments(parser)
    parser.add_argument("--namespace", default="default", help="of the jobs (default: %(default)s)")
    parser.add_argument("--facility", type=Path, default=Path("examples/facilities/kind"), metavar="DIR")
    parser.add_argument("--jobs", type=Path, default=Path("examples/jobs/kind"), metavar="DIR")
    parser.add_argument(
        "--patience",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="for each step (default: %(default)g)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the demo; 0 if all went as it should.

    Raises:
        CommandError: the cluster cannot be reached, or a step did not end as it should.
    """
    import asyncio

    for folder in (options.facility, options.jobs):
        if not folder.is_dir():
            raise CommandError(
                f"there is no folder {folder}: run it at the root of the repository", code=Exit.USAGE
            )
    asyncio.run(_run(options))
    return 0


async def _run(options: argparse.Namespace) -> None:
    from rackplane.cli.kind_demo_steps import Demo
    from rackplane.kube.client import ApiError

    async with connected(options.kubeconfig, options.context) as client:
        demo = Demo(client, namespace=options.namespace, patience=options.patience)
        try:
            await demo.run(options.facility, options.jobs)
        except ApiError as error:
            raise CommandError(str(error)) from error
