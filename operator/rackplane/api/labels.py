"""Names of labels and annotations that users, Rackplane and the nodes write; how a user's are read."""

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar

from rackplane.api.base import GROUP as GROUP
from rackplane.api.base import LEVEL_PATTERN, MAX_SLOTS, PROFILE_PATTERN
from rackplane.api.common import NVLINK_LEVEL
from rackplane.api.fabric import CLIQUE_LABEL as CLIQUE_LABEL
from rackplane.api.fabric import Fabric
from rackplane.api.gang import ComputeDomainMode, Disruption, NodeLoss
from rackplane.api.hardware_profile import MAX_PROFILE
from rackplane.api.problems import FieldProblem as FieldProblem
from rackplane.api.problems import show

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

# --- what a user writes ----------------------------------------------------------------------------

#: Label on a Job or a bare pod: the queue it waits in. Everything without it is not ours.
QUEUE_LABEL: Final = f"{GROUP}/queue"
#: Label on bare pods, or on Jobs: those with the same value in one namespace are one gang.
GANG_LABEL: Final = f"{GROUP}/gang"

REQUIRED_TOPOLOGY: Final = f"{GROUP}/required-topology"
PREFERRED_TOPOLOGY: Final = f"{GROUP}/preferred-topology"
SEGMENT_SIZE: Final = f"{GROUP}/segment-size"
POWER_PROFILE: Final = f"{GROUP}/power-profile"
POWER_STRICT: Final = f"{GROUP}/power-strict"
EXPECTED_DURATION: Final = f"{GROUP}/expected-duration"
DISRUPTION: Final = f"{GROUP}/disruption"
ON_NODE_LOSS: Final = f"{GROUP}/on-node-loss"
FLEX_TIER: Final = f"{GROUP}/flex-tier"
#: "auto": the gang gets a ComputeDomain of NVIDIA's DRA driver.
COMPUTE_DOMAIN: Final = f"{GROUP}/compute-domain"
MIN_SLOTS: Final = f"{GROUP}/min-slots"
#: When a job's last checkpoint was complete, in RFC 3339: what it did before is not lost when it is stopped.
LAST_CHECKPOINT: Final = f"{GROUP}/last-checkpoint"
#: How many pods make the gang named by GANG_LABEL, of all its Jobs together.
GANG_SIZE: Final = f"{GROUP}/gang-size"
#: "true": the ranks of an Indexed Job allow fewer, so its completions may be changed with its parallelism.
COMPLETIONS_EQUAL: Final = f"{GROUP}/completions-equal-parallelism"

# --- what another controller writes on a Gang that it made --------------------------------------------

#: Annotation: the gang is over and holds nothing any more. "Failed" if it failed; any other value: it is complete.
FINISHED_BY_MAKER: Final = f"{GROUP}/finished"
#: Annotation: nothing of the gang runs any more where the decision of this id had put it.
STOPPED_BY_MAKER: Final = f"{GROUP}/stopped"

USER_ANNOTATIONS: Final = (
    REQUIRED_TOPOLOGY,
    PREFERRED_TOPOLOGY,
    SEGMENT_SIZE,
    POWER_PROFILE,
    POWER_STRICT,
    EXPECTED_DURATION,
    DISRUPTION,
    ON_NODE_LOSS,
    FLEX_TIER,
    COMPUTE_DOMAIN,
    MIN_SLOTS,
    LAST_CHECKPOINT,
    GANG_SIZE,
    COMPLETIONS_EQUAL,
)

_KUEUE: Final = "kueue.x-k8s.io"
KUEUE_REQUIRED_TOPOLOGY: Final = f"{_KUEUE}/podset-required-topology"
KUEUE_PREFERRED_TOPOLOGY: Final = f"{_KUEUE}/podset-preferred-topology"
KUEUE_SLICE_SIZE: Final = f"{_KUEUE}/podset-slice-size"
KUEUE_SLICE_REQUIRED_TOPOLOGY: Final = f"{_KUEUE}/podset-slice-required-topology"
KUEUE_MIN_PARALLELISM: Final = f"{_KUEUE}/job-min-parallelism"
KUEUE_COMPLETIONS_EQUAL: Final = f"{_KUEUE}/job-completions-equal-parallelism"

