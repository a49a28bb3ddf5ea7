"""The writes of the Job controller: pods, the Events about them, and the status of a Job."""

from __future__ import annotations

from rackplane.localcluster.errors import ApiError
from rackplane.localcluster.objects import Obj, clone, meta, name_of, namespace_of
from rackplane.localcluster.service import Service

from . import pods as podviews
from .correlator import Correlator
from .labels import TRACKING_FINALIZER


class Control:
    """Acts for Jobs through the API's own rules."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.clock = service.clock
        self.jobs = service.need("batch", "v1", "jobs")
        self.pods = service.need("", "v1", "pods")
        self.events = Correlator(service)

    def create(self, job: Obj, pod: Obj) -> bool:
        """Create a pod of a Job; False when its namespace is going, which nobody needs to hear of.

        Raises:
            ApiError: the API server refused it; an Event says so.
        """
        try:
            created = self.service.create(self.pods, pod)
        except ApiError as problem:
            causes = problem.details.get("causes") or ()
            if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
                return False
            self.events.record(job, "FailedCreate", f"Error creating: {problem}", warning=True)
            raise
        self.events.record(job, "SuccessfulCreate", f"Created pod: {name_of(created)}")
        return True

    def delete(self, job: Obj, pod: Obj) -> None:
        """Delete a pod of a Job, as gracefully as it asks for; one that is gone already is no matter."""
        namespace, name = namespace_of(pod), name_of(pod)
        if self.service.store.get(self.pods.key, namespace, name) is not None:
            self.service.delete(self.pods, namespace, name, propagation="Background")
            self.events.record(job, "SuccessfulDelete", f"Deleted pod: {name}")

    def untrack(self, pod: Obj) -> None:
        """Let a pod go whose end is counted or will never be."""

        def without(obj: Obj) -> None:
            kept = [entry for entry in meta(obj).get("finalizers") or () if entry != TRACKING_FINALIZER]
            obj["metadata"]["finalizers"] = kept

        if podviews.is_tracked(pod):
            self.service.change(self.pods, pod, without)

    def adopt(self, job: Obj, pod: Obj) -> Obj | None:
        """Make a pod without an owner the Job's; None when it is gone."""

        def owned(obj: Obj) -> None:
            metadata = obj["metadata"]
            references = [podviews.owner_reference(job), *(metadata.get("ownerReferences") or ())]
            metadata["ownerReferences"] = references
            finalizers = dict.fromkeys([*(metadata.get("finalizers") or ()), TRACKING_FINALIZER])
            metadata["finalizers"] = list(finalizers)

        return self.service.change(self.pods, pod, owned)

    def release(self, job: Obj, pod: Obj) -> None:
        """Give up a pod that the Job's selector no longer matches."""
        uid = meta(job)["uid"]

        def freed(obj: Obj) -> None:
            metadata = obj["metadata"]
            references = metadata.get("ownerReferences") or ()
            metadata["ownerReferences"] = [ref for ref in references if ref.get("uid") != uid]
            finalizers = metadata.get("finalizers") or ()
            metadata["finalizers"] = [entry for entry in finalizers if entry != TRACKING_FINALIZER]

        self.service.change(self.pods, pod, freed)

    def write_status(self, job: Obj) -> Obj:
        """Store the status a working copy of a Job has; returns a new working copy.

        Raises:
            ApiError: 422, the status breaks a rule of its own.
        """
        status = {key: value for key, value in job["status"].items() if value not in (None, 0, "", [])}
        # Both are pointers upstream: shown when they are zero.
        status |= {key: job["status"][key] for key in ("ready", "terminating") if key in job["status"]}
        if job["status"].get("failedIndexes") is not None:
            status["failedIndexes"] = job["status"]["failedIndexes"]
        uncounted = status.get("uncountedTerminatedPods") or {}
        status["uncountedTerminatedPods"] = {key: value for key, value in uncounted.items() if value}
        stored = self.service.update(self.jobs, {**job, "status": status}, subresource="status")
        return {**stored, "status": clone(stored.get("status") or {})}
