"""A real Prometheus for tests: found on the machine, started on rules and targets, asked over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
import yaml

__all__ = ["RULES", "Prometheus", "found", "promtool", "scaled", "serving", "until"]

ROOT: Final = Path(__file__).resolve().parents[2]
#: The chart's rules, as a Prometheus loads them.
RULES: Final = sorted((ROOT / "charts" / "rackplane" / "files" / "rules").glob("*.yaml"))

T = TypeVar("T")


def found(name: str) -> str | None:
    """Path of prometheus or promtool: the one `make prometheus` unpacked beside the interpreter, else that on PATH."""
    return shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


def promtool() -> str:
    """Path of promtool; skips the test where there is none."""
    path = found("promtool")
    if path is None:
        pytest.skip("no promtool on this machine; make prometheus unpacks Debian's")
    return path


def scaled(folder: Path, factor: float) -> list[Path]:
    """Copies of the rules in `folder` in which every `for` is `factor` times as long, and at least one second.

    Nothing else is changed: not what is asked, not the windows that rates are taken over.
    """
    units = {"s": 1, "m": 60, "h": 3600}
    copies = []
    for path in RULES:
        rules = yaml.safe_load(path.read_text(encoding="utf-8"))
        for group in rules["groups"]:
            for rule in group["rules"]:
                if "for" in rule:
                    seconds = int(rule["for"][:-1]) * units[rule["for"][-1]]
                    rule["for"] = f"{max(1, round(seconds * factor))}s"
        copies.append(folder / path.name)
        copies[-1].write_text(yaml.safe_dump(rules, sort_keys=False), encoding="utf-8")
    return copies


def until(what: str, look: Callable[[], T | None], *, seconds: float, every: float = 0.25) -> T:
    """What `look` finds, as soon as it finds something.

    Raises:
        TimeoutError: it found nothing for `seconds`; the text says `what` was waited for.
    """
    end = time.monotonic() + seconds
    while (result := look()) is None:
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)
    return result


class Prometheus:
    """One that runs at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, text: str) -> list[dict[str, Any]]:
        """The samples of an instant query: `metric` and `value` of each.

        Raises:
            ValueError: the query is refused; the text is Prometheus'.
        """
        return list(self._get("query", query=text)["result"])

    def query_range(self, text: str, *, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The series of a range query, `values` of each as [seconds since the epoch, text]; raises as `query`."""
        return list(self._get("query_range", query=text, start=start, end=end, step=step)["result"])

    def firing(self) -> set[tuple[tuple[str, str], ...]]:
        """The alerts that fire now: the labels of each, its severity left out, sorted by name."""
        return {
            tuple(sorted((k, v) for k, v in alert["labels"].items() if k != "severity"))
            for alert in self._get("alerts")["alerts"]
            if alert["state"] == "firing"
        }

    def problems(self) -> list[str]:
        """What is wrong with evaluating the rules or with scraping the targets."""
        rules = [rule for group in self._get("rules")["groups"] for rule in group["rules"]]
        targets = self._get("targets")["activeTargets"]
        return [f"{r['name']}: {r['lastError']}" for r in rules if r.get("lastError")] + [
            f"{t['scrapeUrl']}: {t['lastError']}" for t in targets if t["lastError"]
        ]

    def evaluated(self) -> float:
        """When the group that was evaluated longest ago was, in seconds since the epoch; 0 if one never was."""
        texts = [group["lastEvaluation"] for group in self._get("rules")["groups"]]
        return min(_seconds(text) for text in texts)

    def _get(self, name: str, **query: object) -> dict[str, Any]:
        url = f"{self.url}/api/v1/{name}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return dict(json.load(answer)["data"])
        except urllib.error.HTTPError as refused:
            raise ValueError(json.load(refused)["error"]) from refused


def _seconds(text: str) -> float:
    """RFC 3339 with more digits than Python reads; the year 1 stands for never."""
    if text.startswith("0001-"):
        return 0.0
    return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC).timestamp()


@contextlib.contextmanager
def serving(
    folder: Path, *, targets: Sequence[str], rules: Sequence[Path], every: float = 3.0, job: str = "rackplane"
) -> Iterator[Prometheus]:
    """A Prometheus as long as the block lasts, with its data in `folder`/data and its log in `folder`/prometheus.log.

    Args:
        targets: host:port of each, with /metrics.
        every: seconds between scrapes, and between evaluations of the rules.

    Raises:
        FileNotFoundError: there is none on this machine.
        TimeoutError: it does not get ready.
    """
    program = found("prometheus")
    if program is None:
        raise FileNotFoundError("no prometheus on this machine; make prometheus unpacks Debian's")
    interval = f"{round(every * 1000)}ms"
    config = {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "evaluation_interval": interval,
        },
        "rule_files": [str(path.resolve()) for path in rules],
        "scrape_configs": [{"job_name": job, "static_configs": [{"targets": list(targets)}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        program,
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until("Prometheus is ready", lambda: _ready(process, address, folder), seconds=30)
            yield Prometheus(f"http://{address}")
        finally:
            process.terminate()
            process.wait(timeout=30)


def _ready(process: subprocess.Popen[bytes], address: str, folder: Path) -> bool | None:
    if process.poll() is not None:
        raise TimeoutError(f"Prometheus ended: {(folder / 'prometheus.log').read_text(encoding='utf-8')}")
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=5) as answer:
            return True if answer.status == 200 else None
    except OSError:
        return None
