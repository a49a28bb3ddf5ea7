"""The one mutation the cluster makes at creation: the rule of the chart's MutatingAdmissionPolicy.

A labelled Job queues suspended, and its pods carry the queue label and our scheduling gate; a labelled bare pod
queues by the gate alone. A Job its user suspended stays the user's to resume.
"""

from __future__ import annotations

from typing import Any

from rackplane.api import labels

from .objects import Obj, meta
from .resources import JOBS, PODS
from .store import GroupResource

#: The value of the `suspended-by` annotation that names us.
OURS = "rackplane"


def mutate(resource: GroupResource, obj: Obj) -> None:
    """Apply the rule to an object about to be created, in place (the caller owns it)."""
    queue = (meta(obj).get("labels") or {}).get(labels.QUEUE_LABEL)
    if not queue:
        return
    spec = obj.setdefault("spec", {})
    if resource == PODS:
        _gate(spec)
    elif resource == JOBS:
        if not spec.get("suspend"):
            spec["suspend"] = True
            metadata = obj["metadata"]
            metadata["annotations"] = {**(metadata.get("annotations") or {}), labels.SUSPENDED_BY: OURS}
        template = spec.setdefault("template", {})
        metadata = template.get("metadata") or {}
        metadata["labels"] = {**(metadata.get("labels") or {}), labels.QUEUE_LABEL: queue}
        template["metadata"] = metadata
        _gate(template.setdefault("spec", {}))


def _gate(pod_spec: dict[str, Any]) -> None:
    gates = pod_spec.get("schedulingGates") or []
    if not any(gate.get("name") == labels.PLACEMENT_GATE for gate in gates):
        pod_spec["schedulingGates"] = [*gates, {"name": labels.PLACEMENT_GATE}]
