"""How many more racks a power domain carries: by the engine's own limits under every loss, with and without cooling.

New racks stand where racks stand today: *places* are the distinct feeds and cooling zones of the racks that load the
domain. Each new rack counts with all of its nodes at full power. What stands there already counts once with every node
at full power, and, where there is a trace, once with what gangs of a run have reserved, at every sample of it. For a
rack is switched on for years, the least of all samples counts, limit by limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rackplane.api.hardware_profile import HardwareProfile
from rackplane.core.offline.snapshot import machine_of
from rackplane.core.site.translation import node_type
from rackplane.engine.model import RackSpec
from rackplane.engine.state import State
from rackplane.figures import count, kilowatts
from rackplane.simulator.facilities.design import Design, DesignError, parse_scheme
from rackplane.simulator.facilities.writing import profile_of
from rackplane.simulator.planning.answers import Answer, Table
from rackplane.simulator.planning.full import full_draws
from rackplane.simulator.planning.racks import NewRack, Room, places_of, room_of
from rackplane.simulator.planning.runs import Bars, run
from rackplane.simulator.policies import Policy
from rackplane.simulator.running import Inputs, PlanError
from rackplane.simulator.simulation import Simulation
from rackplane.simulator.site import Site

__all__ = ["more_racks"]

_NAMED: Final = 12
"""Places that have a line of their own."""


def more_racks(
    site: Site,
    *,
    feed: str,
    hardware: str | None,
    nodes: int | None,
    inputs: Inputs | None,
    seed: int,
    every: int,
    bars: Bars,
) -> Answer:
    """The answer.

    Args:
        feed: a PowerDomain.
        hardware: a HardwareProfile of the facility, one that is shipped, or a file; None: that of the racks there.
        nodes: of a new rack; None: as the racks there have, or as the hardware usually comes.
        inputs: with the jobs of a run; None: there is no trace.

    Raises:
        PlanError: there is no such domain or hardware, or no rack loads it.
    """
    state = machine_of(site.events(Policy()), 0.0).state
    assert state is not None  # everything has been listed
    names = sorted(state.facility.powers)
    if feed not in names:
        raise PlanError(f"--feed {feed}: the facility has no such PowerDomain; it has {', '.join(names)}")
    places = places_of(state, feed)
    if not places:
        raise PlanError(f"--feed {feed}: no rack is fed by it, so there is no place to copy")
    new = _new_rack(state, places[0], site, hardware, nodes)
    spec = state.facility.spec
    found = {("full", c): room_of(spec, places, new, [full_draws(state)], cooled=c) for c in (True, False)}
    if inputs is not None:
        moments: list[dict[str, tuple[int, int]]] = []

        def look(simulation: Simulation, _second: int) -> None:
            now = simulation.cluster.machine.state
            assert now is not None
            rows = zip(now.facility.racks, now.nominal.tolist(), now.peak.tolist(), strict=True)
            moments.append({rack.name: (nominal, peak) for rack, nominal, peak in rows})

        run(inputs, name="as it is", seed=seed, every=every, bars=bars, sampled=look)
        kept = [dict(items) for items in dict.fromkeys(tuple(of.items()) for of in moments)]
        for c in (True, False):
            found["trace", c] = room_of(spec, places, new, kept, cooled=c)
    return _answer(feed, new, places, found)


def _new_rack(state: State, place: RackSpec, site: Site, hardware: str | None, nodes: int | None) -> NewRack:
    """A rack as the one at the place; of other hardware, with what that recommends beside its nodes."""
    f = state.facility
    have = f.rack_types[f.rack_index[place.name]]
    if have is not None and hardware in (None, have.name):
        held = nodes or sum(node.rack == place.name for node in state.nodes())
        return NewRack(have, held, place.overhead_watts, place.limit_watts, place.peak_limit_watts)
    if hardware is None:
        raise PlanError(f"Rack {place.name} has no usable HardwareProfile: name one with --hardware")
    known = site.bodies.get(("HardwareProfile", hardware))
    try:
        profile = profile_of(hardware)[0] if known is None else HardwareProfile.model_validate(known)
    except DesignError as error:
        raise PlanError(str(error).replace("--profile", "--hardware")) from error
    usual = Design(profile=profile, scheme=parse_scheme("N"), nodes=nodes)
    overhead, limit = usual.overhead_of_a_rack, usual.limit_of_a_rack
    return NewRack(node_type(profile), usual.nodes_of_a_rack, overhead, limit, own_feeds=False)


_BESIDE: Final = {"full": "every node at full power", "trace": "what this trace reserves"}


def _answer(
    feed: str, new: NewRack, places: Sequence[RackSpec], found: Mapping[tuple[str, bool], Room]
) -> Answer:
    of = f"{new.type.name} ({new.nodes} nodes, {kilowatts(new.watts[0])} kW)"
    basis = "trace" if ("trace", True) in found else "full"
    cooled, power = found[basis, True], found[basis, False]
    sentence = (
        f"{feed} carries {count(cooled.total, 'more rack')} of {of} beside {_BESIDE[basis]}: "
        f"one more, and {cooled.together}."
    )
    heat = (
        f" Without cooling it would be {power.total:,}."
        if power.total != cooled.total
        else " Cooling holds none back."
    )
    summary = Table(
        ("BESIDE", "RACKS", "BY POWER ALONE", "WHAT STOPS ONE MORE"),
        [
            (
                _BESIDE[name],
                f"{found[name, True].total:,}",
                f"{found[name, False].total:,}",
                found[name, True].together,
            )
            for name in ("full", "trace")
            if (name, True) in found
        ],
        right=(1, 2),
    )
    by_place = Table(
        ("AS RACK", "TOGETHER", "ALONE", "BY POWER ALONE", "WHAT STOPS ONE MORE OF THEM"),
        [
            (
                place.name,
                f"{cooled.racks[i]:,}",
                f"{cooled.alone[i]:,}",
                f"{power.alone[i]:,}",
                cooled.binds[i],
            )
            for i, place in enumerate(places[:_NAMED])
        ],
        right=(1, 2, 3),
    )
    notes = [
        "New racks stand where racks stand today, with the same feeds and cooling zones, and count at full power."
    ]
    if len(places) > _NAMED:
        notes.append(f"{len(places) - _NAMED} more places are in -o json.")
    data = {
        "feed": feed,
        "rack": {
            "hardware": new.type.name,
            "nodes": new.nodes,
            "nominalWatts": new.watts[0],
            "peakWatts": new.watts[1],
        },
        "rooms": [
            {
                "beside": "fullPower" if name == "full" else "trace",
                "cooling": with_cooling,
                "racks": room.total,
                "stoppedBy": room.together,
                "places": [
                    {
                        "asRack": p.name,
                        "together": room.racks[i],
                        "alone": room.alone[i],
                        "stoppedBy": room.binds[i],
                    }
                    for i, p in enumerate(places)
                ],
            }
            for (name, with_cooling), room in found.items()
        ],
    }
    return Answer("more-racks", sentence + heat, (summary, by_place), tuple(notes), data)
