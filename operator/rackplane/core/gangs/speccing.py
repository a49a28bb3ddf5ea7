"""What of a Gang's spec and owners differs from what its Jobs and pods ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rackplane.core.objects import Gang, GangGroup

__all__ = ["differs", "new_owners"]


def new_owners(gang: Gang, body: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """The owners that the Gang is to have; None if it has them."""
    owners: list[Mapping[str, Any]] = body["metadata"]["ownerReferences"]
    known = {owner.uid for owner in gang.metadata.owner_references}
    return None if known == {owner["uid"] for owner in owners} else owners


def differs(wanted: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    """Whether a field that we set has another value; defaults that the API server filled in do not count."""
    defaults: Mapping[str, Any] = {
        "slots": 1,
        "gpusPerSlot": 0,
        "priority": 0,
        "flexTier": 0,
        "strict": False,
    }
    for key, value in wanted.items():
        have = current.get(key, defaults.get(key))
        if key == "groups" and value:
            if msgspec.convert(value, list[GangGroup]) != msgspec.convert(have or [], list[GangGroup]):
                return True
            continue
        if isinstance(value, Mapping):
            have = have or {}
            if any(differs({k: v}, have) for k, v in value.items()):
                return True
        elif have != value and not (have is None and value in ("nvidia.com/gpu", "Checkpointable", "MaxP")):
            return True
    return False
