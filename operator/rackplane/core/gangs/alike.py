"""What keeps a Job from joining a gang: a name that no Gang can have."""

from __future__ import annotations

from rackplane.api.labels import GANG_LABEL
from rackplane.api.problems import FieldProblem
from rackplane.core.objects import Job

__all__ = ["joined"]


def joined(job: Job) -> FieldProblem | None:
    """What is wrong with a Job that names a gang no Gang could be called after; None if it names none.

    Were the label passed over, Jobs that are meant to start together would not.
    """
    name = job.metadata.labels.get(GANG_LABEL)
    if not name:
        return None
    return FieldProblem(
        f"metadata.labels[{GANG_LABEL}]",
        f'is "{name}", which cannot be in the name of an object.',
        "Write lower case letters, digits and - only, on all Jobs that are to start together.",
    )
