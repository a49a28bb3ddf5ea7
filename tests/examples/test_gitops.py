"""examples/gitops: health checks for Argo CD and Flux, on the status that the operator writes; values for the chart."""

from __future__ import annotations

from functools import cache
from typing import Any

import cel
import jsonschema
import msgspec
import pytest
import yaml

from rackplane import __version__
from rackplane.api.gang import GangPhase
from rackplane.api.kinds import KINDS
from rackplane.core.site.judgements import OURS, is_bad
from tests.examples.halls import ROOT
from tests.support.harness import GROUP, Harness, facility, started, thing

GITOPS = ROOT / "examples" / "gitops"
ALL = [model.info.kind for model in KINDS]
FACILITY = [kind for kind in ALL if kind != "Gang"]
Body = dict[str, Any]


def documents(name: str) -> list[Body]:
    return [each for each in yaml.safe_load_all((GITOPS / name).read_text(encoding="utf-8")) if each]


@cache
def lua_checks() -> dict[str, str]:
    (config,) = documents("argocd/argocd-cm.yaml")
    prefix = f"resource.customizations.health.{GROUP}_"
    return {key.removeprefix(prefix): text for key, text in config["data"].items() if key.startswith(prefix)}


@cache
def cel_checks() -> dict[str, dict[str, str]]:
    (found,) = (d for d in documents("flux/kustomizations.yaml") if d["kind"] == "Kustomization")
    return {each["kind"]: each for each in found["spec"]["healthCheckExprs"]}


def argo(obj: Body) -> tuple[str, str]:
    """As Argo CD: the script is given `obj`, and returns a table."""
    lua = pytest.importorskip("lupa.lua51", reason="requirements/test.txt has lupa: Argo CD runs Lua 5.1")
    runtime = lua.LuaRuntime(unpack_returned_tuples=True)
    runtime.globals().obj = runtime.table_from(obj, recursive=True)
    found = runtime.execute(lua_checks()[obj["kind"]])
    return str(found.status), str(found.message)


def flux(obj: Body) -> str:
    """As kustomize-controller documents it: the generation first, then the expressions in their order."""
    if (
        obj.get("status", {}).get("observedGeneration", obj["metadata"]["generation"])
        != obj["metadata"]["generation"]
    ):
        return "InProgress"
    for field, means in (("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current")):
        try:
            held = cel.compile(cel_checks()[obj["kind"]][field]).execute(obj)
        except RuntimeError:
            return "InProgress"  # a field that is not there yet: it waits
        if held:
            return means
    return "InProgress"


def both(obj: Body) -> tuple[str, str]:
    """What Argo CD and Flux call it."""
    return argo(obj)[0], flux(obj)


@pytest.fixture(scope="module")
def hall() -> Harness:
    """A hall with one of each kind, and one of each that refers to what is not there."""
    h = started(facility(racks=1))
    interval = {"start": "2099-01-01T00:00:00Z", "end": "2099-01-02T00:00:00Z"}
    missing = [{"powerDomain": "nowhere", "weight": 1}]
    spare = {"profile": "small", "nodeSelector": {"none": "of-these"}, "limitWatts": 9_000}
    h.apply(
        thing(
            "PowerBudget", "grid", limitWatts=900_000, targets={"powerDomains": ["row"]}, interval=interval
        ),
        thing("PowerBudget", "wrong", limitWatts=1, targets={"powerDomains": ["nowhere"]}, interval=interval),
        thing("Rack", "wrong", feeds=missing, **spare),
        thing("PowerDomain", "wrong", type="PDU", ratedWatts=1_000, parents=missing),
        thing("NVLinkDomain", "wrong", racks=["nowhere"]),
        thing("Queue", "wrong", parent="nowhere"),
    )
    h.job("runs", slots=2, run=None)
    h.advance(2)
    return h


def stored(h: Harness, kind: str, *, name: str = "") -> Body:
    plural = next(model.info.plural for model in KINDS if model.info.kind == kind)
    items = h.cluster.store.items((GROUP, plural))
    body: Body = next(
        i for i in items if i["metadata"]["name"] == name or (not name and i["metadata"]["name"] != "wrong")
    )
    return plain(body)


def plain(body: Body) -> Body:
    """As a client gets it."""
    found: Body = msgspec.json.decode(msgspec.json.encode(body))
    return found


def test_each_kind_has_a_check_of_both() -> None:
    assert (sorted(lua_checks()), sorted(cel_checks())) == (sorted(ALL), sorted(ALL))


@pytest.mark.parametrize("kind", FACILITY)
def test_what_the_operator_counts_on_is_healthy_and_what_it_has_not_seen_is_not(
    hall: Harness, kind: str
) -> None:
    found = stored(hall, kind)
    assert (both(found), argo(found)[1]) == (("Healthy", "Current"), "")
    changed = {**found, "metadata": {**found["metadata"], "generation": found["metadata"]["generation"] + 1}}
    new = {key: value for key, value in found.items() if key != "status"}
    assert [both(each) for each in (changed, new)] == [("Progressing", "InProgress")] * 2


