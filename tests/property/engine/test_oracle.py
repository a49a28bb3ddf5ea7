"""The engine against the oracle in ten thousand random facilities: loads, limits, headrooms and what is exceeded."""

from __future__ import annotations

import pytest
from hypothesis import given, seed, settings

from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.state import State
from tests.property.engine.against_oracle import check_state
from tests.property.engine.facilities import CASES, Case
from tests.property.engine.oracle import Oracle
from tests.property.engine.oracle_draws import Draws, Work, draws
from tests.support.thorough import some

EXAMPLES = some(10_000)
PARTS = 10
"""pytest-xdist spreads them; each has a seed of its own, so all differ and none changes from run to run."""


def run(state: State, case: Case) -> None:
    """Bring the case's nodes and work into the state."""
    for node, jobs in case.nodes:
        state.set_node(node)
        for i, job in enumerate(jobs):
            if job.ours:
                state.book(f"{node.name}-{i}", job.placement(node.name), force=True, until=job.until)
        state.set_unmanaged(node.name, sum(job.gpus for job in jobs if not job.ours))


def drawn(case: Case) -> Draws:
    """The case's draws by the oracle."""
    nodes = []
    for node, jobs in case.nodes:
        works = [Work(j.gpus, j.profile, j.until) for j in jobs if j.ours]
        works.append(Work(sum(j.gpus for j in jobs if not j.ours), None))
        nodes.append((node.rack or "", works))
    return draws(case.spec, nodes)


@pytest.mark.parametrize("part", range(PARTS))
def test_the_engine_equals_the_oracle(part: int) -> None:
    @seed(part)
    @settings(max_examples=EXAMPLES // PARTS, deadline=None, database=None)
    @given(CASES)
    def equal(case: Case) -> None:
        state = State(compile_facility(case.spec))
        run(state, case)
        check_state(state, Oracle(case.spec), drawn(case), at=case.at, until=case.until)

    equal()
