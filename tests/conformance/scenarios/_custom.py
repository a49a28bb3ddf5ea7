"""What the scenarios of custom resources share: a CRD of a group of their own, and ways to try objects of it."""

from __future__ import annotations

from typing import Any

from tests.conformance.steps import Ask, Scenario, Step, get, post

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "${ns}.example.com"
THINGS = f"/apis/{GROUP}/v1/namespaces/${{ns}}/things"
THING_CRD = f"{CRDS}/things.{GROUP}"
TEXT = {"type": "string"}
NUMBER = {"type": "integer"}


def version(schema: Any = None, name: str = "v1", **more: Any) -> dict[str, Any]:
    """A version of a CRD whose `spec` has this schema."""
    root = {"type": "object", "properties": {"spec": schema or {"type": "object"}}}
    return {
        "name": name,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": root},
        **more,
    }


def crd(
    *versions: dict[str, Any], plural: str = "things", kind: str = "Thing", names: Any = None, **more: Any
) -> dict[str, Any]:
    """A CRD of a group of the scenario's own."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, **(names or {})},
            "versions": list(versions),
            **more,
        },
    }


def established(body: dict[str, Any], *, shown: bool = False) -> tuple[Step, ...]:
    """Create a CRD and wait until its objects are served."""
    name = body["metadata"]["name"]
    view = "" if shown else "nothing"
    plural = body["spec"]["names"]["plural"]
    return (
        post(CRDS, body, view=view),
        get(f"{CRDS}/{name}", until={"object.status.conditions.1.status": "True"}, view=view),
        get(
            f"/apis/{GROUP}/{body['spec']['versions'][0]['name']}/{plural}",
            until={"code": 200},
            view="nothing",
        ),
    )


def thing(name: str = "a", spec: Any = None, **more: Any) -> dict[str, Any]:
    """An object of the CRD."""
    body = {"apiVersion": f"{GROUP}/v1", "kind": "Thing", "metadata": {"name": name}, **more}
    return body if spec is None else {**body, "spec": spec}


def field(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A CRD whose spec has a field `a` of this schema."""
    return crd(version({"type": "object", "properties": {"a": schema}, **more}))


def ruled(*rules: Any, **properties: Any) -> dict[str, Any]:
    """A CRD whose spec has rules."""
    entries = [{"rule": rule} if isinstance(rule, str) else rule for rule in rules]
    found = properties or {"a": NUMBER, "s": TEXT, "l": {"type": "array", "items": TEXT}}
    return crd(version({"type": "object", "properties": found, "x-kubernetes-validations": entries}))


def columned(**column: Any) -> dict[str, Any]:
    return crd(version(additionalPrinterColumns=[column]))


KEYED: dict[str, Any] = {"type": "object", "properties": {"k": TEXT}, "required": ["k"]}
LIST = {"type": "array", "items": KEYED}
MAP_LIST = {**LIST, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}


def kind(name: str, definition: dict[str, Any], *steps: Step) -> Scenario:
    return Scenario(name=name, steps=(*established(definition), *steps), leftovers=(THING_CRD,))


def tried(*specs: Any) -> tuple[Ask, ...]:
    return tuple(
        post(THINGS, thing(spec=spec), query={"dryRun": "All"}, view="spec_or_causes") for spec in specs
    )


def values(name: str, schema: dict[str, Any], *values: Any) -> Scenario:
    """Values of one field, tried in turn."""
    return kind(name, field(schema), *tried(*({"a": value} for value in values)))
