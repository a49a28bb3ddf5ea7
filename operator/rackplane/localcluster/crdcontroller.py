"""What the server's controllers do to CustomResourceDefinitions: grant names, establish, and clean up at deletion."""

from __future__ import annotations

from typing import Any

from .objects import Clock, Obj, clone, dig, meta, name_of, timestamp
from .resources import CRDS
from .store import Store

CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


class CrdController:
    """Carries a definition through its states. Every state is stored, since watchers of a real server see each."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def settle(self, name: str) -> None:
        """Grant a definition the names nobody has, and establish it once it has all of them."""
        crd = self._store.get(CRDS, "", name)
        if crd is None or meta(crd).get("deletionTimestamp"):
            return
        if dig(crd, "spec", "names") != dig(crd, "status", "acceptedNames"):
            crd = self._granted(crd)
        if self._is(crd, "NamesAccepted", "True") and not self._is(crd, "Established", "True"):
            established = clone(crd)
            text = "the initial names have been accepted"
            self._set(established, "Established", "True", "InitialNamesAccepted", text)
            self._store.update(CRDS, established)

    def settle_group(self, group: str) -> None:
        """Names were freed: look again at all definitions of a group."""
        for crd in self._store.items(CRDS):
            if dig(crd, "spec", "group") == group:
                self.settle(name_of(crd))

    def _granted(self, crd: Obj) -> Obj:
        names, conflict = self._names(crd)
        changed = clone(crd)
        changed["status"]["acceptedNames"] = names
        if conflict:
            self._set(changed, "NamesAccepted", "False", *conflict)
        else:
            self._set(changed, "NamesAccepted", "True", "NoConflicts", "no conflicts found")
        if not self._is(changed, "Established", "True"):
            if conflict:
                self._set(changed, "Established", "False", "NotAccepted", "not all names are accepted")
            else:
                self._set(
                    changed, "Established", "False", "Installing", "the initial names have been accepted"
                )
        if changed["status"] == crd["status"]:
            return crd
        return self._store.update(CRDS, changed)

    def _names(self, crd: Obj) -> tuple[Obj, tuple[str, str] | None]:
        """The names granted, and reason and message of the last conflict."""
        wanted, had = crd["spec"]["names"], dig(crd, "status", "acceptedNames") or {}
        resources: set[str] = set()
        kinds: set[str] = set()
        for other in self._store.items(CRDS):
            if dig(other, "spec", "group") == crd["spec"]["group"]:
                granted = dig(other, "status", "acceptedNames") or {}
                resources |= {str(granted.get(field)) for field in ("plural", "singular")}
                resources |= set(granted.get("shortNames") or ())
                kinds |= {str(granted.get(field)) for field in ("kind", "listKind")}
        names: dict[str, Any] = {"plural": "", "kind": "", **had}
        conflict: tuple[str, str] | None = None
        for field, reason, taken in (
            ("plural", "PluralConflict", resources),
            ("singular", "SingularConflict", resources),
            ("shortNames", "ShortNamesConflict", resources),
            ("kind", "KindConflict", kinds),
            ("listKind", "ListKindConflict", kinds),
        ):
            if wanted.get(field) == had.get(field):
                continue
            values = wanted.get(field) or []
            listed = [values] if isinstance(values, str) else values
            mine = had.get(field) if isinstance(had.get(field), list) else []
            refused = [value for value in listed if value in taken and value not in (mine or ())]
            if refused:
                texts = [f'"{value}" is already in use' for value in refused]
                conflict = (reason, texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
            elif field in wanted:
                names[field] = wanted[field]
            else:
                names.pop(field, None)
        if wanted.get("categories"):
            names["categories"] = wanted["categories"]
        else:
            names.pop("categories", None)
        return names, conflict

    def _is(self, crd: Obj, kind: str, status: str) -> bool:
        return any(
            entry["type"] == kind and entry["status"] == status
            for entry in dig(crd, "status", "conditions") or ()
        )

    def _set(self, crd: Obj, kind: str, status: str, reason: str, message: str) -> None:
        conditions = list(crd["status"].get("conditions") or [])
        fresh = {
            "type": kind,
            "status": status,
            "lastTransitionTime": timestamp(self._clock()),
            "reason": reason,
            "message": message,
        }
        for index, entry in enumerate(conditions):
            if entry["type"] == kind:
                if entry["status"] == status:
                    fresh["lastTransitionTime"] = entry["lastTransitionTime"]
                conditions[index] = fresh
                break
        else:
            conditions.append(fresh)
        crd["status"]["conditions"] = conditions

    def terminate(self, crd: Obj) -> Obj:
        """Mark a definition for deletion; its objects go first."""
        marked = clone(crd)
        finalizers = meta(crd).get("finalizers") or []
        if CLEANUP_FINALIZER not in finalizers:
            marked["metadata"]["finalizers"] = [*finalizers, CLEANUP_FINALIZER]
        text = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
        self._set(marked, "Terminating", "True", "InstanceDeletionPending", text)
        return self._store.mark_deleted(CRDS, marked)

    def clean(self, crd: Obj) -> None:
        """Its objects are gone: let the definition go."""
        freed = clone(crd)
        freed["metadata"]["finalizers"] = [
            entry for entry in meta(crd).get("finalizers") or () if entry != CLEANUP_FINALIZER
        ]
        self._set(freed, "Terminating", "False", "InstanceDeletionCompleted", "removed all instances")
        self._store.update(CRDS, freed)
