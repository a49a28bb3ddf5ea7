"""Which code a run was made with, where that can be known."""

from __future__ import annotations

import subprocess
from pathlib import Path

import rackplane

__all__ = ["commit"]


def commit() -> str | None:
    """The commit of the checkout that this package is run from, with a + if files of it were changed.

    None for a package that is installed, or without git.
    """
    package = Path(rackplane.__file__).resolve().parent
    checkout = package.parent.parent
    # A virtual environment may lie in a repository of somebody else's.
    if package != checkout / "operator" / "rackplane" or not (checkout / ".git").exists():
        return None
    head = _git(checkout, "rev-parse", "--short=12", "HEAD")
    if head is None:
        return None
    return head + ("+" if _git(checkout, "status", "--porcelain", "--", "operator") else "")


def _git(checkout: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *words], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
