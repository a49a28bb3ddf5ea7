"""What the operator's admissions do to a hall with two sides, by the oracle: from the Gangs as written, each step."""

from __future__ import annotations

from typing import Any

from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.slots import parse_slots
from rackplane.engine.model import FacilitySpec
from rackplane.engine.physics.loads import TOLERANCE_WATTS
from tests.property.engine.against_oracle import drawn_by
from tests.property.engine.oracle import Oracle
from tests.property.engine.oracle_draws import Draws, Work, draws
from tests.support.harness import GROUP, Harness, facility, feed

PROMISED = ("Admitted", "Running", "Stopping")


def two_sides(
    *, racks: int, nodes: int, rack_watts: int, side_watts: int, cooling_watts: int
) -> list[dict[str, Any]]:
    """Racks on two UPSes, a and b, each designed to be lost, and each the supply of one of two CDUs.

    ``side_watts`` is what a UPS carries over all racks idling, ``cooling_watts`` what a CDU takes of their heat.
    """
    idle = racks * (2_000 + nodes * 1_000) + 1_000
    made = facility(racks=racks, nodes=nodes, rack_watts=rack_watts, row_watts=1_000_000)
    for thing in made:
        name, spec = thing["metadata"]["name"], thing["spec"]
        match thing["kind"]:
            case "HardwareProfile":
                slow = {"name": "MaxQ", "nodeWatts": 3_000, "relativePerformancePercent": 70}
                spec |= {"typicalUtilizationPercent": 90, "peakPercent": 120, "powerProfiles": [slow]}
            case "PowerDomain" if name in ("a", "b"):
                rated = idle + side_watts
                spec |= {"survivable": True, "ratedWatts": rated, "peakLimitWatts": rated + 1_000}
                spec |= {"efficiencyBasisPoints": 9_600}
            case "CoolingZone" if name == "liquid":
                spec["neededUnits"] = 2  # without a side, half of it
                spec["units"] = [
                    {
                        "name": f"cdu-{side}",
                        "capacityWatts": idle + cooling_watts,
                        "drawWatts": 400,
                        "feeds": [feed(side)],
                    }
                    for side in "ab"
                ]
            case "Rack":
                weight = 1 + int(name[1:]) % 2
                spec["feeds"] = [feed("a", weight) | {"limitWatts": rack_watts}, feed("b")]
                spec["peakLimitWatts"] = rack_watts + 4_000
    return made


class Watts:
    """Watches one harness."""

    def __init__(self, harness: Harness) -> None:
        self.h = harness
        self.known: set[str] = set()
        """Bookings whose admission has been looked at."""
        self._oracle: tuple[FacilitySpec, Oracle] | None = None
        self._seen: Draws | None = None

    def oracle(self, spec: FacilitySpec) -> Oracle:
        if self._oracle is None or self._oracle[0] != spec:
            self._oracle, self._seen = (spec, Oracle(spec)), None
        return self._oracle[1]

    def restarting(self) -> None:
        """What a new process takes over is not admitted by it."""
        self.known = {booking_key(("default", gang["metadata"]["name"])) for gang in self.promised()}

    def promised(self) -> list[dict[str, Any]]:
        gangs = self.h.cluster.store.items((GROUP, "gangs"))
        return [g for g in gangs if g.get("status", {}).get("phase") in PROMISED]

    def check(self, disturbed: bool) -> None:
        """No limit is exceeded, after no loss; once something else may have done that, nothing is added to it."""
        if self.h.machine.state is None:
            return
        if not disturbed:
            self.check_promises(self.oracle(self.h.machine.state.facility.spec))
        self.check_admissions()

    def check_promises(self, oracle: Oracle) -> None:
        drawn = self.committed(oracle.spec)
        if drawn != self._seen:
            self._seen = drawn
            assert oracle.violations(oracle.loads(drawn), tolerance=TOLERANCE_WATTS) == set()

    def committed(self, spec: FacilitySpec) -> Draws:
        """The racks' draws from what the API server has: nodes, and the promises of Gangs."""
        works: dict[str, list[Work]] = {}
        for gang in self.promised():
            status = gang["status"]
            over = parse_slots(status.get("releasedSlots", ""))
            slots = [name for group in status["assignment"] for name in group["nodes"]]
            for slot, name in enumerate(slots):
                if slot not in over:
                    work = Work(gang["spec"]["gpusPerSlot"], status["powerProfile"])
                    works.setdefault(name, []).append(work)
        nodes = self.h.cluster.store.items(("", "nodes"))
        return draws(
            spec,
            [
                (n["metadata"]["labels"]["rackplane.dev/rack"], works.get(n["metadata"]["name"], ()))
                for n in nodes
            ],
        )

    def check_admissions(self) -> None:
        state = self.h.machine.state
        assert state is not None
        keys = set(state.keys())
        new, self.known = keys - self.known, keys
        if not new:
            return
        oracle = self.oracle(state.facility.spec)
        before, after = oracle.loads(drawn_by(state, new)), oracle.loads(drawn_by(state))
        for loss, row in oracle.violations(after, tolerance=TOLERANCE_WATTS):
            assert after[loss][row] <= before[loss][row] + TOLERANCE_WATTS, (
                f"{new} add to {row} when {loss} is lost: {after[loss][row]} of {oracle.worlds[loss].limit(row)} W"
            )
