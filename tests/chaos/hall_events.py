"""What happens in the hall and to its jobs, by chance."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.chaos.books import Books
from tests.chaos.hall import NODES, PUMPS, RACKS, UPSES
from tests.support.harness import GROUP, Harness, node, thing

__all__ = ["HallEvents"]

FACILITY = f"/apis/{GROUP}/v1alpha1"


class HallEvents:
    """Args: ``note``: writes down what is done."""

    def __init__(self, h: Harness, books: Books, random: Random, note: Callable[[str], None]) -> None:
        self.h = h
        self.books = books
        self.random = random
        self.note = note
        self.made = 0
        self._orders = 0
        changes: dict[Callable[[], None], int] = {
            self.lose_node: 4, self.lose_rack: 1, self.delete_node: 1, self.lose_ups: 2, self.lose_pump: 2,
            self.order: 2, self.suspend: 2, self.resume: 4,
        }  # fmt: skip
        returns: dict[Callable[[], None], int] = {
            self.return_node: 4, self.return_ups: 4, self.return_pump: 4, self.end_order: 3,
        }  # fmt: skip
        #: by how likely each is: where what is lost soon returns, and where it stays lost
        self.usual = {**changes, **returns}
        self.lasting: dict[Callable[[], None], int] = {
            self.lose_node: 6, self.delete_node: 1, self.return_node: 3, self.suspend: 2, self.resume: 4,
        }  # fmt: skip

    # -- jobs

    def submit(self) -> None:
        self.made += 1
        r = self.random
        slots, gpus = r.choice([1, 1, 2, 2, 3, 4, 4, 6, 6, 8, 12]), r.choice([4, 4, 4, 2, 1])
        annotations = {"rackplane.dev/disruption": r.choice(["Sheddable", "Checkpointable", "Protected"])}
        if slots <= 6 and r.random() < 0.4:
            annotations["rackplane.dev/required-topology"] = "nvlink"
        if r.random() < 0.2:
            annotations["rackplane.dev/power-strict"] = "true"
        run = r.choice([20, 40, 60, 90, 150])
        self.note(f"a job: j{self.made} of {slots} x {gpus} GPUs for {run} s {annotations}")
        self.h.job(
            f"j{self.made}", slots=slots, gpus=gpus, run=run, annotations=annotations,
            indexed=r.random() < 0.7, backoffLimit=10_000,
        )  # fmt: skip

    def jobs(self) -> list[str]:
        """Those that are not over."""
        jobs = self.h.cluster.store.items(("batch", "jobs"))
        return sorted(j["metadata"]["name"] for j in jobs if not j.get("status", {}).get("completionTime"))

    def suspend(self) -> None:
        jobs = self.jobs()
        if jobs:
            job = self.random.choice(jobs)
            self.note(f"a user suspends: {job}")
            self.h.suspend(job, True)

    def resume(self, job: str = "") -> None:
        jobs = [job] if job else self.jobs()
        name = self.random.choice(jobs) if jobs else ""
        if not name:
            return
        found = self.h.get("batch", "jobs", name)
        ours = "rackplane.dev/suspended-by" in found["metadata"].get("annotations", {})
        if found["spec"].get("suspend") and not ours:
            self.note(f"a user resumes: {name}")
            self.h.suspend(name, False)

    # -- nodes

    def lose_node(self, name: str = "") -> None:
        by_chance = not name
        name = name or self.random.choice([*NODES])
        if name in self.books.nodes and not (by_chance and len(self.h.down) >= 10):
            self.note(f"a node is lost: {name}")
            self.h.node_ready(name, False)

    def lose_rack(self) -> None:
        """All its nodes at once: gangs on it have to move."""
        if len(self.h.down) < 4:
            rack = self.random.choice(RACKS)
            self.note(f"a rack is lost: {rack}")
            for name, of in NODES.items():
                if of == rack and name in self.books.nodes:
                    self.h.node_ready(name, False)

    def return_node(self, name: str = "") -> None:
        gone = [name] if name else sorted(self.h.down) or [n for n in NODES if n not in self.books.nodes]
        if not gone:
            return
        name = self.random.choice(gone)
        if name not in self.books.nodes:
            self.note(f"a node is made anew: {name}")
            self.h.down.discard(name)
            self.h.apply(node(name, NODES[name]))
        elif name in self.h.down:
            self.note(f"a node returns: {name}")
            self.h.node_ready(name, True)

    def delete_node(self) -> None:
        name = self.random.choice([*NODES])
        if name not in self.books.nodes or len(NODES) - len(self.books.nodes) > 3:
            return
        self.note(f"a node is deleted: {name}")
        self.h.down.discard(name)
        self.h.request("DELETE", f"/api/v1/nodes/{name}")
        for pod in self.h.pods():
            if pod["spec"].get("nodeName") == name:
                path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
                self.h.request("DELETE", path, {"gracePeriodSeconds": 0})

    # -- power and cooling

    def outage(self) -> None:
        """Something that stays lost for a while, and that the load of a full hall is too much for."""
        ups, pumps = self.random.sample(UPSES, 3), self.random.sample(PUMPS, 2)
        kind = self.random.choice(
            ["two UPSs", "two UPSs", "three UPSs", "a UPS and pumps", "pumps", "an order"]
        )
        self.note(f"a lasting outage, {kind}: {ups} {pumps}")
        for name in {"two UPSs": ups[:2], "three UPSs": ups, "a UPS and pumps": ups[:1]}.get(kind, ()):
            self.set_ups(name, "Offline")
        for name in pumps if "pumps" in kind else ():
            self.set_pump(name, "Offline")
        if kind == "an order":
            self.send_order(140, best_effort=False)

    def restore(self) -> None:
        """All that is lost returns."""
        for ups in self.out():
            self.set_ups(ups, "Online")
        for pump in PUMPS:
            self.set_pump(pump, "Online")
        for order in self.orders():
            self.h.request("DELETE", f"{FACILITY}/powerbudgets/{order}")

    def set_ups(self, name: str, state: str) -> None:
        self.h.patch(f"{FACILITY}/powerdomains/{name}", {"spec": {"state": state}})

    def out(self) -> list[str]:
        found = self.h.cluster.store.items((GROUP, "powerdomains"))
        return sorted(p["metadata"]["name"] for p in found if p["spec"].get("state", "Online") != "Online")

    def lose_ups(self) -> None:
        if len(self.out()) < 2:
            name = self.random.choice(UPSES)
            self.note(f"a UPS is lost: {name}")
            self.set_ups(name, "Offline")

    def return_ups(self) -> None:
        out = self.out()
        if out:
            name = self.random.choice(out)
            self.note(f"a UPS returns: {name}")
            self.set_ups(name, "Online")

    def set_pump(self, name: str, state: str) -> None:
        units: list[dict[str, Any]] = self.h.get(GROUP, "coolingzones", "liquid", "")["spec"]["units"]
        changed = [unit | ({"state": state} if unit["name"] == name else {}) for unit in units]
        if changed != units:
            self.h.patch(f"{FACILITY}/coolingzones/liquid", {"spec": {"units": changed}})

    def lose_pump(self) -> None:
        name = self.random.choice(PUMPS)
        self.note(f"a pump is lost: {name}")
        self.set_pump(name, "Offline")

    def return_pump(self) -> None:
        name = self.random.choice(PUMPS)
        self.note(f"a pump returns: {name}")
        self.set_pump(name, "Online")

    def orders(self) -> list[str]:
        found = self.h.cluster.store.items((GROUP, "powerbudgets"))
        return sorted(budget["metadata"]["name"] for budget in found)

    def order(self) -> None:
        if len(self.orders()) < 2:
            kw, best = self.random.choice([160, 220, 280]), self.random.random() < 0.3
            self.note(f"an order: {kw} kW{', best effort' if best else ''}")
            self.send_order(kw, best_effort=best)

    def send_order(self, kw: int, *, best_effort: bool) -> None:
        self._orders += 1
        self.h.apply(
            thing(
                "PowerBudget", f"order-{self._orders}", targets={"powerDomains": ["utility"]},
                limitWatts=kw * 1_000, bestEffort=best_effort,
            )
        )  # fmt: skip

    def end_order(self) -> None:
        orders = self.orders()
        if orders:
            name = self.random.choice(orders)
            self.note(f"an order ends: {name}")
            self.h.request("DELETE", f"{FACILITY}/powerbudgets/{name}")
