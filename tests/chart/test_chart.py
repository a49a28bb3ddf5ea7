"""What the chart renders: valid, least-privileged, pinned, and in step with crds/."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import kubernetes_validate
import pytest
import yaml

from rackplane import __version__
from rackplane.api.admission import shipped_policies
from rackplane.api.fabric import CLIQUE_LABEL
from rackplane.api.labels import MOCK_GPUS, POWER_CAP_APPLIED_WATTS, POWER_OBSERVED_WATTS
from rackplane.controller.decisions.server import PATH
from rackplane.controller.requests import requests_for
from rackplane.controller.settings import OperatorSettings
from rackplane.core.instructions import (
    AnswerCheck,
    CapNode,
    CommitGang,
    CreateComputeDomain,
    CreateGang,
    DeleteComputeDomain,
    EvictPod,
    Instruction,
    JobSize,
    PublishEvent,
    ResizeJob,
    ResumeJob,
    SendCap,
    SetFinalizers,
    SuspendJob,
    SuspendWorkload,
    TaintNode,
    UngatePod,
    UpdateGangSpec,
    WriteFacilityStatus,
    WriteGangStatus,
)
from rackplane.core.site.entries import ELEMENTS
from rackplane.core.workloads.kinds import KINDS
from rackplane.deviceplugin.hardware import COUNT_LABEL, PRODUCT_LABEL
from rackplane.localcluster import Request
from rackplane.localcluster.faults import Asked
from tests.chart.helm import CHART, NAMESPACE, ROOT, Manifest, find, installed, render, run, template

EVERYTHING_SET: Manifest = {
    "replicas": 3,
    "image": {
        "repository": "registry.example/rackplane",
        "digest": "sha256:" + "0" * 64,
        "pullPolicy": "Always",
    },
    "imagePullSecrets": [{"name": "pull"}],
    "fullnameOverride": "rp",
    "facilityEvents": {"enabled": True, "tokensSecret": "sources", "tlsSecret": "cert", "port": 443},
    "decisions": {"enabled": True, "tlsSecret": "debug", "port": 8443, "kept": 500},
    "operator": {"extraArgs": ["--verbose"], "extraEnv": [{"name": "A", "value": "b"}]},
    "serviceAccount": {"name": "placer", "annotations": {"a": "b"}},
    "admission": {
        "namespaceSelector": {"matchLabels": {"team": "research"}},
        "guard": {
            "exemptUsers": ["alice"],
            "exemptGroups": ["admins", "sre"],
            "exemptNamespaces": ["gpu-operator"],
        },
    },
    "service": {"port": 9090, "annotations": {"a": "b"}},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "interval": "30s"},
    "dashboards": {"enabled": True},
    "metrics": {"gangs": {"enabled": True}},
    "podDisruptionBudget": {"maxUnavailable": "50%"},
    "shedding": {"confirmation": "Endpoint"},
    "powerEndpoint": {"url": "https://dps.example/caps", "tokenSecret": {"name": "dps", "key": "token"}},
    "telemetry": {"url": "https://prometheus.example", "tokenSecret": {"name": "thanos", "key": "bearer"}},
    "priorityClassName": "system-cluster-critical",
    "networkPolicy": {
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}],
        "reportsFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
        "uiFrom": [{"podSelector": {"matchLabels": {"app": "oauth2-proxy"}}}],
        "decisionsFrom": [{"podSelector": {"matchLabels": {"team": "platform"}}}],
    },
    "ui": {"enabled": True, "service": True, "port": 80, "seconds": 5},
    "helmTest": {"queue": "train", "slots": 4, "gpus": 8, "mustStart": True},
    "uninstall": {"release": True},
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "platform"},
    "nodeSelector": {"role": "infra"},
    "tolerations": [{"key": "infra", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
}
EVERYTHING_OFF: Manifest = {
    "crds": {"install": False},
    "hardwareProfiles": {"install": False},
    "rbac": {"create": False},
    "serviceAccount": {"create": False, "name": "existing"},
    "admission": {"enabled": False, "checks": "Off", "guard": {"enabled": False}},
    "podDisruptionBudget": {"enabled": False},
    "priorityClass": {"create": False},
    "networkPolicy": {"enabled": False},
    "antiAffinity": "Off",
    "helmTest": {"enabled": False},
    "uninstall": {"enabled": False},
}
AGENT: Manifest = {"nodeAgent": {"enabled": True, "nodeSelector": {"gpu": "mock"}, "gpus": 8}}
PLUGIN: Manifest = {
    "devicePlugin": {
        "enabled": True,
        "nodeSelector": {"gpu": "mock"},
        "hostWatts": 840,
        "kubeletDir": "/data/kubelet/",
        "podAnnotations": {"prometheus.io/scrape": "true"},
    },
}
VALUES = [
    pytest.param(None, id="defaults"),
    pytest.param(EVERYTHING_SET, id="everything-set"),
    pytest.param(EVERYTHING_OFF, id="everything-off"),
    pytest.param({"admission": {"apiVersion": "admissionregistration.k8s.io/v1beta1"}}, id="older-cluster"),
    pytest.param(AGENT, id="node-agent"),
    pytest.param({"devicePlugin": {"enabled": True}}, id="device-plugin"),
    pytest.param(PLUGIN, id="device-plugin-set"),
    pytest.param(yaml.safe_load((ROOT / "examples" / "kind-values.yaml").read_text()), id="kind"),
]
#: Kinds whose schema is no part of Kubernetes' own, which kubernetes-validate knows.
CUSTOM = {"CustomResourceDefinition", "HardwareProfile"}


@pytest.fixture(scope="module")
def defaults() -> list[Manifest]:
    return render()


def test_helm_lint_finds_nothing() -> None:
    result = run("helm", "lint", "--strict", str(CHART))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("values", "version"),
    [
        *(pytest.param(*values.values, "1.36", id=f"{values.id}-1.36") for values in VALUES),
        *(pytest.param(None, version, id=f"defaults-{version}") for version in ("1.34", "1.35")),
    ],
)
def test_what_is_rendered_is_valid_kubernetes(values: Manifest | None, version: str) -> None:
    manifests = render(values, "--kube-version", f"{version}.0")
    assert manifests
    for manifest in manifests:
        # Kinds of the Prometheus Operator are held by structure, in test_monitors.
        if manifest["kind"] not in CUSTOM and not manifest["apiVersion"].startswith("monitoring.coreos.com/"):
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("values", VALUES)
def test_every_object_has_a_name_of_its_own(values: Manifest | None) -> None:
    names = [(m["apiVersion"], m["kind"], m["metadata"]["name"]) for m in render(values)]
    assert len(names) == len(set(names))


def test_nothing_is_left_when_everything_is_switched_off_but_the_operator() -> None:
    assert sorted(m["kind"] for m in render(EVERYTHING_OFF)) == ["Deployment", "Service"]


def test_chart_and_package_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


# CRDs and hardware profiles --


@pytest.mark.parametrize(
    ("source", "copies"),
    [
        pytest.param(ROOT / "crds", CHART / "files" / "crds", id="crds"),
        pytest.param(
            ROOT / "operator" / "rackplane" / "hardwareprofiles",
            CHART / "files" / "hardwareprofiles",
            id="hardwareprofiles",
        ),
    ],
)
def test_the_chart_carries_what_make_crds_copied(source: Path, copies: Path) -> None:
    originals = {path.name: path.read_text() for path in source.glob("*.yaml")}
    assert originals
    assert {path.name: path.read_text() for path in copies.glob("*.yaml")} == originals, "run make crds"


def test_rendering_changes_nothing_in_a_crd_but_its_metadata(defaults: list[Manifest]) -> None:
    rendered = {m["metadata"]["name"]: m for m in defaults if m["kind"] == "CustomResourceDefinition"}
    originals = {m["metadata"]["name"]: m for m in _documents(ROOT / "crds")}
    assert {name: m["spec"] for name, m in rendered.items()} == {
        name: m["spec"] for name, m in originals.items()
    }


def test_uninstalling_the_chart_keeps_the_crds(defaults: list[Manifest]) -> None:
    crds = [m for m in defaults if m["kind"] == "CustomResourceDefinition"]
    assert len(crds) == 8
    for crd in crds:
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_profiles_come_after_the_crds_and_are_never_deleted_by_an_upgrade(defaults: list[Manifest]) -> None:
    profiles = [m for m in defaults if m["kind"] == "HardwareProfile"]
    originals = _documents(ROOT / "operator" / "rackplane" / "hardwareprofiles")
    assert {m["metadata"]["name"]: m["spec"] for m in profiles} == {
        m["metadata"]["name"]: m["spec"] for m in originals
    }
    for profile in profiles:
        annotations = profile["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "post-install,post-upgrade"
        assert "before-hook-creation" not in annotations["helm.sh/hook-delete-policy"]


# Rights --


def _rules(manifests: list[Manifest]) -> list[Manifest]:
    """What the operator and the agents may, hooks apart."""
    return [rule for m in installed(manifests) if m["kind"] in ("ClusterRole", "Role") for rule in m["rules"]]


def test_no_right_is_a_wildcard(defaults: list[Manifest]) -> None:
    rules = [rule for m in defaults if m["kind"] in ("ClusterRole", "Role") for rule in m["rules"]]
    assert rules
    for rule in rules:
        assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]
        assert "nonResourceURLs" not in rule


def _verbs(rules: list[Manifest], group: str, resource: str) -> set[str]:
    return {
        verb
        for r in rules
        if group in r.get("apiGroups", ()) and resource in r["resources"]
        for verb in r["verbs"]
    }


@pytest.mark.parametrize(
    ("group", "resource", "forbidden"),
    [
        pytest.param("", "pods", {"create", "delete", "deletecollection", "update"}, id="pods-are-evicted"),
        pytest.param("", "nodes", {"create", "delete", "update"}, id="nodes-are-annotated"),
        pytest.param("", "nodes/status", {"patch", "update"}, id="node-status-is-the-kubelets"),
        pytest.param("", "secrets", {"get", "list", "watch"}, id="secrets-are-not-read"),
        pytest.param("batch", "jobs", {"create", "delete", "deletecollection"}, id="jobs-belong-to-users"),
        pytest.param("rackplane.dev", "racks", {"create", "delete", "update"}, id="racks-are-input"),
        pytest.param(
            "rackplane.dev", "queues", {"create", "delete", "patch", "update"}, id="queues-are-input"
        ),
    ],
)
def test_the_operator_may_not(
    defaults: list[Manifest], group: str, resource: str, forbidden: set[str]
) -> None:
    assert not _verbs(_rules(defaults), group, resource) & forbidden


def test_the_operator_may_read_and_report_on_every_kind_of_ours(defaults: list[Manifest]) -> None:
    rules = _rules(defaults)
    for crd in _documents(ROOT / "crds"):
        plural = crd["spec"]["names"]["plural"]
        assert {"get", "list", "watch"} <= _verbs(rules, "rackplane.dev", plural), plural
        assert {"patch", "update"} <= _verbs(rules, "rackplane.dev", f"{plural}/status"), plural


def test_the_operator_may_write_what_its_instructions_write() -> None:
    rules = _rules(render({"computeDomains": {"enabled": True}}))
    written: list[Instruction] = [
        CapNode("n", "1", {}),
        CommitGang("ns", "g", "1", "d", {}),
        CreateComputeDomain("ns", "g", {}),
        CreateGang("ns", "g", {}),
        DeleteComputeDomain("ns", "g", "u"),
        EvictPod("ns", "p", "u", "g"),
        PublishEvent("v1", "Node", "", "n", "u", False, "R", "m"),
        ResizeJob("ns", "j", "u", "1", JobSize(2, None, 4)),
        ResumeJob("ns", "j", "u", "1"),
        *(SetFinalizers(kind, "x", "1", ()) for kind in ELEMENTS),
        SuspendJob("ns", "j", "u", "1"),
        *(
            SuspendWorkload(k.kind, v, "ns", "j", "u", "1", "g", True)
            for k in KINDS.values()
            for v in k.versions
        ),
        TaintNode("n", "1", ()),
        UngatePod("ns", "p", "u", "1", "n", 0, "g", "MaxP", ()),
        UpdateGangSpec("ns", "g", "1", {}),
        WriteFacilityStatus("Rack", "r", {}),
        WriteGangStatus("ns", "g", "1", {}),
    ]
    # Kueue is asked about below.
    assert {type(i) for i in written} == set(get_args(Instruction)) - {AnswerCheck, SendCap}, (
        "an instruction is not asked about"
    )
    for instruction in written:
        write = requests_for(instruction, now=0.0)
        asked = Asked.of(Request(write.method, write.path))
        assert asked.verb in _verbs(rules, asked.group, asked.resource), instruction


def test_kueue_is_off_and_brings_the_rights_to_read_it_and_to_answer(defaults: list[Manifest]) -> None:
    kinds = ("admissionchecks", "resourceflavors", "workloads")
    assert not [kind for kind in kinds if _verbs(_rules(defaults), "kueue.x-k8s.io", kind)]
    for mode in ("Active", "Observe"):
        manifests = render({"kueue": {"enabled": True}, "mode": mode})
        (container,) = find(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
        assert "--kueue" in container["args"]
        rules = _rules(manifests)
        for kind in kinds:
            assert _verbs(rules, "kueue.x-k8s.io", kind) == {"get", "list", "watch"}
            # Flavors have none.
            written = {"patch"} if mode == "Active" and kind != "resourceflavors" else set()
            assert _verbs(rules, "kueue.x-k8s.io", f"{kind}/status") == written
    answer = AnswerCheck("kueue.x-k8s.io/v1beta2", "ns", "w", "u", "1", "g", "c", "Ready", None, "")
    write = requests_for(answer, now=0.0)
    asked = Asked.of(Request(write.method, write.path))
    assert (asked.verb, asked.group, asked.resource) == ("patch", "kueue.x-k8s.io", "workloads/status")


def test_facility_events_are_off_and_bring_their_own_port_secrets_and_rights(
    defaults: list[Manifest],
) -> None:
    assert not _verbs(_rules(defaults), "rackplane.dev", "powerbudgets") & {"create", "patch"}
    values = {
        "facilityEvents": {"enabled": True, "tokensSecret": "sources", "tlsSecret": "cert", "port": 443}
    }
    manifests = render(values)
    assert {"create", "patch"} <= _verbs(_rules(manifests), "rackplane.dev", "powerbudgets")
    pod = find(manifests, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    secrets = {v["name"]: v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    assert secrets == {"tokens": "sources", "tls": "cert"}
    assert container["args"][1:3] == [
        f"--reports-tokens={mounts['tokens']}",
        f"--reports-tls={mounts['tls']}",
    ]
    assert {"name": "reports", "containerPort": OperatorSettings().reports_port} in container["ports"]
    [service] = [
        m for m in manifests if m["kind"] == "Service" and m["metadata"]["name"].endswith("-reports")
    ]
    assert service["spec"]["ports"] == [{"name": "reports", "port": 443, "targetPort": "reports"}]


def test_the_floor_plan_is_off_then_on_the_loopback_and_only_then_a_service(defaults: list[Manifest]) -> None:
    def parts(manifests: list[Manifest]) -> tuple[list[str], bool, list[Manifest], bool]:
        (container,) = find(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
        services = [m["spec"] for m in manifests if m["metadata"]["name"].endswith("-ui")]
        rules = find(manifests, "NetworkPolicy")["spec"]["ingress"]
        ports = [port["port"] for rule in rules for port in rule["ports"]]
        port = {"name": "ui", "containerPort": OperatorSettings().ui_port}
        return container["args"], port in container["ports"], services, "ui" in ports

    assert parts(defaults) == (["operator"], False, [], False)
    assert parts(render({"ui": {"enabled": True}})) == (
        ["operator", "--ui", "--ui-host=127.0.0.1"],
        True,
        [],
        False,
    )
    args, listed, [service], admitted = parts(render({"ui": {"enabled": True, "service": True, "port": 80}}))
    assert (args, listed, admitted) == (["operator", "--ui"], True, True)
    # Who goes back an hour asks one replica: the other ones took their looks at other moments.
    assert service["sessionAffinity"] == "ClientIP"
    assert service["ports"] == [{"name": "ui", "port": 80, "targetPort": "ui"}]


def test_decisions_are_off_and_bring_rights_and_a_role_for_readers(defaults: list[Manifest]) -> None:
    reviews = [("authentication.k8s.io", "tokenreviews"), ("authorization.k8s.io", "subjectaccessreviews")]
    assert not any(_verbs(_rules(defaults), *kind) for kind in reviews)
    assert not [m for m in defaults if m["metadata"]["name"].endswith(("-debug", "-decisions"))]
    manifests = render({"decisions": {"enabled": True}})
    assert [_verbs(_rules(manifests), *kind) for kind in reviews] == [{"create"}, {"create"}]
    (role,) = [
        m for m in manifests if m["kind"] == "ClusterRole" and m["metadata"]["name"].endswith("-debug")
    ]
    assert role["rules"] == [{"nonResourceURLs": [PATH], "verbs": ["get"]}]
    # Without a certificate nobody reaches it but through the API server.
    (container,) = find(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["operator", "--decisions"]
    assert "decisions" not in {port["name"] for port in container["ports"]}
    assert not [m for m in manifests if m["metadata"]["name"].endswith("-decisions")]


def test_decisions_over_tls_have_a_port_of_their_own() -> None:
    manifests = render({"decisions": {"enabled": True, "tlsSecret": "debug", "port": 8443, "kept": 500}})
    pod = find(manifests, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    secrets = {v["name"]: v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
    assert secrets == {"decisions-tls": "debug"}
    assert container["args"][1:] == [
        "--decisions",
        f"--decisions-tls={mounts['decisions-tls']}",
        "--decisions-kept=500",
    ]
    assert {"name": "decisions", "containerPort": OperatorSettings().decisions_port} in container["ports"]
    (service,) = [m for m in manifests if m["metadata"]["name"].endswith("-decisions")]
    assert service["spec"]["ports"] == [{"name": "decisions", "port": 8443, "targetPort": "decisions"}]


def test_compute_domains_are_off_and_bring_their_rights(defaults: list[Manifest]) -> None:
    kind = ("resource.nvidia.com", "computedomains")
    assert _verbs(_rules(defaults), *kind) == set()
    manifests = render({"mode": "Observe", "computeDomains": {"enabled": True}})
    assert _verbs(_rules(manifests), *kind) == {"get", "list", "watch"}
    manifests = render({"computeDomains": {"enabled": True}})
    assert _verbs(_rules(manifests), *kind) == {"create", "delete", "get", "list", "watch"}
    (container,) = find(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert "--compute-domains" in container["args"]


def test_pod_groups_are_read_unless_that_is_turned_off(defaults: list[Manifest]) -> None:
    def granted(manifests: list[Manifest]) -> tuple[set[str], bool]:
        (container,) = find(manifests, "Deployment", "rackplane")["spec"]["template"]["spec"]["containers"]
        verbs = _verbs(_rules(manifests), "scheduling.k8s.io", "podgroups")
        return verbs, "--ignore-pod-groups" in container["args"]

    assert granted(defaults) == ({"get", "list", "watch"}, False)
    assert granted(render({"podGroups": {"enabled": False}})) == (set(), True)


def test_nodes_are_tainted_if_that_is_asked_for(defaults: list[Manifest]) -> None:
    def said(manifests: list[Manifest]) -> bool:
        deployment = find(manifests, "Deployment", "rackplane")
        return "--taint-nodes" in deployment["spec"]["template"]["spec"]["containers"][0]["args"]

    assert (said(defaults), said(render({"taintNodes": True}))) == (False, True)


def test_discovery_is_off_and_brings_its_rights(defaults: list[Manifest]) -> None:
    assert "create" not in _verbs(_rules(defaults), "rackplane.dev", "racks")
    template = {"limitWatts": 1_320_000, "feeds": [{"powerDomain": "a", "weight": 1}]}
    values = {
        "mode": "Observe",
        "discovery": {"enabled": True, "rackLabels": ["nvlink"], "rackTemplate": template},
    }
    manifests = render(values)
    for plural in ("racks", "nvlinkdomains"):
        assert {"create", "patch"} <= _verbs(_rules(manifests), "rackplane.dev", plural)
    (container,) = find(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    words = [word for word in container["args"] if word.startswith("--discovery")]
    assert words[:3] == ["--discovery", "--discovery-seconds=60", "--discovery-rack-labels=nvlink"]
    assert json.loads(words[3].removeprefix("--discovery-rack-template=")) == template


def test_the_node_agent_reaches_nodes_only_and_its_policy_names_its_account() -> None:
    manifests = [m for m in render(AGENT) if m["metadata"]["name"] == "rackplane-node-agent"]
    role = find(manifests, "ClusterRole")
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "patch", "watch"]}
    ]
    policy, pod = find(manifests, "ValidatingAdmissionPolicy")["spec"], find(manifests, "DaemonSet")["spec"]
    user = f"system:serviceaccount:{NAMESPACE}:rackplane-node-agent"
    assert policy["matchConditions"][0]["expression"] == f'request.userInfo.username == "{user}"'
    assert (
        pod["template"]["spec"]["serviceAccountName"] == find(manifests, "ServiceAccount")["metadata"]["name"]
    )
    (container,) = pod["template"]["spec"]["containers"]
    assert container["args"] == [
        "node-agent",
        "--gpus=8",
        "--gpu-idle-watts=200",
        "--gpu-least-watts=200",
        "--gpu-most-watts=1200",
        "--host-watts=840",
    ]


def test_the_device_plugin_reads_the_facility_and_writes_nodes_only() -> None:
    manifests = [m for m in render(PLUGIN) if m["metadata"]["name"] == "rackplane-device-plugin"]
    assert find(manifests, "ClusterRole")["rules"] == [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "patch", "watch"]},
        {
            "apiGroups": ["rackplane.dev"],
            "resources": ["hardwareprofiles", "nvlinkdomains", "racks"],
            "verbs": ["get", "list", "watch"],
        },
    ]
    policy, pod = find(manifests, "ValidatingAdmissionPolicy")["spec"], find(manifests, "DaemonSet")["spec"]
    user = f"system:serviceaccount:{NAMESPACE}:rackplane-device-plugin"
    assert policy["matchConditions"][0]["expression"] == f'request.userInfo.username == "{user}"'
    [labels] = [v["expression"] for v in policy["variables"] if v["name"] == "ownLabels"]
    assert json.loads(labels) == [PRODUCT_LABEL, COUNT_LABEL, CLIQUE_LABEL]
    [annotations] = [v["expression"] for v in policy["variables"] if v["name"] == "own"]
    assert json.loads(annotations) == [MOCK_GPUS, POWER_CAP_APPLIED_WATTS, POWER_OBSERVED_WATTS]
    assert (
        pod["template"]["spec"]["serviceAccountName"] == find(manifests, "ServiceAccount")["metadata"]["name"]
    )


def test_the_device_plugin_gets_the_kubelets_two_directories_and_is_confined_beside_that() -> None:
    pod = find(render(PLUGIN), "DaemonSet")["spec"]["template"]
    assert pod["metadata"]["annotations"] == {"prometheus.io/scrape": "true"}
    (container,) = pod["spec"]["containers"]
    assert container["args"] == [
        "device-plugin",
        "--kubelet-dir=/data/kubelet",
        "--metrics-port=9400",
        "--host-watts=840",
    ]
    mounts = {m["name"]: (m["mountPath"], m.get("readOnly", False)) for m in container["volumeMounts"]}
    hosts = {v["name"]: v["hostPath"]["path"] for v in pod["spec"]["volumes"] if "hostPath" in v}
    sockets, resources = "/data/kubelet/device-plugins", "/data/kubelet/pod-resources"
    assert hosts == {"device-plugins": sockets, "pod-resources": resources}
    assert mounts == {
        "device-plugins": (sockets, False),
        "pod-resources": (resources, True),
        "tmp": ("/tmp", False),
    }
    assert container["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["spec"]["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}


def test_mock_gpus_are_held_to_their_cap_by_one_program_only() -> None:
    result = template(AGENT | PLUGIN)
    assert result.returncode != 0
    assert "nodeAgent and devicePlugin both set the cap of mock GPUs: enable one of them" in result.stderr


def test_who_only_observes_has_no_right_to_touch_a_workload() -> None:
    manifests = render({"mode": "Observe"})
    rules = _rules(manifests)
    foreign = [(kind.group, kind.plural) for kind in KINDS.values()]
    for group, plural in (
        ("batch", "jobs"),
        ("", "pods"),
        ("", "nodes"),
        ("rackplane.dev", "racks"),
        *foreign,
    ):
        assert _verbs(rules, group, plural) == {"get", "list", "watch"}, plural
    assert _verbs(rules, "", "pods/eviction") == set()
    assert not [m for m in manifests if "AdmissionPolicy" in m["kind"]]
    for instruction in (
        CreateGang("ns", "g", {}),
        PublishEvent("v1", "Node", "", "n", "u", False, "R", "m"),
        UpdateGangSpec("ns", "g", "1", {}),
        WriteFacilityStatus("Rack", "r", {}),
        WriteGangStatus("ns", "g", "1", {}),
    ):
        write = requests_for(instruction, now=0.0)
        asked = Asked.of(Request(write.method, write.path))
        assert asked.verb in _verbs(rules, asked.group, asked.resource), instruction


def test_leases_are_reached_in_the_operators_namespace_only(defaults: list[Manifest]) -> None:
    defaults = installed(defaults)
    cluster = find(defaults, "ClusterRole")
    assert not _verbs(cluster["rules"], "coordination.k8s.io", "leases")
    role = find(defaults, "Role")
    assert role["metadata"]["namespace"] == NAMESPACE
    assert _verbs(role["rules"], "coordination.k8s.io", "leases") == {"create", "get", "patch", "update"}


@pytest.mark.parametrize("values", [VALUES[0], VALUES[1]])
def test_bindings_name_the_account_that_the_pods_run_as(values: Manifest | None) -> None:
    manifests = installed(render(values))
    account = find(manifests, "ServiceAccount")["metadata"]
    pod = find(manifests, "Deployment")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account["name"]
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        assert find(manifests, kind)["subjects"] == [
            {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        ]
    [guard] = [
        m
        for m in manifests
        if m["kind"] == "ValidatingAdmissionPolicy" and m["metadata"]["name"].endswith("-guard")
    ]
    user = f"system:serviceaccount:{account['namespace']}:{account['name']}"
    assert f'"{user}"' in guard["spec"]["matchConditions"][0]["expression"]


# The pods --


def test_the_operators_pods_have_a_priority_class_of_their_own_unless_one_is_named() -> None:
    def classes(values: Manifest | None) -> tuple[list[str], str | None]:
        manifests = render(values)
        own = [m["metadata"]["name"] for m in manifests if m["kind"] == "PriorityClass"]
        return own, find(manifests, "Deployment")["spec"]["template"]["spec"].get("priorityClassName")

    assert classes(None) == (["rackplane"], "rackplane")
    assert classes({"priorityClassName": "infra"}) == ([], "infra")
    assert classes({"priorityClass": {"create": False}}) == ([], None)


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        pytest.param({}, ["preferredDuringSchedulingIgnoredDuringExecution"], id="preferred"),
        pytest.param(
            {"antiAffinity": "Required"}, ["requiredDuringSchedulingIgnoredDuringExecution"], id="required"
        ),
        pytest.param({"antiAffinity": "Off"}, None, id="off"),
        pytest.param({"affinity": {"nodeAffinity": {}}}, None, id="own"),
    ],
)
def test_replicas_keep_apart(values: Manifest, kinds: list[str] | None) -> None:
    pod = find(render(values), "Deployment")["spec"]["template"]["spec"]
    rule = pod.get("affinity", {}).get("podAntiAffinity")
    assert (None if rule is None else list(rule)) == kinds


def test_the_network_policy_lets_in_what_the_operator_serves() -> None:
    policy = find(render(), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    assert policy["ingress"] == [{"ports": [{"port": "metrics"}]}, {"ports": [{"port": "health"}]}]
    peers = EVERYTHING_SET["networkPolicy"]
    assert find(render(EVERYTHING_SET), "NetworkPolicy")["spec"]["ingress"] == [
        {"ports": [{"port": "metrics"}], "from": peers["metricsFrom"]},
        {"ports": [{"port": "health"}]},
        {"ports": [{"port": "reports"}], "from": peers["reportsFrom"]},
        {"ports": [{"port": "ui"}], "from": peers["uiFrom"]},
        {"ports": [{"port": "decisions"}], "from": peers["decisionsFrom"]},
    ]


def test_the_pods_are_confined(defaults: list[Manifest]) -> None:
    pod = find(defaults, "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"]
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("values", VALUES)
def test_images_are_pinned(values: Manifest | None) -> None:
    for container in find(render(values), "Deployment")["spec"]["template"]["spec"]["containers"]:
        assert re.search(r":[0-9]|@sha256:[0-9a-f]{64}$", container["image"]), container["image"]
        assert "latest" not in container["image"]


@pytest.mark.parametrize(
    ("values", "arguments"),
    [
        pytest.param({}, ["operator"], id="default"),
        pytest.param({"mode": "Observe"}, ["operator", "--mode=Observe"], id="observe"),
        pytest.param(
            {"lease": {"seconds": 30}},
            ["operator", "--lease-seconds=30", "--lease-renew-seconds=3", "--lease-retry-seconds=1"],
            id="lease",
        ),
        pytest.param({"admitAfterLoss": True}, ["operator", "--admit-after-loss"], id="admit-after-loss"),
        pytest.param(
            {"admitAfterLoss": True, "operator": {"extraArgs": ["--validate"]}},
            ["operator", "--admit-after-loss", "--validate"],
            id="with-more",
        ),
        pytest.param(
            {
                "shedding": {
                    "mode": "Cap",
                    "protected": True,
                    "restoreSeconds": 60,
                    "rampWattsPerSecond": 5_000_000,
                }
            },
            [
                "operator",
                "--shedding=Cap",
                "--shed-protected",
                "--restore-seconds=60",
                "--ramp-watts-per-second=5000000",
            ],
            id="shedding",
        ),
        pytest.param(
            {
                "shedding": {"confirmation": "Endpoint"},
                "powerEndpoint": {"url": "https://dps.example/caps", "tokenSecret": {"name": "dps"}},
            },
            [
                "operator",
                "--confirmation=Endpoint",
                "--power-endpoint=https://dps.example/caps",
                "--power-endpoint-timeout-seconds=5",
                "--power-endpoint-token-file=/var/run/secrets/rackplane.dev/power-endpoint/token",
            ],
            id="power-endpoint",
        ),
        pytest.param(
            {
                "telemetry": {
                    "url": "http://prometheus:9090",
                    "query": "dcgm",
                    "hostWatts": 840,
                    "supplyQuery": "max by (cooling_zone) (supply)",
                    "stateQuery": "min by (power_domain) (feed_up)",
                    "tokenSecret": {"name": "thanos"},
                }
            },
            [
                "operator",
                "--telemetry-url=http://prometheus:9090",
                "--telemetry-query=dcgm",
                "--telemetry-host-watts=840",
                "--telemetry-seconds=15",
                "--telemetry-stale-seconds=100",
                "--telemetry-drift-percent=10",
                "--telemetry-supply-query=max by (cooling_zone) (supply)",
                "--telemetry-state-query=min by (power_domain) (feed_up)",
                "--telemetry-token-file=/var/run/secrets/rackplane.dev/telemetry/token",
            ],
            id="telemetry",
        ),
        pytest.param(
            {"workloads": {"kinds": ["JobSet"]}}, ["operator", "--workload-kinds=JobSet"], id="one-other-kind"
        ),
        pytest.param({"workloads": {"kinds": []}}, ["operator", "--workload-kinds="], id="no-other-kinds"),
        pytest.param(
            {"nodeLoss": {"seconds": 90, "conditions": ["KernelDeadlock", "GpuHealthy=False"]}},
            ["operator", "--node-loss-seconds=90", "--lost-node-conditions=KernelDeadlock,GpuHealthy=False"],
            id="node-loss",
        ),
        pytest.param(
            {"assumedDurationSeconds": 2_592_000, "lookaheadSeconds": 1_209_600},
            ["operator", "--assumed-duration-seconds=2592000", "--lookahead-seconds=1209600"],
            id="times",
        ),
        pytest.param(
            {"defragmentation": {"mode": "Propose", "maxMoves": 2, "maxGpuHours": 12.5}},
            [
                "operator",
                "--defragmentation=Propose",
                "--defragmentation-max-moves=2",
                "--defragmentation-max-gpu-hours=12.5",
            ],
            id="moves",
        ),
        pytest.param(
            {"defragmentation": {"mode": "Move", "leastGain": 3.5, "gpuHoursPerHour": None}},
            [
                "operator",
                "--defragmentation=Move",
                "--defragmentation-max-moves=4",
                "--defragmentation-moves-per-hour=4",
                "--defragmentation-gpu-hours-per-hour=inf",
                "--defragmentation-least-gain=3.5",
                "--defragmentation-domain-gpu-hours=0",
                "--defragmentation-rest-seconds=14400",
            ],
            id="moves-that-are-carried-out",
        ),
        pytest.param(
            {"ui": {"enabled": True, "service": True, "seconds": 0.5}},
            ["operator", "--ui", "--ui-seconds=0.5"],
            id="floor-plan",
        ),
        pytest.param(
            {"facilityEvents": {"enabled": True, "tokensSecret": "sources"}},
            ["operator", "--reports-tokens=/var/run/rackplane/tokens"],
            id="facility-events",
        ),
        pytest.param({"reservations": 0}, ["operator", "--reservations=0"], id="no-reservations"),
        pytest.param(
            {"shareHalfLifeSeconds": 0},
            ["operator", "--share-half-life-seconds=0"],
            id="shares-without-history",
        ),
        pytest.param(
            {
                "fabricLevels": ["sub-domain", "nvlink", "leaf", "campus"],
                "fabricLabels": {"leaf": ["eks", "example.com/tor"], "campus": ["example.com/campus"]},
            },
            [
                "operator",
                "--fabric-levels=sub-domain,nvlink,leaf,campus",
                "--fabric-labels=campus=example.com/campus;leaf=eks,example.com/tor",
            ],
            id="levels",
        ),
    ],
)
def test_the_operators_arguments(values: Manifest, arguments: list[str]) -> None:
    [deployment] = [m for m in render(values) if m["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["args"] == arguments


@pytest.mark.parametrize("of", ["power-endpoint", "telemetry"])
def test_a_token_file_is_where_its_secret_is_mounted(of: str) -> None:
    secret = {"name": "there", "key": "bearer"}
    value = {"power-endpoint": "powerEndpoint", "telemetry": "telemetry"}[of]
    [deployment] = [
        m
        for m in render({value: {"url": "https://there", "tokenSecret": secret}})
        if m["kind"] == "Deployment"
    ]
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    [volume] = [v for v in pod["volumes"] if v["name"] == of]
    [mount] = [m for m in container["volumeMounts"] if m["name"] == of]
    assert volume["secret"] == {"secretName": "there", "items": [{"key": "bearer", "path": "bearer"}]}
    assert mount["readOnly"]
    assert f"--{of}-token-file={mount['mountPath']}/bearer" in container["args"]


def test_probes_and_service_reach_named_ports(defaults: list[Manifest]) -> None:
    (container,) = find(defaults, "Deployment")["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"metrics": 8080, "health": 8081}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    assert [port["targetPort"] for port in find(defaults, "Service")["spec"]["ports"]] == ["metrics"]


@pytest.mark.parametrize("values", [VALUES[0], VALUES[1]])
def test_selectors_match_the_pods(values: Manifest | None) -> None:
    manifests = render(values)
    deployment = find(manifests, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors: list[dict[str, str]] = [
        deployment["spec"]["selector"]["matchLabels"],
        *(m["spec"]["selector"] for m in manifests if m["kind"] == "Service"),
        find(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()


# Admission --


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_policies_version_can_be_named(version: str) -> None:
    name = f"admissionregistration.k8s.io/{version}"
    rendered = render({"admission": {"apiVersion": name}})
    kinds = {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"}
    assert {m["apiVersion"] for m in rendered if m["kind"] in kinds} == {name}


def test_the_policies_are_v1_where_that_is_served() -> None:
    served = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
    rendered = render(None, "--api-versions", served)
    policies = [m for m in rendered if m["kind"] == "MutatingAdmissionPolicy"]
    assert {m["apiVersion"] for m in policies} == {"admissionregistration.k8s.io/v1"}


def test_each_kind_of_other_projects_has_its_rights_and_its_policy_if_it_is_named() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert values["workloads"]["kinds"] == list(KINDS)
    assert OperatorSettings().workload_kinds == ",".join(KINDS)
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert schema["properties"]["workloads"]["properties"]["kinds"]["items"] == {"enum": list(KINDS)}
    for kind in KINDS.values():
        manifests = render({"workloads": {"kinds": [kind.kind]}})
        (policy,) = [
            m
            for m in manifests
            if m["metadata"]["name"] == f"rackplane-queue-{kind.plural}"
            and "spec" in m
            and m["kind"] == "MutatingAdmissionPolicy"
        ]
        (rule,) = policy["spec"]["matchConstraints"]["resourceRules"]
        assert (rule["apiGroups"], rule["apiVersions"], rule["resources"]) == (
            [kind.group],
            list(kind.versions),
            [kind.plural],
        )
        rules = _rules(manifests)
        assert _verbs(rules, kind.group, kind.plural) == {"get", "list", "patch", "watch"}
        others = {(other.group, other.plural) for other in KINDS.values()} - {(kind.group, kind.plural)}
        assert not any(_verbs(rules, group, plural) for group, plural in others)


def test_the_policies_fail_closed_and_are_bound(defaults: list[Manifest]) -> None:
    policies = [m for m in defaults if m["kind"].endswith("AdmissionPolicy")]
    bindings = [m for m in defaults if m["kind"].endswith("AdmissionPolicyBinding")]
    assert len(policies) == 6 + len(KINDS)
    assert {m["metadata"]["name"] for m in policies} == {m["spec"]["policyName"] for m in bindings}
    # Checks are a service: a gate that is not there is not.
    for policy in policies:
        checks = "-check-" in policy["metadata"]["name"]
        assert policy["spec"]["failurePolicy"] == ("Ignore" if checks else "Fail")


def test_the_package_has_the_policies_that_the_chart_renders(defaults: list[Manifest]) -> None:
    # The embedded cluster does not run JSON patches, which Ray's lists of workers take.
    rendered = [
        manifest
        for manifest in defaults
        if "AdmissionPolicy" in manifest["kind"] and "-queue-ray" not in manifest["metadata"]["name"]
    ]
    assert sorted(shipped_policies(), key=str) == sorted(rendered, key=str), "run make policies"


# Values --


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"replicas": 0}, id="no-replica"),
        pytest.param({"replicas": "two"}, id="replicas-in-words"),
        pytest.param({"image": {"repository": "rackplane", "tag": "latest"}}, id="latest"),
        pytest.param({"image": {"repository": ""}}, id="no-repository"),
        pytest.param({"image": {"repository": "rackplane", "digest": "sha256:beef"}}, id="short-digest"),
        pytest.param({"imagePullPolicy": "Always"}, id="unknown-key"),
        pytest.param({"admission": {"enabled": "yes"}}, id="not-a-boolean"),
        pytest.param({"admitAfterLoss": "no"}, id="admission-after-a-loss-in-words"),
        pytest.param({"shedding": {"mode": "Kill"}}, id="shedding-of-another-kind"),
        pytest.param({"facilityEvents": {"enabled": True}}, id="events-of-anybody"),
        pytest.param({"decisions": {"enabled": True, "kept": 0}}, id="decisions-that-are-not-kept"),
        pytest.param({"powerEndpoint": {"url": "dps.example"}}, id="endpoint-that-is-no-url"),
        pytest.param({"assumedDurationSeconds": 0}, id="gangs-of-no-length"),
        pytest.param({"defragmentation": {"mode": "Always"}}, id="moves-whatever-they-cost"),
        pytest.param({"defragmentation": {"restSeconds": 60}}, id="gangs-that-never-rest"),
        pytest.param({"defragmentation": {"leastGain": 0}}, id="moves-for-nothing"),
        pytest.param({"defragmentation": {"maxMoves": 0}}, id="no-moves"),
        pytest.param({"reservations": -1}, id="fewer-than-no-reservations"),
        pytest.param({"shareHalfLifeSeconds": -1}, id="history-of-the-future"),
        pytest.param({"lookaheadSeconds": "a week"}, id="time-in-words"),
        pytest.param({"fabricLevels": ["leaf", "leaf"]}, id="a-level-twice"),
        pytest.param({"fabricLabels": {"leaf": []}}, id="a-level-without-labels"),
        pytest.param({"admission": {"apiVersion": "v1alpha1"}}, id="unknown-version"),
        pytest.param({"service": {"port": 70000}}, id="port-out-of-range"),
        pytest.param({"podDisruptionBudget": {"maxUnavailable": 0}}, id="budget-that-blocks-drains"),
        pytest.param({"serviceAccount": {"create": False}}, id="account-without-a-name"),
    ],
)
def test_nonsense_values_are_refused(values: Manifest) -> None:
    result = template(values)
    assert result.returncode != 0
    assert result.stderr.strip()


def test_every_default_is_known_to_the_schema() -> None:
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    schema: dict[str, Any] = yaml.safe_load((CHART / "values.schema.json").read_text())
    assert set(values) == set(schema["properties"]) - {"global"}


def _documents(folder: Path) -> list[Manifest]:
    return [
        document
        for path in sorted(folder.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document
    ]
