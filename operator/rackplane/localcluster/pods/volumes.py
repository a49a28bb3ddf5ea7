"""What may be wrong with the volumes of a pod spec."""

from __future__ import annotations

from collections.abc import Callable

from rackplane.localcluster import names, quantities
from rackplane.localcluster.errors import (
    Cause,
    duplicate_value,
    forbidden_value,
    invalid_value,
    not_implemented,
    required,
    unsupported_value,
)
from rackplane.localcluster.objects import Obj

_HOST_TYPES = [
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
]
_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_ANOTHER = "may not specify more than 1 volume type"


def volume_causes(volumes: list[Obj], path: str) -> tuple[list[Cause], list[str]]:
    """What is wrong, and the names of the volumes that are right, which containers may mount.

    Raises:
        ApiError: 501, a kind of volume that is not known here.
    """
    causes: list[Cause] = []
    good: list[str] = []
    for index, volume in enumerate(volumes):
        where = f"{path}[{index}]"
        name = volume.get("name") or ""
        wrong = _source(volume, where)
        if not name:
            wrong.append(required(f"{where}.name"))
        else:
            wrong += [invalid_value(f"{where}.name", name, text) for text in names.dns_label(name)]
        if name in good:
            wrong.append(duplicate_value(f"{where}.name", name))
        if wrong:
            causes += wrong
        else:
            good.append(name)
    return causes, good


def _source(volume: Obj, where: str) -> list[Cause]:
    kinds = [kind for kind, value in volume.items() if kind != "name" and value is not None]
    for kind in kinds:
        if kind not in _CHECKS:
            raise not_implemented(f"volumes of the kind {kind} ({where})")
    causes: list[Cause] = []
    for place, kind in enumerate(sorted(kinds, key=_ORDER.index)):
        if place and kind != "emptyDir":
            causes.append(forbidden_value(f"{where}.{kind}", _ANOTHER))
        else:
            causes += _CHECKS[kind](volume[kind], f"{where}.{kind}")
    if not kinds:
        causes.append(required(where, "must specify a volume type"))
    return causes


def _empty(source: Obj, where: str) -> list[Cause]:
    limit = source.get("sizeLimit")
    if limit is not None and quantities.parse(str(limit)) < 0:
        return [forbidden_value(f"{where}.sizeLimit", "SizeLimit field must be a valid resource quantity")]
    return []


def _host(source: Obj, where: str) -> list[Cause]:
    path = source.get("path") or ""
    if not path:
        return [required(f"{where}.path")]
    causes = _no_way_back(path, f"{where}.path")
    if source.get("type") not in (None, *_HOST_TYPES):
        causes.append(unsupported_value(f"{where}.type", source["type"], list(_HOST_TYPES)))
    return causes


def _secret(source: Obj, where: str) -> list[Cause]:
    causes = [required(f"{where}.secretName")] if not source.get("secretName") else []
    return causes + _mode(source, where, "defaultMode") + _items(source, where)


def _config_map(source: Obj, where: str) -> list[Cause]:
    causes = [required(f"{where}.name")] if not source.get("name") else []
    return causes + _mode(source, where, "defaultMode") + _items(source, where)


def _claim(source: Obj, where: str) -> list[Cause]:
    return [required(f"{where}.claimName")] if not source.get("claimName") else []


def _downward(source: Obj, where: str) -> list[Cause]:
    causes = _mode(source, where, "defaultMode")
    for item in source.get("items") or ():
        # The index is missing in the path that the real server names.
        causes += _file(item, where)
    return causes


def _projected(source: Obj, where: str) -> list[Cause]:
    causes = _mode(source, where, "defaultMode")
    taken: set[str] = set()
    for index, entry in enumerate(source.get("sources") or ()):
        path = f"{where}.sources[{index}]"
        given = [kind for kind, value in entry.items() if value is not None]
        for kind in ("secret", "configMap"):
            part = entry.get(kind)
            if part is None:
                continue
            if not part.get("name"):
                causes.append(required(f"{path}.{kind}.name"))
            causes += _items(part, f"{path}.{kind}")
            causes += _twice(part.get("items") or [], taken, where, part.get("name") or "")
        if entry.get("downwardAPI") is not None:
            items = entry["downwardAPI"].get("items") or []
            for item in items:
                causes += _file(item, f"{path}.downwardAPI")
            causes += _twice(items, taken, where, None)
        if entry.get("serviceAccountToken") is not None:
            causes += _token(entry["serviceAccountToken"], path, where)
        if len(given) > 1:
            causes.append(forbidden_value(path, "may not specify more than 1 volume type per source"))
        for kind in given:
            if kind in ("clusterTrustBundle", "podCertificate"):
                raise not_implemented(f"projected volumes of the kind {kind} ({path})")
    return causes


def _twice(items: list[Obj], taken: set[str], where: str, name: str | None) -> list[Cause]:
    causes: list[Cause] = []
    for item in items:
        path = item.get("path") or ""
        if path and path in taken:
            causes.append(invalid_value(where, path if name is None else name, "conflicting duplicate paths"))
        taken.add(path)
    return causes


def _token(token: Obj, path: str, where: str) -> list[Cause]:
    seconds = token.get("expirationSeconds") or 0
    field = f"{path}.serviceAccountToken.expirationSeconds"
    causes: list[Cause] = []
    if seconds < 600:
        causes.append(invalid_value(field, seconds, "may not specify a duration less than 10 minutes"))
    if seconds > 1 << 32:
        causes.append(invalid_value(field, seconds, "may not specify a duration larger than 2^32 seconds"))
    if not token.get("path"):
        causes.append(required(f"{where}.path"))
    else:
        causes += _relative(token["path"], f"{where}.path")
    return causes


def _file(item: Obj, where: str) -> list[Cause]:
    causes = [required(f"{where}.path")] if not item.get("path") else []
    causes += _relative(item.get("path") or "", f"{where}.path")
    if item.get("fieldRef") is None and item.get("resourceFieldRef") is None:
        causes.append(required(where, "one of fieldRef and resourceFieldRef is required"))
    return causes + _mode(item, where, "mode")


def _items(source: Obj, where: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, item in enumerate(source.get("items") or ()):
        path = f"{where}.items[{index}]"
        for field in ("key", "path"):
            if not item.get(field):
                causes.append(required(f"{path}.{field}"))
        causes += _relative(item.get("path") or "", f"{path}.path")
        causes += _mode(item, path, "mode")
    return causes


def _mode(source: Obj, where: str, field: str) -> list[Cause]:
    mode = source.get(field)
    return (
        [invalid_value(f"{where}.{field}", mode, _MODE)]
        if mode is not None and not 0 <= mode <= 0o777
        else []
    )


def _relative(path: str, where: str) -> list[Cause]:
    causes = [invalid_value(where, path, "must be a relative path")] if path.startswith("/") else []
    causes += _no_way_back(path, where)
    if path.startswith("..") and not path.startswith("../"):
        causes.append(invalid_value(where, path, "must not start with '..'"))
    return causes


def _no_way_back(path: str, where: str) -> list[Cause]:
    return [invalid_value(where, path, "must not contain '..'")] if ".." in path.split("/") else []


_CHECKS: dict[str, Callable[[Obj, str], list[Cause]]] = {
    "emptyDir": _empty,
    "hostPath": _host,
    "secret": _secret,
    "persistentVolumeClaim": _claim,
    "downwardAPI": _downward,
    "configMap": _config_map,
    "projected": _projected,
}
_ORDER = list(_CHECKS)
