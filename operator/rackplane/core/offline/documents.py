"""A folder of YAML files in, Kubernetes objects out, or words about what is wrong where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from rackplane.api.base import GROUP
from rackplane.api.decode import decode_any
from rackplane.api.problems import FieldProblem, show
from rackplane.core.claims import ResourceClaim, ResourceClaimTemplate
from rackplane.core.gangs.podgroups import PodGroup
from rackplane.core.objects import Job, Node, Pod, PriorityClass
from rackplane.core.offline.yamltext import NotYaml, parse_yaml

__all__ = [
    "CORE_TYPES",
    "Document",
    "DocumentError",
    "DocumentProblem",
    "core_object",
    "read_documents",
    "read_text",
    "type_of",
]

CoreObject = Node | Pod | Job | ResourceClaim | ResourceClaimTemplate | PodGroup | PriorityClass

_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
#: The objects beside our own that say something about a facility: API group and kind, and the fields we read.
CORE_TYPES: Final[Mapping[tuple[str, str], type[CoreObject]]] = {
    ("", "Node"): Node,
    ("", "Pod"): Pod,
    ("batch", "Job"): Job,
    ("resource.k8s.io", "ResourceClaim"): ResourceClaim,
    ("resource.k8s.io", "ResourceClaimTemplate"): ResourceClaimTemplate,
    ("scheduling.k8s.io", "PodGroup"): PodGroup,
    ("scheduling.k8s.io", "PriorityClass"): PriorityClass,
}
_NAMESPACED: Final = frozenset({"Pod", "Job", "ResourceClaim", "ResourceClaimTemplate", "PodGroup", "Gang"})
#: Files that tools keep beside manifests and that are none.
_NOT_MANIFESTS: Final = frozenset({"kustomization.yaml", "kustomization.yml"})
#: Maps of quantities: a person writes `cpu: 4`, the API server stores "4".
_QUANTITIES: Final = frozenset({"requests", "limits", "allocatable", "capacity", "overhead"})


@dataclass(frozen=True, slots=True)
class DocumentProblem:
    """One thing wrong with one document: where it is, and what is wrong in words."""

    file: str
    #: 1 for the first document of the file; 0 if the file cannot be read at all
    document: int
    #: "Rack r1", as far as it can be read
    object: str
    problem: FieldProblem

    def __str__(self) -> str:
        place = self.file + (f", document {self.document}" if self.document else "")
        named = f" ({self.object})" if self.object else ""
        return f"{place}{named}: {self.problem}"


class DocumentError(Exception):
    """Documents that cannot be used, all of them at once; its text is one line for each problem."""

    def __init__(self, problems: list[DocumentProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Document:
    """One Kubernetes object and where it was read."""

    file: str
    number: int
    body: dict[str, Any]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Group, kind, namespace and name."""
        group, kind = type_of(self.body)
        metadata = self.body["metadata"]
        return group, kind, metadata.get("namespace", ""), metadata["name"]

    @property
    def object(self) -> str:
        """ "Rack r1", or "Gang default/job-train"."""
        _, kind, namespace, name = self.key
        return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def type_of(body: Mapping[str, Any]) -> tuple[str, str]:
    """The API group ("" for the core group) and the kind of an object."""
    version, kind = body.get("apiVersion"), body.get("kind")
    group = version.rpartition("/")[0] if isinstance(version, str) else ""
    return group, kind if isinstance(kind, str) else ""


def read_documents(path: str | Path, *, namespace: str = "default") -> list[Document]:
    """Every object under a folder (or in one file) that says something about a facility, in order of file name.

    Objects of other kinds are left out, and lists (``kind: List``) are taken apart. Hidden files and folders are passed
    over.

    Args:
        namespace: of namespaced objects that do not say theirs.

    Raises:
        DocumentError: files or objects that cannot be used; the message names file, document, object and field.
    """
    return _documents(_texts(Path(path)), namespace)


def read_text(name: str, text: str, *, namespace: str = "default") -> list[Document]:
    """As `read_documents`, of one text that is called `name` in messages. Raises what that raises."""
    return _documents([(name, text)], namespace)


def _texts(root: Path) -> Iterator[tuple[str, str | DocumentProblem]]:
    """What each file is called in messages, and its text or why it cannot be read."""
    for file in _files(root):
        shown = str(file.relative_to(root)) if file != root else file.name
        try:
            yield shown, file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = (
                f"cannot be read: {error.strerror}" if isinstance(error, OSError) else "is not text in UTF-8"
            )
            yield shown, _unreadable(shown, 0, why)


def _documents(texts: Iterable[tuple[str, str | DocumentProblem]], namespace: str) -> list[Document]:
    found: list[Document] = []
    problems: list[DocumentProblem] = []
    for shown, text in texts:
        if isinstance(text, DocumentProblem):
            problems.append(text)
            continue
        for number, parsed in parse_yaml(text):
            if isinstance(parsed, NotYaml):
                problems.append(_unreadable(shown, number, str(parsed)))
                continue
            for item in _items(parsed):
                document, wrong = _object(shown, number, item, namespace)
                problems += wrong
                if document is not None and not wrong:
                    found.append(document)
    problems += _twice(found)
    if problems:
        raise DocumentError(problems)
    return found


