"""The Job controller: which Jobs need a look, when, and whose pods are whose.

Synchronous: `observe` notes what a change concerns, `run` reconciles it.
"""

from __future__ import annotations

from rackplane.localcluster.errors import ApiError
from rackplane.localcluster.objects import Obj, controller_of, dig, is_true, meta, name_of, namespace_of
from rackplane.localcluster.resources import JOBS, PODS
from rackplane.localcluster.selectors import match_selector
from rackplane.localcluster.service import Service
from rackplane.localcluster.store import DELETED, Change

from . import pods, ttl
from .backoff import Record
from .control import Control
from .labels import CONTROLLER_NAME, UID_LABEL
from .sync import MOST_PODS, Sync

Key = tuple[str, str]
_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 1.0, 60.0


class JobController:
    """Reconciles Jobs.

    Args:
        backoff_seconds: delays the first replacement of a failed pod; it doubles up to 10 min.
        batch_seconds: how long changes of pods are collected before their Job is looked at; a Job that is new, or
            whose spec changed, is looked at at once.
        most_pods: how many pods of a Job are created or deleted at a time.
    """

    def __init__(
        self,
        service: Service,
        *,
        backoff_seconds: float = 10.0,
        batch_seconds: float = 0.0,
        most_pods: int = MOST_PODS,
    ) -> None:
        self._service = service
        self._store = service.store
        self._control = Control(service)
        self._backoff_seconds = backoff_seconds
        self._batch_seconds = batch_seconds
        self._most_pods = most_pods
        self._dirty: dict[Key, None] = {}
        self._orphans: dict[Key, None] = {}
        self._timers: dict[Key, float] = {}
        self._records: dict[str, Record] = {}
        self._refusals: dict[str, int] = {}
        self._stopped: set[str] = set()
        self._pods_of: dict[str, dict[Key, None]] = {}
        self._free: dict[str, dict[Key, None]] = {}
        self._manual: dict[Key, None] = {}

    # -- noting

    def observe(self, change: Change) -> None:
        """Note which Jobs a change concerns."""
        if change.resource == JOBS:
            self._observe_job(change)
        elif change.resource == PODS:
            self._observe_pod(change)

    def _observe_job(self, change: Change) -> None:
        key, uid = (change.namespace, change.name), meta(change.object)["uid"]
        generation = meta(change.object).get("generation")
        if change.previous is not None and meta(change.previous).get("generation") == generation:
            self._note(key)
        else:
            self._dirty[key] = None
        if change.type == DELETED:
            self._timers.pop(key, None)
            self._manual.pop(key, None)
            self._records.pop(uid, None)
            self._refusals.pop(uid, None)
            self._stopped.discard(uid)
            self._control.events.forget(uid)
            self._orphans |= self._pods_of.get(uid, {})
        elif dig(change.object, "spec", "manualSelector"):
            self._manual[key] = None

    def _note(self, key: Key) -> None:
        """A Job is to be looked at, together with what else happens until then."""
        if self._batch_seconds:
            self._wake(key, self._service.clock() + self._batch_seconds)
        else:
            self._dirty[key] = None

    def _observe_pod(self, change: Change) -> None:
        key, owner = (change.namespace, change.name), _job_of(change.object)
        before = _job_of(change.previous) if change.previous is not None else None
        if before is not None and before["uid"] != (owner or {}).get("uid"):
            self._leave(self._pods_of, before["uid"], key)
            self._note((change.namespace, before["name"]))
        if owner is not None:
            if change.type == DELETED:
                self._leave(self._pods_of, owner["uid"], key)
            else:
                self._pods_of.setdefault(owner["uid"], {})[key] = None
            self._note((change.namespace, owner["name"]))
            if pods.is_tracked(change.object) and self._store.by_uid(owner["uid"]) is None:
                self._orphans[key] = None
        self._observe_free(change, key)

    @staticmethod
    def _leave(index: dict[str, dict[Key, None]], name: str, key: Key) -> None:
        members = index.get(name, {})
        members.pop(key, None)
        if not members:
            index.pop(name, None)

    def _observe_free(self, change: Change, key: Key) -> None:
        """Pods without a controller, by the Job their label names: that Job may take them."""
        previous = change.previous
        if previous is not None and controller_of(previous) is None:
            self._leave(self._free, _wanted_by(previous), key)
        if change.type == DELETED or controller_of(change.object) is not None:
            return
        if pods.is_tracked(change.object):
            self._orphans[key] = None
        self._free.setdefault(_wanted_by(change.object), {})[key] = None
        found = self._store.by_uid(_wanted_by(change.object))
        if found is not None and found[0] == JOBS:
            self._note((namespace_of(found[1]), name_of(found[1])))
        for job in self._manual:
            if job[0] == change.namespace:
                self._note(job)

    # -- acting

    def run(self) -> bool:
        """Reconcile what is due; returns whether there was anything."""
        now = self._service.clock()
        if self._timers:
            for key, when in list(self._timers.items()):
                if when <= now:
                    del self._timers[key]
                    self._dirty[key] = None
        if not self._dirty and not self._orphans:
            return False
        due, self._dirty = list(self._dirty), {}
        for namespace, name in due:
            job = self._store.get(JOBS, namespace, name)
            if job is not None:
                self._sync(job)
        orphans, self._orphans = list(self._orphans), {}
        for key in orphans:
            self._free_orphan(key)
        return True

    def next_wake(self) -> float | None:
        """When (seconds since the epoch) something is due without any change; None when nothing is."""
        return min(self._timers.values(), default=None)

    def _sync(self, job: Obj) -> None:
        key, expiry = (namespace_of(job), name_of(job)), ttl.expiry(job)
        if expiry is not None:
            if expiry <= self._service.clock():
                ttl.expire(self._service, job)
                return
            self._wake(key, expiry)
        if dig(job, "spec", "managedBy") not in (None, CONTROLLER_NAME):
            return
        uid = meta(job)["uid"]
        if is_true(job, "Complete") or is_true(job, "Failed"):
            self._records.pop(uid, None)
            self._orphans |= self._pods_of.get(uid, {})
            return
        sync = Sync(
            self._control,
            job,
            self._claimed(job),
            record=self._records.get(uid, Record()),
            first_backoff=self._backoff_seconds,
            wake=lambda when: self._wake(key, when),
            may_manage=uid not in self._stopped,
            most_pods=self._most_pods,
        )
        try:
            sync.run()
        except ApiError as problem:
            sync.refused = problem
        self._records[uid] = sync.record
        if sync.namespace_going:
            self._stopped.add(uid)
        self._retry(job, sync.refused)

    def _retry(self, job: Obj, refused: ApiError | None) -> None:
        """After a refusal try again in 1 s, then 2 s, 4 s, up to a minute."""
        uid = meta(job)["uid"]
        if refused is None:
            self._refusals.pop(uid, None)
            return
        count = self._refusals[uid] = self._refusals.get(uid, 0) + 1
        delay = min(_LONGEST_RETRY_SECONDS, _RETRY_SECONDS * 2 ** min(count - 1, 6))
        self._wake((namespace_of(job), name_of(job)), self._service.clock() + delay)

    def _wake(self, key: Key, when: float) -> None:
        self._timers[key] = min(when, self._timers.get(key, when))

    # -- whose pods are whose

    def _claimed(self, job: Obj) -> list[Obj]:
        """The pods that are the Job's: those that fit are taken, those that no longer fit are let go."""
        uid, selector = meta(job)["uid"], dig(job, "spec", "selector")
        going = bool(meta(job).get("deletionTimestamp"))
        generated = selector == {"matchLabels": {UID_LABEL: uid}}
        found: list[Obj] = []
        for key in sorted(self._pods_of.get(uid, {})):
            pod = self._store.get(PODS, *key)
            if pod is None:
                continue
            labels = meta(pod).get("labels") or {}
            if labels.get(UID_LABEL) == uid if generated else match_selector(selector, labels):
                found.append(pod)
            elif not going:
                self._control.release(job, pod)
        if not going and self._free:
            found += self._adopted(job, uid, selector)
        return found

    def _adopted(self, job: Obj, uid: str, selector: Obj | None) -> list[Obj]:
        groups = (
            list(self._free.values()) if dig(job, "spec", "manualSelector") else [self._free.get(uid, {})]
        )
        found = []
        for namespace, name in sorted(key for group in groups for key in group):
            pod = self._store.get(PODS, namespace, name)
            if pod is None or namespace != namespace_of(job) or meta(pod).get("deletionTimestamp"):
                continue
            if match_selector(selector, meta(pod).get("labels") or {}):
                taken = self._control.adopt(job, pod)
                if taken is not None:
                    found.append(taken)
        return found

    def _free_orphan(self, key: Key) -> None:
        """Take the finalizer off a pod that no Job will count any more."""
        pod = self._store.get(PODS, *key)
        if pod is None or not pods.is_tracked(pod):
            return
        controller = controller_of(pod)
        if controller is not None:
            if controller.get("kind") != "Job" or controller.get("apiVersion") != "batch/v1":
                return
            owner = self._store.by_uid(controller["uid"])
            if owner is not None:
                managed_by = dig(owner[1], "spec", "managedBy")
                if managed_by not in (None, CONTROLLER_NAME):
                    return
                if not is_true(owner[1], "Complete") and not is_true(owner[1], "Failed"):
                    return
        self._control.untrack(pod)


def _job_of(pod: Obj) -> Obj | None:
    owner = controller_of(pod)
    return owner if owner is not None and owner.get("kind") == "Job" else None


def _wanted_by(pod: Obj) -> str:
    return str((meta(pod).get("labels") or {}).get(UID_LABEL) or "")
