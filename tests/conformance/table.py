"""The recorded table: `recorded/<area>.yaml`, one file for each module of `scenarios`."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from .run import Row
from .steps import Scenario

HERE = Path(__file__).parent
RECORDED = HERE / "recorded"


def areas() -> list[str]:
    """Names of the areas, which are the modules of `scenarios`."""
    return sorted(path.stem for path in (HERE / "scenarios").glob("[a-z]*.py"))


def scenarios(area: str) -> tuple[Scenario, ...]:
    """The scenarios of an area."""
    found: tuple[Scenario, ...] = importlib.import_module(f"tests.conformance.scenarios.{area}").SCENARIOS
    return found


def load(area: str) -> dict[str, list[Row]]:
    """Scenario -> its recorded rows; nothing where the area was never recorded."""
    return dict(_loaded(area))


@cache
def _loaded(area: str) -> dict[str, list[Row]]:
    path = RECORDED / f"{area}.yaml"
    if not path.exists():
        return {}
    document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    found: dict[str, list[Row]] = document["scenarios"]
    return found


def save(area: str, server: str, rows: dict[str, list[Row]]) -> Path:
    """Write an area's rows, in the order of its scenarios; returns the path."""
    path = RECORDED / f"{area}.yaml"
    head = f"# Recorded from kube-apiserver {server} by `make record`: docs/embedded-cluster.md. Not edited by hand.\n"
    order = [scenario.name for scenario in scenarios(area)]
    document = {"scenarios": {name: rows[name] for name in order if name in rows}}
    path.write_text(head + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=200), encoding="utf-8")
    _loaded.cache_clear()
    return path


def text(value: Any) -> list[str]:
    """A value as lines, for differences people read."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=True, width=200).splitlines()


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True
