"""What a person wrote is theirs: objects that we never wrote, and fields written since by others."""

from __future__ import annotations

from typing import Any

from rackplane.core.discovery.merging import FIELD_MANAGER, Change, Verdict, change_of
from rackplane.core.discovery.reading import Desired

SPEC = {"clique": "u.1", "fabricPath": [{"level": "leaf", "name": "l1"}]}
LABELS = {"app.kubernetes.io/managed-by": "rackplane-discovery"}


def entry(manager: str, *fields: str, operation: str = "Update", **more: str) -> dict[str, Any]:
    held: dict[str, Any] = {"f:spec": {f"f:{name}": {} for name in fields}}
    return {"manager": manager, "operation": operation, "fieldsV1": held, **more}


def change(*managed: dict[str, Any], spec: dict[str, Any] = SPEC, **metadata: Any) -> Change:
    live = {
        "apiVersion": "rackplane.dev/v1alpha1",
        "kind": "NVLinkDomain",
        "metadata": {"name": "u.1", "uid": "7", "labels": LABELS, "managedFields": list(managed), **metadata},
        "spec": spec,
        "status": {"nodes": 4},
    }
    return change_of(Desired("NVLinkDomain", "u.1", SPEC), live)


OURS = entry(FIELD_MANAGER, "clique", "fabricPath", operation="Apply")


def test_what_is_not_there_is_created() -> None:
    found = change_of(Desired("NVLinkDomain", "u.1", SPEC), None)
    assert (found.verdict, found.live, found.apply["spec"]) == (Verdict.CREATE, {}, SPEC)


def test_what_is_as_the_labels_have_it_is_not_written() -> None:
    assert change(OURS).verdict is Verdict.NOTHING


def test_what_changed_is_written_to_that_very_object() -> None:
    found = change(OURS, spec={"clique": "u.1", "fabricPath": [], "spareNodes": 2})
    assert found.verdict is Verdict.UPDATE
    assert found.apply["metadata"] == {"name": "u.1", "uid": "7", "labels": LABELS}
    assert found.merged["spec"] == {**SPEC, "spareNodes": 2}


def test_an_object_that_we_never_wrote_is_left_alone() -> None:
    for managed in ((), (entry("kubectl-client-side-apply", "clique"),), (entry(FIELD_MANAGER, "clique"),)):
        found = change(*managed, spec={"clique": "other"})
        assert (found.verdict, found.apply) == (Verdict.LEAVE, {})


def test_a_field_that_somebody_else_wrote_keeps_their_value() -> None:
    theirs = {"clique": "u.1", "fabricPath": [{"level": "leaf", "name": "theirs"}]}
    found = change(OURS, entry("kubectl-edit", "fabricPath"), spec=theirs)
    assert (found.verdict, found.kept) == (Verdict.NOTHING, ("fabricPath",))
    # Theirs is applied, not left out: with the field, the parts of it would go that nobody else holds.
    assert found.apply["spec"] == theirs


def test_status_is_nobodys_spec() -> None:
    found = change(OURS, entry("rackplane", "fabricPath", subresource="status"), spec={"clique": "u.1"})
    assert (found.verdict, found.kept) == (Verdict.UPDATE, ())


def test_a_field_that_labels_no_longer_fill_goes_if_nobody_else_holds_it() -> None:
    desired = Desired("NVLinkDomain", "u.1", {"clique": "u.1"})
    live = {"metadata": {"name": "u.1", "labels": LABELS, "managedFields": [OURS]}, "spec": SPEC}
    assert change_of(desired, live).merged["spec"] == {"clique": "u.1"}
    live["metadata"]["managedFields"] = [OURS, entry("kubectl-edit", "fabricPath")]  # type: ignore[index]
    assert change_of(desired, live).verdict is Verdict.NOTHING
