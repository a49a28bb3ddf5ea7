"""The scripts by name, and what was seen of them on a real server, kept as text."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

from . import kopf_script, kubernetes_script
from .kubectl_script import SCRIPT
from .transcripts import Kubectl

RECORDED = Path(__file__).parent / "recorded"

#: Takes a kubeconfig and an empty folder, returns the lines.
Script = Callable[[Path, Path], list[str]]


def namespace() -> str:
    """A new name; all are of one length, so that tables are of one width."""
    return f"clients-{secrets.token_hex(3)}"


def _kubectl(program: str) -> Script:
    def run(kubeconfig: Path, folder: Path) -> list[str]:
        return Kubectl(program, kubeconfig, folder, namespace()).transcript(SCRIPT)

    return run


#: Program -> its name on PATH; None: no program is needed.
PROGRAMS = {
    "kubectl": "kubectl",
    "kubectl-1.35": "kubectl-1.35",
    "kubernetes": None,
    "kubernetes-aio": None,
    "kopf": None,
}
SCRIPTS: dict[str, Script] = {
    "kubectl": _kubectl("kubectl"),
    "kubectl-1.35": _kubectl("kubectl-1.35"),
    "kubernetes": lambda kubeconfig, _: kubernetes_script.run(kubeconfig, namespace()),
    "kubernetes-aio": lambda kubeconfig, _: asyncio.run(kubernetes_script.run_async(kubeconfig, namespace())),
    "kopf": lambda kubeconfig, _: asyncio.run(kopf_script.run(kubeconfig, namespace())),
}


def load(name: str) -> list[str]:
    """What was recorded of a script.

    Raises:
        FileNotFoundError: it was never recorded.
    """
    return (RECORDED / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def save(name: str, lines: list[str]) -> None:
    """Keep what was seen of a script on a real server."""
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
