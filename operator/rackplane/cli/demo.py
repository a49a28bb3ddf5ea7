"""`rackplane demo`: a row of GB300 NVL72 racks in an embedded cluster, loaded with real jobs by the real operator."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from rackplane.api.admission import shipped_policies
from rackplane.cli import demo_load, demo_view
from rackplane.cli.demo_load import BudgetedGang, Submission
from rackplane.cli.demo_view import Snapshot
from rackplane.controller.logging import configure_logging
from rackplane.controller.operator import Operator
from rackplane.controller.settings import OperatorSettings
from rackplane.floorplan.history import History
from rackplane.kube.client import KubeClient
from rackplane.localcluster import LocalCluster, Request
from rackplane.localcluster.nodeagent import NodeAgents

__all__ = ["main", "parser"]

#: Seconds between two looks at the API server.
LOOK_SECONDS = 0.2
#: Where the operator keeps its Lease.
OPERATOR_NAMESPACE = "rackplane-system"
ENDED = ("Finished", "Failed")
#: The folder below examples/facilities that is shown unless another is named.
FACILITY = "gb300-row"


class DemoFailed(Exception):
    """The demo cannot go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """`seconds` bounds the jobs' part of the demo, not what `keep` adds; `metrics_port` 0 is any free one.

    `facility` is one of the folders below examples/facilities, `save_ui` a file for the floor plan as recorded.
    """

    keep: bool = False
    speed: float = 1.0
    jobs: int = 24
    seconds: float = 60.0
    metrics_port: int = 0
    facility: str = FACILITY
    save_ui: Path | None = None


