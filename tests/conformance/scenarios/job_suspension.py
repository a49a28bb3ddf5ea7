"""Jobs suspended and resumed."""

from __future__ import annotations

from tests.conformance.steps import Scenario, patch, post

from ._jobs import (
    RESUME,
    RESUMED,
    SUSPEND,
    SUSPENDED,
    J,
    becomes,
    ends,
    events,
    kill,
    made,
    of_template,
    one,
    pods,
    running,
)

SCENARIOS = (
    Scenario(
        name="a Job created suspended has no pods until it is resumed",
        steps=(
            made(suspend=True, parallelism=2, completions=2),
            becomes(**SUSPENDED),
            pods(0),
            RESUME,
            becomes(active=2, **RESUMED),
            pods(2),
            events(),
        ),
    ),
    Scenario(
        name="a Job suspended loses its pods, which count as nothing, and starts anew when resumed",
        steps=(
            made(parallelism=2, completions=2),
            pods(2, view="nothing"),
            running(0),
            becomes(active=2, ready=1),
            SUSPEND,
            becomes(active=None, terminating=0, startTime=None, **SUSPENDED),
            pods(0, save="none"),
            RESUME,
            becomes(active=2, **RESUMED),
            pods(2, save="again"),
            events(),
        ),
    ),
    Scenario(
        name="a Job resumed gives its pods the directives set while it was suspended",
        steps=(
            made(suspend=True),
            becomes(**SUSPENDED),
            patch(
                J,
                of_template(
                    {"nodeSelector": {"zone": "a"}, "schedulingGates": [{"name": "example.org/gate"}]},
                    labels={"app": "x"},
                    annotations={"a": "b"},
                ),
                view="nothing",
            ),
            RESUME,
            pods(1),
            SUSPEND,
            becomes(active=None, terminating=0, **SUSPENDED),
            patch(J, of_template({"nodeSelector": {"zone": "b"}, "schedulingGates": None}), view="nothing"),
            RESUME,
            pods(1, save="again"),
        ),
    ),
    Scenario(
        name="pods on a node take their time when the Job is suspended",
        leftovers=("/api/v1/nodes/node-${ns}",),
        steps=(
            post("/api/v1/nodes", {"metadata": {"name": "node-${ns}"}}, view="nothing"),
            made(pod={"nodeName": "node-${ns}"}, completions=2, parallelism=2),
            pods(2, view="nothing"),
            running(0),
            running(1),
            becomes(active=2, ready=2),
            SUSPEND,
            becomes(active=None, terminating=2, **SUSPENDED),
            ends(0, 137),
            becomes(terminating=1),
            RESUME,
            becomes(active=2, **RESUMED),
            kill(0),
            kill(1),
            becomes(active=2, terminating=0),
        ),
    ),
    Scenario(
        name="a Job suspended while it waits after a failure starts its wait anew when resumed",
        steps=(
            made(),
            pods(1, view="nothing"),
            patch(f"{one(0)}/status", {"status": {"phase": "Failed"}}, view="nothing"),
            becomes(failed=1, active=None),
            SUSPEND,
            becomes(failed=1, startTime=None, **SUSPENDED),
            RESUME,
            becomes(failed=1, active=None, **RESUMED),
            becomes(failed=1, active=1, **RESUMED),
        ),
    ),
)
