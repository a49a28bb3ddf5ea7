"""Reports written to the objects that they are of: compare-and-swap, by any replica.

An earlier word never replaces a later one (`core.site.reports`), so that replicas, retries and detours of the network
all come to the same. The leader reads the objects as it reads every other change of them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from rackplane.api.kinds import BY_KIND
from rackplane.api.report import MOST_REPORTS, Leak, ReportedState, ReportWhat
from rackplane.controller.reports.names import Names, Target
from rackplane.controller.reports.orders import Orders
from rackplane.controller.reports.sayings import Fault, Reading, Saying
from rackplane.core.site.entries import Entry, ObjectKey
from rackplane.core.site.reports import Heard, heard, is_bad_news, replaces
from rackplane.kube.client import MERGE_PATCH, ApiError, Client
from rackplane.kube.resources import facility

__all__ = ["Desk", "Outcome"]

#: Others write to the same objects: so often a write is tried on a newer version.
_ATTEMPTS: Final = 10
TAKEN, REPEATED, OUTDATED = "taken", "repeated", "outdated"


@dataclass(slots=True)
class Outcome:
    """What became of one document."""

    results: list[dict[str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


class Desk:
    """Takes what sources say.

    Args:
        client: reads and writes the objects.
        elements: the objects as last seen, to find out which one is meant.
        count: called with the source and the result of each report.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        *,
        client: Client,
        elements: Callable[[], Mapping[ObjectKey, Entry]],
        count: Callable[[str, str], None],
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._elements = elements
        self._count = count
        self._clock = clock

    async def take(self, source: str, reading: Reading) -> Outcome:
        """Write what can be written, and say what became of each part.

        Raises:
            ApiError: the API server does not answer, or will not take it; what was written before stays.
        """
        outcome = Outcome(faults=list(reading.faults), unused=list(reading.unused))
        names, by_object = Names(self._elements()), dict[tuple[str, str], list[tuple[Saying, Target]]]()
        for saying in reading.sayings:
            try:
                target = names.find(saying)
            except Fault as fault:
                if saying.may_be_unknown:
                    outcome.unused.append(str(fault))
                else:
                    outcome.faults.append(fault)
                continue
            by_object.setdefault((target.kind, target.name), []).append((saying, target))
        writes = [self._merge(source, key, said, outcome) for key, said in by_object.items()]
        done = await asyncio.gather(*writes, return_exceptions=True)
        orders = Orders(self._client, self._elements())
        for order in reading.orders:
            try:
                outcome.results.append(await orders.take(source, order))
            except Fault as fault:
                outcome.faults.append(fault)
        for result in outcome.results:
            self._count(source, result["result"])
        for name, many in (("refused", len(outcome.faults)), ("unused", len(outcome.unused))):
            for _ in range(many):
                self._count(source, name)
        problem = next((each for each in done if isinstance(each, BaseException)), None)
        if problem is not None:
            self._count(source, "failed")
            raise problem
        return outcome

    async def _merge(
        self, source: str, key: tuple[str, str], said: Sequence[tuple[Saying, Target]], outcome: Outcome
    ) -> None:
        resource = facility(BY_KIND[key[0]].info.plural)
        for attempt in range(_ATTEMPTS):
            try:
                body = json.loads(await self._client.request("GET", resource.path(None, key[1])))
                entries = list(body.get("status", {}).get("reports") or ())
                kept, results, changed = self._merged(source, entries, said)
                if len(kept) > MOST_REPORTS:
                    what = f"{key[0]} {key[1]} has {MOST_REPORTS} reports already"
                    outcome.faults.append(Fault(said[0][0].where, what, "Report fewer of its parts apart"))
                    return
                if changed:
                    change = {
                        "metadata": {"resourceVersion": body["metadata"]["resourceVersion"]},
                        "status": {"reports": kept},
                    }
                    path = resource.path(None, key[1], "status")
                    await self._client.request("PATCH", path, body=change, content_type=MERGE_PATCH)
            except ApiError as error:
                if error.status == 404:
                    what = f"{key[0]} {key[1]} does not exist any more"
                    outcome.faults.append(Fault(said[0][0].where, what, "Report what there is"))
                    return
                if error.status == 409 and attempt + 1 < _ATTEMPTS:
                    continue
                raise
            outcome.results.extend(results)
            return

    def _merged(
        self, source: str, entries: list[dict[str, Any]], said: Sequence[tuple[Saying, Target]]
    ) -> tuple[list[dict[str, Any]], list[dict[str, str]], bool]:
        """The list as it is to be, what became of each saying, and whether there is anything to write."""
        known = {h.key: (h, entry) for h, entry in zip(heard({"reports": entries}), entries, strict=True)}
        results, changed = [], False
        for saying, target in said:
            new = _entry(source, saying, target)
            [after] = heard({"reports": [new]})
            before = known[after.key][0] if after.key in known else None
            if before is not None and not replaces(after, before):
                result = REPEATED if before.id == after.id else OUTDATED
            elif before is not None and self._is_no_news(before, after):
                result = REPEATED
            else:
                known[after.key] = (after, new)
                result, changed = TAKEN, True
            of = f"{target.kind}/{target.name}" + (f"/{target.unit}" if target.unit else "")
            results.append({"where": saying.where, "object": of, "what": str(saying.what), "result": result})
        return [entry for _, entry in known.values()], results, changed

    def _is_no_news(self, before: Heard, after: Heard) -> bool:
        """Good news once more, long before anybody would miss it: not worth a write.

        A late report of something bad may then seem newer than it is; the next good one is newer still.
        """
        if (
            before.what == ReportWhat.SUPPLY_CELSIUS.value
            or is_bad_news(before)
            or before.value != after.value
        ):
            return False
        return (
            before.expires is not None and before.expires - self._clock() > (before.expires - before.at) / 2
        )


def _entry(source: str, saying: Saying, target: Target) -> dict[str, Any]:
    what = saying.what
    if what is ReportWhat.STATE and target.unit:
        what = ReportWhat.UNIT
    entry: dict[str, Any] = {
        "source": source,
        "what": what.value,
        "unit": target.unit,
        "at": _stamp(saying.at),
        "id": saying.id,
    }
    value = saying.value
    if isinstance(value, ReportedState):
        entry["state"] = value.value
    elif isinstance(value, Leak):
        entry["leak"] = value.value
    else:
        entry["supplyCelsius"] = value
    if saying.expires is not None:
        entry["expires"] = _stamp(saying.expires)
    if saying.message:
        entry["message"] = saying.message
    return entry


def _stamp(seconds: float) -> str:
    """RFC 3339 in UTC, to the microsecond: two changes may lie close together."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
