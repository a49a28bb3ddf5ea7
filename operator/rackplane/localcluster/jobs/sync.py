"""One reconciliation of a Job that has not ended: is it failed, done, suspended; how many pods should it have.

The order of the questions, and of the writes, is that of kube-controller-manager: a Job can meet several ends at once,
and whoever watches sees the same steps.
"""

from __future__ import annotations

from collections.abc import Callable

from rackplane.localcluster.errors import ApiError
from rackplane.localcluster.objects import Obj, clone, dig, meta, parse_timestamp, timestamp

from . import backoff, indexes, pods, policies
from .control import Control
from .state import State, count_ready
from .tracking import track

#: The most pods one reconciliation creates or deletes, as upstream; the next goes on.
MOST_PODS = 500
Wake = Callable[[float], None]


class Sync:
    """Reconciles one Job with the pods it has now.

    Args:
        record: of its failures so far; `self.record` is the one to remember.
        first_backoff: seconds the first failed pod is waited for.
        wake: asks to be called again at a time, in seconds since the epoch.
        may_manage: False keeps the number of pods as it is.
        most_pods: that are created or deleted now.
    """

    def __init__(
        self,
        control: Control,
        job: Obj,
        found: list[Obj],
        *,
        record: backoff.Record,
        first_backoff: float,
        wake: Wake,
        may_manage: bool = True,
        most_pods: int = MOST_PODS,
    ) -> None:
        working = {**job, "status": clone(job.get("status") or {})}
        working["status"].setdefault("uncountedTerminatedPods", {})
        self.control = control
        self.first_backoff = first_backoff
        self.wake = wake
        self.may_manage = may_manage
        self.most_pods = most_pods
        self.refused: ApiError | None = None
        self.namespace_going = False
        self.record = record
        self.state = State(working, found, control.clock())

    def run(self) -> bool:
        """Reconcile; returns whether the Job has ended. `refused` is why a pod could not be created.

        Raises:
            ApiError: 422, the API server does not take the status.
        """
        state, status = self.state, self.state.status
        self._look()
        if not status.get("startTime") and not state.spec.get("suspend"):
            status["startTime"] = timestamp(state.now)
        self._decide()
        moved = False
        if state.finished is not None:
            self._stop()
        else:
            managed = self.may_manage and not meta(state.job).get("deletionTimestamp")
            if managed:
                self._manage()
            if self._complete():
                why = ("CompletionsReached", "Reached expected number of succeeded pods")
                state.finished = state.condition("SuccessCriteriaMet", *why)
            elif managed:
                moved = self._suspension()
        counts = {"active": state.active, "ready": state.ready, "terminating": state.terminating}
        moved = moved or counts != {
            "active": int(status.get("active") or 0),
            "ready": status.get("ready"),
            "terminating": status.get("terminating"),
        }
        status.update(counts)
        ended = track(state, self.control, flush=moved)
        if state.written:
            self.record = state.record
        return ended

    # -- looking

    def _look(self) -> None:
        state, job = self.state, self.state.job
        state.uncounted_succeeded = frozenset(state.uncounted("succeeded"))
        state.uncounted_failed = frozenset(state.uncounted("failed"))
        state.tracked = [pod for pod in state.pods if pods.is_tracked(pod)]
        state.active_pods = [pod for pod in state.pods if pods.is_active(pod)]
        state.active = len(state.active_pods)
        state.ready = count_ready(state.active_pods)
        state.terminating = sum(map(pods.is_terminating, state.pods))
        succeeded, failed = state.fresh(succeeded=True), state.fresh(succeeded=False)
        policy = state.spec.get("podFailurePolicy")
        counting = [pod for pod in failed if policies.judge(policy, pod).counts]
        state.succeeded = int(state.status.get("succeeded") or 0) + len(succeeded)
        state.succeeded += len(state.uncounted_succeeded)
        state.failed = int(state.status.get("failed") or 0) + len(counting) + len(state.uncounted_failed)
        state.record = self.record.with_ends(succeeded, failed)
        if pods.is_indexed(job):
            state.counted_indexes = indexes.parse(
                state.status.get("completedIndexes") or "", state.completions
            )
            ended = [pod for pod in state.tracked if self._ended_index(pod)]
            state.succeeded_indexes = indexes.union(
                state.counted_indexes, indexes.of(pods.index_of(pod) for pod in ended)
            )
            state.succeeded = indexes.count(state.succeeded_indexes)
            if state.spec.get("backoffLimitPerIndex") is not None:
                self._look_at_failed_indexes()

    def _ended_index(self, pod: Obj) -> bool:
        return pods.phase(pod) == "Succeeded" and pods.has_valid_index(pod, self.state.job)

    def _look_at_failed_indexes(self) -> None:
        state = self.state
        known = indexes.parse(state.status.get("failedIndexes") or "", state.completions)
        failed = [pod for pod in state.tracked if self._fails_index(pod)]
        state.failed_indexes = indexes.union(known, indexes.of(map(pods.index_of, failed)))
        busy = {pods.index_of(pod) for pod in state.active_pods}
        for pod in state.tracked:
            index = pods.index_of(pod)
            valid = pods.has_valid_index(pod, state.job)
            if not valid or not pods.is_failed(pod, state.job) or index in busy:
                continue
            if indexes.has(state.succeeded_indexes, index) or indexes.has(state.failed_indexes, index):
                continue
            other = state.delayed.get(index)
            if other is None or (
                pods.all_index_failures(other) <= pods.all_index_failures(pod)
                and backoff.finished_at(pod) >= backoff.finished_at(other)
            ):
                state.delayed[index] = pod

    def _fails_index(self, pod: Obj) -> bool:
        state = self.state
        if not pods.has_valid_index(pod, state.job) or not pods.is_failed(pod, state.job):
            return False
        verdict = policies.judge(state.spec.get("podFailurePolicy"), pod)
        if verdict.action == "FailIndex":
            return True
        return verdict.counts and pods.index_failures(pod) >= int(state.spec["backoffLimitPerIndex"])

    # -- deciding

    def _decide(self) -> None:
        """Whether the Job has an end already, by what it said before, its failures, its deadline or its policies."""
        state, spec = self.state, self.state.spec
        met, target = state.holds("SuccessCriteriaMet"), state.holds("FailureTarget")
        if met is not None:
            state.finished = met
        elif target is not None:
            state.finished = state.condition("Failed", target["reason"], target["message"])
        elif message := policies.failing(
            spec.get("podFailurePolicy"), [pod for pod in state.pods if pods.is_failed(pod, state.job)]
        ):
            self._fail("PodFailurePolicy", message)
        elif state.failed > int(spec["backoffLimit"]) or self._too_many_restarts():
            self._fail("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        elif self._past_deadline():
            self._fail("DeadlineExceeded", "Job was active longer than specified deadline")
        elif state.failed_indexes is not None:
            self._decide_by_indexes(state.failed_indexes)
        if state.finished is None and pods.is_indexed(state.job):
            rule = policies.success(spec.get("successPolicy"), state.completions, state.succeeded_indexes)
            if rule:
                state.finished = state.condition("SuccessCriteriaMet", "SuccessPolicy", rule)

    def _fail(self, reason: str, message: str) -> None:
        self.state.finished = self.state.condition("FailureTarget", reason, message)

    def _decide_by_indexes(self, failed_indexes: indexes.Intervals) -> None:
        state = self.state
        failed, most = indexes.count(failed_indexes), state.spec.get("maxFailedIndexes")
        if most is not None and failed > int(most):
            message = "Job has exceeded the specified maximal number of failed indexes"
            self._fail("MaxFailedIndexesExceeded", message)
        elif failed and failed + state.succeeded >= state.completions:
            self._fail("FailedIndexes", "Job has failed indexes")

    def _too_many_restarts(self) -> bool:
        """Pods that restart in place count by restarts of their containers."""
        state = self.state
        if dig(state.spec, "template", "spec", "restartPolicy") != "OnFailure":
            return False
        restarts = 0
        for pod in state.pods:
            if dig(pod, "status", "phase") in ("Pending", "Running"):
                for field in ("initContainerStatuses", "containerStatuses"):
                    statuses = dig(pod, "status", field) or ()
                    restarts += sum(int(status.get("restartCount") or 0) for status in statuses)
        limit = int(state.spec["backoffLimit"])
        return restarts >= limit if limit else restarts > 0

    def _past_deadline(self) -> bool:
        state = self.state
        seconds = state.spec.get("activeDeadlineSeconds")
        if seconds is None or state.spec.get("suspend"):
            return False
        end = parse_timestamp(state.status["startTime"]) + int(seconds)
        if state.now < end:
            self.wake(end)
        return state.now >= end

    def _complete(self) -> bool:
        """Whether enough pods have succeeded and none is left running."""
        state = self.state
        wanted = state.spec.get("completions")
        return state.active == 0 and state.succeeded >= (1 if wanted is None else int(wanted))

    def _suspension(self) -> bool:
        """Bring the Suspended condition up to date; returns whether it changed."""
        state = self.state
        if state.spec.get("suspend"):
            changed = state.ensure_condition(state.condition("Suspended", "JobSuspended", "Job suspended"))
            if changed:
                self.control.events.record(state.job, "Suspended", "Job suspended")
                state.status.pop("startTime", None)
            return changed
        resumed = state.condition("Suspended", "JobResumed", "Job resumed", "False")
        changed = state.ensure_condition(resumed)
        if changed:
            self.control.events.record(state.job, "Resumed", "Job resumed")
            state.status["startTime"] = timestamp(state.now)
        return changed

    # -- acting

    def _stop(self) -> None:
        """Delete what still runs; finalizers stay until it is counted."""
        state = self.state
        for pod in state.active_pods:
            self.control.delete(state.job, pod)
        state.terminating += state.active
        state.active = state.ready = 0
        if not self.may_manage:
            state.finished = None

    def _remove(self, found: list[Obj]) -> None:
        """Delete pods that are too many: they count neither as failed nor as succeeded."""
        state = self.state
        for pod in found:
            self.control.untrack(pod)
            self.control.delete(state.job, pod)
        state.active -= len(found)
        state.terminating += len(found)
        state.ready -= count_ready(found)

    def _manage(self) -> None:
        """Delete or create pods, never both, until as many are active as there should be."""
        state, spec = self.state, self.state.spec
        if spec.get("suspend"):
            self._remove(state.active_pods)
            return
        parallelism, completions = int(spec["parallelism"]), spec.get("completions")
        if completions is not None:
            wanted = max(0, min(int(completions) - state.succeeded, parallelism))
        else:
            wanted = state.active if state.succeeded else parallelism
        extra = pods.surplus(state.job, state.active_pods, max(0, state.active - wanted))[: self.most_pods]
        if extra:
            self._remove(extra)
            return
        missing = wanted - state.active
        if pods.replaced_only_when_failed(state.job):
            missing -= state.terminating
        if missing > 0:
            self._add(min(missing, self.most_pods))

    def _add(self, missing: int) -> None:
        state = self.state
        places: list[int | None] = [None] * missing
        if state.failed_indexes is None and self._wait(state.record.remaining(state.now, self.first_backoff)):
            return
        if pods.is_indexed(state.job):
            free = self._free_indexes(missing)
            if state.failed_indexes is not None:
                delays = {index: self._index_delay(index) for index in free}
                free = [index for index in free if delays[index] == 0]
                if not free and self._wait(min(delays.values(), default=0.0)):
                    return
            places = list(free)
        self._create(places)

    def _wait(self, seconds: float) -> bool:
        """Come back when a delay is over; returns whether there is one."""
        if seconds > 0:
            self.wake(self.state.now + seconds)
            self.state.active = 0  # as upstream: while it waits, a Job's status shows no active pods
        return seconds > 0

    def _free_indexes(self, missing: int) -> list[int]:
        state = self.state
        taken = indexes.union(state.succeeded_indexes, _indexes(state.active_pods))
        if pods.replaced_only_when_failed(state.job):
            taken = indexes.union(taken, _indexes([pod for pod in state.pods if pods.is_terminating(pod)]))
        taken = indexes.union(taken, state.failed_indexes or indexes.NONE)
        return indexes.first_free(taken, missing, state.completions)

    def _index_delay(self, index: int) -> float:
        last = self.state.delayed.get(index)
        if last is None:
            return 0.0
        failures = pods.all_index_failures(last) + 1
        return backoff.remaining(failures, backoff.finished_at(last), self.state.now, self.first_backoff)

    def _create(self, places: list[int | None]) -> None:
        """Create pods in batches of 1, 2, 4 and so on; a batch with a refusal is the last."""
        state, size = self.state, 1
        while places and self.refused is None:
            batch, places = places[:size], places[size:]
            size *= 2
            for index in batch:
                replaced = None if index is None else state.delayed.get(index)
                try:
                    created = self.control.create(state.job, pods.new_pod(state.job, index, replaced))
                    self.namespace_going = self.namespace_going or not created
                    state.active += 1
                except ApiError as problem:
                    self.refused = problem


def _indexes(found: list[Obj]) -> indexes.Intervals:
    return indexes.of(index for pod in found if (index := pods.index_of(pod)) != pods.NO_INDEX)
