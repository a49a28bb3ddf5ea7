"""Renders the chart for the tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.manifests import documents

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "rackplane"
NAMESPACE = "rackplane-system"

Manifest = dict[str, Any]


def tool(name: str) -> str:
    """Path of helm or kubectl: the one `make test` unpacked beside the interpreter, else the one on PATH.

    Skips the test where there is neither: the pinned binaries exist for linux/amd64 only.
    """
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if path is None:
        pytest.skip(f"no {name} on this machine; make test unpacks one on linux/amd64")
    return path


def run(name: str, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end and return what it said; the caller looks at the exit code."""
    command = [tool(name), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=120)


def render(values: Manifest | None = None, *arguments: str, release: str = "rackplane") -> list[Manifest]:
    """The manifests of the chart with `values` over its defaults. Fails the test if helm refuses."""
    result = template(values, *arguments, release=release)
    assert result.returncode == 0, result.stderr
    return documents(result.stdout)


def template(
    values: Manifest | None = None, *arguments: str, release: str = "rackplane"
) -> subprocess.CompletedProcess[str]:
    """`helm template` as it ends, refused values included. What was rendered once is not rendered again."""
    return _template(None if values is None else json.dumps(values), release, *arguments)


@cache
def _template(values: str | None, release: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    given = ["--values", "-"] if values is not None else []
    return run(
        "helm",
        "template",
        release,
        str(CHART),
        "--namespace",
        NAMESPACE,
        # Without a cluster each helm assumes another version, older ones one that the chart does not support.
        "--kube-version",
        "1.36.0",
        *given,
        *arguments,
        stdin=values,
    )


def installed(manifests: list[Manifest]) -> list[Manifest]:
    """Those that `helm install` creates and keeps; the others are hooks, there while their command runs."""
    return [m for m in manifests if "helm.sh/hook" not in m["metadata"].get("annotations", {})]


def hooks(manifests: list[Manifest], when: str) -> list[Manifest]:
    """The hooks of one kind: "pre-delete", "test"."""
    return [m for m in manifests if m["metadata"].get("annotations", {}).get("helm.sh/hook") == when]


def find(manifests: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    """The one manifest of a kind (and name)."""
    found = [m for m in manifests if m["kind"] == kind and (name is None or m["metadata"]["name"] == name)]
    assert len(found) == 1, [m["metadata"]["name"] for m in found]
    return found[0]
