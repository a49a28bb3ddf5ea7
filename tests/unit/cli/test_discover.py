"""`rackplane discover` against an API server: shown first, written once, and never over what a person wrote."""

from __future__ import annotations

import asyncio
import copy
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rackplane.api.crd import crd
from rackplane.api.kinds import KINDS
from rackplane.cli import parser
from rackplane.kube.client import MERGE_PATCH, KubeClient
from tests.support.served import served

RACKS = "/apis/rackplane.dev/v1alpha1/racks"
DOMAINS = "/apis/rackplane.dev/v1alpha1/nvlinkdomains"


def node(name: str, rack: str, leaf: str = "l1") -> dict[str, Any]:
    labels = {
        "topology.kubernetes.io/rack": rack,
        "nvidia.com/gpu.clique": f"u-{rack}.1",
        "nvidia.com/gpu.product": "NVIDIA-GB300",
        "fabric.topograph.run/tier-0": leaf,
    }
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


NODES = [node(f"{rack}-n{i}", rack) for rack in ("r1", "r2") for i in (1, 2)]


class Site:
    """A cluster, and the command on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.template = path / "rack.yaml"
        self.template.write_text(
            "limitWatts: 132000\nfeeds:\n- {powerDomain: a, weight: 1}\n- {powerDomain: b, weight: 1}\n"
        )

    def run(self, *words: str) -> int:
        source = ["--kubeconfig", str(self.path / "kubeconfig"), "--rack-template", str(self.template)]
        return parser.main(["discover", *source, *words])

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """As kubectl would: a thread of its own has the cluster, so over HTTP."""

        async def asked() -> bytes:
            client = await KubeClient.connect(str(self.path / "kubeconfig"))
            try:
                return await client.request(
                    method,
                    path,
                    query={"fieldManager": "kubectl-edit"} if method != "GET" else None,
                    body=body,
                    content_type=MERGE_PATCH if method == "PATCH" else "application/json",
                )
            finally:
                await client.close()

        return json.loads(asyncio.run(asked()))

    def spec(self, path: str) -> dict[str, Any]:
        return dict(self.request("GET", path)["spec"])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with served(tmp_path / "kubeconfig", *(crd(model) for model in KINDS), *copy.deepcopy(NODES)):
        yield Site(tmp_path)


def test_it_is_shown_then_written_then_nothing_differs(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.run() == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines()[:12] == [
        "--- /dev/null",
        "+++ NVLinkDomain/u-r1.1 (labels)",
        "@@ -0,0 +1,11 @@",
        "+apiVersion: rackplane.dev/v1alpha1",
        "+kind: NVLinkDomain",
        "+metadata:",
        "+  name: u-r1.1",
        "+  labels:",
        "+    app.kubernetes.io/managed-by: rackplane-discovery",
        "+spec:",
        "+  clique: u-r1.1",
        "+  fabricPath:",
    ]
    assert shown.out.splitlines()[-1] == "4 to create, 0 to change, 0 unchanged. To write: --apply."
    assert shown.err == ""
    assert site.request("GET", RACKS)["items"] == []

    assert site.run("--apply") == 0
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "NVLinkDomain u-r1.1 created",
        "NVLinkDomain u-r2.1 created",
        "Rack r1 created",
        "Rack r2 created",
    ]
    versions = [item["metadata"]["resourceVersion"] for item in site.request("GET", RACKS)["items"]]
    assert site.run() == 0
    assert capsys.readouterr().out == "0 to create, 0 to change, 4 unchanged.\n"
    assert site.run("--apply") == 0
    assert capsys.readouterr().out == "Nothing to write.\n"
    assert [item["metadata"]["resourceVersion"] for item in site.request("GET", RACKS)["items"]] == versions


def test_labels_that_changed_change_no_more_than_their_fields(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.run("--apply") == 0
    for name in ("r1-n1", "r1-n2"):
        body = {"metadata": {"labels": {"fabric.topograph.run/tier-0": "l9"}}}
        site.request("PATCH", f"/api/v1/nodes/{name}", body)
    capsys.readouterr()
    assert site.run() == 1
    assert capsys.readouterr().out.splitlines() == [
        "--- NVLinkDomain/u-r1.1 (cluster)",
        "+++ NVLinkDomain/u-r1.1 (labels)",
        "@@ -8,6 +8,6 @@",
        "   clique: u-r1.1",
        "   fabricPath:",
        "   - level: leaf",
        "-    name: l1",
        "+    name: l9",
        "   spareNodes: 0",
        "   state: Active",
        "0 to create, 1 to change, 3 unchanged. To write: --apply.",
    ]
    assert site.run("--apply") == 0
    assert site.spec(f"{DOMAINS}/u-r1.1")["fabricPath"] == [{"level": "leaf", "name": "l9"}]


def test_what_a_person_changed_stays_and_the_rest_goes_on(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.run("--apply") == 0
    # As `kubectl edit` does: one weight of two feeds, a lower limit, and a field of which labels say nothing.
    edit = {
        "spec": {
            "limitWatts": 90_000,
            "state": "Draining",
            "feeds": [
                {"powerDomain": "a", "weight": 3, "role": "Active"},
                {"powerDomain": "b", "weight": 1, "role": "Active"},
            ],
        }
    }
    site.request("PATCH", f"{RACKS}/r1", edit)
    before = site.spec(f"{RACKS}/r1")
    site.template.write_text(
        "limitWatts: 140000\noverheadWatts: 13200\nfeeds:\n- {powerDomain: c, weight: 1}\n"
    )
    capsys.readouterr()
    assert site.run() == 1
    assert "Kept as somebody else wrote it: Rack r1: feeds, limitWatts" in capsys.readouterr().out
    assert site.run("--apply") == 0
    assert site.spec(f"{RACKS}/r1") == {**before, "overheadWatts": 13_200}
    assert site.spec(f"{RACKS}/r2")["limitWatts"] == 140_000
    assert site.spec(f"{RACKS}/r2")["feeds"] == [{"powerDomain": "c", "weight": 1, "role": "Active"}]
    assert site.run() == 0


def test_an_object_that_a_person_made_is_left_as_it_is(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = {
        "apiVersion": "rackplane.dev/v1alpha1",
        "kind": "Rack",
        "metadata": {"name": "r1"},
        "spec": {
            "profile": "mine",
            "nodeSelector": {"topology.kubernetes.io/rack": "r1"},
            "limitWatts": 50_000,
            "feeds": [{"powerDomain": "x", "weight": 1}],
        },
    }
    site.request("POST", RACKS, mine)
    before = site.request("GET", f"{RACKS}/r1")
    assert site.run("--apply") == 0
    assert site.request("GET", f"{RACKS}/r1") == before
    capsys.readouterr()
    assert site.run() == 0
    assert capsys.readouterr().out.splitlines()[0] == "Left as somebody else wrote them: Rack r1"


def test_a_refusal_is_told_and_the_rest_is_written(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "no-r1"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["rackplane.dev"],
                        "apiVersions": ["*"],
                        "operations": ["CREATE"],
                        "resources": ["racks"],
                    }
                ]
            },
            "validations": [{"expression": "object.metadata.name != 'r1'", "message": "r1 is not ours"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "no-r1"},
        "spec": {"policyName": "no-r1", "validationActions": ["Deny"]},
    }
    policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    site.request("POST", policies, policy)
    site.request("POST", policies.replace("policies", "policybindings"), binding)
    assert site.run("--apply") == 4
    shown = capsys.readouterr()
    assert "Rack r1 was refused: " in shown.err and "r1 is not ours" in shown.err
    assert [item["metadata"]["name"] for item in site.request("GET", RACKS)["items"]] == ["r2"]


def test_without_a_cluster_yaml_comes_out_that_validates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    template = tmp_path / "rack.yaml"
    template.write_text("limitWatts: 132000\nfeeds: [{powerDomain: a, weight: 1}]\n")
    monkeypatch.setattr(
        "sys.stdin", io.StringIO(json.dumps({"apiVersion": "v1", "kind": "List", "items": NODES}))
    )
    assert parser.main(["discover", "--nodes", "-", "--rack-template", str(template)]) == 0
    out = capsys.readouterr().out
    assert [f"{d['kind']} {d['metadata']['name']}" for d in yaml.safe_load_all(out)] == [
        "NVLinkDomain u-r1.1",
        "NVLinkDomain u-r2.1",
        "Rack r1",
        "Rack r2",
    ]
    folder = tmp_path / "facility"
    folder.mkdir()
    (folder / "found.yaml").write_text(out)
    power = {"type": "PDU", "ratedWatts": 500_000}
    body = {
        "apiVersion": "rackplane.dev/v1alpha1",
        "kind": "PowerDomain",
        "metadata": {"name": "a"},
        "spec": power,
    }
    (folder / "power.yaml").write_text(yaml.safe_dump(body))
    assert parser.main(["validate", str(folder)]) == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--nodes", "{path}/none"], "does not exist"),
        (["--nodes", "{path}/rack.yaml"], "is missing"),
        (["--nodes", "{path}/nodes.yaml", "--apply"], "--nodes asks no cluster"),
        (["--nodes", "{path}/nodes.yaml", "--rack-labels", "no label"], "--rack-labels: 'no label'"),
        (["--nodes", "{path}/nodes.yaml", "--rack-template", "{path}/none"], "cannot be read"),
        (["--nodes", "{path}/nodes.yaml", "--rack-template", "{path}/bad.yaml"], "limitWatts is missing"),
        (["--kubeconfig", "{path}/none"], "There is no kubeconfig"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_code_of_a_failure(
    words: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rack.yaml").write_text("limitWatts: 1\n")
    (tmp_path / "bad.yaml").write_text("feeds: [{powerDomain: a, weight: 1}]\n")
    (tmp_path / "nodes.yaml").write_text(yaml.safe_dump_all(NODES))
    assert parser.main(["discover", *(word.format(path=tmp_path) for word in words)]) == (
        2 if "asks no cluster" in why else 3
    )
    assert why in capsys.readouterr().err