def core_object(body: Mapping[str, Any]) -> CoreObject | None:
    """An object of `CORE_TYPES` as the machine takes it; None for other kinds.

    Raises:
        msgspec.ValidationError: a field does not fit; the message ends in its path.
    """
    model = CORE_TYPES.get(type_of(body))
    return None if model is None else msgspec.convert(_stored(body), type=model)


# -- files -------------------------------------------------------------------------------------------


def _files(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    if not root.is_dir():
        problem = FieldProblem(
            "the folder or file", "does not exist", "Name a folder of YAML files, or one file."
        )
        raise DocumentError([DocumentProblem(str(root), 0, "", problem)])
    files = [
        file
        for file in sorted(root.rglob("*"))
        if file.suffix in _SUFFIXES
        and file.name not in _NOT_MANIFESTS
        and not any(part.startswith(".") for part in file.relative_to(root).parts)
        and file.is_file()
    ]
    if not files:
        problem = FieldProblem(
            "the folder", "has no YAML files", "Name a folder of Kubernetes objects in YAML or JSON."
        )
        raise DocumentError([DocumentProblem(str(root), 0, "", problem)])
    return files


def _unreadable(file: str, number: int, what: str) -> DocumentProblem:
    remedy = "Correct it, or keep files of another kind elsewhere."
    return DocumentProblem(file, number, "", FieldProblem("it" if number else "the file", what, remedy))


# -- objects -----------------------------------------------------------------------------------------


def _items(parsed: Any) -> Iterator[Any]:
    if isinstance(parsed, dict) and type_of(parsed) == ("", "List") and isinstance(parsed.get("items"), list):
        for item in parsed["items"]:
            yield from _items(item)
    else:
        yield parsed


def _object(
    file: str, number: int, body: Any, namespace: str
) -> tuple[Document | None, list[DocumentProblem]]:
    """The object if it is of a kind that counts, and what is wrong with it."""

    def problems(*found: FieldProblem, of: str = "") -> list[DocumentProblem]:
        return [DocumentProblem(file, number, of, problem) for problem in found]

    if not isinstance(body, dict):
        what = f"is {show(body)}, not a Kubernetes object"
        return None, problems(FieldProblem("it", what, "Write an object with apiVersion, kind and metadata."))
    for field in ("apiVersion", "kind"):
        if not isinstance(body.get(field), str):
            what = "is missing" if body.get(field) is None else f"is {show(body[field])}, not text"
            return None, problems(
                FieldProblem(field, what, "Write a Kubernetes object, or keep the file elsewhere.")
            )
    group, kind = type_of(body)
    if group != GROUP and (group, kind) not in CORE_TYPES:
        return None, []
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str) or not name:
        what = "is missing" if name is None else f"is {show(name)}, not a name"
        return None, problems(FieldProblem("metadata.name", what, "Name the object."), of=kind)
    if kind in _NAMESPACED:
        body = {**body, "metadata": {**metadata, "namespace": metadata.get("namespace") or namespace}}
    document = Document(file, number, body)
    if group == GROUP:
        decoded = decode_any(body)
        wrong = decoded if isinstance(decoded, list) else []
    else:
        wrong = _misfits(body)
    return document, problems(*wrong, of=document.object if _is_text(body) else kind)


def _is_text(body: Mapping[str, Any]) -> bool:
    return isinstance(body["metadata"].get("namespace", ""), str)


_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<where>[^`]*)`)?$", re.DOTALL)


def _misfits(body: Mapping[str, Any]) -> list[FieldProblem]:
    try:
        core_object(body)
    except msgspec.ValidationError as error:
        matched = _AT.match(str(error))
        assert matched is not None  # the pattern matches any text
        # msgspec calls a key that it does not name [...]: the map is what a reader can find.
        where = (matched["where"] or "").replace("[...]", "") or "object"
        said = matched["what"].replace("`", "").replace("int", "a number").replace("str", "text")
        return [
            FieldProblem(
                where, f"does not fit: {said[:1].lower()}{said[1:]}", "Write what Kubernetes takes here."
            )
        ]
    return []


def _twice(documents: list[Document]) -> Iterator[DocumentProblem]:
    first: dict[tuple[str, str, str, str], Document] = {}
    for document in documents:
        other = first.setdefault(document.key, document)
        if other is not document:
            what = f"is in {other.file}, document {other.number} already"
            problem = FieldProblem(document.object, what, "Remove one of the two, or rename it.")
            yield DocumentProblem(document.file, document.number, document.object, problem)


def _stored(value: Any) -> Any:
    """An object as an API server would hold it: no nulls, and quantities as text."""
    if isinstance(value, Mapping):
        return {
            key: _quantities(item) if key in _QUANTITIES and isinstance(item, Mapping) else _stored(item)
            for key, item in value.items()
            if item is not None
        }
    return [_stored(item) for item in value] if isinstance(value, list) else value


def _quantities(amounts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(n) if type(n) in (int, float) else n for name, n in amounts.items() if n is not None}
