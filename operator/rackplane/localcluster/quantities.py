"""Resource quantities, compared and added in exact arithmetic."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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
#: What an amount in powers of 1024 is cut to.
_LARGEST = Fraction(2**63 - 1)
_FORM = re.compile(r"[+-]?[0-9.]+[eEinumkKMGTP]*[-+]?[0-9]*")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_POWER = {suffix: power for power, suffix in _DECIMAL.items()}
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


@lru_cache(maxsize=4096)
def canonical(text: str, finest: Fraction | None = None) -> str:
    """A quantity as the API server answers it: 0.5 as 500m, 1024Mi as 1Gi, 1e3 as it is.

    What is no multiple of `finest` is rounded up.

    Raises:
        ValueError: it is no quantity; the text is what the API server says then.
    """
    if not _FORM.fullmatch(text):
        pattern = "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        raise ValueError(f"quantities must match the regular expression {pattern}")
    try:
        value = parse(text)
    except ValueError as problem:
        part = (
            "numeric part of quantity"
            if text.count(".") > 1 or not re.search(r"\d", text)
            else "quantity's suffix"
        )
        raise ValueError(f"unable to parse {part}") from problem
    if finest is not None and value % finest:
        return write(-(-value // finest) * finest)
    found = _QUANTITY.match(text)
    assert found is not None
    number, exponent, suffix = found[1], found[2], found[3] or ""
    whole, _, part = number.lstrip("+-").partition(".")
    digits = (whole.lstrip("0") or "0") + part
    if not value:
        return "0"
    if suffix.endswith("i"):
        if abs(value) > _LARGEST:
            return write(_LARGEST if value > 0 else -_LARGEST, binary=True)
        return text if not part and int(digits) % 8 else write(value, binary=True)
    scale = (int(exponent) if exponent else _POWER[suffix]) - len(part)
    # What reads as the shortest form does is answered as it was written, such as 1.500.
    if scale >= -9 and scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0":
        return text
    return write(value, exponent=bool(exponent))


def write(value: Fraction, name: str = "", *, binary: bool | None = None, exponent: bool = False) -> str:
    """An amount as a quantity in its shortest form; bytes, by the resource's `name`, in powers of 1024 if they fit."""
    if not value:
        return "0"
    if binary is None:
        binary = (name == "memory" or name.startswith("hugepages-")) and value % 1024 == 0
    if binary and abs(value) >= 1024 and value.denominator == 1:
        amount, step = int(value), 0
        while amount % 1024 == 0 and step < len(_BINARY) - 1:
            amount, step = amount // 1024, step + 1
        return f"{amount}{_BINARY[step]}"
    nanos = abs(value) * 10**9
    amount = -(-nanos.numerator // nanos.denominator)  # what cannot be said is rounded up
    power = -9
    while amount % 1000 == 0 and power < 18:
        amount, power = amount // 1000, power + 3
    sign = "-" if value < 0 else ""
    if exponent:
        return f"{sign}{amount}" + (f"e{power}" if power else "")
    return f"{sign}{amount}{_DECIMAL[power]}"


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
    """What a pod asks of a node: what it asks as a whole, else the sum of its containers; and its overhead."""
    total = container_requests(spec)
    own = spec.get("resources")
    if own:
        total |= _requests({"resources": own})
    if spec.get("overhead"):
        _add(total, read(spec["overhead"]))
    return total


def container_requests(spec: Mapping[str, Any]) -> dict[str, Fraction]:
    """What the containers of a pod ask for: their sum, at least each init container.

    A sidecar (an init container with restartPolicy Always) counts with the containers that run beside it.
    """
    return _sum(spec, _requests)


def container_limits(spec: Mapping[str, Any]) -> dict[str, Fraction]:
    """The limits of the containers of a pod, summed as their requests are."""
    return _sum(spec, lambda container: read((container.get("resources") or {}).get("limits")))


def _sum(
    spec: Mapping[str, Any], amounts: Callable[[Mapping[str, Any]], dict[str, Fraction]]
) -> dict[str, Fraction]:
    total: dict[str, Fraction] = {}
    sidecars: dict[str, Fraction] = {}
    peak: dict[str, Fraction] = {}
    for container in spec.get("initContainers") or ():
        asked = amounts(container)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, asked)
            asked = {}
        for name in {*asked, *sidecars}:
            here = asked.get(name, Fraction(0)) + sidecars.get(name, Fraction(0))
            peak[name] = max(peak.get(name, Fraction(0)), here)
    for container in spec.get("containers") or ():
        _add(total, amounts(container))
    _add(total, sidecars)
    for name, amount in peak.items():
        total[name] = max(total.get(name, Fraction(0)), amount)
    return total


def _requests(container: Mapping[str, Any]) -> dict[str, Fraction]:
    resources = container.get("resources") or {}
    return {**read(resources.get("limits")), **read(resources.get("requests"))}


def _add(total: dict[str, Fraction], more: Mapping[str, Fraction]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Fraction(0)) + amount
