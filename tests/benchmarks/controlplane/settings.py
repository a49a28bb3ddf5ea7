"""How fast the Job controller and kube-scheduler may write: both bound the way from a Job to bound pods."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import aiohttp

from tests.benchmarks.controlplane.server import Server

__all__ = ["flags_of", "qps_settings"]

COMPONENTS = {"kube-controller-manager": 10257, "kube-scheduler": 10259}
#: What they do when no flag says otherwise.
DEFAULTS = {
    "kube-controller-manager": {"kube-api-qps": "20", "kube-api-burst": "30", "concurrent-job-syncs": "5"},
    "kube-scheduler": {"kube-api-qps": "50", "kube-api-burst": "100"},
}


async def qps_settings(where: Server) -> list[str]:
    """One line a component, and where it was learned: its flags here, else its /configz, else the defaults."""
    if where.process is not None:
        return ["Job controller and scheduler: in the embedded cluster, without limits of their own"]
    return [await _of(component, port) for component, port in COMPONENTS.items()]


async def _of(component: str, port: int) -> str:
    asked = DEFAULTS[component]
    words = _command_line(component)
    if words is not None:
        flags = {**asked, **{k: v for k, v in flags_of(words).items() if k in asked}}
        return f"{component}: {_listed(flags)} (its flags)"
    found = await _configz(port)
    if found is not None:
        return f"{component}: {found} (its /configz)"
    return f"{component}: not reachable; {_listed(asked)} unless its flags say otherwise"


def flags_of(words: list[str]) -> dict[str, str]:
    """`--name=value` words of a command line."""
    pairs = (word[2:].partition("=") for word in words if word.startswith("--"))
    return {name: value for name, _, value in pairs}


async def _configz(port: int) -> str | None:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session,
            session.get(f"https://127.0.0.1:{port}/configz", ssl=trusting) as answer,
        ):
            if answer.status != 200:
                return None
            document: dict[str, Any] = await answer.json(content_type=None)
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None
    for part in document.values():
        connection = part.get("ClientConnection") or part.get("clientConnection")
        connection = connection or part.get("Generic", {}).get("ClientConnection")
        if connection:
            qps, burst = (connection.get(name, connection.get(name.upper())) for name in ("qps", "burst"))
            return f"qps {qps}, burst {burst}"
    return None


def _command_line(component: str) -> list[str] | None:
    """Of the component, where it runs on this machine."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if Path(words[0]).name == component:
            return words
    return None


def _listed(flags: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in flags.items())
