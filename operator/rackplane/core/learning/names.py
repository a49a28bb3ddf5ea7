"""Which jobs are runs of the same one: their names without what was generated at the end."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = ["family_name"]

_SEGMENTS: Final = re.compile(r"[-.]")
#: what `generateName` appends: five of the letters and digits that spell no words (k8s.io/apimachinery, util/rand)
_GENERATED: Final = re.compile(r"[bcdfghjklmnpqrstvwxz2456789]{5}")
#: times of CronJobs, dates, counters
_NUMBER: Final = re.compile(r"[a-z]?[0-9]+")
#: of a UUID or a digest
_HEX: Final = re.compile(r"(?=.*[0-9])[0-9a-f]{8,}")
#: the groups of a UUID between its first and its last
_SHORT_HEX: Final = re.compile(r"[0-9a-f]{4}")


@lru_cache(maxsize=16_384)
def family_name(name: str) -> str:
    """The name of a job without the segments at its end that a person did not choose.

    Segments lie between hyphens and dots. From the end those go that are a number, with one letter before it or none
    (`-28123456`, `-v3`), five characters as `generateName` appends them, or eight or more hexadecimal digits; all of a
    UUID. The first segment always stays.
    """
    parts = _SEGMENTS.split(name)
    kept = len(parts)
    if kept > 5 and all(_SHORT_HEX.fullmatch(p) for p in parts[-4:-1]) and _is_hex(parts[-1], parts[-5]):
        kept -= 5
    while kept > 1 and any(p.fullmatch(parts[kept - 1]) for p in (_NUMBER, _GENERATED, _HEX)):
        kept -= 1
    return name[: sum(len(part) for part in parts[:kept]) + kept - 1]


def _is_hex(*parts: str) -> bool:
    return all(re.fullmatch(r"[0-9a-f]{8,12}", part) for part in parts)
