"""What the real server says of every good and bad object of `tests/unit/api/cases.py`, and of changes to a Gang."""

from __future__ import annotations

from typing import Any

from rackplane.api.kinds import BY_KIND
from tests.conformance.steps import Ask, Scenario, patch, post, put
from tests.unit.api.cases import BAD, GOOD, Case, change, valid

GANGS = "/apis/rackplane.dev/v1alpha1/namespaces/${ns}/gangs"


def _path(kind: str) -> str:
    return GANGS if kind == "Gang" else f"/apis/rackplane.dev/v1alpha1/{BY_KIND[kind].info.plural}"


def _tried(case: Case) -> Ask:
    obj = case.build()
    obj["metadata"].pop("namespace", None)
    return post(_path(case.kind), obj, query={"dryRun": "All"}, view="spec_or_causes")


def _gang(**changes: Any) -> dict[str, Any]:
    gang = valid("Gang")
    gang["metadata"] = {"name": "it", "resourceVersion": "${gang.metadata.resourceVersion}"}
    for path, value in changes.items():
        change(gang, path.replace("__", "."), value)
    return gang


def _scenarios(kind: str) -> tuple[Scenario, ...]:
    return tuple(
        Scenario(name=f"{kind}: {name}", crds=True, steps=tuple(_tried(case) for case in cases))
        for name, cases in (
            ("good objects are taken", [case for case in GOOD if case.kind == kind]),
            ("bad objects are refused", [case for case in BAD if case.kind == kind]),
        )
    )


SCENARIOS = (
    *(scenario for kind in BY_KIND for scenario in _scenarios(kind)),
    Scenario(
        name="Gang: its workload cannot change, what it asks for can",
        crds=True,
        steps=(
            post(GANGS, {**valid("Gang"), "metadata": {"name": "it"}}, save="gang", view="spec_or_causes"),
            put(f"{GANGS}/it", _gang(spec__workload__uid="another"), view="spec_or_causes"),
            put(f"{GANGS}/it", _gang(spec__slots=8), view="spec_or_causes"),
            patch(f"{GANGS}/it", {"spec": {"workload": {"name": "other"}}}, view="spec_or_causes"),
            patch(f"{GANGS}/it", {"spec": {"workload": {"name": "train"}}}, view="spec_or_causes"),
        ),
    ),
)
