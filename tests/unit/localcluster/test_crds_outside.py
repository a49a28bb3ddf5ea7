"""What CustomResourceDefinitions may use and the embedded cluster lacks is refused with 501 when they are created."""

from typing import Any

import pytest

from rackplane.localcluster import LocalCluster, Request

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def _crd(properties: dict[str, Any], *rules: str, **more: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"type": "object", "properties": properties}
    if rules:
        spec["x-kubernetes-validations"] = [{"rule": rule} for rule in rules]
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
        **{key: value for key, value in more.items() if key != "conversion"},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [version],
            **({"conversion": more["conversion"]} if "conversion" in more else {}),
        },
    }


TEXT = {"type": "string", "maxLength": 5}
SET = {"type": "array", "maxItems": 3, "items": TEXT, "x-kubernetes-list-type": "set"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (_crd({"a": TEXT}, "quantity(self.a).isInteger()"), "the function quantity() is missing"),
        (_crd({"a": TEXT}, "self.?a.orValue('x') == 'x'"), "unsupported syntax '.?'"),
        (_crd({"a": TEXT}, "cel.bind(x, self.a, x == 'a')"), "cel.bind() is missing"),
        (_crd({"a": SET}, "self.a == ['x']"), "order does not count"),
        (_crd({"a": {"type": "string", "format": "isbn"}}), "the format isbn"),
        (
            _crd(
                {"a": TEXT},
                subresources={"scale": {"specReplicasPath": ".spec.a", "statusReplicasPath": ".status.a"}},
            ),
            "scale",
        ),
        (
            _crd(
                {"a": TEXT},
                additionalPrinterColumns=[{"name": "A", "type": "string", "jsonPath": ".spec..a"}],
            ),
            "the JSONPath .spec..a",
        ),
        (_crd({"a": TEXT}, conversion={"strategy": "Webhook"}), "conversion of custom resources by webhooks"),
    ],
)
def test_what_is_missing_is_said(body: dict[str, Any], said: str) -> None:
    cluster = LocalCluster(clock=lambda: 0.0)
    answer = cluster.handle(Request("POST", CRDS, body=body))
    assert answer.code == 501
    assert said in answer.body["message"]
    assert cluster.handle(Request("GET", f"{CRDS}/things.example.com")).code == 404
