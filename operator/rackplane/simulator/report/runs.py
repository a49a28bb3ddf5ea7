"""Results of runs as their folders have them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rackplane.simulator.files import PLOTS, PLOTS_FORMAT, RUN, RUN_FORMAT

__all__ = ["Run", "RunError", "read_runs"]


class RunError(Exception):
    """Folders that are none of a run, all of them, in words."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Args:
        name: for people; of runs beside each other each has another one.
        data: what run.json has.
        plots: what plots.json has; None: the run was made before there were plots.
    """

    name: str
    data: Mapping[str, Any]
    plots: Mapping[str, Any] | None = None

    @property
    def summary(self) -> Mapping[str, Any]:
        """The figures of the run as a whole."""
        found: Mapping[str, Any] = self.data["summary"]
        return found


def read_runs(folders: Sequence[str]) -> list[Run]:
    """The runs in these folders, in their order.

    Raises:
        RunError: with every folder that cannot be read, and what is wrong with it.
    """
    problems: list[str] = []
    found = []
    for folder, name in zip(folders, _names(folders), strict=True):
        try:
            data = _read(Path(folder) / RUN, RUN_FORMAT)
            if data is None:
                there = "" if Path(folder).is_dir() else "there is no such folder; "
                raise RunError(f"{there}name a folder that `rackplane simulate --out` wrote: it has a {RUN}")
            found.append(Run(name, data, _read(Path(folder) / PLOTS, PLOTS_FORMAT)))
        except RunError as error:
            problems.append(f"{folder}: {error}")
    if problems:
        raise RunError("\n".join(problems))
    return found


def _read(path: Path, wanted: str) -> dict[str, Any] | None:
    """The object in a file; None if there is no such file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RunError(f"{path.name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RunError(f"{path.name} is no JSON ({error}): run it again") from error
    form = data.get("format") if isinstance(data, dict) else None
    if form != wanted:
        raise RunError(f"{path.name} is {form or 'of no known format'}, and this version reads {wanted}")
    return dict(data)


def _names(folders: Sequence[str]) -> list[str]:
    """The shortest ends of the paths that tell them apart; the same folder twice is numbered."""
    parts = [Path(folder).resolve().parts or (folder,) for folder in folders]
    deepest = max((len(p) for p in parts), default=1)
    for length in range(1, deepest + 1):
        names = ["/".join(p[-length:]).removeprefix("//") for p in parts]
        if len(set(names)) == len(set(parts)):
            break
    seen: dict[str, int] = {}
    for i, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        names[i] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return names
