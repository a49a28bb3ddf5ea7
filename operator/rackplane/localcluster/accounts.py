"""The service account `default` that every namespace has, and gets back when it is deleted."""

from __future__ import annotations

from .objects import Obj, meta, name_of
from .resources import ACCOUNTS, NAMESPACES
from .store import DELETED, Change, Store

DEFAULT_ACCOUNT = "default"


def ensure_default(store: Store, namespace: str) -> None:
    """Make the namespace's default service account if it is missing."""
    if store.get(ACCOUNTS, namespace, DEFAULT_ACCOUNT) is None:
        account: Obj = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": DEFAULT_ACCOUNT, "namespace": namespace},
        }
        store.create(ACCOUNTS, account)


class Accounts:
    """The controller that keeps default service accounts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._due: set[str] = set()
        for namespace in store.items(NAMESPACES):
            ensure_default(store, name_of(namespace))

    def observe(self, change: Change) -> None:
        """Note namespaces that are new and default accounts that went."""
        if change.resource == NAMESPACES and change.previous is None:
            self._due.add(change.name)
        elif change.resource == ACCOUNTS and change.type == DELETED and change.name == DEFAULT_ACCOUNT:
            self._due.add(change.namespace)

    def run(self) -> bool:
        """Make what is missing; returns whether anything was looked at."""
        due, self._due = sorted(self._due), set()
        for name in due:
            namespace = self._store.get(NAMESPACES, "", name)
            if namespace is not None and not meta(namespace).get("deletionTimestamp"):
                ensure_default(self._store, name)
        return bool(due)