#: Kueue names a level by its node label; these are known to mean one of ours. Configuration adds to them.
LEVEL_BY_NODE_LABEL: Final[Mapping[str, str]] = Fabric().level_by_label

#: Annotations that say what a workload asks for.
REQUEST_KEYS: Final = (
    *(key for key in USER_ANNOTATIONS if key != LAST_CHECKPOINT),
    KUEUE_REQUIRED_TOPOLOGY,
    KUEUE_PREFERRED_TOPOLOGY,
    KUEUE_SLICE_SIZE,
    KUEUE_SLICE_REQUIRED_TOPOLOGY,
    KUEUE_MIN_PARALLELISM,
)

# --- what Rackplane writes -------------------------------------------------------------------------

#: Scheduling gate on every pod that waits for its slot; only the operator takes it off.
PLACEMENT_GATE: Final = f"{GROUP}/placement"
#: Taint on managed nodes (effect NoSchedule): without our toleration nothing lands there.
MANAGED_TAINT: Final = f"{GROUP}/managed"
#: Annotation on a pod: the slot of its gang that it holds.
SLOT_ANNOTATION: Final = f"{GROUP}/slot"
#: Annotation on a pod and on its node, beside POWER_PROFILE: the watts that the whole node is held to.
POWER_CAP_WATTS: Final = f"{GROUP}/power-cap-watts"
#: Annotations on a node, by its agent: the watts that the whole node is held to now, and those that it draws.
POWER_CAP_APPLIED_WATTS: Final = f"{GROUP}/power-cap-applied-watts"
POWER_OBSERVED_WATTS: Final = f"{GROUP}/power-observed-watts"
#: Annotation on a node, by its mock GPUs: that they are mocks, and how many of them are well.
MOCK_GPUS: Final = f"{GROUP}/mock-gpus"
#: Annotation on a node, by people: which of its mock GPUs are to be broken. "1", "0,2", "1:48" (with its XID), "all".
FAIL_GPUS: Final = f"{GROUP}/fail-gpus"
#: Annotation on a pod, by Kueue as our admission check says: the Workload that it is of. No label, for the name may be
#: longer than one.
WORKLOAD_ANNOTATION: Final = f"{GROUP}/workload"
#: Annotation on a node: the gangs whose power profile it runs at, as namespace/name, separated by commas.
NODE_GANGS: Final = f"{GROUP}/gangs"
#: Annotation on an Event: the decision that it tells of, as status.decision.id of the Gang has it.
DECISION: Final = f"{GROUP}/decision"
#: Annotation on a Job that we suspended. A Job a user suspended does not have it and is not ours to resume.
SUSPENDED_BY: Final = f"{GROUP}/suspended-by"
SUSPENDED_BY_VALUE: Final = "rackplane"
#: Annotations on a Job that runs with fewer pods at a time: the parallelism that its user wrote, and the one that we
#: wrote instead. Where the Job has another one than that, its user has changed it since.
REQUESTED_PARALLELISM: Final = f"{GROUP}/requested-parallelism"
GRANTED_PARALLELISM: Final = f"{GROUP}/granted-parallelism"

# --- what the nodes carry --------------------------------------------------------------------------

HOSTNAME_LABEL: Final = "kubernetes.io/hostname"
#: On pods of an Indexed Job, both as label and as annotation.
COMPLETION_INDEX: Final = "batch.kubernetes.io/job-completion-index"


@dataclass(frozen=True, slots=True)
class UserRequest:
    """What a user asked for in annotations. None: not asked for."""

    required_topology: str | None = None
    preferred_topology: str | None = None
    segment_slots: int | None = None
    power_profile: str = MAX_PROFILE
    power_strict: bool = False
    expected_duration_seconds: int | None = None
    disruption: Disruption = Disruption.CHECKPOINTABLE
    on_node_loss: NodeLoss | None = None
    flex_tier: int = 0
    compute_domain: ComputeDomainMode | None = None
    min_slots: int | None = None
    gang_size: int | None = None
    completions_equal_parallelism: bool = False