@pytest.mark.parametrize("kind", ["NVLinkDomain", "PowerBudget", "PowerDomain", "Queue", "Rack"])
def test_what_refers_to_nothing_is_degraded_with_the_operators_own_words(hall: Harness, kind: str) -> None:
    found = stored(hall, kind, name="wrong")
    status, message = argo(found)
    assert (status, flux(found), "nowhere" in message) == ("Degraded", "Failed", True)


def test_what_waits_to_be_deleted_is_on_its_way() -> None:
    h = started(facility(racks=1))
    h.job("runs", run=None)
    h.until(lambda: h.phase("job-runs") == "Running")
    h.request("DELETE", f"/apis/{GROUP}/v1alpha1/racks/r1")
    h.advance(1)
    found = stored(h, "Rack", name="r1")
    assert (both(found), "deleted" in argo(found)[1] or "deletion" in argo(found)[1]) == (
        ("Progressing", "InProgress"),
        True,
    )


def test_what_goes_on_in_the_plant_is_named_and_holds_up_no_sync() -> None:
    objects = facility(racks=1)
    for each in objects:
        if each["kind"] == "CoolingZone":
            units = [{"name": f"u{n}", "capacityWatts": 500_000} for n in (1, 2)]
            units[0]["state"] = "Offline"
            each["spec"].update(units=units, neededUnits=1)
    found = stored(started(objects), "CoolingZone")
    status, message = argo(found)
    assert (status, flux(found), message.startswith("1 of 2 units run")) == ("Healthy", "Current", True)


@pytest.mark.parametrize("kind", sorted(OURS - {"Ready"}))
@pytest.mark.parametrize("status", ["True", "False"])
def test_of_the_plant_is_named_what_the_operator_itself_calls_bad(kind: str, status: str) -> None:
    ready = {"type": "Ready", "status": "True", "reason": "Valid", "message": ""}
    other = {"type": kind, "status": status, "reason": "Some", "message": "some words"}
    seen = {"observedGeneration": 1, "conditions": [ready, other]}
    assert argo({"kind": "Rack", "metadata": {"generation": 1}, "status": seen}) == (
        "Healthy",
        "some words" if is_bad(other) else "",
    )


def test_a_gang_that_runs_is_healthy(hall: Harness) -> None:
    found = hall.gang("job-runs")
    body = plain({**found, "kind": "Gang"})
    assert (both(body), argo(body)[1]) == (("Healthy", "Current"), "all 2 slots run")


@pytest.mark.parametrize("phase", GangPhase)
def test_each_phase_of_a_gang_has_a_health(phase: GangPhase) -> None:
    expected = {
        "Pending": ("Progressing", "InProgress"),
        "Admitted": ("Progressing", "InProgress"),
        "Running": ("Healthy", "Current"),
        "Stopping": ("Progressing", "InProgress"),
        "Finished": ("Healthy", "Current"),
        "Failed": ("Degraded", "Failed"),
        "Held": ("Suspended", "InProgress"),
    }
    body: Body = {
        "kind": "Gang",
        "metadata": {"generation": 1},
        "status": {"phase": str(phase), "message": "why"},
    }
    assert (both(body), argo(body)[1]) == (expected[phase], "why")
    if phase is GangPhase.PENDING:
        body["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        assert both(body) == ("Degraded", "Failed")


def test_k0rdent_installs_this_version_with_values_that_the_chart_takes_and_the_facility_after_it() -> None:
    by_kind: dict[str, list[Body]] = {}
    for each in documents("k0rdent/services.yaml"):
        by_kind.setdefault(each["kind"], []).append(each)
    templates = {each["metadata"]["name"]: each["spec"] for each in by_kind["ServiceTemplate"]}
    (service,) = by_kind["MultiClusterService"]
    operator, hall = service["spec"]["serviceSpec"]["services"]
    chart = templates[operator["template"]]["helm"]["chartSpec"]
    about = yaml.safe_load((ROOT / "charts" / "rackplane" / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["chart"], chart["version"], about["version"]) == ("rackplane", __version__, __version__)
    assert templates[operator["template"]]["k8sConstraint"] == about["kubeVersion"]
    assert hall["dependsOn"] == [{"name": operator["name"], "namespace": operator["namespace"]}]
    assert hall["template"] in templates
    taken(yaml.safe_load(operator["values"]))


def test_argo_and_flux_install_this_version_with_values_that_the_chart_takes() -> None:
    application, _ = documents("argocd/applications.yaml")
    (release,) = (d for d in documents("flux/kustomizations.yaml") if d["kind"] == "HelmRelease")
    source, chart = application["spec"]["source"], release["spec"]["chart"]["spec"]
    assert (source["targetRevision"], chart["version"]) == (__version__, __version__)
    taken(source["helm"]["valuesObject"])
    taken(release["spec"]["values"])


def taken(values: Body) -> None:
    """Raises if the chart's schema refuses them."""
    schema = msgspec.json.decode((ROOT / "charts" / "rackplane" / "values.schema.json").read_bytes())
    jsonschema.validate(values, schema)
