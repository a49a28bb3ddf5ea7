"""The demo under a real Prometheus: every panel has data, what fires should, and nothing else does.

    python -m tests.tools.demo_metrics [--facility 2n] [--output FOLDER]

Starts `rackplane demo` as its users do, a Prometheus that scrapes it every three seconds, and the chart's rules with
one thing changed: every `for` is 30 times shorter, so that 15 minutes are 30 seconds. Then something is lost, by
kubectl, and the alerts that must follow are waited for, each wait with an end. Exit code 0: all of that was so.

With an output folder Prometheus' data, the answer to each panel's query over the whole run (panels.json) and the alerts
over time (alerts.json) stay there: what pictures are drawn from.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rackplane.cli.demo_load import job
from tests.support.dashboards import panel_queries
from tests.support.prometheus import ROOT, Prometheus, found, scaled, serving, until

#: How much shorter every `for` is.
SCALE: Final = 1 / 30
#: Seconds that anything is waited for.
PATIENCE: Final = 90.0

Alert = tuple[str, str]
"""Name, and the element or the queue that it is about."""

#: The demo submits a gang of 1,024 GPUs to show what is said of it.
ALWAYS: Final[frozenset[Alert]] = frozenset({("GangUnplaceable", "research")})
#: The first is true of some moments of a full facility and not of others. The rest are true where the machine is too
#: busy for a cluster, its nodes and the operator in one event loop: it lags, and does not answer a scrape in time.
PERHAPS: Final = frozenset({"Fragmentation", "LoopLag", "Absent", "TargetDown"})


class Failed(Exception):
    """Something is not as it must be; the text says what."""


@dataclass(frozen=True)
class Step:
    """What is done by kubectl, and the alerts that fire then, beside those that always do."""

    title: str
    command: tuple[str, ...]
    stdin: str
    fires: frozenset[Alert]


def _state(element: str, state: str) -> tuple[str, ...]:
    patch = json.dumps({"spec": {"state": state}})
    return ("patch", "powerdomain", element, "--type", "merge", "-p", patch)


def _about(name: str, *elements: str) -> set[Alert]:
    return {(name, element) for element in elements}


ORDER: Final = {
    "apiVersion": "rackplane.dev/v1alpha1",
    "kind": "PowerBudget",
    "metadata": {"name": "grid-order"},
    # Less than idle nodes draw: caps cannot do it.
    "spec": {"targets": {"powerDomains": ["row"]}, "limitWatts": 300_000, "bestEffort": True},
}


def _preemption() -> str:
    """A gang of a higher priority that has to stop the one that runs."""
    urgent = job(name="urgent", namespace="default", gpus=320, run_seconds=3600.0)
    urgent["spec"]["template"]["spec"]["priorityClassName"] = "urgent"
    queue = {
        "apiVersion": "rackplane.dev/v1alpha1",
        "kind": "Queue",
        "metadata": {"name": "research"},
        "spec": {"weight": 1, "preemption": {"withinQueue": "LowerPriority"}},
    }
    priority = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "urgent"},
        "value": 1000,
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [queue, priority, urgent]})


STEPS: Final[dict[str, tuple[Step, ...]]] = {
    # One path for everything, and cooling on a feed of its own.
    "gb300-row": (
        Step("a gang stops another", ("apply", "--validate=false", "-f", "-"), _preemption(), frozenset()),
        Step(
            "the feed of the cooling is lost",
            _state("mechanical", "Offline"),
            "",
            frozenset(
                _about("PowerDomainOut", "mechanical")
                | _about("AboveLimit", "row-air", "row-liquid")
                | _about("ReserveLost", "row-air", "row-liquid")
            ),
        ),
        Step("the feed is back", _state("mechanical", "Online"), "", frozenset()),
        # The last, for caps stay for minutes after an order.
        Step(
            "an order of the grid for less than idle nodes draw",
            ("create", "-f", "-"),
            json.dumps(ORDER),
            frozenset({("BudgetExceeded", "grid-order"), ("ShedInProgress", "Cap")}),
        ),
    ),
    # Two sides, of which either can carry everything.
    "2n": (
        Step(
            "side a is lost",
            _state("board-a", "Offline"),
            "",
            frozenset(
                _about("PowerDomainOut", "board-a", "ups-a", "mech-a")
                | _about("LossNotSurvived", "board-b", "ups-b", "mech-b")
                | _about("CoolingLossNotSurvived", "hall-air", "hall-liquid")
                | _about("ReserveLost", "hall-air", "hall-liquid")
            ),
        ),
        Step("side a is back", _state("board-a", "Online"), "", frozenset()),
    ),
}


class Demo:
    """`rackplane demo --keep` as a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rackplane", "demo", "--keep", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(line.rstrip() for line in self._process.stdout)

    def said(self, pattern: str, *, seconds: float) -> str:
        """The first group of the first line that matches, once there is one."""

        def look() -> str | None:
            hits = (re.search(pattern, line) for line in list(self.lines))
            hit = next((hit[1] for hit in hits if hit), None)
            if hit is None and self._process.poll() is not None:
                raise Failed("the demo ended:\n" + "\n".join(self.lines[-20:]))
            return hit

        return until(f"the demo says {pattern!r}", look, seconds=seconds)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()


