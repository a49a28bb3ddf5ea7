"""A mistake that does no harm by itself, for another part of the operator looks too."""

from __future__ import annotations

from rackplane.core.settings import MachineSettings
from rackplane.localcluster import Request, Response
from tests.chaos.breaks import bookings_end_too_early
from tests.support.harness import Harness, facility, started


def refuse_to_suspend(h: Harness, job: str) -> None:
    """The API server answers each write to the Job with 503, and does nothing."""
    handle = h.cluster.handle

    def answer(request: Request) -> Response:
        if request.user == "operator" and request.method == "PATCH" and request.path.endswith(f"/jobs/{job}"):
            return Response(503, {"reason": "ServiceUnavailable", "message": "try again"})
        return handle(request)

    h.cluster.handle = answer  # type: ignore[method-assign]


def test_where_the_pods_of_a_stopped_gang_run_nobody_is_placed_even_if_its_booking_is_gone() -> None:
    h = started(facility(racks=1, nodes=4), settings=MachineSettings(node_loss_seconds=5))
    h.job("a", slots=4, run=500, backoffLimit=1000)
    h.until(lambda: h.phase("job-a") == "Running")
    h.job("b", slots=3)
    h.settle()
    with bookings_end_too_early():
        refuse_to_suspend(h, "a")
        h.node_ready("r1-n0", False)
        h.until(lambda: h.phase("job-a") == "Stopping")
        assert h.machine.state is not None
        assert list(h.machine.state.keys()) == []
        h.advance(5)
        assert h.gangs() == {"job-a": "Stopping", "job-b": "Pending"}
        assert "0 free" in h.gang("job-b")["status"]["message"]
