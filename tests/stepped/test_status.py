"""What the status of racks, power domains and cooling zones says, when it is written, and who hears of it.

The hall is 4N/3: racks ab, ac, ad, bc, bd, cd of four nodes on pairs of four UPS of 44 kW. A rack draws 6 kW idle and
22 kW full, so that a full hall puts 33 kW on each UPS and exactly 44 kW on the others after any one loss.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rackplane.core import events as e
from rackplane.core.instructions import PublishEvent, WriteFacilityStatus
from rackplane.core.settings import MachineSettings
from rackplane.localcluster.store import Change
from tests.support.harness import GROUP, Harness, feed, node, started, thing

PAIRS = ("ab", "ac", "ad", "bc", "bd", "cd")
UPS = "abcd"
RATED = 44_000
#: Figures that others change are written soon, where the pace is not what is tested.
SOON = MachineSettings(validate=True, status_refresh_seconds=2)
PLURALS = {"Rack": "racks", "PowerDomain": "powerdomains", "CoolingZone": "coolingzones"}


def hall(**changes: Any) -> list[dict[str, Any]]:
    """One node type, four survivable UPS, six racks; ``changes`` are of every rack's spec."""
    made = [
        thing("HardwareProfile", "small", gpuModel="Test", gpusPerNode=4, nvlinkScope="Label", idleWatts=1000,
              maxWatts=5000, liquidHeatPercent=80),
        thing("Queue", "research"),
        *(thing("PowerDomain", u, type="UPS", ratedWatts=RATED, survivable=True) for u in UPS),
    ]  # fmt: skip
    for pair in PAIRS:
        spec = {
            "profile": "small",
            "nodeSelector": {"rackplane.dev/rack": pair},
            "overheadWatts": 2000,
            "limitWatts": 30_000,
            "feeds": [feed(u) for u in pair],
            **changes,
        }
        made.append(thing("Rack", pair, **spec))
        made.extend(node(f"{pair}-n{n}", pair) for n in range(4))
    return made


def status(h: Harness, kind: str, name: str) -> dict[str, Any]:
    return dict(h.get(GROUP, PLURALS[kind], name, namespace="").get("status", {}))


def condition(h: Harness, kind: str, name: str, type_: str) -> tuple[str, str, str] | None:
    found = [c for c in status(h, kind, name)["conditions"] if c["type"] == type_]
    return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else None


def set_spec(h: Harness, kind: str, name: str, **spec: Any) -> None:
    h.patch(f"/apis/{GROUP}/v1alpha1/{PLURALS[kind]}/{name}", {"spec": spec})


def told(h: Harness) -> list[tuple[str, str, bool, str]]:
    return [(t.kind, t.name, t.warning, t.reason) for t in h.told if t.kind in PLURALS]


def figures(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in ("conditions", "observedGeneration")}


NEAREST = {
    "loss": "a",
    "kind": "ContinuousRating",
    "element": "b",
    "loadWatts": 44_000,
    "limitWatts": 44_000,
    "headroomWatts": 0,
}


def filled() -> Harness:
    h = started(hall(), settings=SOON)
    h.job("all", slots=24, run=None)
    h.until(lambda: h.phase("job-all") == "Running", seconds=10)
    h.advance(4)
    return h


def test_a_full_hall() -> None:
    h = filled()
    assert figures(status(h, "PowerDomain", "b")) == {
        "usableWatts": 44_000,
        "usableKilowatts": "44.0",
        "reservedNominalWatts": 33_000,
        "reservedPeakWatts": 33_000,
        "reservedKilowatts": "33.0",
        "peakKilowatts": "33.0",
        "headroomWatts": 11_000,
        "headroomKilowatts": "11.0",
        "worstContingency": NEAREST,
        "worstKilowatts": "0.0",
        "strandedWatts": 0,
        "strandedKilowatts": "0.0",
        "stranded": [],
        "unfedNodes": 0,
        "unfedWatts": 0,
        "unfed": [],
        "ownLoss": {
            "withinLimits": True,
            "worst": {**NEAREST, "loss": "b", "element": "a"},
            "racksSwitchedOff": 0,
            "racks": [],
            "zonesReduced": 0,
            "zones": [],
            "secondTo": [],
        },
    }
    assert figures(status(h, "Rack", "ab")) == {
        "nodes": 4,
        "gpus": 16,
        "freeGpus": 0,
        "reservedNominalWatts": 22_000,
        "reservedPeakWatts": 22_000,
        "limitKilowatts": "30.0",
        "reservedKilowatts": "22.0",
        "headroomWatts": 0,
        "headroomKilowatts": "0.0",
        "worstContingency": NEAREST,
        "unfedNodes": 0,
        "unfedWatts": 0,
        "unfed": [],
    }
    for ups in UPS:
        assert condition(h, "PowerDomain", ups, "SurvivesLoss") == (
            "True",
            "WithinLimits",
            "everything that runs would go on within its limits",
        )
    assert condition(h, "Rack", "ab", "Survives") == (
        "True",
        "Fed",
        "after the loss of any one survivable element a feed still reaches the rack",
    )
    assert condition(h, "PowerDomain", "a", "RedundancyLost") is None
    assert told(h) == []


