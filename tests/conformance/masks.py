"""What differs from run to run is replaced by a name: uids, versions, times, the ends of generated names.

What a vendor's build of the API server adds to upstream's answer is left out. Equality survives: the same uid or
version within a scenario gets the same number, so a write that changed nothing, or one that changed something, is told
apart.
"""

from __future__ import annotations

import re
from typing import Any

_UID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_TOKEN_VOLUME = re.compile(r"\bkube-api-access-[b-z2-9]{5}\b")
_AGE = re.compile(r"^(\d+[smhd]|<invalid>)$")
_HELD_VERSION = re.compile(r"(ResourceVersion in (?:object meta: |record \())\d+")
_TOO_LARGE = re.compile(r"(Too large resource version: \d+, current: )\d+")
_IN_RECORD = re.compile(r"in record \(\d+\)")
_TOO_OLD = re.compile(r"too old resource version: \d+ \(\d+\)")
#: What OpenShift's build of the API server adds to the token volume of a pod; upstream's does not.
_ADDED_BY_DISTRIBUTIONS = (
    {
        "configMap": {
            "name": "openshift-service-ca.crt",
            "items": [{"key": "service-ca.crt", "path": "service-ca.crt"}],
        }
    },
)


def _manager(entry: dict[str, Any]) -> list[str]:
    return [str(entry.get(key)) for key in ("operation", "manager", "apiVersion", "subresource")]


class Masks:
    """The names given in one scenario."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._uids: dict[str, str] = {}
        self._versions: dict[str, str] = {}
        self._generated: dict[str, str] = {}

    def apply(self, value: Any, *, managed: bool = False) -> Any:
        """A copy of an answer with everything that differs from run to run replaced."""
        self._learn(value)
        return self._mask(value, managed)

    def _learn(self, value: Any) -> None:
        if isinstance(value, dict):
            metadata = value.get("metadata")
            if isinstance(metadata, dict):
                prefix, name = metadata.get("generateName"), metadata.get("name")
                if prefix and name and name.startswith(prefix) and len(name) > len(prefix):
                    self._generated[name] = f"{prefix}<random>"
            for part in value.values():
                self._learn(part)
        elif isinstance(value, list):
            for part in value:
                self._learn(part)

    def _mask(self, value: Any, managed: bool) -> Any:
        if isinstance(value, dict):
            # In the order of keys: numbers are given by first appearance, and servers order keys differently.
            result: dict[str, Any] = {}
            for key in sorted(value):
                if key == "managedFields" and not managed:
                    continue
                part = value[key]
                if key == "managedFields" and isinstance(part, list):
                    # Sorted by their times too, which may be the same or not.
                    part = sorted(part, key=_manager)
                if key == "resourceVersion" and isinstance(part, str):
                    result[key] = self._version(part, value)
                elif key == "cells":
                    result[key] = [
                        "<age>" if isinstance(cell, str) and _AGE.match(cell) else self._mask(cell, managed)
                        for cell in part
                    ]
                elif key == "continue" and isinstance(part, str) and part:
                    result[key] = "<continue>"
                else:
                    result[self.text(key)] = self._mask(part, managed)
            return result
        if isinstance(value, list):
            return [self._mask(part, managed) for part in value if part not in _ADDED_BY_DISTRIBUTIONS]
        return self.text(value) if isinstance(value, str) else value

    def _version(self, text: str, metadata: dict[str, Any]) -> str:
        # A list's or a bookmark's version is the server's, which other clients move too.
        if "uid" not in metadata and "name" not in metadata:
            return "<version>" if text.isdecimal() else text
        return self._versions.setdefault(text, f"<version {len(self._versions) + 1}>")

    def text(self, text: str) -> str:
        """A string with everything that differs from run to run replaced."""
        for name in sorted(self._generated, key=len, reverse=True):
            text = text.replace(name, self._generated[name])
        text = text.replace(self._namespace, "${ns}")
        text = _UID.sub(lambda found: self._uids.setdefault(found[0], f"<uid {len(self._uids) + 1}>"), text)
        text = _TOKEN_VOLUME.sub("kube-api-access-<random>", text)
        text = _HELD_VERSION.sub(r"\1<version>", text)
        text = _IN_RECORD.sub("in record (<version>)", text)
        text = _TOO_LARGE.sub(r"\1<version>", text)
        text = _TOO_OLD.sub("too old resource version: <version> (<version>)", text)
        return _TIME.sub(lambda found: "<microtime>" if found[1] else "<time>", text)
