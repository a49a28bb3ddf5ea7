"""The arithmetic of examples/facilities/mixed-hall, and its three jobs on the embedded cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import yaml

from rackplane.core.offline.snapshot import events_of, expected_nodes
from rackplane.engine.model import Cause, Refusal
from rackplane.engine.physics.rows import LimitRow, RowKind
from rackplane.engine.placing.placement import place
from rackplane.engine.state import State
from tests.examples.halls import (
    GPU,
    ROOT,
    Manifest,
    ask,
    booked_like,
    documents,
    edited,
    named,
    rewired,
    state_of,
    watts,
)
from tests.examples.pages import figures, kw, percent, prose, table
from tests.support.harness import Harness, started

NEURON = "aws.amazon.com/neuron"
HALL = "mixed-hall"
ROWS = ("row-h", "row-n", "row-t")
LIQUID, AIR = LimitRow(RowKind.LIQUID, "hall-liquid"), LimitRow(RowKind.AIR, "hall-air")


@dataclass(frozen=True)
class Row:
    """What the YAML says of one row; watts as the design adds them up."""

    racks: int
    nodes: int
    profile: Mapping[str, Any]
    overhead: int

    @property
    def node(self) -> int:
        p = self.profile
        return int(p["idleWatts"] + (p["maxWatts"] - p["idleWatts"]) * p["typicalUtilizationPercent"] / 100)

    def of_node(self, node: float) -> float:
        return self.racks * (self.overhead + self.nodes * node)

    @property
    def nominal(self) -> float:
        return self.of_node(self.node)

    @property
    def idle(self) -> float:
        return self.of_node(self.profile["idleWatts"])

    @property
    def peak(self) -> float:
        return self.of_node(self.profile["maxWatts"] * self.profile["peakPercent"] / 100)

    @property
    def liquid(self) -> float:
        return self.nominal * int(self.profile["liquidHeatPercent"]) / 100

    @property
    def air(self) -> float:
        return self.nominal - self.liquid


@cache
def rows() -> dict[str, Row]:
    objects = documents(HALL)
    profiles = named(objects, "HardwareProfile")
    found = {}
    for row in ROWS:
        racks = [r for r in named(objects, "Rack").values() if r["location"]["row"] == row]
        ((profile, nodes, overhead),) = {
            (r["profile"], r["expectedNodes"], r["overheadWatts"]) for r in racks
        }
        found[row] = Row(len(racks), nodes, profiles[profile], overhead)
    return found


def row_of(state: State, node: str) -> str:
    spec = state.node(node)
    assert spec is not None
    assert spec.rack is not None
    return f"row-{spec.rack[0]}"


def at_work(objects: list[Manifest], *which: str) -> State:
    """The rows with every node at work."""
    state = state_of(objects)
    asked = {
        "row-h": ask(32, gpus_per_slot=8, required="hall"),
        "row-n": ask(72, required="leaf", segment_slots=18),
        "row-t": ask(16, gpus_per_slot=16, resource=NEURON, required="leaf", segment_slots=4),
    }
    for row in which:
        answer = place(state, asked[row])
        assert not isinstance(answer, Refusal), answer.message
        assert {row_of(state, node) for node in answer.slots} == {row}
        state.book(row, answer)
    return state


def load(state: State, row: LimitRow) -> float:
    return float(state.loads[state.facility.row_index[row]])


def test_the_tables_are_what_the_yaml_adds_up_to() -> None:
    text, of = prose(HALL), rows()
    lines = [
        [name, f"{r.node:,} W", kw(r.nominal / r.racks), kw(r.nominal), kw(r.peak)] for name, r in of.items()
    ]
    total = ["all", "", "", kw(sum(r.nominal for r in of.values())), kw(sum(r.peak for r in of.values()))]
    assert table(["at work", "a node", "a rack", "the row", "at peak"], [*lines, total]) in text

    zones = named(documents(HALL), "CoolingZone")

    def line(word: str, zone: str, parts: list[float]) -> list[str]:
        units = [unit["capacityWatts"] for unit in zones[zone]["units"]]
        needed = sum(sorted(units)[: zones[zone]["neededUnits"]])
        assert sum(parts) <= needed
        return [word, *(kw(w) if w else "" for w in parts), kw(sum(parts)), kw(sum(units)), kw(needed)]

    heat = [
        line("liquid", "hall-liquid", [r.liquid for r in of.values()]),
        line("air", "hall-air", [r.air for r in of.values()]),
    ]
    assert table(["", *ROWS, "together", "installed", "may be used"], heat) in text

    state = at_work(documents(HALL), *ROWS)
    losses = []
    for lost in ("", "ups-a", "ups-b"):
        after = (
            booked_like(state, edited(documents(HALL), "PowerDomain", lost, state="Offline"))
            if lost
            else state
        )
        cells = [
            f"{kw(watts(after, ups))}, {percent(watts(after, ups), 1_000_000)}" if ups != lost else ""
            for ups in ("ups-a", "ups-b")
        ]
        losses.append([lost or "nothing", *cells])
    assert table(["lost", "ups-a", "ups-b"], losses) in text


def test_every_other_figure_follows_too() -> None:
    objects, of = documents(HALL), rows()
    powers = named(objects, "PowerDomain")
    units = [unit for zone in named(objects, "CoolingZone").values() for unit in zone["units"]]
    drawn = {u["name"].partition("-")[0]: u["drawWatts"] for u in units}
    per_side = sum(u["drawWatts"] for u in units) / 2
    (crah,) = {u["capacityWatts"] for u in units if u["name"].startswith("crah")}
    said = {
        kw(powers["ups-a"]["ratedWatts"]),
        kw(powers["ups-a"]["peakLimitWatts"]),
        *(kw(w) for w in (*drawn.values(), per_side)),
        kw(sum(r.peak for r in of.values()) + per_side),
        percent(0.13),
        kw(2 * crah),
        kw(of["row-h"].air + 0.13 * of["row-n"].idle + of["row-t"].idle),
        kw(4 * (of["row-t"].node - of["row-t"].profile["idleWatts"])),
    }
    text = "\n".join(line for line in prose(HALL).splitlines() if not line.startswith("|"))
    assert figures(text) == said


def test_three_rows_are_summed_on_what_they_share_and_a_loss_is_survived() -> None:
    state = at_work(documents(HALL), *ROWS)
    of = rows().values()
    assert (load(state, LIQUID), load(state, AIR)) == pytest.approx(
        (sum(r.liquid for r in of), sum(r.air for r in of))
    )
    assert watts(state, "ups-a") == watts(state, "ups-b") == sum(r.nominal for r in of) / 2 + 24_000
    assert state.violations() == []
    after = booked_like(state, edited(documents(HALL), "PowerDomain", "ups-a", state="Offline"))
    assert [v for v in after.violations() if v.contingency.normal] == []
    state.validate()


def test_one_air_handler_on_the_wrong_ups_keeps_the_second_ultraserver_from_starting() -> None:
    state = at_work(rewired(documents(HALL), "hall-air", "crah-4", "ups-a"), "row-h")
    ultraserver = ask(4, gpus_per_slot=16, resource=NEURON, required="nvlink")
    first = place(state, ultraserver)
    assert not isinstance(first, Refusal)
    state.book("first", first)
    answer = place(state, ultraserver)
    assert isinstance(answer, Refusal)
    assert answer.cause is Cause.AIR
    tightest = answer.tightest
    assert tightest is not None
    assert (tightest.name, tightest.lost, tightest.limit_watts) == ("hall-air", "ups-a", 340_000)


# -- on the embedded cluster ----------------------------------------------------------------------------


def _nodes(objects: list[Manifest]) -> list[Manifest]:
    made = []
    for node in expected_nodes(events_of(objects)):
        room = {"cpu": "64", "memory": "512Gi", "pods": "110", **node.status.allocatable}
        condition = {"type": "Ready", "status": "True", "reason": "Test"}
        made.append(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": node.metadata.name, "labels": dict(node.metadata.labels)},
                "spec": {"taints": [{"key": "rackplane.dev/managed", "effect": "NoSchedule"}]},
                "status": {"capacity": room, "allocatable": room, "conditions": [condition]},
            }
        )
    return made


def _jobs() -> list[Manifest]:
    files = sorted((ROOT / "examples" / "jobs" / "mixed").glob("*.yaml"))
    return [yaml.safe_load(file.read_text()) for file in files]


def _racks_of(h: Harness, job: str) -> set[str]:
    return {pod["spec"]["nodeName"].partition("-")[0] for pod in h.pods_of(job)}


def test_three_gangs_of_three_kinds_land_in_their_own_rows() -> None:
    objects = documents(HALL)
    h = started([*objects, *_nodes(objects)])
    for body in _jobs():
        h.request("POST", "/apis/batch/v1/namespaces/default/jobs", body)
    names = [body["metadata"]["name"] for body in _jobs()]
    h.until(lambda: {h.phase(f"job-{name}") for name in names} == {"Running"}, seconds=30)
    assert {name: sorted(_racks_of(h, name)) for name in names} == {
        "finetune-64": ["h1", "h2"],
        "pretrain-nvl72": ["n1"],
        "pretrain-trn2": ["t1", "t2"],
    }
    resources = {name: h.gang(f"job-{name}")["spec"]["resourceName"] for name in names}
    assert resources == {"finetune-64": GPU, "pretrain-nvl72": GPU, "pretrain-trn2": NEURON}

    h.advance(2)
    added = {"h": 8 * (7_770 - 2_100), "n": 16 * (6_600 - 1_000), "t": 4 * (10_500 - 2_200)}
    reserved = {name: h.gang(f"job-{name}")["status"]["reservedNominalWatts"] for name in names}
    assert list(reserved.values()) == list(added.values())
    idle = {name[-1]: row.idle for name, row in rows().items()}
    power = {
        n: h.get("rackplane.dev", "powerdomains", n, "")["status"] for n in ("ups-a", "ups-b", "utility")
    }
    each = (sum(idle.values()) + sum(added.values())) / 2 + 24_000
    found = {name: status["reservedNominalWatts"] for name, status in power.items()}
    assert found == pytest.approx({"ups-a": each, "ups-b": each, "utility": 2 * each / 0.97}, abs=1)
    heat = {n: h.get("rackplane.dev", "coolingzones", n, "")["status"] for n in ("hall-liquid", "hall-air")}
    air = idle["h"] + added["h"] + 0.13 * (idle["n"] + added["n"]) + idle["t"] + added["t"]
    assert {name: status["heatWatts"] for name, status in heat.items()} == pytest.approx(
        {"hall-liquid": 0.87 * (idle["n"] + added["n"]), "hall-air": air}, abs=1
    )