def test_a_loss_is_shown_on_everything_that_it_leaves_without_a_reserve_and_told_once() -> None:
    h = filled()
    set_spec(h, "PowerDomain", "a", state="Offline")
    h.advance(4)
    assert figures(status(h, "PowerDomain", "a"))["usableWatts"] == 0
    assert condition(h, "PowerDomain", "a", "SurvivesLoss") is None
    # Without a, b carries all of ab and halves of bc and bd. Without b too, c: ac 22, bc 22, cd 11 kW.
    assert figures(status(h, "PowerDomain", "b"))["headroomWatts"] == 0
    assert condition(h, "PowerDomain", "b", "SurvivesLoss") == (
        "False",
        "SecondLoss",
        "a is out of service, so that this would be a second loss; "
        "losing b would put power domain c at 55 kW of 44 kW (11 kW over); 1 rack would lose power: ab",
    )
    assert condition(h, "Rack", "ab", "Survives") == (
        "False",
        "SecondLoss",
        "without b no feed reaches the rack, and what runs there is lost; a is out of service",
    )
    assert condition(h, "Rack", "cd", "Survives") == (
        "True",
        "Fed",
        "after the loss of any one survivable element a feed still reaches the rack",
    )
    assert sorted(told(h)) == [
        ("PowerDomain", "b", True, "SecondLoss"),
        ("PowerDomain", "c", True, "SecondLoss"),
        ("PowerDomain", "d", True, "SecondLoss"),
        ("Rack", "ab", True, "SecondLoss"),
        ("Rack", "ac", True, "SecondLoss"),
        ("Rack", "ad", True, "SecondLoss"),
    ]
    h.told.clear()
    set_spec(h, "PowerDomain", "a", state="Online")
    h.advance(4)
    assert sorted(told(h)) == [
        ("PowerDomain", "b", False, "WithinLimits"),
        ("PowerDomain", "c", False, "WithinLimits"),
        ("PowerDomain", "d", False, "WithinLimits"),
        ("Rack", "ab", False, "Fed"),
        ("Rack", "ac", False, "Fed"),
        ("Rack", "ad", False, "Fed"),
    ]


def test_a_restart_tells_and_writes_nothing_again() -> None:
    h = filled()
    set_spec(h, "PowerDomain", "a", state="Offline")
    h.advance(4)
    h.told.clear()
    written = {plural: writes(h, plural) for plural in PLURALS.values()}
    h.restart_machine()
    h.advance(4)
    assert told(h) == []
    assert written == {plural: {} for plural in PLURALS.values()}


def test_after_a_loss_admission_holds_to_the_reserve_that_is_left() -> None:
    """The whole hall fits on three UPS, but a second loss would put 55 kW on one of 44 kW."""
    h = started(hall())
    set_spec(h, "PowerDomain", "a", state="Offline")
    h.job("all", slots=24, run=None)
    h.advance(5)
    assert h.phase("job-all") == "Pending"
    assert h.machine.state is not None and h.machine.state.violations() == []
    # Idle, c would carry 15 kW after it.
    assert condition(h, "PowerDomain", "b", "SurvivesLoss") == (
        "False",
        "SecondLoss",
        "a is out of service, so that this would be a second loss; 1 rack would lose power: ab",
    )


