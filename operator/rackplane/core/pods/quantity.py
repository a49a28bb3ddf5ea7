"""Kubernetes quantities as exact integers in thousandths, for adding and comparing resource requests."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

__all__ = ["milli"]

_QUANTITY = re.compile(r"^([+-]?[0-9]*\.?[0-9]+)(?:[eE]([+-]?[0-9]+)|([a-zA-Z]*))$")
_SUFFIX = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


@lru_cache(maxsize=4096)
def milli(quantity: str) -> int:
    """Thousandths of a unit, rounded up as the API server does: "500m" is 500, "2" is 2000, "1Gi" is 1073741824000.

    Raises:
        ValueError: if `quantity` is not a Kubernetes quantity.
    """
    matched = _QUANTITY.match(quantity.strip())
    if matched is None:
        raise ValueError(f"{quantity!r} is not a quantity such as 500m, 4 or 16Gi")
    number, exponent, suffix = matched.groups()
    if suffix is not None and suffix not in _SUFFIX:
        raise ValueError(f"{quantity!r} has an unknown suffix {suffix!r}")
    scale = Decimal(10) ** int(exponent) if exponent is not None else _SUFFIX[suffix or ""]
    exact = Decimal(number) * scale * 1000
    return int(exact.to_integral_value(rounding="ROUND_CEILING"))
