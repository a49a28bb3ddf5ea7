"""Who asks: the users of the cluster's tokens, and those an administrator acts as.

There is no RBAC: every user may do everything but act as another. Names and groups matter to admission policies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from . import errors

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = "system:anonymous"
_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class User:
    """A user as `request.userInfo` shows it."""

    name: str
    groups: tuple[str, ...] = ()


@dataclass(slots=True)
class Caller:
    """On whose behalf something is written, where the warnings for them go, and as which manager of fields."""

    user: User
    warnings: list[str] = field(default_factory=list)
    manager: str = "kube-controller-manager"


def service_account(namespace: str, name: str) -> User:
    """The user a ServiceAccount's token stands for."""
    return User(f"{_ACCOUNT}{namespace}:{name}", (*_account_groups(namespace), AUTHENTICATED))


def _account_groups(namespace: str) -> tuple[str, ...]:
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")


#: The clients that have a token, by the name a kubeconfig asks for. The operator is the chart's ServiceAccount.
ACCOUNTS = {
    "admin": User("admin", (MASTERS, AUTHENTICATED)),
    "operator": service_account("rackplane-system", "rackplane"),
    "node-agents": service_account("kube-system", "rackplane-node-agents"),
}
#: Whose a bearer token is.
TOKENS = {f"{name}-token": name for name in ACCOUNTS}
#: The cluster's own controllers.
CONTROLLERS = User("system:kube-controller-manager", (AUTHENTICATED,))


def identify(name: str, groups: Sequence[str] = ()) -> User:
    """One of `ACCOUNTS` by its name or, where groups are given or the name is no account's, that very user."""
    if not groups and name in ACCOUNTS:
        return ACCOUNTS[name]
    return acting_as(name, groups)


def acting_as(name: str, groups: Sequence[str]) -> User:
    """The user that `Impersonate-User` and `Impersonate-Group` describe."""
    if not groups and name.startswith(_ACCOUNT) and name.count(":") == 3:
        groups = _account_groups(name.split(":")[2])
    if name == ANONYMOUS:
        implied, unless = UNAUTHENTICATED, {UNAUTHENTICATED}
    else:
        implied, unless = AUTHENTICATED, {AUTHENTICATED, UNAUTHENTICATED}
    return User(name, tuple(groups) if unless & set(groups) else (*groups, implied))


def impersonate(asking: User, name: str, groups: Sequence[str]) -> User:
    """Whom `asking` acts as.

    Raises:
        ApiError: 400, groups without a user; 501, `asking` is no administrator (RBAC would decide).
    """
    if not name:
        named = ", ".join(f'"{group}"' for group in groups)
        raise errors.bad_request(
            f'requested &user.DefaultInfo{{Name:"", UID:"", Groups:[]string{{{named}}}, '
            "Extra:map[string][]string(nil)} without impersonating a user name"
        )
    if MASTERS not in asking.groups:
        raise errors.not_implemented("impersonation by anybody but its administrator: it has no RBAC")
    return acting_as(name, groups)
