"""The same racks by another redundancy scheme: new UPS in place of those there are, with as many watts installed.

Racks that share UPS are a *block*, such as a hall. In each block the UPS that are to be are as large as the watts
installed there allow; they have the parents of those there were, all of them at once. Rows are dealt to the paths of
the scheme in the order of their names. What else hangs on the old elements, such as cooling units, stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Final

from rackplane.api.base import API_VERSION
from rackplane.engine.nodes.inventory import natural
from rackplane.simulator.facilities.design import DesignError, Scheme, Shape
from rackplane.simulator.site import Site

__all__ = ["Block", "blocks_of", "rewired"]

Body = Mapping[str, Any]
_MODULES: Final = 6
_UPS: Final = "UPS"


@dataclass(frozen=True, slots=True)
class Block:
    """Racks that share UPS.

    Args:
        racks: by name, in the order of halls, rows and names.
        watts: rated, of all its UPS together.
    """

    racks: tuple[str, ...]
    ups: tuple[str, ...]
    watts: int


def blocks_of(site: Site) -> list[Block]:
    """The blocks of a facility, in the order of their first racks.

    Raises:
        DesignError: a rack has no UPS above it.
    """
    powers = {name: body["spec"] for (kind, name), body in site.bodies.items() if kind == "PowerDomain"}
    racks = {name: body["spec"] for (kind, name), body in site.bodies.items() if kind == "Rack"}
    merged: list[tuple[set[str], set[str]]] = []
    for name in sorted(racks, key=lambda rack: _place(rack, racks[rack])):
        above = _ups_above([feed["powerDomain"] for feed in racks[name].get("feeds", ())], powers)
        if not above:
            raise DesignError(
                f"Rack {name} has no PowerDomain of type UPS above it: give those that carry the load that type"
            )
        shared = [block for block in merged if block[1] & above]
        for block in shared[1:]:
            shared[0][0].update(block[0])
            shared[0][1].update(block[1])
            merged.remove(block)
        if shared:
            shared[0][0].add(name)
            shared[0][1].update(above)
        else:
            merged.append(({name}, above))
    return [
        Block(
            tuple(sorted(names, key=lambda rack: _place(rack, racks[rack]))),
            tuple(sorted(ups, key=natural)),
            sum(int(powers[one]["ratedWatts"]) for one in ups),
        )
        for names, ups in merged
    ]


def rewired(site: Site, scheme: Scheme) -> Site:
    """The site with its racks fed as the scheme has it.

    Raises:
        DesignError: a rack has no UPS above it.
    """
    bodies = dict(site.bodies)
    for number, block in enumerate(blocks_of(site), 1):
        powers = [bodies["PowerDomain", name]["spec"] for name in block.ups]
        parents = dict.fromkeys(feed["powerDomain"] for spec in powers for feed in spec.get("parents", ()))
        kept = {
            key: powers[0][key] for key in ("continuousPercent", "efficiencyBasisPoints") if key in powers[0]
        }
        base = {"type": _UPS, "parents": [{"powerDomain": name, "weight": 1} for name in parents], **kept}
        if not parents:
            del base["parents"]
        names = _names(site, number, scheme)
        for name in names:
            bodies["PowerDomain", name] = _body(name, base | _rating(scheme, block.watts, len(names)))
        paths = list(_paths(scheme, names))
        for i, rack in enumerate(block.racks):
            path = paths[i * len(paths) // len(block.racks)]
            old = bodies["Rack", rack]
            limits = [feed["limitWatts"] for feed in old["spec"].get("feeds", ()) if "limitWatts" in feed]
            own = {"limitWatts": min(limits)} if limits else {}
            bodies["Rack", rack] = {
                **old,
                "spec": {**old["spec"], "feeds": [{**feed, **own} for feed in path]},
            }
    return replace(site, name=f"{site.name} as {scheme.name}", bodies=bodies)


def _place(rack: str, spec: Body) -> tuple[Any, ...]:
    location = spec.get("location", {})
    return natural(str(location.get("hall", ""))), natural(str(location.get("row", ""))), natural(rack)


def _ups_above(names: Sequence[str], powers: Mapping[str, Body]) -> set[str]:
    """The UPS nearest to the racks on each way up."""
    found: set[str] = set()
    stack, seen = list(names), set[str]()
    while stack:
        name = stack.pop()
        spec = powers.get(name)
        if spec is None or name in seen:
            continue
        seen.add(name)
        if spec.get("type") == _UPS:
            found.add(name)
        else:
            stack += [feed["powerDomain"] for feed in spec.get("parents", ())]
    return found


def _names(site: Site, block: int, scheme: Scheme) -> list[str]:
    count = scheme.ups + (scheme.shape is Shape.CATCHER)
    names = [f"plan-{block}-ups-{i}" for i in range(1, count + 1)]
    if any(("PowerDomain", name) in site.bodies for name in names):
        raise DesignError(
            f"the facility has a PowerDomain {names[0]}, a name that plans need: call it another"
        )
    return names


def _rating(scheme: Scheme, watts: int, count: int) -> dict[str, Any]:
    each = watts // count
    if scheme.shape is Shape.N_PLUS_1:
        modules = {"installed": _MODULES, "needed": _MODULES - 1, "moduleWatts": each // _MODULES}
        return {"ratedWatts": each, "redundancy": modules}
    if scheme.shape is Shape.N:
        return {"ratedWatts": each}
    return {"ratedWatts": each, "survivable": True}


def _paths(scheme: Scheme, names: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """What racks are fed by, in turn."""
    if scheme.shape is Shape.SHARED:
        for pair in combinations(names, 2):
            yield [{"powerDomain": name, "weight": 1} for name in pair]
    elif scheme.shape is Shape.CATCHER:
        reserve = {"powerDomain": names[-1], "weight": 1, "role": "Standby"}
        for name in names[:-1]:
            yield [{"powerDomain": name, "weight": 1}, reserve]
    else:
        yield [{"powerDomain": names[0], "weight": 1}]


def _body(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "uid": f"PowerDomain/{name}", "generation": 1}
    return {"apiVersion": API_VERSION, "kind": "PowerDomain", "metadata": metadata, "spec": dict(spec)}