def test_after_a_loss_admission_goes_on_where_that_is_the_policy() -> None:
    h = started(hall(), settings=replace(SOON, admit_after_loss=True))
    set_spec(h, "PowerDomain", "a", state="Offline")
    h.job("all", slots=24, run=None)
    h.until(lambda: h.phase("job-all") == "Running", seconds=10)
    h.advance(4)
    assert h.machine.state is not None
    assert [v for v in h.machine.state.violations() if v.contingency.normal] == []
    found = condition(h, "PowerDomain", "b", "SurvivesLoss")
    assert found is not None and found[:2] == ("False", "SecondLoss")
    assert status(h, "PowerDomain", "c")["worstContingency"] == {
        **NEAREST,
        "loss": "b",
        "element": "c",
        "loadWatts": 55_000,
        "headroomWatts": -11_000,
    }
    # No more than is there now: c carries 44 of 44 kW.
    assert status(h, "Rack", "cd")["headroomWatts"] == 0


# -- how often ------------------------------------------------------------------------------------


def writes(h: Harness, plural: str = "racks") -> Counter[str]:
    """Names of objects whose status changes from now on, each as often as it does."""
    seen: Counter[str] = Counter()

    def count(change: Change) -> None:
        if change.resource == (GROUP, plural) and change.previous is not None:
            seen[change.name] += change.previous.get("status") != change.object.get("status")

    h.cluster.store.subscribe(count)
    return seen


def shared() -> list[dict[str, Any]]:
    """Every rack on one UPS that leaves 8 kW, so that each node that starts changes the headroom of all racks."""
    objects = hall(feeds=[feed("a")])
    return [
        {**o, "spec": {**o["spec"], "survivable": False}} if o["kind"] == "PowerDomain" else o
        for o in objects
    ]


def test_what_others_change_is_written_in_turns() -> None:
    h = started(shared(), settings=MachineSettings(validate=True, status_refresh_writes=2))
    h.advance(5)
    assert {pair: status(h, "Rack", pair)["headroomWatts"] for pair in PAIRS} == dict.fromkeys(PAIRS, 8_000)
    written = writes(h)
    h.job("one", slots=1, run=None)
    h.until(lambda: h.phase("job-one") == "Running", seconds=10)
    h.advance(10)
    # The rack that took it says so at once.
    assert written == {"ab": 1}
    assert status(h, "Rack", "ab")["headroomWatts"] == 4_000
    assert status(h, "Rack", "cd")["headroomWatts"] == 8_000
    h.advance(30)
    assert written == dict.fromkeys(PAIRS, 1)
    assert {pair: status(h, "Rack", pair)["headroomWatts"] for pair in PAIRS} == dict.fromkeys(PAIRS, 4_000)


def test_turns_are_so_many_a_second() -> None:
    h = started(shared(), settings=MachineSettings(status_refresh_seconds=0, status_refresh_writes=2))
    h.advance(5)
    h.job("one", slots=1, run=None)
    written = writes(h)
    counts = []
    for _ in range(6):
        h.advance(1)
        counts.append(sum(written.values()))
    assert counts[-1] == 6
    assert max(after - before for before, after in zip([0, *counts], counts, strict=False)) <= 3


def test_a_headroom_below_zero_is_written_at_once() -> None:
    h = started(shared())
    h.advance(5)
    written = writes(h)
    set_spec(h, "PowerDomain", "a", ratedWatts=30_000)
    h.advance(2)
    assert written == dict.fromkeys(PAIRS, 1)
    assert status(h, "Rack", "cd")["headroomWatts"] == -6_000


# -- the rest of a status -------------------------------------------------------------------------


def test_missing_nodes() -> None:
    h = started([*hall(expectedNodes=6)])
    assert status(h, "Rack", "ab")["missingNodes"] == 2
    h.request("DELETE", "/api/v1/nodes/ab-n3")
    h.advance(2)
    assert status(h, "Rack", "ab")["missingNodes"] == 3


