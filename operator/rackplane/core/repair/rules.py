"""What a Job's own rules make of one lost pod: whether it is made anew, or the Job fails, or its index does.

The rules are those of batch/v1: a pod that is deleted before it ended counts as failed, at once or when it has ended;
`podFailurePolicy` judges it by its first rule that fits, and an evicted pod has the condition DisruptionTarget.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rackplane.core.gangs.jobs import job_outcome
from rackplane.core.gangs.record import GangRecord
from rackplane.core.objects import FailureRule, Job

__all__ = ["fatal_rule", "fatal_rules", "replaced_only_when_ended"]

_DISRUPTED: Final = "DisruptionTarget"
#: what containers end with that the kubelet terminates: killed, or asked to end
_TERMINATED: Final = (137, 143)
_DEFAULT_BACKOFF_LIMIT: Final = 6


def fatal_rule(job: Job, lost: int = 1, *, failed: int = 0) -> str | None:
    """Why the Job would not make so many evicted pods anew, as field and words; None if it would.

    Args:
        failed: pods of it that have failed already.
    """
    spec = job.spec
    for number, rule in enumerate(spec.pod_failure_policy.rules if spec.pod_failure_policy else ()):
        if not _may_fit(rule):
            continue
        if rule.action in ("FailJob", "FailIndex"):
            what = "the Job" if rule.action == "FailJob" else "its index"
            return f"spec.podFailurePolicy.rules[{number}] fails {what} when a pod is evicted"
        if rule.action == "Ignore" and _is_of_disruption(rule):
            return None
    if spec.backoff_limit_per_index == 0:
        return "spec.backoffLimitPerIndex is 0, so an index whose pod is evicted has failed"
    limit = spec.backoff_limit
    if limit is None:
        limit = _DEFAULT_BACKOFF_LIMIT if spec.backoff_limit_per_index is None else None
    if limit is not None and failed + lost > limit:
        so_far = f" and {failed} have failed already" if failed else ""
        return f"spec.backoffLimit is {limit}{so_far}, so the Job fails when {_pods(lost)} evicted"
    return None


def fatal_rules(record: GangRecord) -> Iterator[tuple[Job, str]]:
    """The Jobs of the gang for which one lost pod is fatal, and why."""
    for job in record.jobs.values():
        why = None if job_outcome(job) is not None else fatal_rule(job)
        if why is not None:
            yield job, why


def replaced_only_when_ended(job: Job) -> bool:
    """Whether the Job makes a pod anew only when the one before has ended, not as soon as it is deleted."""
    return job.spec.pod_replacement_policy == "Failed" or job.spec.pod_failure_policy is not None


def _may_fit(rule: FailureRule) -> bool:
    """Whether the rule fits an evicted pod, or does where its containers end as they are asked to."""
    codes = rule.on_exit_codes
    if codes is not None:
        return any((code in codes.values) == (codes.operator == "In") for code in _TERMINATED)
    return _is_of_disruption(rule)


def _is_of_disruption(rule: FailureRule) -> bool:
    return any(pattern.type == _DISRUPTED and pattern.status == "True" for pattern in rule.on_pod_conditions)


def _pods(count: int) -> str:
    return "one pod is" if count == 1 else f"{count} pods are"
