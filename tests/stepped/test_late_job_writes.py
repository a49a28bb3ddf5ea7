"""What is asked of a Job and not answered yet may still happen: its gang keeps its place until it is known."""

from __future__ import annotations

from rackplane.core.instructions import ResumeJob
from rackplane.localcluster import Request, Response
from tests.support.harness import GROUP, Harness, started


def resumes(request: Request) -> bool:
    spec = request.body.get("spec", {}) if isinstance(request.body, dict) else {}
    return "/jobs/" in request.path and spec.get("suspend") is False


def hold_resumes(h: Harness) -> list[Request]:
    """Writes that resume a Job do not arrive, and get no answer; returns those that were sent."""
    held: list[Request] = []
    send, feed = h.cluster.handle, h._feed

    def handle(request: Request) -> Response:
        if not resumes(request):
            return send(request)
        held.append(request)
        return Response(200, {})

    def but_answers(*events: object) -> None:
        feed(*(e for e in events if not isinstance(getattr(e, "instruction", None), ResumeJob)))  # type: ignore[arg-type]

    h.cluster.handle = handle  # type: ignore[method-assign]
    h._feed = but_answers  # type: ignore[method-assign]
    return held


def set_row(h: Harness, watts: int) -> None:
    h.patch(f"/apis/{GROUP}/v1alpha1/powerdomains/row", {"spec": {"ratedWatts": watts}})


def test_a_gang_that_is_stopped_as_its_job_is_being_resumed_keeps_its_place_until_that_is_answered() -> None:
    h = started()
    plain = h.cluster.handle
    held = hold_resumes(h)
    h.job("a", slots=2)
    h.advance(1)
    assert h.phase("job-a") == "Admitted"
    (resume,) = held
    set_row(h, 13_000)
    h.advance(5)
    assert h.phase("job-a") == "Stopping"
    # It arrives: the Job makes pods, and is suspended before its place is free.
    h.cluster.handle = plain  # type: ignore[method-assign]
    assert plain(resume).code == 200
    h.advance(5)
    assert h.phase("job-a") == "Pending"
    assert h.get("batch", "jobs", "a")["spec"]["suspend"] is True
    set_row(h, 100_000)
    h.until(lambda: h.phase("job-a") == "Running")


def test_a_gang_that_is_stopped_as_its_job_was_not_resumed_gives_its_place_up() -> None:
    h = started()
    refused: list[Request] = []
    plain = h.cluster.handle

    def handle(request: Request) -> Response:
        if not resumes(request):
            return plain(request)
        refused.append(request)
        return Response(503, {"reason": "ServiceUnavailable", "message": "try again"})

    h.cluster.handle = handle  # type: ignore[method-assign]
    h.job("a", slots=2)
    h.advance(1)
    assert h.phase("job-a") == "Admitted" and refused
    set_row(h, 13_000)
    h.until(lambda: h.phase("job-a") == "Pending", seconds=60)
