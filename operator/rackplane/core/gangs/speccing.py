"""What of a Gang's spec and owners differs from what its Jobs and pods ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.workload import with_removals
from rackplane.core.gangs.writing import may_write
from rackplane.core.instructions import UpdateGangSpec
from rackplane.core.objects import Gang, GangGroup

__all__ = ["differs", "new_owners", "respec"]


def respec(record: GangRecord, body: Mapping[str, Any]) -> list[UpdateGangSpec] | None:
    """The write that makes the Gang ask for what its Jobs and pods do; empty while another is under way.

    Returns:
        None if it asks for that.
    """
    gang = record.gang
    assert gang is not None
    current = msgspec.to_builtins(gang.spec)
    spec, owners = with_removals(body["spec"], current), new_owners(gang, body)
    if owners is None and not differs(spec, current):
        return None
    if not may_write(record):
        return []
    version = record.gang_write = gang.metadata.resource_version
    return [UpdateGangSpec(record.key[0], record.key[1], version, spec, owners)]


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