def parser() -> argparse.ArgumentParser:
    """Arguments of `rackplane demo`."""
    result = argparse.ArgumentParser(prog="rackplane demo", description=__doc__.replace("`", ""))
    result.add_argument("--keep", action="store_true", help="leave the cluster up for kubectl until Ctrl-C")
    result.add_argument(
        "--speed", type=_positive, default=1.0, metavar="N", help="arrivals and jobs go N times as fast"
    )
    result.add_argument("--jobs", type=int, default=24, metavar="N", help="submit only N jobs of the trace")
    result.add_argument(
        "--seconds", type=_positive, default=60.0, metavar="LIMIT", help="give up after so many seconds"
    )
    result.add_argument(
        "--metrics-port",
        type=int,
        default=0,
        metavar="PORT",
        help="where the operator serves /metrics for a Prometheus (default: any free port)",
    )
    result.add_argument(
        "--facility",
        default=FACILITY,
        metavar="NAME",
        help="another of examples/facilities with racks of 18 trays, such as 2n (default: %(default)s)",
    )
    result.add_argument(
        "--save-ui",
        type=Path,
        metavar="FILE",
        help="leave the floor plan as recorded: one HTML file, for any browser",
    )
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 if every gang that can start has finished."""
    arguments = parser().parse_args(argv)
    options = Options(
        keep=arguments.keep,
        speed=arguments.speed,
        jobs=max(1, arguments.jobs),
        seconds=arguments.seconds,
        metrics_port=arguments.metrics_port,
        facility=arguments.facility,
        save_ui=arguments.save_ui,
    )
    # Without a terminal there is no width to fit: a pager or a log takes long lines.
    console = (
        Console(highlight=False)
        if sys.stdout.isatty()
        else Console(highlight=False, width=160, soft_wrap=True)
    )
    folder = Path(tempfile.mkdtemp(prefix="rackplane-demo-"))
    try:
        code = asyncio.run(_demo(options, console, folder))
    except KeyboardInterrupt:
        console.print("stopped")
        code = 130
    except (DemoFailed, FileNotFoundError) as problem:
        console.print(f"The demo failed: {escape(str(problem))}")
        code = 1
    if code == 1 and (folder / "operator.log").exists():
        console.print(f"The operator's log: {folder / 'operator.log'}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return code


async def _demo(options: Options, console: Console, folder: Path) -> int:
    async with _cluster(console, folder, options) as (cluster, kubeconfig, process, operator):
        evaluation = BudgetedGang()
        for document in evaluation.documents():
            cluster.apply(document)
        snapshot = await _ready(cluster, operator, options)
        console.print(f"Floor plan: http://127.0.0.1:{process.ui_port}/ui/", markup=False)
        total = sum(rack.gpus for rack in snapshot.racks)
        todo = demo_load.plan(
            demo_load.read_trace(), count=options.jobs, speed=options.speed, facility_gpus=total
        )
        todo.append(evaluation.submission(todo[len(todo) // 2].at))
        stage = Stage(cluster, console, operator, todo, options)
        finished = await stage.run()
        _report(console, stage, options, kubeconfig)
        if options.save_ui is not None:
            assert process.floor_plan is not None  # it has been served all along
            # The row as it is left is in it, whenever the last frame was taken.
            await process.floor_plan.take()
            _save_plan(console, process.floor_plan.history, options.save_ui)
        if options.keep:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({operator})
                _check(operator)
    return 0 if finished else 1


@contextlib.asynccontextmanager
async def _cluster(
    console: Console, folder: Path, options: Options
) -> AsyncIterator[tuple[LocalCluster, Path, Operator, asyncio.Task[Any]]]:
    """The cluster with its facility, node agents and operator; all of it is gone on leaving."""
    from kubernetes.aio import client, config

    root = demo_load.checkout()
    cluster = LocalCluster(history_limit=200_000)
    for document in (*demo_load.definitions(root), *shipped_policies()):
        cluster.apply(document)
    cluster.settle()
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR_NAMESPACE}})
    racks = []
    for document in demo_load.facility(root / "examples" / "facilities" / options.facility):
        cluster.apply(document)
        if document["kind"] == "Rack":
            racks.append(document["metadata"]["name"])
    nodes = [cluster.apply(node)["metadata"]["name"] for node in demo_load.nodes(racks)]
    async with cluster, contextlib.AsyncExitStack() as stack:
        console.print(f"Embedded cluster at {cluster.url}: {len(racks)} racks, {len(nodes)} nodes.")
        kubeconfig = cluster.kubeconfig(folder / "kubeconfig")
        agents_config: Any = client.Configuration()
        path = str(cluster.kubeconfig(folder / "agents", user="node-agents"))
        await config.load_kube_config(path, client_configuration=agents_config)
        api = await stack.enter_async_context(client.ApiClient(agents_config))
        agents = asyncio.create_task(NodeAgents(api, nodes, heartbeat_seconds=30.0).run())
        stack.push_async_callback(_cancelled, agents)
        own = cluster.kubeconfig(folder / "operator", user="operator")
        operator, task = await stack.enter_async_context(_operator(own, folder, options))
        await _listening(operator, task, options)
        console.print(f"The operator's metrics: http://127.0.0.1:{operator.ports[0]}/metrics", markup=False)
        yield cluster, kubeconfig, operator, task


@contextlib.asynccontextmanager
async def _operator(
    kubeconfig: Path, folder: Path, options: Options
) -> AsyncIterator[tuple[Operator, asyncio.Task[None]]]:
    """The operator as `rackplane operator` runs it, but for its signals and its log, which goes to a file."""
    settings = OperatorSettings(
        kubeconfig=str(kubeconfig),
        namespace=OPERATOR_NAMESPACE,
        host="127.0.0.1",
        metrics_port=options.metrics_port,
        health_port=0,
        ui=True,
        ui_host="127.0.0.1",
        ui_port=0,
        ui_seconds=0.5,
        ui_history_seconds=0.5,
        gang_metrics=True,
    )
    with (folder / "operator.log").open("w", encoding="utf-8") as log:
        configure_logging(level=settings.log_level, stream=log)
        client = await KubeClient.connect(settings.kubeconfig)
        operator = Operator(settings=settings, client=client)
        task = asyncio.create_task(operator.run(), name="operator")
        try:
            yield operator, task
        finally:
            operator.stop()
            with contextlib.suppress(TimeoutError, asyncio.CancelledError, Exception):
                async with asyncio.timeout(5.0):
                    await task
            await client.close()
            logging.getLogger().handlers[:] = [logging.NullHandler()]


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


def _check(operator: asyncio.Task[Any]) -> None:
    if operator.done():
        problem = None if operator.cancelled() else operator.exception()
        raise DemoFailed(f"the operator ended{'' if problem is None else f': {problem!r}'}")


async def _listening(operator: Operator, task: asyncio.Task[None], options: Options) -> None:
    """Wait until the operator has its ports."""
    until = time.monotonic() + options.seconds
    while operator.ports == (0, 0):
        _check(task)
        if time.monotonic() > until:
            raise DemoFailed(f"after {options.seconds:.0f} s the operator does not listen")
        await asyncio.sleep(LOOK_SECONDS)


async def _ready(cluster: LocalCluster, operator: asyncio.Task[Any], options: Options) -> Snapshot:
    """Wait until the operator has counted every rack's GPUs."""
    until = time.monotonic() + options.seconds
    while True:
        snapshot = _look(cluster)
        if snapshot.racks and all(rack.gpus and not rack.used_gpus for rack in snapshot.racks):
            return snapshot
        _check(operator)
        if time.monotonic() > until:
            missing = ", ".join(rack.name for rack in snapshot.racks if not rack.gpus) or "all racks"
            raise DemoFailed(f"after {options.seconds:.0f} s the operator has not counted {missing}")
        await asyncio.sleep(LOOK_SECONDS)


def _look(cluster: LocalCluster) -> Snapshot:
    # What is only looked at need not be copied: `request` would.
    return demo_view.read(lambda path: cluster.handle(Request("GET", path)).payload)


