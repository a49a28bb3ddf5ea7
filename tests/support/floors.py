"""Floor plans of any size, made up: 22 halls of 48 racks, each row on two busways, for what only has to be drawn."""

from __future__ import annotations

from rackplane.floorplan import model as m

__all__ = ["campus"]

PAIRS = ("ab", "ac", "ad", "bc", "bd", "cd")


def campus(halls: int = 22, *, at: float = 1_700_000_000.0, busy: int = 0) -> tuple[m.Layout, m.Frame]:
    """A layout and a frame. Figures differ from rack to rack, and from one `busy` to the next."""
    racks: list[m.RackPlace] = []
    elements = [m.ElementPlace(name="utility", type="Utility")]
    rows: dict[str, m.Rack] = {}
    loads = {"utility": m.Element(watts=90_000_000, limit=176_000_000)}
    gangs: dict[str, m.Gang] = {}
    for h in range(1, halls + 1):
        for x in "abcd":
            name = f"h{h}-ups-{x}"
            elements.append(m.ElementPlace(name=name, type="UPS", parents=("utility",)))
            worst = m.Worst(of=f"power domain {name}", watts=2_400_000, limit=2_500_000, loss=f"h{h}-ups-a")
            loads[name] = m.Element(
                watts=1_800_000, limit=2_500_000, sources={"utility": 1_855_670}, worst=worst
            )
        for pair in PAIRS:
            feeds = tuple(f"h{h}-{pair}-{x}" for x in pair)
            for side, x in zip(feeds, pair, strict=True):
                elements.append(m.ElementPlace(name=side, type="Busway", parents=(f"h{h}-ups-{x}",)))
                loads[side] = m.Element(watts=600_000, limit=1_250_000, sources={f"h{h}-ups-{x}": 600_000})
            for position in range(1, 9):
                name = f"h{h}-{pair}-{position}"
                part = (h * 7 + position * 5 + ord(pair[0]) + busy) % 19
                watts = 15_000 + part * 7_500
                racks.append(
                    m.RackPlace(name=name, hall=f"hall {h}", row=pair, position=str(position), feeds=feeds)
                )
                worst = m.Worst(
                    of=f"power domain h{h}-ups-{pair[1]}",
                    watts=watts * 16,
                    limit=2_500_000,
                    loss=f"h{h}-ups-a",
                )
                rows[name] = m.Rack(
                    gpus=72,
                    used=part * 4,
                    nodes=18,
                    watts=watts,
                    limit=150_000,
                    headroom=150_000 - watts,
                    worst=worst,
                    feeds=dict.fromkeys(feeds, watts // 2),
                )
                if part:
                    gangs[f"team/{name}"] = m.Gang(
                        namespace="team", name=name, phase="Running", gpus=part * 4, racks={name: part * 4}
                    )
    layout = m.identified(m.Layout(racks=tuple(racks), elements=tuple(elements)))
    totals = m.Totals(
        gpus=72 * len(racks),
        used=sum(r.used for r in rows.values()),
        watts=sum(r.watts for r in rows.values()),
    )
    frame = m.Frame(
        at=at, layout=layout.id, leading=True, totals=totals, racks=rows, elements=loads, gangs=gangs
    )
    return layout, frame