def test_a_pair_of_cdus_with_one_lost_needs_no_shed_and_has_no_reserve() -> None:
    units = [{"name": f"cdu-{i}", "capacityWatts": 200_000} for i in (1, 2)]
    zone = thing("CoolingZone", "loop", medium="Liquid", units=units, neededUnits=1)
    h = started([zone, *hall(cooling={"liquid": "loop"})], settings=SOON)
    assert condition(h, "CoolingZone", "loop", "RedundancyLost") == (
        "False",
        "Reserve",
        "2 of 2 units run and 1 is needed",
    )
    h.job("all", slots=24, run=None)
    h.until(lambda: h.phase("job-all") == "Running", seconds=10)
    set_spec(h, "CoolingZone", "loop", units=[{**units[0], "state": "Offline"}, units[1]])
    h.advance(4)
    assert condition(h, "CoolingZone", "loop", "RedundancyLost") == (
        "True",
        "NoReserve",
        "1 of 2 units run and 1 is needed: the next one that fails lowers what can be carried",
    )
    # 132 kW, 80 percent of them in liquid.
    assert {k: status(h, "CoolingZone", "loop")[k] for k in ("usableWatts", "heatWatts", "runningUnits")} == {
        "usableWatts": 200_000,
        "heatWatts": 105_600,
        "runningUnits": 1,
    }
    assert h.machine.state is not None and h.machine.state.violations() == []
    assert h.phase("job-all") == "Running"
    assert told(h) == [("CoolingZone", "loop", True, "NoReserve")]


def test_modules_below_need() -> None:
    h = started(hall())
    modules = {"installed": 4, "needed": 3, "moduleWatts": 15_000, "online": 2}
    set_spec(h, "PowerDomain", "a", redundancy=modules)
    h.advance(2)
    assert status(h, "PowerDomain", "a")["runningModules"] == 2
    assert condition(h, "PowerDomain", "a", "RedundancyLost") == (
        "True",
        "BelowNeed",
        "2 of 4 modules run and 3 are needed: less can be carried than the design says",
    )
    h.patch(f"/apis/{GROUP}/v1alpha1/powerdomains/a", {"spec": {"redundancy": None}})
    h.advance(2)
    assert condition(h, "PowerDomain", "a", "RedundancyLost") is None
    assert "runningModules" not in status(h, "PowerDomain", "a")


def test_an_element_that_is_no_longer_survivable_says_nothing_of_its_loss() -> None:
    h = started(hall())
    assert condition(h, "PowerDomain", "a", "SurvivesLoss") is not None
    set_spec(h, "PowerDomain", "a", survivable=False)
    h.advance(2)
    assert condition(h, "PowerDomain", "a", "SurvivesLoss") is None
    assert "ownLoss" not in status(h, "PowerDomain", "a")


