"""Writes `internal_types.txt` of the embedded cluster from the sources of Kubernetes: the fields of its internal types.

    python tests/tools/generate_internal_types.py SOURCE > operator/rackplane/localcluster/internal_types.txt

SOURCE holds `api` and `kubernetes` of k8s.io. kube-apiserver prints values in its messages as its internal types, all
fields of them. The file lists each type that a pod template and the policies of a Job reach: a field's Go name
(and its name in the API, where that is not the same with a small first letter; `^`: there it is a field of the object
around) and its type. A line with a type alone is an embedded one.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOTS = ("PodTemplateSpec", "PodFailurePolicy", "SuccessPolicy", "UncountedTerminatedPods")
PARTS = ("core", "batch")
_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^(\w+)\s+([\[\]*\w.]+)(?:\s+`(.*)`)?$")
_EMBEDDED = re.compile(r"^([\w.]+)(?:\s+`.*`)?$")
_ALIAS = re.compile(r"^type (\w+) ((?:map\[\w+\])?[\w.]+)$", re.MULTILINE)
_WRAPPING = re.compile(r"^(\*|\[\]|map\[\w+\])+")
_OF_THE_POD = {"HostNetwork", "HostPID", "HostIPC", "ShareProcessNamespace", "HostUsers"}

Fields = list[tuple[str, str, str]]


def structs(text: str) -> dict[str, Fields]:
    """Struct name -> (field, type, name in JSON); an embedded field has no name."""
    found: dict[str, Fields] = {}
    for name, body in _STRUCT.findall(text):
        fields: Fields = []
        for line in body.splitlines():
            code = line.partition("//")[0].strip()
            if field := _FIELD.match(code):
                tag = re.search(r'json:"([^",]*)', field[3] or "")
                fields.append((field[1], field[2], tag[1] if tag else ""))
            elif embedded := _EMBEDDED.match(code):
                fields.append(("", embedded[1], ""))
        found[name] = fields
    return found


def main(source: Path) -> None:
    """Print the types, in the order they are reached."""
    internal = "\n".join((source / f"kubernetes/pkg/apis/{part}/types.go").read_text() for part in PARTS)
    served = "\n".join((source / f"api/{part}/v1/types.go").read_text() for part in PARTS)
    known, names = structs(internal), structs(served)
    aliases = dict(_ALIAS.findall(internal))
    waiting, seen = list(ROOTS), set[str]()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        print(name)
        in_json = {field: json for field, _, json in names.get(name, [])}
        for field, kind, _ in known[name]:
            inner = _WRAPPING.sub("", kind)
            shown = kind.removesuffix(inner) + aliases.get(inner, inner)
            waiting += [inner] if inner in known else []
            small = field[:1].lower() + field[1:]
            json = f"^{small}" if field in _OF_THE_POD else in_json.get(field, small)
            print(f" {field}{'' if json == small else f'={json}'} {shown}" if field else f" {shown}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
