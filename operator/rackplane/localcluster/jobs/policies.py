"""What podFailurePolicy says about a failed pod, and successPolicy about the indexes that succeeded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rackplane.localcluster.objects import Obj, dig, name_of, namespace_of

from . import indexes


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of a failed pod: whether it counts towards the limits, the action that matched, and why the Job fails."""

    counts: bool = True
    action: str = ""
    fails_job: str = ""


def judge(policy: Obj | None, pod: Obj) -> Verdict:
    """The verdict of the first rule that matches; without one the failure counts."""
    for number, rule in enumerate((policy or {}).get("rules") or ()):
        found = _matched(rule, pod)
        if found is None:
            continue
        action = str(rule.get("action"))
        if action == "Ignore":
            return Verdict(counts=False, action=action)
        if action == "FailJob":
            why = f"{found} matching FailJob rule at index {number}"
            return Verdict(action=action, fails_job=why)
        if action in ("FailIndex", "Count"):
            return Verdict(action=action)
    return Verdict()


def _matched(rule: Obj, pod: Obj) -> str | None:
    """What of the pod the rule matches, in words; None when nothing does."""
    where = f"{namespace_of(pod)}/{name_of(pod)}"
    wanted = rule.get("onExitCodes")
    if wanted is not None:
        for field in ("containerStatuses", "initContainerStatuses"):
            for status in dig(pod, "status", field) or ():
                if _exit_matches(status, wanted):
                    code = status["state"]["terminated"].get("exitCode")
                    return f"Container {status.get('name')} for pod {where} failed with exit code {code}"
        return None
    for entry in dig(pod, "status", "conditions") or ():
        for pattern in rule.get("onPodConditions") or ():
            if entry.get("type") == pattern.get("type") and entry.get("status") == pattern.get("status"):
                return f"Pod {where} has condition {entry.get('type')}"
    return None


def _exit_matches(status: Obj, wanted: Obj) -> bool:
    terminated = dig(status, "state", "terminated")
    if not terminated or wanted.get("containerName") not in (None, status.get("name")):
        return False
    code = int(terminated.get("exitCode") or 0)
    if code == 0:
        return False
    listed = code in (wanted.get("values") or ())
    return listed if wanted.get("operator") == "In" else not listed


def success(policy: Obj | None, completions: int, succeeded: indexes.Intervals) -> str:
    """Which rule of a success policy is met, in words; empty when none is."""
    if policy is None or not succeeded:
        return ""
    for number, rule in enumerate(policy.get("rules") or ()):
        wanted = rule.get("succeededCount")
        if rule.get("succeededIndexes") is not None:
            required = indexes.parse(rule["succeededIndexes"], completions)
            if not required:
                continue
            reached = indexes.common(required, succeeded)
            met = reached == indexes.count(required) or (wanted is not None and reached >= wanted)
        else:
            met = wanted is not None and indexes.count(succeeded) >= wanted
        if met:
            return f"Matched rules at index {number}"
    return ""


def failing(policy: Obj | None, failed: Iterable[Obj]) -> str:
    """Why failed pods fail the whole Job; empty when they do not."""
    if policy is None:
        return ""
    return next((found for pod in failed if (found := judge(policy, pod).fails_job)), "")
