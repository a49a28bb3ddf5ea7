"""Generate operator/rackplane/localcluster/openapi_data.json.xz: what the built-in kinds look like.

Two sources are joined. The OpenAPI documents of a running API server give descriptions, list types and merge keys. The
Go types of the same version say what OpenAPI leaves out: which fields an encoder drops when they are empty, which are
pointers, their protobuf numbers. Both are under the Apache License 2.0. Usage, rarely needed (a new Kubernetes version,
a new built-in kind):

    RACKPLANE_TEST_KUBECONFIG=FILE PYTHONPATH=operator python -m tests.tools.generate_builtin_schemas SOURCE

SOURCE holds `api`, `apimachinery` and `apiextensions-apiserver` of k8s.io in the version of the server.
"""

from __future__ import annotations

import json
import lzma
import os
import re
import sys
from pathlib import Path
from typing import Any

from rackplane.localcluster.resources import BUILTIN
from tests.conformance.servers import Real
from tests.conformance.steps import get

TARGET = Path(__file__).parents[2] / "operator/rackplane/localcluster/openapi_data.json.xz"
SOURCE = "Kubernetes {version} (https://github.com/kubernetes/kubernetes), Apache License 2.0"

#: Kinds that are sent to subresources or come as answers.
MORE_KINDS = (
    ("", "v1", "Binding"),
    ("policy", "v1", "Eviction"),
    ("authentication.k8s.io", "v1", "SelfSubjectReview"),
    ("authorization.k8s.io", "v1", "SelfSubjectAccessReview"),
    ("", "v1", "List"),
)
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
#: Types that encode themselves; `builtin_schemas.py` names what each takes.
OWN_ENCODING = {
    "meta/v1.Time": "time",
    "meta/v1.MicroTime": "microtime",
    "meta/v1.Duration": "duration",
    "meta/v1.FieldsV1": "raw",
    "api/resource.Quantity": "quantity",
    "util/intstr.IntOrString": "intorstring",
    "runtime.RawExtension": "raw",
    "apiextensions/v1.JSON": "raw",
    "apiextensions/v1.JSONSchemaPropsOrBool": "schemaorbool",
    "apiextensions/v1.JSONSchemaPropsOrArray": "schemaorarray",
    "apiextensions/v1.JSONSchemaPropsOrStringArray": "schemaorstrings",
}
_SCALARS = {"string", "bool", "int", "int32", "int64", "uint32", "float64"}

_PACKAGES = {
    "apiextensions/v1": "apiextensions-apiserver/pkg/apis/apiextensions/v1",
    "meta/v1": "apimachinery/pkg/apis/meta/v1",
    "runtime": "apimachinery/pkg/runtime",
    "types": "apimachinery/pkg/types",
    "util/intstr": "apimachinery/pkg/util/intstr",
    "api/resource": "apimachinery/pkg/api/resource",
}
_IMPORT = re.compile(r'^\s*(?:(\w+)\s+)?"k8s\.io/([^"]+)"$', re.MULTILINE)
_TYPE = re.compile(r"^type (\w+) (struct ?\{(?:\}|\n.*?^\})|=?\s*[^\n{]+)$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^\t(?:(\w+)\s+)?([\w.*\[\]]+)\s+`([^`]*)`", re.MULTILINE)
_TAG = re.compile(r'(\w+):"([^"]*)"')