def test_conditions_of_others_stay() -> None:
    h = started(hall())
    theirs = {
        "type": "Inspected",
        "status": "True",
        "reason": "Visit",
        "message": "by hand",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    path = f"/apis/{GROUP}/v1alpha1/powerdomains/a/status"
    h.patch(path, {"status": {"conditions": [*status(h, "PowerDomain", "a")["conditions"], theirs]}})
    h.restart_machine()
    set_spec(h, "PowerDomain", "a", ratedWatts=50_000)
    h.advance(2)
    assert condition(h, "PowerDomain", "a", "Inspected") == ("True", "Visit", "by hand")
    assert status(h, "PowerDomain", "a")["usableWatts"] == 50_000


def test_stranded_watts_and_unfed_nodes() -> None:
    """Six racks on a alone: of 44 kW, 36 are drawn by idle nodes, and 8 start two nodes of the first rack."""
    h = started(shared())
    limit = {"cause": "Power", "element": "a", "loss": ""}
    assert {pair: status(h, "Rack", pair)["unfedNodes"] for pair in PAIRS} == {
        **dict.fromkeys(PAIRS, 4),
        "ab": 2,
    }
    assert status(h, "Rack", "bc")["unfed"] == [{**limit, "nodes": 4, "watts": 16_000}]
    a, d = status(h, "PowerDomain", "a"), status(h, "PowerDomain", "d")
    assert (a["strandedWatts"], a["stranded"]) == (0, [])
    assert (a["unfedNodes"], a["unfedWatts"]) == (22, 88_000)
    assert a["unfed"] == [{**limit, "nodes": 22, "watts": 88_000}]
    assert (d["strandedWatts"], d["strandedKilowatts"]) == (44_000, "44.0")
    assert d["stranded"] == [{"cause": "NoIdleNode", "watts": 44_000}]
    assert (d["unfedNodes"], d["unfed"]) == (0, [])


def test_a_second_mistake_is_told_at_once() -> None:
    h = started(hall(cooling={"liquid": "gone"}))
    h.told.clear()
    set_spec(h, "Rack", "ab", cooling={"liquid": "gone", "air": "gone-too"})
    h.advance(2)
    assert told(h) == [("Rack", "ab", True, "Invalid")]
    found = condition(h, "Rack", "ab", "Ready")
    assert found is not None and "gone-too does not exist" in found[2]


def test_a_debt_beyond_all_bounds_can_be_written() -> None:
    """a has lost its modules under 400 MW of other load, and a millionth of what a rack draws comes from it."""
    h = started(hall(feeds=[feed("a"), feed("b", 1_000_000)]))
    modules = {"installed": 1, "needed": 1, "moduleWatts": RATED, "online": 0}
    set_spec(h, "PowerDomain", "a", redundancy=modules, baseLoadWatts=400_000_000, ratedWatts=10**9)
    h.advance(2)
    assert status(h, "Rack", "ab")["headroomWatts"] == -100_000_000_000
    assert h.failures == []


def test_a_write_that_fails_is_repeated_and_its_words_are_not() -> None:
    h = started(hall())
    changed = {**h.get(GROUP, "powerdomains", "a", namespace="")}
    changed["spec"] = {**changed["spec"], "state": "Offline"}
    now = h.time.now + 1
    asked = h.machine.handle(now, e.FacilityChanged("PowerDomain", "a", changed))
    writes = [i for i in asked if isinstance(i, WriteFacilityStatus)]
    assert {i.name for i in writes} == {"a", "b", "c", "d", "ab", "ac", "ad"}
    assert sum(isinstance(i, PublishEvent) for i in asked) == 6
    failed = [e.WriteFailed(i, e.FailureReason.UNAVAILABLE, "no answer") for i in writes]
    assert h.machine.handle(now, *failed) == []
    assert h.machine.handle(now + 1, e.TimePassed()) == writes


def test_an_object_of_the_same_name_is_another_one() -> None:
    modules = {"installed": 4, "needed": 3, "moduleWatts": 15_000, "online": 3}
    spare = thing("PowerDomain", "spare", type="UPS", ratedWatts=RATED, redundancy=modules)
    h = started(hall())
    for _ in range(2):
        h.told.clear()
        h.apply(spare)
        h.advance(2)
        assert told(h) == [("PowerDomain", "spare", True, "NoReserve")]
        h.request("DELETE", f"/apis/{GROUP}/v1alpha1/powerdomains/spare")
        h.advance(2)
        assert h.cluster.store.get((GROUP, "powerdomains"), "", "spare") is None


# -- as kubectl shows it --------------------------------------------------------------------------


def table(h: Harness, plural: str, *, wide: bool = False) -> str:
    """What `kubectl get` prints, of the table that the server sends."""
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    found = h.cluster.request("GET", f"/apis/{GROUP}/v1alpha1/{plural}", accept=accept)
    columns = [(i, c) for i, c in enumerate(found["columnDefinitions"]) if wide or not c["priority"]]
    rows = [[c["name"].upper() for _, c in columns]]
    for row in found["rows"]:
        rows.append([_cell(row["cells"][i]) for i, _ in columns])
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _cell(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize(
    ("heading", "plural", "wide"),
    [
        ("kubectl get powerdomains", "powerdomains", False),
        ("kubectl get powerdomains -o wide", "powerdomains", True),
        ("kubectl get racks", "racks", False),
        ("kubectl get coolingzones", "coolingzones", False),
    ],
)
def test_the_tables_on_the_page_are_what_is_printed(heading: str, plural: str, wide: bool) -> None:
    """Five racks full, on four UPS of which a is out, beside one CDU of two."""
    units = [{"name": f"cdu-{i}", "capacityWatts": 120_000} for i in (1, 2)]
    units[0]["state"] = "Offline"
    zone = thing("CoolingZone", "loop", medium="Liquid", units=units, neededUnits=1)
    h = started([zone, *hall(cooling={"liquid": "loop"})], settings=SOON)
    h.job("train", slots=20, run=None)
    h.until(lambda: h.phase("job-train") == "Running", seconds=10)
    set_spec(h, "PowerDomain", "a", state="Offline")
    h.advance(10)
    page = Path(__file__).parents[2].joinpath("docs/status.md").read_text()
    assert f"$ {heading}\n{table(h, plural, wide=wide)}\n" in page