class Stage:
    """Submits what is due, and shows what comes of it."""

    def __init__(
        self,
        cluster: LocalCluster,
        console: Console,
        operator: asyncio.Task[Any],
        todo: Sequence[Submission],
        options: Options,
    ) -> None:
        self._cluster = cluster
        self._console = console
        self._operator = operator
        self._options = options
        self._waiting = sorted(todo, key=lambda entry: entry.at)
        self._started = time.monotonic()
        self.todo = tuple(self._waiting)
        self.snapshot = Snapshot()

    @property
    def elapsed(self) -> float:
        """Seconds since the first submission."""
        return time.monotonic() - self._started

    async def run(self) -> bool:
        """Go on until every startable gang has finished (True) or the time is up (False)."""
        self._started = time.monotonic()
        if not self._console.is_terminal:
            return await self._loop(None)
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            return await self._loop(live)

    async def _loop(self, live: Live | None) -> bool:
        while True:
            _check(self._operator)
            while self._waiting and self._waiting[0].at <= self.elapsed:
                self._cluster.apply(self._waiting.pop(0).manifest)
            before, self.snapshot = self.snapshot, _look(self._cluster)
            if live is None:
                for line in demo_view.changes(before, self.snapshot):
                    self._console.print(f"{self.elapsed:5.1f} s  {line}", markup=False)
            else:
                live.update(self._screen(), refresh=True)
            # Twice the same: nothing is on its way any more, and each reason is that of the row as it is now.
            if self._complete() and before == self.snapshot:
                return not self.unfinished()
            if self.elapsed > self._options.seconds:
                return False
            await asyncio.sleep(LOOK_SECONDS)

    def _screen(self) -> Any:
        title = f"{self._options.facility}, {self.elapsed:.0f} s"
        # Beside the racks the queue may be as tall as they are; below them it gets what is left.
        spare = 6 if demo_view.is_wide(self._console.width) else 8 + len(self.snapshot.racks) + 8
        rows = max(2, min(self._console.height - spare, 16))
        return demo_view.screen(self.snapshot, title=title, width=self._console.width, rows=rows)

    def _complete(self) -> bool:
        if self._waiting:
            return False
        for entry in self.todo:
            gang = self.snapshot.gangs.get((entry.namespace, entry.name))
            if gang is None or (gang.phase not in ENDED if entry.startable else not gang.message):
                return False
        # The books are empty again, so the last look shows the row as it is left.
        return all(rack.used_gpus == 0 for rack in self.snapshot.racks)

    def unfinished(self) -> list[str]:
        """Every startable gang that has not finished, and why."""
        result = []
        for entry in self.todo:
            gang = self.snapshot.gangs.get((entry.namespace, entry.name))
            if entry.startable and (gang is None or gang.phase != "Finished"):
                phase = "not submitted" if gang is None else gang.phase or "without a Gang"
                why = "" if gang is None or not gang.message else f": {gang.message}"
                result.append(f"{entry.name} is {phase}{why}")
        return result


def _save_plan(console: Console, history: History, file: Path) -> None:
    from rackplane.floorplan.page import standalone

    try:
        file.write_text(
            standalone(history.layouts(), history.frames(), title="rackplane demo"), encoding="utf-8"
        )
    except (OSError, ValueError) as problem:
        raise DemoFailed(f"the floor plan could not be written to {file}: {problem}") from problem
    console.print(f"\nThe floor plan as recorded: {file.resolve()}", markup=False)


def _report(console: Console, stage: Stage, options: Options, kubeconfig: Path) -> None:
    console.print()
    console.print(demo_view.results(stage.snapshot))
    console.print()
    for entry in stage.todo:
        gang = stage.snapshot.gangs.get((entry.namespace, entry.name))
        if not entry.startable and gang is not None:
            console.print(f"{gang.name} ({gang.gpus:,} GPUs) is {gang.phase}:", markup=False)
            console.print(f"  {gang.message}", markup=False)
    unfinished = stage.unfinished()
    if unfinished:
        console.print(f"\nNot finished after {stage.elapsed:.0f} s:", markup=False)
        for line in unfinished:
            console.print(f"  {line}", markup=False)
    else:
        count = sum(entry.startable for entry in stage.todo)
        console.print(f"\nAll {count} gangs that can start have finished, in {stage.elapsed:.0f} s.")
    console.print("\nTo try next:")
    evaluation = BudgetedGang()
    if not options.keep:
        console.print(
            "  make demo ARGS=--keep    the same, and the cluster stays up for kubectl", markup=False
        )
        return
    raised = f'{{"spec":{{"limitWatts":{evaluation.limit_watts * 2}}}}}'
    largest = max(stage.todo, key=lambda entry: entry.manifest["spec"]["parallelism"])
    for line in (
        f"export KUBECONFIG={kubeconfig}",
        "kubectl get racks,powerdomains,coolingzones",
        "kubectl get gangs --all-namespaces",
        f"kubectl describe gang {largest.gang}",
        f"kubectl patch powerbudget {evaluation.budget} --type merge -p '{raised}'   # lets the waiting gang start",
        "kubectl create -f examples/jobs",
    ):
        console.print(f"  {line}", markup=False)
    console.print("The cluster stays up; Ctrl-C stops it.")


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value
