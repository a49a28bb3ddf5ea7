"""What the API server's own admission does to a new pod: service account, priority, default tolerations."""

from __future__ import annotations

from rackplane.localcluster.accounts import DEFAULT_ACCOUNT, ensure_default
from rackplane.localcluster.errors import forbidden
from rackplane.localcluster.objects import Frozen, Obj, clone, name_of, namespace_of
from rackplane.localcluster.resources import ACCOUNTS, PRIORITY_CLASSES
from rackplane.localcluster.store import Store

from .defaults import containers

_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_VOLUME = "kube-api-access-"
#: A second more than an hour, which tells tokens that were injected from those that were asked for.
_TOKEN_SECONDS = 3607
_TOKEN_SOURCE: Obj = {
    "defaultMode": 0o644,
    "sources": Frozen(
        [
            {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {
                "downwardAPI": {
                    "items": [
                        {
                            "path": "namespace",
                            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                        }
                    ]
                }
            },
        ]
    ),
}
_SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_PREEMPT = "PreemptLowerPriority"
_AWAY = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_AWAY_SECONDS = 300


def admit(pod: Obj, store: Store) -> None:
    """Fill in a new pod that has its defaults, in place; a second time changes nothing.

    Raises:
        ApiError: 403, its service account or priority class does not exist, or it names another priority than its
            class has.
    """
    _give_account(pod, store)
    _prioritise(pod, store)
    tolerate(pod["spec"])


def _give_account(pod: Obj, store: Store) -> None:
    spec, namespace = pod["spec"], namespace_of(pod)
    name = spec.get("serviceAccountName") or DEFAULT_ACCOUNT
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    if name == DEFAULT_ACCOUNT:
        # A real server waits for the controller that makes it.
        ensure_default(store, namespace)
    account = store.get(ACCOUNTS, namespace, name)
    if account is None:
        why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden("", "pods", name_of(pod), why)
    mounts = spec.get("automountServiceAccountToken")
    if mounts is None:
        mounts = account.get("automountServiceAccountToken", True)
    if mounts:
        _mount_token(spec, store)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = clone(account["imagePullSecrets"])


def _mount_token(spec: Obj, store: Store) -> None:
    named = (str(volume.get("name")) for volume in spec.get("volumes") or ())
    volume = next((name for name in named if name.startswith(_TOKEN_VOLUME)), None)
    name = volume or f"{_TOKEN_VOLUME}{store.suffix()}"
    needed = False
    for container in containers(spec):
        mounts = container.get("volumeMounts") or []
        if not any(mount.get("mountPath") == _TOKEN_PATH for mount in mounts):
            mount = {"name": name, "readOnly": True, "mountPath": _TOKEN_PATH}
            container["volumeMounts"] = [*mounts, mount]
            needed = True
    if needed and volume is None:
        spec["volumes"] = [*(spec.get("volumes") or ()), {"name": name, "projected": dict(_TOKEN_SOURCE)}]


def _prioritise(pod: Obj, store: Store) -> None:
    spec = pod["spec"]
    value, policy = 0, _PREEMPT
    name = spec.get("priorityClassName")
    if name in _SYSTEM_PRIORITIES:
        value = _SYSTEM_PRIORITIES[name]
    elif name:
        found = store.get(PRIORITY_CLASSES, "", name)
        if found is None:
            raise forbidden("", "pods", name_of(pod), f"no PriorityClass with name {name} was found")
        value, policy = int(found.get("value") or 0), found.get("preemptionPolicy") or _PREEMPT
    else:
        defaults = [found for found in store.items(PRIORITY_CLASSES) if found.get("globalDefault")]
        if defaults:
            found = min(defaults, key=lambda entry: int(entry.get("value") or 0))
            spec["priorityClassName"] = name_of(found)
            value, policy = int(found.get("value") or 0), found.get("preemptionPolicy") or _PREEMPT
    for field, what, computed in (
        ("priority", "the integer value of priority", value),
        ("preemptionPolicy", "the string value of PreemptionPolicy", policy),
    ):
        given = spec.get(field)
        if given is not None and given != computed:
            why = (
                f"{what} ({given}) must not be provided in pod spec; priority admission controller computed "
                f"{computed} from the given PriorityClass name"
            )
            raise forbidden("", "pods", name_of(pod), why)
        spec[field] = computed


def tolerate(spec: Obj) -> None:
    """Add what every pod tolerates for a while, a node that is away, where the pod says nothing of it; in place."""
    tolerations = list(spec.get("tolerations") or ())
    given = tuple(tolerations)
    for key in _AWAY:
        if not any(
            entry.get("key") in (key, None, "") and entry.get("effect") in ("NoExecute", None, "")
            for entry in given
        ):
            entry = {
                "key": key,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": _AWAY_SECONDS,
            }
            tolerations.append(entry)
    spec["tolerations"] = tolerations
