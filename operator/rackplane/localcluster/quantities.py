"""Resource quantities, compared and added in exact arithmetic."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

_SUFFIX: dict[str, Fraction] = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}
_QUANTITY = re.compile(r"^([+-]?\d*\.?\d*)(?:[eE]([+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)$")


@lru_cache(maxsize=4096)
def parse(text: str) -> Fraction:
    """The value of a quantity such as `4`, `500m` or `1.5Gi`.

    Raises:
        ValueError: it is no quantity.
    """
    found = _QUANTITY.match(text.strip())
    if found is None or not re.search(r"\d", found[1]):
        raise ValueError(f"{text!r} is not a quantity")
    number = Fraction(found[1])
    if found[2]:
        return number * Fraction(10) ** int(found[2])
    return number * _SUFFIX[found[3] or ""]


def read(amounts: Mapping[str, Any] | None) -> dict[str, Fraction]:
    """A resource list as numbers; entries that do not parse count as nothing."""
    result = {}
    for name, value in (amounts or {}).items():
        try:
            result[name] = parse(str(value))
        except ValueError:
            continue
    return result


def pod_requests(spec: Mapping[str, Any]) -> dict[str, Fraction]:
    """What a pod asks of a node: the sum of its containers, at least each init container, plus overhead.

    A sidecar (an init container with restartPolicy Always) counts with the containers that run beside it.
    """
    total: dict[str, Fraction] = {}
    sidecars: dict[str, Fraction] = {}
    peak: dict[str, Fraction] = {}
    for container in spec.get("initContainers") or ():
        asked = _requests(container)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, asked)
            asked = {}
        for name in {*asked, *sidecars}:
            peak[name] = max(
                peak.get(name, Fraction(0)), asked.get(name, Fraction(0)) + sidecars.get(name, Fraction(0))
            )
    for container in spec.get("containers") or ():
        _add(total, _requests(container))
    _add(total, sidecars)
    for name, amount in peak.items():
        total[name] = max(total.get(name, Fraction(0)), amount)
    _add(total, read(spec.get("overhead")))
    return total


def _requests(container: Mapping[str, Any]) -> dict[str, Fraction]:
    resources = container.get("resources") or {}
    return {**read(resources.get("limits")), **read(resources.get("requests"))}


def _add(total: dict[str, Fraction], more: Mapping[str, Fraction]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Fraction(0)) + amount
