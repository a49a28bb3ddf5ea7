"""What the shell offers when Tab is pressed: commands, options, and names that there are.

argcomplete finds which argument is meant; names come from the cluster or folder that the words before name, within a
moment, and none are offered if it does not answer. kubectl asks for its plugins' completions by a program of its own,
`kubectl_complete-rackplane` (`kubectl` here).
"""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn

from argcomplete.completers import FilesCompleter
from argcomplete.finders import CompletionFinder

from rackplane.cli.completing_names import contexts, names_of, namespaces
from rackplane.cli.parser import parser_for

__all__ = ["complete", "completed", "kubectl"]

_NO_FILES: Final = 4
_NO_SPACE: Final = 2
"""Of what kubectl takes as its last line, as its own completions give it: no space is to follow, no file is meant."""
_ELEMENTS: Final = {
    "power": ("PowerDomain", "Rack"),
    "cooling": ("CoolingZone", "Rack"),
    "fabric": ("NVLinkDomain", "Rack"),
}
_LOST: Final = {
    "powerdomain": "PowerDomain",
    "coolingzone": "CoolingZone",
    "rack": "Rack",
    "powerbudget": "PowerBudget",
}


def complete() -> NoReturn:
    """Answer argcomplete's script, by the environment that it sets."""
    line = os.environ.get("COMP_LINE", "")
    _finder()(
        _parser(line.split()[1:]),
        always_complete_options=False,
        default_completer=_Nothing(),
    )
    os._exit(1)  # It ends the process itself, but for a call that is none.


def kubectl() -> int:
    """The program `kubectl_complete-rackplane`: words as they are, the last of them unfinished or empty."""
    found = completed(sys.argv[1:], shell="kubectl")
    for candidate in found:
        print(candidate)
    unfinished = len(found) == 1 and found[0].partition("\t")[0].endswith(("/", "="))
    print(f":{_NO_FILES + (_NO_SPACE if unfinished else 0)}")
    return 0


def completed(words: Sequence[str], *, shell: str = "") -> list[str]:
    """What could stand in the place of the last word.

    Args:
        shell: "kubectl": each with what it is, after a tab, where there is something to say.
    """
    *before, last = words or [""]
    line = " ".join(["rackplane", *(shlex.quote(word) for word in before), last])
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    if shell == "kubectl":
        asked["_ARGCOMPLETE_DFS"] = "\t"
    said = io.StringIO()
    kept = {name: os.environ.get(name) for name in asked}
    os.environ.update(asked)
    try:
        _finder()(
            _parser(before),
            always_complete_options=False,
            exit_method=lambda *_: None,
            output_stream=said,
            append_space=False,
            default_completer=_Nothing(),
        )
    finally:
        for name, value in kept.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
    found = [candidate.rstrip("\t") for candidate in said.getvalue().split("\n") if candidate]
    # What is said of all of them says nothing of one.
    same = len(found) > 1 and len({candidate.partition("\t")[2] for candidate in found}) == 1
    return [candidate.partition("\t")[0] for candidate in found] if same else found


class _Finder(CompletionFinder):
    """argcomplete's, without its notes for debugging: the file that it would write them to may be somebody's."""

    def _init_debug_stream(self) -> None:
        from argcomplete import io as notes

        notes.debug_stream = io.StringIO()


def _finder() -> CompletionFinder:
    return _Finder()


class _Nothing(FilesCompleter):
    """Where nothing is known no file is meant."""

    def __call__(self, **_: Any) -> list[str]:  # type: ignore[override]
        return []


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = parser_for(words, {})
    asked = next((word for word in words if not word.startswith("-")), "")
    for action in parser.commands.choices[asked]._actions if asked in parser.commands.choices else ():
        completer = _of(asked, action)
        if completer is not None:
            action.completer = completer  # type: ignore[attr-defined]
    return parser


def _of(command: str, action: argparse.Action) -> Callable[..., Any] | None:
    """What completes the argument; None: its choices do, or nothing."""
    if action.dest in _FILES or (action.metavar in ("FILE", "DIR") and action.choices is None):
        return FilesCompleter()
    return _NAMED.get((command, action.dest)) or _NAMED.get(("", action.dest))


def _elements(parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    return names_of(parsed_args, _ELEMENTS.get(str(getattr(parsed_args, "what", "")), ()))


def _gangs(parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    return names_of(parsed_args, ("Gang",))


def _queues(parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    return names_of(parsed_args, ("Queue",))


def _losses(parsed_args: argparse.Namespace, prefix: str, **_: Any) -> Iterable[str]:
    word, slash, _rest = prefix.partition("/")
    if not slash:
        return [f"{kind}/" for kind in (*_LOST, "node")]
    kind = _LOST.get(word)
    return [f"{word}/{name}" for name in names_of(parsed_args, (kind,))] if kind is not None else []


def _levels(**_: Any) -> Iterable[str]:
    return ("nvlink", "leaf", "spine", "hall", "site", "facility")


def _contexts(parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    return contexts(parsed_args)


def _namespaces(parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    return namespaces(parsed_args)


_FILES: Final = frozenset(
    {"kubeconfig", "filename", "facility", "rack_template", "nodes", "dir", "files", "out"}
)
_NAMED: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    ("tree", "name"): _elements,
    ("explain", "name"): _gangs,
    ("queue", "name"): _queues,
    ("try", "queue"): _queues,
    ("drill", "what"): _losses,
    ("capacity", "level"): _levels,
    ("", "context"): _contexts,
    ("", "namespace"): _namespaces,
}
"""By command and argument; without a command, of all commands."""