@contextlib.contextmanager
def _demo(*arguments: str) -> Iterator[Demo]:
    demo = Demo(*arguments)
    try:
        yield demo
    finally:
        demo.stop()


def _kubectl(kubeconfig: str, *arguments: str, stdin: str = "") -> None:
    program = found("kubectl")
    if program is None:
        raise Failed("no kubectl on this machine; make test unpacks one on linux/amd64")
    result = subprocess.run(
        [program, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KUBECONFIG": kubeconfig},
    )
    if result.returncode:
        raise Failed(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")


def _named(alerts: set[tuple[tuple[str, str], ...]]) -> set[Alert]:
    """Alerts by name and by what they are about."""
    result = set()
    for each in alerts:
        labels = dict(each)
        subjects = ("element", "power_domain", "cooling_zone", "queue", "action", "rack", "kind", "resource")
        subject = next((labels[name] for name in subjects if name in labels), labels.get("instance", ""))
        result.add((labels["alertname"].removeprefix("Rackplane"), subject))
    return {(name, subject) for name, subject in result if name not in PERHAPS}


def _settled(prometheus: Prometheus, fires: frozenset[Alert]) -> None:
    """Wait until these alerts fire and no others.

    Raises:
        Failed: they do not.
    """
    last: set[Alert] = set()

    def look() -> bool | None:
        nonlocal last
        last = _named(prometheus.firing())
        return True if last == ALWAYS | fires else None

    try:
        until("the alerts", look, seconds=PATIENCE)
    except TimeoutError as late:
        missing, more = (ALWAYS | fires) - last, last - (ALWAYS | fires)
        raise Failed(f"after {PATIENCE:.0f} s: not firing {sorted(missing)}; firing {sorted(more)}") from late


def _fired(prometheus: Prometheus, since: float) -> set[Alert]:
    """Every alert that has fired at any time since then."""
    seconds = math.ceil(time.time() - since)
    samples = prometheus.query(f'max_over_time(ALERTS{{alertstate="firing"}}[{seconds}s])')
    return _named({tuple(sample["metric"].items()) for sample in samples})


def _has_data(series: Sequence[dict[str, Any]]) -> bool:
    return any(math.isfinite(float(value)) for each in series for _, value in each["values"])


def _show(line: str) -> None:
    print(line, flush=True)


def _run(facility: str, folder: Path, arguments: Sequence[str]) -> dict[tuple[str, str], bool]:
    """One facility from start to end; by panel, whether it had data. Raises `Failed` at the first thing amiss."""
    _show(
        f"{facility}: every `for` of the rules is 30 times shorter than in the chart, nothing else is changed"
    )
    folder.mkdir(parents=True, exist_ok=True)
    # What an earlier run left there would be taken for replicas that still lead.
    shutil.rmtree(folder / "data", ignore_errors=True)
    with _demo("--facility", facility, *arguments) as demo:
        target = demo.said(r"metrics: http://([\d.:]+)/metrics", seconds=PATIENCE)
        # Whoever is scraped before it runs would be told as absent, and rightly.
        demo.said("(submitted)", seconds=PATIENCE)
        began = time.time()
        with serving(folder, targets=[target], rules=scaled(folder, SCALE)) as prometheus:
            kubeconfig = demo.said(r"export KUBECONFIG=(\S+)", seconds=180)
            _settled(prometheus, frozenset())
            if (fired := _fired(prometheus, began)) - ALWAYS:
                raise Failed(f"fired while all was well: {sorted(fired - ALWAYS)}")
            _show(f"  {time.time() - began:5.1f} s  all jobs are done; fired: {_words(fired)}")
            long = job(name="long", namespace="default", gpus=256, run_seconds=3600.0)
            _kubectl(kubeconfig, "create", "-f", "-", stdin=json.dumps(long))
            for step in STEPS[facility]:
                _kubectl(kubeconfig, *step.command, stdin=step.stdin)
                _settled(prometheus, step.fires)
                _show(f"  {time.time() - began:5.1f} s  {step.title}; fire: {_words(ALWAYS | step.fires)}")
            if problems := prometheus.problems():
                raise Failed("Prometheus: " + "; ".join(problems))
            shown = _panels(prometheus, folder, began)
            _show(
                f"  {time.time() - began:5.1f} s  {sum(shown.values())} of {len(shown)} panels have had data"
            )
            return shown


def _words(alerts: set[Alert] | frozenset[Alert]) -> str:
    return ", ".join(f"{name}({subject})" for name, subject in sorted(alerts))


def _waited_and_ran(prometheus: Prometheus, began: float, now: float) -> str:
    """Of the gangs that were seen to run: the one that was seen longest in the queue."""

    def seen(text: str) -> Counter[str]:
        series = prometheus.query_range(text, start=began, end=now, step=1.0)
        return Counter({each["metric"]["gang"]: len(each["values"]) for each in series})

    waited, ran = (
        seen("max by (gang) (rackplane_gang_position)"),
        seen("max by (gang) (rackplane_gang_running_pods) > 0"),
    )
    both = [(-length, gang) for gang, length in waited.items() if ran[gang]]
    if not both:
        raise Failed("no gang was seen to wait and then to run: the demo is too fast for the scrapes")
    return min(both)[1]


def _panels(prometheus: Prometheus, folder: Path, began: float) -> dict[tuple[str, str], bool]:
    """Ask each panel's query over the whole run and keep the answers; by panel, whether it had data at any time."""
    now = time.time()
    asked: list[dict[str, Any]] = []
    data: dict[tuple[str, str], bool] = {}
    of_gang = {"namespace": "default", "gang": _waited_and_ran(prometheus, began, now)}
    for dashboard, panel, text in panel_queries(of_gang, interval="10s"):
        series = prometheus.query_range(text, start=began, end=now, step=3.0)
        asked.append({"dashboard": dashboard, "panel": panel, "query": text, "series": series})
        data[dashboard, panel] = data.get((dashboard, panel), False) or _has_data(series)
    (folder / "panels.json").write_text(json.dumps(asked), encoding="utf-8")
    alerts = prometheus.query_range("ALERTS", start=began, end=now, step=3.0)
    (folder / "alerts.json").write_text(json.dumps(alerts), encoding="utf-8")
    return data


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="demo_metrics", description=__doc__.split("\n\n", 1)[0])
    parser.add_argument(
        "--facility", action="append", choices=sorted(STEPS), help="only this one (default: all)"
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="keep what was recorded")
    parser.add_argument("--jobs", default="24", help="jobs of the demo (default: %(default)s)")
    parser.add_argument("--speed", default="1", help="as the demo's (default: %(default)s)")
    given = parser.parse_args(argv)
    if found("prometheus") is None:
        print("No prometheus on this machine: nothing is shown (make prometheus fetches Debian's).")
        return 0
    with tempfile.TemporaryDirectory(prefix="rackplane-metrics-") as scratch:
        folder = given.output or Path(scratch)
        try:
            arguments = ["--jobs", given.jobs, "--speed", given.speed]
            run = given.facility or sorted(STEPS, reverse=True)
            shown = [_run(facility, folder / facility, arguments) for facility in run]
            # What one facility has not, as feeds of which one may be lost, the other has.
            empty = [": ".join(panel) for panel in shown[0] if not any(each[panel] for each in shown)]
            if empty and set(run) == set(STEPS):
                raise Failed(f"{len(empty)} of {len(shown[0])} panels have no data: {'; '.join(empty)}")
        except (Failed, TimeoutError) as problem:
            print(f"Failed: {problem}")
            return 1
    if given.output:
        _show(f"Recorded in {given.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