_BUILT_IN_PROFILES: Final = (MAX_PROFILE, "MaxQ", "MaxLPS")
_LONGEST_DURATION_SECONDS: Final = 10 * 365 * 86_400
_UNIT_SECONDS: Final = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "μs": Decimal("1e-6"),  # the other mu: Go takes both
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_LONGEST_TEXT: Final = 253


class _Unreadable(Exception):
    """A value that does not parse: `what` is wrong and the `remedy`, as in FieldProblem."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def parse_duration(text: str) -> int:
    """Whole seconds, rounded up, of a duration as Go writes it: `90m`, `2h30m`, `3600s`, `1.5h`.

    Raises ValueError with a sentence for people for anything else, for less than a nanosecond and for more
    than ten years.
    """
    try:
        return _duration(text)
    except _Unreadable as unreadable:
        raise ValueError(f"{unreadable.what}. {unreadable.remedy}") from None


def parse_request(
    annotations: object,
    *,
    levels: Collection[str] | None = None,
    level_by_node_label: Mapping[str, str] = LEVEL_BY_NODE_LABEL,
) -> tuple[UserRequest, list[FieldProblem]]:
    """Reads what a user asked for in a workload's annotations. Never raises.

    With `levels` (the configured ones, innermost first, without nvlink) a level that nobody configured is a
    problem; without, only its spelling is checked. A field with a problem keeps its default, so a workload
    with problems must not be placed: what it asked for is not known.

    Kueue's annotations are synonyms. Saying the same thing twice is fine, saying two things is a problem.
    An annotation under our prefix that is one slip away from a known one is a problem too: left unread, it
    would drop a constraint that the user counts on.
    """
    reader = _Reader(annotations, levels=levels, level_by_node_label=level_by_node_label)
    request = UserRequest(
        required_topology=reader.level(REQUIRED_TOPOLOGY, KUEUE_REQUIRED_TOPOLOGY),
        preferred_topology=reader.level(PREFERRED_TOPOLOGY, KUEUE_PREFERRED_TOPOLOGY),
        segment_slots=reader.integer(SEGMENT_SIZE, KUEUE_SLICE_SIZE, lowest=1, highest=MAX_SLOTS),
        power_profile=reader.profile(POWER_PROFILE) or MAX_PROFILE,
        power_strict=reader.flag(POWER_STRICT) or False,
        expected_duration_seconds=reader.duration(EXPECTED_DURATION),
        disruption=reader.choice(DISRUPTION, Disruption) or Disruption.CHECKPOINTABLE,
        on_node_loss=reader.choice(ON_NODE_LOSS, NodeLoss),
        flex_tier=reader.integer(FLEX_TIER, lowest=0, highest=3) or 0,
        compute_domain=reader.choice(COMPUTE_DOMAIN, ComputeDomainMode),
        min_slots=reader.integer(MIN_SLOTS, KUEUE_MIN_PARALLELISM, lowest=1, highest=MAX_SLOTS),
        gang_size=reader.integer(GANG_SIZE, lowest=1, highest=MAX_SLOTS),
        completions_equal_parallelism=reader.flag(COMPLETIONS_EQUAL, KUEUE_COMPLETIONS_EQUAL) or False,
    )
    reader.check_segment_level()
    reader.check_sizes_fit(request)
    reader.check_spelling()
    return request, reader.problems


def _where(key: str) -> str:
    return f"metadata.annotations[{key}]"


class _Reader:
    """Reads annotations one by one and collects what is wrong with them."""

    def __init__(
        self, annotations: object, *, levels: Collection[str] | None, level_by_node_label: Mapping[str, str]
    ) -> None:
        self.problems: list[FieldProblem] = []
        self._levels = None if levels is None else (NVLINK_LEVEL, *(n for n in levels if n != NVLINK_LEVEL))
        self._level_by_node_label = level_by_node_label
        if annotations is None:
            annotations = {}
        if not isinstance(annotations, Mapping):
            what = f"is {show(annotations)}, not a map of text to text"
            self.problems.append(FieldProblem("metadata.annotations", what, "Write key: value pairs."))
            annotations = {}
        self._annotations: Mapping[object, object] = annotations

    # Each reader returns None both for "not there" and for "there, but unreadable" (then with a problem).

    def level(self, key: str, synonym: str) -> str | None:
        found = [
            (k, level) for k, text in self._texts(key, synonym) if (level := self._read(k, self._level, text))
        ]
        return self._agreed(found)

    def integer(self, *keys: str, lowest: int, highest: int) -> int | None:
        def read(text: str) -> int:
            return _integer(text, lowest=lowest, highest=highest)

        found = [(k, n) for k, text in self._texts(*keys) if (n := self._read(k, read, text)) is not None]
        return self._agreed(found)

    def profile(self, key: str) -> str | None:
        return self._agreed([(k, p) for k, text in self._texts(key) if (p := self._read(k, _profile, text))])

    def flag(self, *keys: str) -> bool | None:
        return self._agreed(
            [(k, f) for k, text in self._texts(*keys) if (f := self._read(k, _flag, text)) is not None]
        )

    def duration(self, key: str) -> int | None:
        return self._agreed([(k, d) for k, text in self._texts(key) if (d := self._read(k, _duration, text))])

    def choice(self, key: str, values: type[E]) -> E | None:
        def read(text: str) -> E:
            return _choice(text, values)

        return self._agreed([(k, d) for k, text in self._texts(key) if (d := self._read(k, read, text))])

    def check_segment_level(self) -> None:
        """Kueue lets a slice ask for any level; our segments lie in one NVLink domain."""
        for key, text in self._texts(KUEUE_SLICE_REQUIRED_TOPOLOGY):
            level = self._read(key, self._level, text)
            if level not in (None, NVLINK_LEVEL):
                self._report(
                    key,
                    f'asks for segments inside one "{level}", but a segment lies inside one NVLink domain',
                    f"Remove it, or write {CLIQUE_LABEL}.",
                )

    def check_sizes_fit(self, request: UserRequest) -> None:
        size = request.gang_size
        for key, slots in ((SEGMENT_SIZE, request.segment_slots), (MIN_SLOTS, request.min_slots)):
            if slots is not None and size is not None and slots > size:
                self._report(
                    key, f"is {slots}, more than the gang of {size}", f"Write a number from 1 to {size}."
                )

    def check_spelling(self) -> None:
        """A slip in a key would silently drop what the user asked for."""
        for key in self._annotations:
            if not isinstance(key, str) or not key.startswith(f"{GROUP}/") or key in _KNOWN_KEYS:
                continue
            # Without the prefix, which would make any two of our keys look alike.
            name = key[len(GROUP) + 1 :][:_LONGEST_TEXT].lower()
            close = difflib.get_close_matches(name, _USER_NAMES, n=1, cutoff=0.8)
            if close:
                remedy = f"Did you mean {GROUP}/{close[0]}?"
                self._report(key, "is not an annotation that Rackplane knows", remedy)

    def _texts(self, *keys: str) -> Iterator[tuple[str, str]]:
        for key in keys:
            value = self._annotations.get(key)
            if value is None:
                continue
            if isinstance(value, str):
                yield key, value.strip()
            else:
                self._report(key, f"is {show(value)}, not text", "Put the value in quotes.")

    def _read(self, key: str, parse: Callable[[str], T], text: str) -> T | None:
        try:
            return parse(text)
        except _Unreadable as unreadable:
            self._report(key, unreadable.what, unreadable.remedy)
            return None

    def _agreed(self, found: list[tuple[str, T]]) -> T | None:
        if not found:
            return None
        key, value = found[0]
        for other_key, other in found[1:]:
            if other != value:
                self._report(
                    other_key,
                    f"says {show(str(other))} but {key} says {show(str(value))}",
                    "Keep one of them.",
                )
        return value

    def _report(self, key: str, what: str, remedy: str) -> None:
        self.problems.append(FieldProblem(_where(key), what, remedy))

    def _level(self, text: str) -> str:
        known = self._levels
        level = self._level_by_node_label.get(text, text)
        choices = (
            f"Write one of {', '.join(known)}."
            if known
            else "Write nvlink, leaf, spine or another configured level."
        )
        if "/" in level:
            raise _Unreadable(f"is {show(text)}, a node label that stands for no configured level", choices)
        if len(level) > 63 or not re.match(LEVEL_PATTERN, level):
            raise _Unreadable(f"is {show(text)}, which is not the name of a level", choices)
        if known is not None and level not in known:
            raise _Unreadable(f"is {show(text)}, a level that is not configured", choices)
        return level


def _integer(text: str, *, lowest: int, highest: int) -> int:
    remedy = f'Write a whole number from {lowest} to {highest} in quotes: "{max(lowest, 1)}".'
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise _Unreadable(f"is {show(text)}, not a whole number", remedy)
    number = int(text)
    if not lowest <= number <= highest:
        raise _Unreadable(f"is {number}, not between {lowest} and {highest}", remedy)
    return number


def _profile(text: str) -> str:
    for name in _BUILT_IN_PROFILES:
        if text.lower() == name.lower():
            return name
    if len(text) > 63 or not re.match(PROFILE_PATTERN, text):
        remedy = "Write MaxP, MaxQ, MaxLPS or a name from the powerProfiles of the HardwareProfile."
        raise _Unreadable(f"is {show(text)}, which is not the name of a power profile", remedy)
    return text


def _flag(text: str) -> bool:
    match text.lower():
        case "true":
            return True
        case "false":
            return False
        case _:
            raise _Unreadable(
                f"is {show(text)}, neither true nor false", 'Write "true" or "false", in quotes.'
            )


def _choice(text: str, values: type[E]) -> E:
    for value in values:
        if text.lower() == value.lower():
            return value
    if len(values) == 1:
        raise _Unreadable(f"is {show(text)}", f"Write {next(iter(values)).lower()}, or remove it.")
    raise _Unreadable(f"is {show(text)}, which is none of the three", f"Write one of {', '.join(values)}.")


def _duration(text: str) -> int:
    remedy = "Write hours, minutes and seconds: 90m, 2h30m, 3600s."
    if text.startswith("-"):
        raise _Unreadable(f"is {show(text)}, a negative duration", remedy)
    if re.fullmatch(r"[0-9]{1,9}", text):
        raise _Unreadable(
            f"is {show(text)}, a duration without a unit", f"Write {text}s if you mean seconds."
        )
    if re.fullmatch(r"[0-9]{1,6}d", text):
        raise _Unreadable(
            f"is {show(text)}, but a duration has no unit for days", f"Write {int(text[:-1]) * 24}h."
        )
    if len(text) > _LONGEST_TEXT or not re.fullmatch(rf"(?:{_DURATION_PART.pattern})+", text):
        raise _Unreadable(f"is {show(text)}, which is not a duration", remedy)
    exact = sum((Decimal(n) * _UNIT_SECONDS[unit] for n, unit in _DURATION_PART.findall(text)), Decimal(0))
    if exact <= 0:
        raise _Unreadable(f"is {show(text)}, no time at all", remedy)
    if exact > _LONGEST_DURATION_SECONDS:
        raise _Unreadable(f"is {show(text)}, more than ten years", remedy)
    return math.ceil(exact)


_USER_NAMES: Final = [key.removeprefix(f"{GROUP}/") for key in USER_ANNOTATIONS]
_KNOWN_KEYS: Final = frozenset(
    (
        *USER_ANNOTATIONS,
        QUEUE_LABEL,
        GANG_LABEL,
        SLOT_ANNOTATION,
        POWER_CAP_WATTS,
        SUSPENDED_BY,
        REQUESTED_PARALLELISM,
        GRANTED_PARALLELISM,
        PLACEMENT_GATE,
        MANAGED_TAINT,
    )
)
