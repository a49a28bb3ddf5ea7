"""A design checked and written: nothing is written that `rackplane validate` has errors for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rackplane.api.decode import decode
from rackplane.api.hardware import shipped_profile_texts
from rackplane.api.hardware_profile import HardwareProfile
from rackplane.api.rack import Rack
from rackplane.core.machine import Machine
from rackplane.core.offline.documents import Document, DocumentError, read_documents, read_text
from rackplane.core.offline.snapshot import snapshot
from rackplane.engine.planning.findings import Finding, Severity
from rackplane.engine.planning.lint import lint
from rackplane.simulator.facilities.design import DesignError

__all__ = ["checked", "profile_of", "write"]


def profile_of(name: str) -> tuple[HardwareProfile, str]:
    """A HardwareProfile that ships with Rackplane, by name, or one in a file; and its text.

    Raises:
        DesignError: there is none, or the file has something else.
    """
    shipped = shipped_profile_texts()
    if name in shipped:
        return _profile(read_text(f"{name}.yaml", shipped[name]), name), shipped[name]
    path = Path(name)
    if path.suffix not in (".yaml", ".yml", ".json"):
        raise DesignError(
            f"--profile {name}: there is none; it is one of {', '.join(shipped)}, or a file of YAML"
        )
    try:
        return _profile(read_documents(path), name), path.read_text(encoding="utf-8")
    except DocumentError as error:
        raise DesignError(f"--profile: {error}") from error


def _profile(documents: list[Document], name: str) -> HardwareProfile:
    bodies = [document.body for document in documents]
    if [body["kind"] for body in bodies] != ["HardwareProfile"]:
        raise DesignError(
            f"--profile {name}: has no HardwareProfile, or more than that: give a file with one"
        )
    decoded = decode(HardwareProfile, bodies[0])
    if isinstance(decoded, list):
        raise DesignError(f"--profile {name}: {decoded[0]}")
    return decoded


def checked(files: Mapping[str, str]) -> tuple[Machine, list[Finding]]:
    """The machine that has seen these files, and what `rackplane validate` says of them that is no error.

    Raises:
        DesignError: it would say errors, or the files cannot be read as objects.
    """
    documents: list[Document] = []
    try:
        for name, text in files.items():
            if name.endswith(".yaml"):
                documents += read_text(name, text)
    except DocumentError as error:
        raise DesignError(str(error)) from error
    machine = snapshot([document.body for document in documents])
    state, catalog = machine.state, machine.world.catalog
    assert state is not None  # everything has been listed
    nodes: Counter[str] = Counter(node.rack for node in state.nodes() if node.rack is not None)
    for rack in state.facility.racks:
        declared = catalog.get(Rack, rack.name)
        nodes[rack.name] = max(nodes[rack.name], (declared.spec.expected_nodes or 0) if declared else 0)
    problems = [p for of in catalog.problems(state.facility).values() for p in of]
    found = lint(state.facility, nodes)
    errors = [f"{p.kind} {p.name}: {p.field}: {p.message}; {p.remedy}" for p in problems]
    errors += [
        f"{f.kind} {', '.join(f.names)}: {f.message}; {f.remedy}"
        for f in found
        if f.severity is Severity.ERROR
    ]
    if errors:
        raise DesignError("these figures make a facility that cannot be used:\n  " + "\n  ".join(errors))
    return machine, [f for f in found if f.severity is not Severity.ERROR]


def write(files: Mapping[str, str], folder: str | Path, *, force: bool = False) -> None:
    """Write them.

    Raises:
        DesignError: some of them are there already and may not be written over, or the folder cannot be written to.
    """
    root = Path(folder)
    there = sorted(name for name in files if (root / name).exists())
    others = sorted(
        str(path.relative_to(root))
        for path in (root.rglob("*.yaml") if root.is_dir() else ())
        if str(path.relative_to(root)) not in files
    )
    if there and not force:
        raise DesignError(
            f"{folder}: has {there[0]} and {len(there) - 1} more of these files: name another folder, or --force"
        )
    if others:
        # Of two designs in one folder neither is what its README says.
        raise DesignError(
            f"{folder}: has {others[0]}, which is of no design of these figures: name another folder"
        )
    try:
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DesignError(f"{folder}: cannot be written: {error.strerror}") from error
