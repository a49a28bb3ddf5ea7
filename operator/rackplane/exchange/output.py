"""Our objects as text: YAML, and what nodes must be labelled with as commands."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import yaml

from rackplane.exchange.building import Imported

__all__ = ["label_commands", "yaml_of", "yaml_text"]

_NODES_A_LINE: Final = 24


def yaml_text(imported: Imported) -> str:
    """Every object as a YAML document; before them, as comments, labels and settings that they need."""
    notes: list[str] = []
    commands = list(label_commands(imported.labels))
    if commands:
        notes += ["Nodes need these labels:", *(f"  {command}" for command in commands)]
    if imported.settings:
        lines = yaml_of(imported.settings).splitlines()
        notes += ["The operator needs these values of the chart:", *(f"  {line}" for line in lines)]
    head = "".join(f"# {line}\n" for line in notes)
    return head + "---\n".join(yaml_of(body) for body in imported.objects)


def label_commands(labels: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """`kubectl label` for all nodes, in order of node; those with equal labels together."""
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for node in sorted(labels):
        groups.setdefault(tuple(sorted(labels[node].items())), []).append(node)
    for pairs, nodes in groups.items():
        said = " ".join(shlex.quote(f"{key}={value}") for key, value in pairs)
        for some in _parts(nodes):
            yield f"kubectl label --overwrite nodes {' '.join(map(shlex.quote, some))} {said}"


def yaml_of(body: Mapping[str, Any]) -> str:
    """One document."""
    return str(yaml.safe_dump(dict(body), sort_keys=False, default_flow_style=False, width=120))


def _parts(nodes: list[str]) -> Iterable[list[str]]:
    return (nodes[i : i + _NODES_A_LINE] for i in range(0, len(nodes), _NODES_A_LINE))