class GoTypes:
    """The struct types reachable from given ones, as data.

    A struct is a list of fields: name in JSON ("" when inlined), type, flags, protobuf number. A type is a scalar's
    name, an encoding of `OWN_ENCODING`, a struct's name, or one of these after `*`, `[]` or `{}` (a map from strings).
    Flags: `e` dropped when empty, `z` dropped when zero.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self._declared: dict[str, dict[str, tuple[str, dict[str, str]]]] = {}
        self.structs: dict[str, list[list[Any]]] = {}

    def add(self, name: str) -> None:
        """Describe a struct and all it refers to."""
        if name in self.structs:
            return
        package, _, short = name.rpartition(".")
        body, imports = self._package(package)[short]
        fields: list[list[Any]] = []
        self.structs[name] = fields
        for go_name, go_type, tags in _FIELD.findall(body):
            tag = dict(_TAG.findall(tags))
            json_name, *options = tag.get("json", go_name).split(",")
            if json_name == "-":
                continue
            number = int(tag["protobuf"].split(",")[1]) if "protobuf" in tag else 0
            flags = ("e" if "omitempty" in options else "") + ("z" if "omitzero" in options else "")
            fields.append([json_name, self._type(go_type, package, imports), flags, number])

    def _type(self, text: str, package: str, imports: dict[str, str]) -> str:
        if text == "[]byte":
            return "bytes"
        for prefix in ("*", "[]"):
            if text.startswith(prefix):
                return prefix + self._type(text[len(prefix) :], package, imports)
        if text.startswith("map["):
            return "{}" + self._type(text.partition("]")[2], package, imports)
        if text in _SCALARS:
            return text
        alias, dot, short = text.rpartition(".")
        package = imports[alias] if dot else package
        name = f"{package}.{short}"
        if name in OWN_ENCODING:
            return OWN_ENCODING[name]
        body, own_imports = self._package(package)[short]
        if not body.startswith("struct"):
            return self._type(body.removeprefix("=").strip(), package, own_imports)
        self.add(name)
        return name

    def _package(self, name: str) -> dict[str, tuple[str, dict[str, str]]]:
        if name not in self._declared:
            found: dict[str, tuple[str, dict[str, str]]] = {}
            for path in sorted((self._source / _PACKAGES.get(name, f"api/{name}")).glob("*.go")):
                text = re.sub(r"^\s*//.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
                imports = {
                    alias or full.rpartition("/")[2]: _named(full) for alias, full in _IMPORT.findall(text)
                }
                for short, body in _TYPE.findall(text):
                    found.setdefault(short, (body, imports))
            self._declared[name] = found
        return self._declared[name]


def _named(path: str) -> str:
    """Our short name of a Go package."""
    for short, full in _PACKAGES.items():
        if path == full:
            return short
    return path.removeprefix("api/")


def _go_package(group: str, version: str) -> str:
    return f"{group.partition('.')[0] or 'core'}/{version}"


def _references(schema: Any) -> set[str]:
    return set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(schema)))


def main(arguments: list[str]) -> int:
    """Command line entry: one argument, the directory of the sources."""
    if len(arguments) != 1 or not os.environ.get("RACKPLANE_TEST_KUBECONFIG"):
        print(__doc__, file=sys.stderr)
        return 2
    server = Real(os.environ["RACKPLANE_TEST_KUBECONFIG"])
    kinds = [*((entry.group, entry.version, entry.kind) for entry in BUILTIN), *MORE_KINDS]
    schemas: dict[str, Any] = {}
    for group, version in sorted({(group, version) for group, version, _ in kinds}):
        path = f"apis/{group}/{version}" if group else f"api/{version}"
        schemas |= server.ask(get(f"/openapi/v3/{path}")).object["components"]["schemas"]
    names: dict[str, str] = {}
    for name, schema in schemas.items():
        for entry in schema.get("x-kubernetes-group-version-kind", ()):
            names[f"{entry['group']}/{entry['version']}/{entry['kind']}"] = name
    wanted = {names[f"{g}/{v}/{k}"] for g, v, k in kinds if k != "List"}
    wanted |= {names[f"{g}/{v}/{k}List"] for g, v, k in kinds if f"{g}/{v}/{k}List" in names}
    wanted |= {_META + kind for kind in ("DeleteOptions", "Status", "WatchEvent")}
    done: set[str] = set()
    while wanted - done:
        for name in wanted - done:
            done.add(name)
            wanted = wanted | _references(schemas[name])
    types = GoTypes(Path(arguments[0]))
    for group, version, kind in kinds:
        if kind != "List":
            types.add(f"{_go_package(group, version)}.{kind}")
    types.add("meta/v1.DeleteOptions")
    kept = {name: schemas[name] for name in sorted(done)}
    for name in (_META + "DeleteOptions", _META + "WatchEvent"):
        # One of each group; a document lists those of the groups it is about.
        kept[name] = {
            key: part for key, part in kept[name].items() if key != "x-kubernetes-group-version-kind"
        }
    data = {
        "source": SOURCE.format(version=server.version()),
        "schemas": kept,
        "types": dict(sorted(types.structs.items())),
    }
    text = json.dumps(data, separators=(",", ":"), sort_keys=True)
    TARGET.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{len(kept)} schemas, {len(types.structs)} types: {TARGET.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
