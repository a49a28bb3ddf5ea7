"""What is changed about the operator and the queues for one run: `--policy reservations=2,no-preemption`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from rackplane.api.gang import Disruption
from rackplane.core.settings import Defragmentation, MachineSettings, Shedding

__all__ = ["POLICIES", "Policy", "PolicyError", "parse_policies"]

_MOST_RESERVATIONS: Final = 100
_MOST_SIGMA: Final = 5.0


class PolicyError(ValueError):
    """A policy that there is not, or a value that it does not take, in words."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of a run that are no property of the facility.

    Args:
        reservations: gangs at the head of the queue that hold a place; 0: whoever fits goes.
        one_at_a_time: nobody is asked before all who came earlier have started.
        watts: whether limits of power and cooling hold anybody back; what exceeds them is measured either way.
        preemption: "as the queues say", "none", "within-queue", "reclaim" or "all".
        profile: power profile that all jobs ask for; "": as the trace says.
        strict: jobs wait for their profile, and are not capped.
        queue: that all jobs go to; "": as the trace says.
        topology: "auto": up to an NVLink domain in one, more in equal segments; "none"; or a level that is required.
        told: what jobs say of how long they run: "exact", "none", or "rough", off by a log-normal factor.
        sigma: of the logarithm of that factor.
        disruption: of all gangs.
        fewest_percent: gangs may start with so many of their slots, in percent; 100: with all only.
    """

    reservations: int = 1
    one_at_a_time: bool = False
    watts: bool = True
    preemption: str = "as the queues say"
    profile: str = ""
    strict: bool = False
    queue: str = ""
    topology: str = "auto"
    told: str = "exact"
    sigma: float = 1.0
    disruption: Disruption = Disruption.CHECKPOINTABLE
    fewest_percent: int = 100
    shedding: Shedding = Shedding.STOP
    defragmentation: Defragmentation = Defragmentation.OFF
    admit_after_loss: bool = False

    def settings(self, *, restart_seconds: float) -> MachineSettings:
        """The machine's settings. What is written for people only costs time here, decides nothing, and is off."""
        return MachineSettings(
            reservations=self.reservations,
            shedding=self.shedding,
            defragmentation=self.defragmentation,
            admit_after_loss=self.admit_after_loss,
            restart_seconds=restart_seconds,
            status_seconds=1e12,
            told_gangs=0,
            telling_gangs=0,
            estimated_gangs=0,
            explain_gangs=0,
        )

    def of_queue(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A Queue as this run has it."""
        wanted = _PREEMPTION.get(self.preemption)
        if wanted is None:
            return dict(body)
        return {**body, "spec": {**body.get("spec", {}), "preemption": wanted}}


_PREEMPTION: Final[Mapping[str, Mapping[str, str]]] = {
    "none": {"withinQueue": "Never", "reclaim": "Never"},
    "within-queue": {"withinQueue": "LowerPriority", "reclaim": "Never"},
    "reclaim": {"withinQueue": "Never", "reclaim": "Any"},
    "all": {"withinQueue": "LowerPriority", "reclaim": "Any"},
}


@dataclass(frozen=True, slots=True)
class _Named:
    """One policy: what it takes, what it does in words, and how a value changes a `Policy`."""

    takes: str
    does: str
    apply: Callable[[Policy, str], Policy]


def _number(text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise PolicyError(f"takes a number from {least:g} to {most:g}, not {text!r}")
    return value


def _one_of(text: str, known: Mapping[str, Any]) -> Any:
    if text not in known:
        raise PolicyError(f"is one of {', '.join(known)}, not {text!r}")
    return known[text]


def _word(text: str) -> str:
    if not text:
        raise PolicyError("takes a name")
    return text


def _told(policy: Policy, value: str) -> Policy:
    what, _, sigma = value.partition(":")
    _one_of(what, dict.fromkeys(("exact", "rough", "none")))
    return replace(policy, told=what, sigma=_number(sigma or "1", 0, _MOST_SIGMA))


POLICIES: Final[Mapping[str, _Named]] = {
    "reservations": _Named(
        "N",
        "so many gangs at the head of the queue hold a place which nobody may delay (default: 1)",
        lambda p, v: replace(p, reservations=int(_number(v, 0, _MOST_RESERVATIONS))),
    ),
    "fifo": _Named("", "whoever fits goes: no place is held", lambda p, _: replace(p, reservations=0)),
    "strict-fifo": _Named(
        "",
        "nobody is asked before all who came earlier have started",
        lambda p, _: replace(p, reservations=0, one_at_a_time=True),
    ),
    "no-power": _Named(
        "",
        "limits of power and cooling hold nobody back; what exceeds them is measured",
        lambda p, _: replace(p, watts=False, shedding=Shedding.OFF),
    ),
    "preemption": _Named(
        "none|within-queue|reclaim|all",
        "what queues may stop others for, whatever they say",
        lambda p, v: replace(p, preemption=(_one_of(v, _PREEMPTION), v)[1]),
    ),
    "no-preemption": _Named("", "the same as preemption=none", lambda p, _: replace(p, preemption="none")),
    "shedding": _Named(
        "stop|cap|off",
        "what is done to running gangs while an element is over its limit (default: stop)",
        lambda p, v: replace(p, shedding=_one_of(v, {s.value.lower(): s for s in Shedding})),
    ),
    "defragmentation": _Named(
        "off|propose|move",
        "moves of running gangs that let a waiting one start (default: off)",
        lambda p, v: replace(p, defragmentation=_one_of(v, {d.value.lower(): d for d in Defragmentation})),
    ),
    "admit-after-loss": _Named(
        "", "second losses hold nobody back", lambda p, _: replace(p, admit_after_loss=True)
    ),
    "profile": _Named(
        "NAME", "all jobs ask for this power profile", lambda p, v: replace(p, profile=_word(v))
    ),
    "strict-power": _Named(
        "", "jobs wait for their power profile, and are not capped", lambda p, _: replace(p, strict=True)
    ),
    "queue": _Named("NAME", "all jobs go to this queue", lambda p, v: replace(p, queue=_word(v))),
    "topology": _Named(
        "auto|none|LEVEL",
        "auto: up to an NVLink domain in one, larger gangs in equal segments; or the level that is required",
        lambda p, v: replace(p, topology=_word(v)),
    ),
    "told": _Named(
        "exact|rough[:SIGMA]|none",
        "what jobs say of how long they run; rough: off by a log-normal factor (default: exact)",
        _told,
    ),
    "disruption": _Named(
        "protected|checkpointable|sheddable",
        "what may be done to running gangs (default: checkpointable)",
        lambda p, v: replace(p, disruption=_one_of(v, {d.value.lower(): d for d in Disruption})),
    ),
    "elastic": _Named(
        "PERCENT",
        "gangs may start with so many of their slots; they run so much longer, and do not grow",
        lambda p, v: replace(p, fewest_percent=int(_number(v, 1, 100))),
    ),
}
"""By name, as `--policy` takes them."""


def parse_policies(text: str) -> Policy:
    """Policies separated by commas, later ones over earlier ones.

    Raises:
        PolicyError: with a sentence for people.
    """
    policy = Policy()
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, given, value = part.partition("=")
        named = POLICIES.get(name)
        if named is None:
            raise PolicyError(f"there is no policy {name!r}; it is one of {', '.join(POLICIES)}")
        if bool(given) != bool(named.takes):
            how = f"write {name}={named.takes}" if named.takes else f"write {name} alone"
            raise PolicyError(f"policy {name}: {how}")
        try:
            policy = named.apply(policy, value)
        except PolicyError as error:
            raise PolicyError(f"policy {name} {error}") from None
    return policy
