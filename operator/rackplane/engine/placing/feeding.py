"""Which slots leave no more free GPUs without CPU or memory than there are already: a GPU without is of use to nobody.

What a free GPU needs is not known, since who will ask for it is not; what GPUs are asked for with in the mean stands
for it. A node's free GPUs are fed as far as what it has left suffices for at that mean, of each resource.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.nodes.views import UNLIMITED
from rackplane.engine.placing.candidates import Candidates
from rackplane.engine.placing.objective import Solution

__all__ = ["limited", "no_worse", "slots_fed", "takes_more"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_MARGIN = 0.1
"""Part of the GPUs that a slot takes itself: so many more without what they need count as none.

So gangs that ask for about as much as the mean are placed as if nothing were known of it (docs/placement.md).
"""
_ROUNDING = 1e-9


def takes_more(each: float, need: float, gpus: int) -> bool:
    """Whether a slot takes more of a resource than its own GPUs need: only then can it leave others without.

    Args:
        each: what the slot asks for.
        need: what a GPU needs in the mean, in the same unit.
        gpus: of the slot.
    """
    return each > (1 + _MARGIN) * need * gpus


def slots_fed(free: Ints, left: Ints, need: Floats | float, *, each: int, gpus: int) -> Ints:
    """By node, the most slots that leave no more GPUs without one resource; UNLIMITED where any number does.

    With k slots the node has ``left - k each`` for ``free - k gpus`` GPUs. Those beyond ``(left - k each) / need`` are
    without. They are no more than before, but for a tenth of a GPU for each that the slots take, as long as
    ``k (each - 1.1 need gpus) <= left - need free``. A slot that takes all GPUs of a node leaves none without.

    Args:
        free: free GPUs by node.
        left: by node, what no pod holds of the resource, in any unit.
        need: what a GPU needs in the mean, in the same unit; 0: nothing is known of it.
        each: what a slot asks for.
        gpus: of a slot.
    """
    need = np.broadcast_to(np.asarray(need, dtype=np.float64), free.shape)
    beyond = each - (1 + _MARGIN) * need * gpus
    surplus = np.maximum(0.0, left - need * free)
    fed = np.full(len(free), UNLIMITED, dtype=np.int64)
    binds = (beyond > 0) & (need > 0)
    most = np.minimum(surplus[binds] / beyond[binds] + _ROUNDING, UNLIMITED)
    fed[binds] = most.astype(np.int64)
    return fed


def limited(candidates: Candidates) -> Candidates | None:
    """The request on nodes that stay fed; None where that is not asked for, or makes no difference."""
    request = candidates.request
    if request.feeding is None or request.spread:
        return None
    fed = request.feeding.slots(candidates.names, candidates.state.free)
    return candidates.limited(fed) if (fed < candidates.node_slots).any() else None


def no_worse(fed: Solution, best: Solution) -> bool:
    """Whether what comes first in the objective is no worse: domains, racks, stragglers, watts beyond the share."""
    return _first(fed) <= _first(best)


def _first(solution: Solution) -> tuple[int, int, bool, int]:
    bins, racks, straggler = solution.key[:3]
    return bins, racks, straggler, sum(bin_.beyond for bin_, _ in solution.parts)
