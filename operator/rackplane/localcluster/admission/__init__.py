"""Admission policies: stored MutatingAdmissionPolicies and ValidatingAdmissionPolicies, evaluated as Kubernetes does.

Not here, and refused with 501 when a policy is created: parameters, JSONPatch mutations, the authorizer, Kubernetes'
CEL libraries and optional fields. Not here and not refused: type checking (`status.typeChecking`), the cost budget, and
the audit log.
"""

from .attributes import CREATE, DELETE, UPDATE, Attributes
from .policies import Policies

__all__ = ["CREATE", "DELETE", "UPDATE", "Attributes", "Policies"]
