"""Random trees of queues, and what gangs of them hold."""

from __future__ import annotations

from hypothesis import strategies as st

from rackplane.engine.queueing.quotas import GPUS, WATTS, Limit, QueueSpec

NAMES = ("a", "b", "c", "d", "e", "f")
RESOURCES = (GPUS, WATTS, "gpus/gb300")

figures = st.one_of(st.none(), st.integers(0, 12))


@st.composite
def limits(draw: st.DrawFn) -> Limit:
    nominal, lending = draw(figures), draw(figures)
    if nominal is not None and lending is not None:
        lending = min(lending, nominal)
    return Limit(nominal, draw(figures), lending)


@st.composite
def trees(draw: st.DrawFn) -> tuple[QueueSpec, ...]:
    """Up to six queues in any order; some parents do not exist, and some are a circle."""
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    specs = []
    for i, name in enumerate(names):
        above = st.sampled_from([*names[:i], *names[:i], *names, "nowhere"]) if i else st.none()
        specs.append(
            QueueSpec(
                name,
                draw(st.one_of(st.none(), above, above)),
                draw(st.dictionaries(st.sampled_from(RESOURCES), limits())),
                weight=draw(st.integers(1, 3)),
            )
        )
    return tuple(draw(st.permutations(specs)))


amounts = st.dictionaries(st.sampled_from(RESOURCES), st.integers(0, 8), min_size=1)
