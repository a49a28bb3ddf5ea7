"""Orders of a utility or a grid operator, as PowerBudgets: one for each source, targets and start.

What a person wrote is never touched: only a budget that carries our label for the same source is changed. Where orders
overlap, the strictest holds. One that is taken back stays as a budget whose time is over, so that a late repeat of the
order does not bring it back.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rackplane.api.base import GROUP, MAX_WATTS
from rackplane.api.power_budget import PowerBudget
from rackplane.api.power_domain import PowerDomain
from rackplane.controller.reports.sayings import Fault, Order
from rackplane.core.gangs.statuses import seconds
from rackplane.core.site.entries import Entry, ObjectKey
from rackplane.kube.client import MERGE_PATCH, ApiError, Client
from rackplane.kube.resources import facility

__all__ = ["ORDERED_BY", "Orders"]

ORDERED_BY: Final = f"{GROUP}/ordered-by"
"""Label: the source whose orders the budget stands for."""
_AT: Final = f"{GROUP}/ordered-at"
_ID: Final = f"{GROUP}/order-id"
_BUDGETS: Final = facility(PowerBudget.info.plural)
_ATTEMPTS: Final = 10
_FARTHEST: Final = 10 * 365 * 86_400.0
_SHOWN: Final = 5


class Orders:
    """Writes budgets.

    Args:
        client: reads and writes them.
        elements: the objects as last seen, for the feeds that there are.
    """

    def __init__(self, client: Client, elements: Mapping[ObjectKey, Entry]) -> None:
        self._client = client
        self._domains = {
            name: e.model for (_, name), e in elements.items() if isinstance(e.model, PowerDomain)
        }

    async def take(self, source: str, order: Order) -> dict[str, str]:
        """Create, change or end what stands for the order.

        Raises:
            Fault: it cannot be carried out.
            ApiError: the API server does not answer, or will not take it.
        """
        targets = self._targets(order)
        if order.ends_at is not None and order.ends_at <= order.starts_at:
            raise Fault(order.where, "ends before it starts", "Send an end after the start")
        if order.starts_at > order.at + _FARTHEST:
            raise Fault(order.where, "starts more than ten years ahead", "Check the year")
        if order.limit_watts is not None and order.limit_watts > MAX_WATTS:
            raise Fault(order.where, f"asks for {order.limit_watts:,} W", "Check the unit of the limit")
        if order.limit_watts is not None:
            return await self._write(source, order, _name(source, targets, order.starts_at), targets)
        results = []
        for budget in await self._of(source):
            if budget["spec"].get("targets") == targets and _within(budget, order):
                results.append(await self._write(source, order, budget["metadata"]["name"], targets))
        own = _name(source, targets, order.starts_at)
        if not any(r["object"] == f"PowerBudget/{own}" for r in results):
            # The order itself may come later than what takes it back.
            results.append(await self._write(source, order, own, targets))
        return next((r for r in results if r["result"] == "taken"), results[0])

    async def _of(self, source: str) -> list[dict[str, Any]]:
        query = {"labelSelector": f"{ORDERED_BY}={source}"}
        found = json.loads(await self._client.request("GET", _BUDGETS.path(), query=query))
        return list(found.get("items") or ())

    def _targets(self, order: Order) -> dict[str, list[str]]:
        tags = {d.spec.feed_tag for d in self._domains.values() if d.spec.feed_tag is not None}
        unknown = sorted({*order.feed_tags} - tags)
        if unknown:
            there = ", ".join(sorted(tags)[:_SHOWN]) or "none"
            remedy = f"There are {there}: set spec.feedTag of the PowerDomains"
            raise Fault(order.where, f"no PowerDomain has the feed tag {unknown[0]}", remedy)
        missing = sorted({*order.power_domains} - {*self._domains})
        if missing:
            raise Fault(order.where, f"PowerDomain {missing[0]} does not exist", "Correct the name")
        if order.feed_tags or order.power_domains:
            found = {"feedTags": [*order.feed_tags], "powerDomains": [*order.power_domains]}
        elif tags:
            found = {"feedTags": sorted(tags)}
        else:
            found = {"powerDomains": sorted(name for name, d in self._domains.items() if not d.spec.parents)}
        found = {key: names for key, names in found.items() if names}
        if not found:
            raise Fault(
                order.where, "there is no PowerDomain that it could bound", "Apply the facility first"
            )
        return found

    async def _write(
        self, source: str, order: Order, name: str, targets: Mapping[str, Any]
    ) -> dict[str, str]:
        said = {"where": order.where, "object": f"PowerBudget/{name}", "what": "Order"}
        for attempt in range(_ATTEMPTS):
            try:
                try:
                    old = json.loads(await self._client.request("GET", _BUDGETS.path(None, name)))
                except ApiError as error:
                    if error.status != 404:
                        raise
                    body = _body(source, order, name, targets)
                    await self._client.request("POST", _BUDGETS.path(), body=body)
                    return {**said, "result": "taken"}
                meta = old["metadata"]
                if meta.get("labels", {}).get(ORDERED_BY) != source:
                    raise Fault(
                        order.where,
                        f"PowerBudget {name} is somebody else's",
                        "Rename it, and send the order again",
                    )
                notes = meta.get("annotations", {})
                before = _seconds(notes.get(_AT))
                if notes.get(_ID) == order.id and before == order.at:
                    return {**said, "result": "repeated"}
                if order.at <= before:
                    return {**said, "result": "outdated"}
                body = _body(source, order, name, targets)
                body["metadata"]["resourceVersion"] = meta["resourceVersion"]
                # What the new order does not have is not kept from the old one.
                body["spec"] = {**dict.fromkeys(("interval", "correlationId")), **body["spec"]}
                await self._client.request(
                    "PATCH", _BUDGETS.path(None, name), body=body, content_type=MERGE_PATCH
                )
                return {**said, "result": "taken"}
            except ApiError as error:
                if error.status == 409 and attempt + 1 < _ATTEMPTS:
                    continue
                if error.status == 422:
                    raise Fault(
                        order.where, f"cannot be a PowerBudget: {error.message}", "Correct it"
                    ) from error
                raise
        raise AssertionError("every attempt ends above")


def _body(source: str, order: Order, name: str, targets: Mapping[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {"targets": dict(targets), "bestEffort": order.best_effort}
    if order.correlation_id:
        spec["correlationId"] = order.correlation_id
    if order.limit_watts is None:
        # Over before it is read.
        spec |= {"limitWatts": 0, "interval": {"start": _stamp(order.at - 2), "end": _stamp(order.at - 1)}}
    else:
        spec["limitWatts"] = order.limit_watts
        # Without an end it holds until something takes it back: so long that nobody waits for it.
        end = order.starts_at + 100 * 365 * 86_400.0 if order.ends_at is None else order.ends_at
        spec["interval"] = {"start": _stamp(order.starts_at), "end": _stamp(end)}
    notes = {_AT: repr(order.at), _ID: order.id}
    metadata = {"name": name, "labels": {ORDERED_BY: source}, "annotations": notes}
    return {"apiVersion": f"{GROUP}/v1alpha1", "kind": "PowerBudget", "metadata": metadata, "spec": spec}


def _name(source: str, targets: Mapping[str, Any], start: float) -> str:
    identity = json.dumps([source, targets, start], sort_keys=True)
    stem = "".join(c if c.isalnum() else "-" for c in source.lower()).strip("-")
    return f"order-{stem}-{hashlib.sha256(identity.encode()).hexdigest()[:10]}"


def _within(budget: Mapping[str, Any], order: Order) -> bool:
    """Whether all of the budget's time is that of the order."""
    interval = budget["spec"].get("interval") or {}
    try:
        start, end = seconds(interval["start"]), seconds(interval["end"])
    except (KeyError, ValueError):
        return False
    return order.starts_at <= start and end <= (math.inf if order.ends_at is None else order.ends_at)


def _seconds(text: object) -> float:
    try:
        return float(text) if isinstance(text, str) else 0.0
    except ValueError:
        return 0.0


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
