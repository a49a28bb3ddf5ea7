"""The steps of `rackplane kind-demo`, on the objects of the API alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml
from rich.console import Console

from rackplane.api.kinds import BY_KIND
from rackplane.api.labels import (
    FAIL_GPUS,
    MOCK_GPUS,
    POWER_CAP_APPLIED_WATTS,
    POWER_CAP_WATTS,
    QUEUE_LABEL,
)
from rackplane.cli.errors import CommandError, Exit
from rackplane.cli.table import show_table
from rackplane.figures import kilowatts
from rackplane.kube.client import APPLY_PATCH, MERGE_PATCH, ApiError, Client
from rackplane.kube.resources import GANGS, JOBS, NODES, PODS, facility

__all__ = ["Demo"]

_LOOK_SECONDS: Final = 0.5
_MANAGER: Final = "rackplane-kind-demo"
_LOST, _LEFT = "ups-b", "ups-a"
"""The power domain that is lost, and the one that then carries everything and loses modules."""
_MODULES_LEFT: Final = 2

Body = dict[str, Any]


class Demo:
    """One run.

    Args:
        client: sends the requests.
        namespace: of the jobs.
        patience: how many seconds each step may take.
        console: where it is told.
    """

    def __init__(
        self, client: Client, *, namespace: str, patience: float, console: Console | None = None
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._patience = patience
        self._console = console or Console(highlight=False)
        self._jobs: list[str] = []
        self._repairs: dict[str, Body] = {}

    async def run(self, facility_folder: Path, jobs_folder: Path) -> None:
        """All steps; whatever comes, what was broken is repaired and the jobs are deleted.

        Raises:
            CommandError: a step did not end as it should.
            ApiError: the API server refused a request.
        """
        try:
            await self._nodes_have_gpus(facility_folder)
            await self._gangs_run(jobs_folder)
            await self._gpu_fails()
            await self._feed_is_lost()
            await self._modules_fail()
            await self._all_is_repaired()
        finally:
            await self._repair()
            for name in self._jobs:
                path = JOBS.path(self._namespace, name)
                await self._client.request("DELETE", path, query={"propagationPolicy": "Background"})

    # -- the steps

    async def _nodes_have_gpus(self, folder: Path) -> None:
        self._say("Nodes get mock GPUs from the device plugin, as their racks and hardware profile say:")
        specs = _documents(folder)
        for body in specs:
            plural = BY_KIND[body["kind"]].info.plural
            await self._apply(facility(plural).path(None, body["metadata"]["name"]), body)
        racks = {b["metadata"]["name"]: b["spec"] for b in specs if b["kind"] == "Rack"}
        profiles = {b["metadata"]["name"]: b["spec"] for b in specs if b["kind"] == "HardwareProfile"}

        def complete(found: Body) -> bool:
            free = {r["metadata"]["name"]: r.get("status", {}).get("freeGpus") for r in found["items"]}
            return all(
                free.get(name) == spec["expectedNodes"] * profiles[spec["profile"]]["gpusPerNode"]
                for name, spec in racks.items()
            )

        await self._until(facility("racks").path(), complete, "all GPUs of all racks are offered and free")
        rows = []
        for node in await self._list(NODES.path()):
            labels = node["metadata"].get("labels", {})
            rack = next((n for n, s in racks.items() if s["nodeSelector"].items() <= labels.items()), "")
            if rack:
                given = [labels.get(f"nvidia.com/gpu.{key}", "") for key in ("product", "count", "clique")]
                rows.append((rack, node["metadata"]["name"], *given))
        show_table(self._console, ("rack", "node", "model", "GPUs", "clique"), sorted(rows), right={3})

    async def _gangs_run(self, folder: Path) -> None:
        self._say("Jobs with the label rackplane.dev/queue run as gangs, each inside one NVLink domain:")
        for body in _documents(folder):
            if body["kind"] == "Job" and QUEUE_LABEL in body["metadata"].get("labels", {}):
                name = body["metadata"]["name"]
                await self._apply(JOBS.path(self._namespace, name), body)
                self._jobs.append(name)
        await self._until(self._gangs, self._running, "all gangs run")
        await self._show_gangs()

    async def _gpu_fails(self) -> None:
        gangs = await self._list(self._gangs)
        free = await self._free_by_rack()
        # One whose domain has a node left.
        gang = next((g for g in gangs if any(free.get(part["rack"]) for part in _parts(g))), None)
        if gang is None:
            raise CommandError(
                "no gang has a free node in its NVLink domain: is the cluster used by others?", code=Exit.NO
            )
        name, before = gang["metadata"]["name"], _nodes(gang)
        node = before[-1]
        self._say(f"GPU 2 of {node} fails; the gang {name} goes on with another node of its domain:")
        await self._annotate(node, "2")

        def moved(found: Body) -> bool:
            return self._running(found) and any(
                g["metadata"]["name"] == name and node not in _nodes(g) for g in found["items"]
            )

        started = time.monotonic()
        found = await self._until(self._gangs, moved, f"{name} has left {node}, and all gangs run")
        after = next(_nodes(g) for g in found["items"] if g["metadata"]["name"] == name)
        told = (await self._get(NODES.path(None, node)))["metadata"]["annotations"].get(MOCK_GPUS, "")
        [new] = set(after) - set(before)
        self._console.print(f"{node}: {told}")
        self._console.print(f"{name}: {node} -> {new} after {time.monotonic() - started:.0f} s")
        await self._annotate(node, None)

    async def _feed_is_lost(self) -> None:
        self._say(f"{_LOST} is lost. The gangs were admitted so that this is survived: nobody gives way.")
        await self._break(_LOST, {"state": "Offline"}, {"state": None})
        path = facility("powerdomains").path()

        def carried(found: Body) -> bool:
            loads = {p["metadata"]["name"]: _reserved(p) for p in found["items"]}
            return not loads[_LOST] and loads[_LEFT] > 0

        await self._until(path, carried, f"{_LEFT} carries everything")
        await self._show_power()
        gangs = await self._list(self._gangs)
        if not self._running({"items": gangs}) or any(g["status"].get("shed") for g in gangs):
            raise CommandError(
                f"after the loss of {_LOST} not every gang runs as before: {_phases(gangs)}", code=Exit.NO
            )
        self._console.print(f"{len(gangs)} gangs run as before")

    async def _modules_fail(self) -> None:
        self._say(f"Then two of the four modules of {_LEFT} fail: gangs run at a lower power profile.")
        modules = (await self._get(facility("powerdomains").path(None, _LEFT)))["spec"]["redundancy"]
        less = {"redundancy": {**modules, "online": _MODULES_LEFT}}
        started = time.monotonic()
        await self._break(_LEFT, less, {"redundancy": {**modules, "online": None}})
        await self._until(
            self._gangs,
            lambda found: any(g.get("status", {}).get("shed") for g in found["items"]),
            "a gang gives way",
        )
        limit = _MODULES_LEFT * modules["moduleWatts"]
        # Watts are given back in the books only when the agents on the nodes have confirmed their caps.
        path = facility("powerdomains").path(None, _LEFT)
        await self._until(path, lambda p: 0 < _reserved(p) <= limit, f"{_LEFT} carries at most {limit:,} W")
        seconds = time.monotonic() - started
        await self._show_power()
        await self._show_gangs()
        await self._show_caps()
        self._console.print(f"Under its limit {seconds:.1f} s after the modules failed.")

    async def _all_is_repaired(self) -> None:
        self._say("All is repaired: the caps are lifted when there has been room for restoreSeconds.")
        await self._repair()
        await self._until(
            self._gangs,
            lambda found: self._running(found) and not any(g["status"].get("shed") for g in found["items"]),
            "all gangs run as before",
        )
        await self._show_gangs()

    # -- what is shown

    async def _show_gangs(self) -> None:
        rows = []
        for gang in await self._list(self._gangs):
            status = gang.get("status", {})
            racks = ", ".join(dict.fromkeys(part["rack"] for part in _parts(gang)))
            watts = kilowatts(status.get("reservedNominalWatts", 0))
            row = (
                gang["metadata"]["name"],
                status.get("phase", ""),
                status.get("powerProfile", ""),
                watts,
                racks,
            )
            rows.append((*row, ", ".join(_nodes(gang))))
        show_table(self._console, ("gang", "phase", "profile", "kW", "rack", "nodes"), rows, right={3})

    async def _show_power(self) -> None:
        rows = []
        for power in await self._list(facility("powerdomains").path()):
            status = power.get("status", {})
            usable = status.get("usableWatts")
            rows.append(
                (
                    power["metadata"]["name"],
                    power["spec"].get("state", "Online"),
                    kilowatts(_reserved(power)),
                    "" if usable is None else kilowatts(usable),
                )
            )
        show_table(self._console, ("power domain", "state", "kW", "usable kW"), rows, right={2, 3})

    async def _show_caps(self) -> None:
        rows = []
        for node in await self._list(NODES.path()):
            found = node["metadata"].get("annotations", {})
            if POWER_CAP_WATTS in found:
                applied = found.get(POWER_CAP_APPLIED_WATTS, "")
                rows.append((node["metadata"]["name"], found[POWER_CAP_WATTS], applied))
        show_table(self._console, ("node", "cap W", "in force W"), rows, right={1, 2})

    def _say(self, text: str) -> None:
        self._console.print(f"\n{text}", style="bold", soft_wrap=True)

    # -- the API

    @property
    def _gangs(self) -> str:
        return GANGS.path(self._namespace)

    def _running(self, found: Mapping[str, Any]) -> bool:
        phases = {g["metadata"]["name"]: g.get("status", {}).get("phase") for g in found["items"]}
        return {f"job-{name}" for name in self._jobs} <= phases.keys() and set(phases.values()) == {"Running"}

    async def _free_by_rack(self) -> dict[str, int]:
        racks = await self._list(facility("racks").path())
        return {r["metadata"]["name"]: r.get("status", {}).get("freeGpus", 0) for r in racks}

    async def _break(self, power: str, change: Body, repair: Body) -> None:
        self._repairs[facility("powerdomains").path(None, power)] = {"spec": repair}
        await self._patch(facility("powerdomains").path(None, power), {"spec": change})

    async def _annotate(self, node: str, failures: str | None) -> None:
        path = NODES.path(None, node)
        repair = {"metadata": {"annotations": {FAIL_GPUS: None}}}
        self._repairs[path] = repair
        await self._patch(path, {"metadata": {"annotations": {FAIL_GPUS: failures}}})

    async def _repair(self) -> None:
        for path in list(self._repairs):
            await self._patch(path, self._repairs.pop(path))

    async def _get(self, path: str) -> Body:
        found: Body = msgspec.json.decode(await self._client.request("GET", path))
        return found

    async def _list(self, path: str) -> list[Body]:
        items: list[Body] = (await self._get(path))["items"]
        return sorted(items, key=lambda it: str(it["metadata"]["name"]))

    async def _patch(self, path: str, body: Body) -> None:
        await self._client.request("PATCH", path, body=body, content_type=MERGE_PATCH)

    async def _apply(self, path: str, body: Body) -> None:
        query = {"fieldManager": _MANAGER, "force": "true"}
        await self._client.request("PATCH", path, query=query, body=body, content_type=APPLY_PATCH)

    async def _until(self, path: str, holds: Callable[[Body], bool], what: str) -> Body:
        """The answer of `path` as soon as it `holds`.

        Raises:
            CommandError: it did not in time.
        """
        end = time.monotonic() + self._patience
        while True:
            try:
                found = await self._get(path)
                if holds(found):
                    return found
            except ApiError as error:
                if 400 <= error.status < 500:
                    raise
            if time.monotonic() >= end:
                raise CommandError(
                    f"waited {self._patience:g} s for this, in vain: {what}. {await self._why()}",
                    code=Exit.NO,
                )
            await asyncio.sleep(_LOOK_SECONDS)

    async def _why(self) -> str:
        """What there is instead, for people."""
        said = [f"gangs: {_phases(await self._list(self._gangs)) or 'none'}"]
        racks = await self._list(facility("racks").path())
        said.append("free GPUs: " + ", ".join(f"{r['metadata']['name']} {_free(r)}" for r in racks))
        pods = await self._list(PODS.path(self._namespace))
        stuck = [p["metadata"]["name"] for p in pods if p.get("status", {}).get("phase") == "Pending"]
        return "; ".join([*said, *([f"pods that wait: {', '.join(stuck)}"] if stuck else [])])


def _documents(folder: Path) -> list[Body]:
    texts = [path.read_text() for path in sorted(folder.glob("*.yaml"))]
    return [body for text in texts for body in yaml.safe_load_all(text) if body]


def _parts(gang: Mapping[str, Any]) -> Iterable[Body]:
    parts: list[Body] = gang.get("status", {}).get("assignment", [])
    return parts


def _nodes(gang: Mapping[str, Any]) -> list[str]:
    return [node for part in _parts(gang) for node in part["nodes"]]


def _reserved(power: Mapping[str, Any]) -> int:
    return int(power.get("status", {}).get("reservedNominalWatts") or 0)


def _free(rack: Mapping[str, Any]) -> object:
    return rack.get("status", {}).get("freeGpus", "not known")


def _phases(gangs: Iterable[Mapping[str, Any]]) -> str:
    said = (
        (
            g["metadata"]["name"],
            g.get("status", {}).get("phase", "new"),
            g.get("status", {}).get("message", ""),
        )
        for g in gangs
    )
    return ", ".join(
        f"{name} is {phase}" + (f" ({message})" if message else "") for name, phase, message in said
    )
