"""What free GPUs need beside themselves is only preferred: it never decides whether a gang fits, nor over how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rackplane.engine.model import Placement, Refusal, Request
from rackplane.engine.nodes.views import UNLIMITED
from rackplane.engine.placing.feeding import slots_fed
from rackplane.engine.placing.placement import find, place
from rackplane.engine.state import State
from tests.property.engine.test_placement_properties import check_placement, requests, worlds
from tests.support.thorough import some

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Fed:
    """By the rule, of one resource: what is left of it by node, in order; what a GPU needs, and a slot asks for."""

    left: tuple[int, ...]
    each: int
    gpus: int

    def slots(self, names: Sequence[str], free: Ints) -> Ints:
        left = np.resize(np.array(self.left), len(names))
        return slots_fed(free, left, 10.0, each=self.each, gpus=self.gpus)


@given(
    worlds(), requests(), st.lists(st.integers(0, 60), min_size=1, max_size=20), st.integers(0, 60), st.data()
)
@settings(max_examples=some(100), deadline=None)
def test_a_gang_fits_with_it_as_without_in_as_few_domains_and_racks(
    state: State, request: Request, left: list[int], each: int, data: st.DataObject
) -> None:
    for n in range(data.draw(st.integers(0, 3))):
        other = place(state, data.draw(requests()))
        if isinstance(other, Placement):
            state.book(f"g{n}", other)
    preferring = replace(request, feeding=Fed(tuple(left), each, request.gpus_per_slot))
    plain, fed = place(state, request), place(state, preferring)
    if isinstance(plain, Refusal) or isinstance(fed, Refusal):
        assert plain == fed
        return
    check_placement(state, request, fed)
    with state.simulation():
        before = {(v.contingency, v.row) for v in state.violations()}
        state.book("try", fed)
        assert {(v.contingency, v.row) for v in state.violations()} == before
    assert fed.power_profile == plain.power_profile
    assert len({g.rack for g in fed.groups}) <= len({g.rack for g in plain.groups})
    assert len({g.domain for g in fed.groups}) <= len({g.domain for g in plain.groups})
    if _stays_fed(state, preferring, plain):
        assert _stays_fed(state, preferring, fed)
    elif not _stays_fed(state, preferring, fed):
        assert fed == plain
    # Who has another say is asked about both.
    assert find(state, preferring, lambda offer: offer == plain) == plain


@given(worlds(), st.integers(1, 6), st.lists(st.integers(0, 60), min_size=1, max_size=20))
@settings(max_examples=some(15), deadline=None)
def test_gangs_on_whole_nodes_are_placed_as_if_nothing_were_known(
    state: State, slots: int, left: list[int]
) -> None:
    # A slot that a node takes by its CPU asks for no more than there is, which all its GPUs then have.
    each = min(left)
    request = Request(slots=slots, gpus_per_slot=4, resource="gpu")
    assert place(state, replace(request, feeding=Fed(tuple(left), each, 4))) == place(state, request)


def _stays_fed(state: State, request: Request, placement: Placement) -> bool:
    assert request.feeding is not None
    names = state.inventory.names
    most = dict(zip(names, request.feeding.slots(names, state.free).tolist(), strict=True))
    return all(count <= most.get(node, UNLIMITED) for node, count in Counter(placement.slots).items())
