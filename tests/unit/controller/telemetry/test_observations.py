"""What racks draw by readings, beside what is reserved: what is missing or old, and drift."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from rackplane.controller.telemetry.observations import Observations
from rackplane.controller.telemetry.prometheus import Sample
from rackplane.controller.telemetry.watch import node_watts
from rackplane.core.site.observed import RackObserved
from rackplane.engine.model import NodeSpec
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.state import State
from tests.support.halls import NODES, TYPE, gang, hall


def rack() -> State:
    """One row whose nodes are all held by one gang at full power."""
    spec = hall(["ab"])
    spec = replace(spec, racks=tuple(replace(r, overhead_watts=500) for r in spec.racks))
    (only,) = spec.racks
    state = State(
        compile_facility(spec), [NodeSpec(f"{only.name}-{i:02}", only.name) for i in range(1, NODES + 1)]
    )
    state.book("default/a", gang(only.name, NODES), force=True)
    return state


def names(state: State) -> list[str]:
    return [spec.name for spec in state.nodes()]


def observations(*, drifted: bool = False) -> Observations:
    return Observations(stale_seconds=100, drift_percent=10, drift_seconds=60, drifted=lambda _: drifted)


def of_rack(watts: int, unobserved: int, oldest: float | None) -> RackObserved:
    return RackObserved(
        watts=watts, nodes=NODES, unobserved_nodes=unobserved, drifts=False, oldest_seconds=oldest
    )


def seen(found: Observations) -> RackObserved:
    (only,) = found.latest.values()
    return only


def drawn(state: State) -> tuple[int, int]:
    """Nominal and peak watts of one node."""
    watts = state.reserved_draw(names(state)[0])
    assert watts is not None
    return watts.nominal, watts.peak


def test_without_readings_a_rack_counts_at_its_reserved_peak() -> None:
    state, found = rack(), observations()
    assert found.judge(state, 0.0) == []
    assert seen(found) == of_rack(500 + NODES * drawn(state)[1], NODES, None)


def test_readings_count_until_they_are_old_and_then_the_reserved_peak_does() -> None:
    state, found = rack(), observations()
    found.take(dict.fromkeys(names(state), 3_000), 0.0)
    found.judge(state, 100.0)
    assert seen(found) == of_rack(500 + NODES * 3_000, 0, 100.0)
    found.take({names(state)[0]: 2_000}, 100.0)
    found.judge(state, 100.1)
    assert seen(found) == of_rack(500 + 2_000 + (NODES - 1) * drawn(state)[1], NODES - 1, 100.1 - 100.0)


def test_a_rack_drifts_after_a_while_and_stops_well_below_where_it_began() -> None:
    state, found = rack(), observations()
    (name,) = (r.name for r in state.facility.racks)
    nominal = 500 + NODES * drawn(state)[0]

    def read(percent: float, now: float) -> list[tuple[str, bool]]:
        each = (nominal * percent / 100 - 500) / NODES
        found.take(dict.fromkeys(names(state), math.ceil(each)), now)
        return found.judge(state, now)

    assert read(112, 0.0) == []
    assert read(108, 30.0) == []  # it was short: the while begins anew
    assert read(112, 31.0) == []
    assert read(112, 90.0) == []
    assert read(112, 91.0) == [(name, True)]
    assert read(108, 95.0) == []
    assert seen(found).drifts
    assert read(104, 96.0) == [(name, False)]
    assert not seen(found).drifts


def test_a_new_process_goes_on_from_what_the_last_one_said_of_drift() -> None:
    state, found = rack(), observations(drifted=True)
    (name,) = (r.name for r in state.facility.racks)
    assert found.judge(state, 0.0) == []
    assert seen(found).drifts, "nothing is read yet that says otherwise"
    found.take(dict.fromkeys(names(state), 3_000), 15.0)
    assert found.judge(state, 15.0) == [(name, False)]
    assert found.judge(state, 30.0) == []
    assert not seen(found).drifts


def test_reserved_peaks_in_place_of_readings_make_no_drift_and_end_none() -> None:
    state, found = rack(), observations()
    (name,) = (r.name for r in state.facility.racks)
    high = dict.fromkeys(names(state), 10 * drawn(state)[0])
    found.take(high, 0.0)
    found.judge(state, 0.0)
    found.take(high, 60.0)
    assert found.judge(state, 60.0) == [(name, True)]
    assert found.judge(state, 1_000.0) == []
    assert seen(found).drifts


@pytest.mark.parametrize(
    ("samples", "watts"),
    [
        ([({"node": "n0"}, "4731.5"), ({"node": "n1"}, "3000")], {"n0": 4832, "n1": 3100}),
        ([({"node": "n0"}, "NaN"), ({"node": "n1"}, "+Inf"), ({"node": "n2"}, "-5")], {}),
        ([({"host": "n0"}, "4000"), ({}, "4000")], {}),
        ([({"node": "n0"}, "4000"), ({"node": "n0"}, "4100")], {"n0": 4200}),
    ],
    ids=["two", "no watts", "no node", "twice"],
)
def test_watts_by_node(samples: list[tuple[dict[str, str], str]], watts: dict[str, int]) -> None:
    found = [Sample(metric, (0.0, value)) for metric, value in samples]
    assert node_watts(found, "node", host_watts=100) == watts


def test_a_value_of_one_gpu_counts_for_each_of_the_node() -> None:
    samples = [Sample({"Hostname": "n0"}, (0.0, "900"))]
    assert node_watts(samples, "Hostname", times=lambda _: TYPE.gpus_per_node, host_watts=840) == {
        "n0": 840 + 900 * TYPE.gpus_per_node
    }
