"""Whatever comes: no limit is exceeded by what is reserved, each job runs once, and nobody holds another's GPUs."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rackplane.simulator.files import Tables
from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.policies import parse_policies
from rackplane.simulator.progress import Rules
from rackplane.simulator.requests import requests_of
from rackplane.simulator.simulation import Simulation
from rackplane.simulator.site import site_of
from tests.unit.cli.hall import HALL

SITE = site_of("hall", HALL)
JOBS = st.lists(
    st.builds(
        TraceJob,
        name=st.just("job"),
        submit=st.integers(0, 3_000),
        duration=st.integers(1, 2_000),
        gpus=st.sampled_from((1, 2, 4, 8, 16, 32)),
        priority=st.sampled_from((0, 0, 10)),
    ),
    min_size=1,
    max_size=12,
)
POLICIES = st.sampled_from(("", "fifo", "strict-fifo", "preemption=within-queue", "elastic=50,told=rough"))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(jobs=JOBS, policy=POLICIES)
def test_no_limit_is_exceeded_and_each_job_runs_once(jobs: list[TraceJob], policy: str) -> None:
    chosen, tables = parse_policies(policy), Tables()
    arrivals = sorted(jobs, key=lambda job: job.submit)
    requests = requests_of(arrivals, SITE, chosen, seed=1)
    rules = Rules(checkpoint=300, restart=30, stop=10)
    simulation = Simulation(SITE, requests, chosen, rules=rules, output=tables, every=600, model=None)
    simulation.run()
    simulation.finish()
    found = simulation.reserved.exceeded
    assert (found.seconds, found.after_a_loss_seconds, found.by_element) == (0, 0, {})
    rows = {row["gang"]: row for row in tables.rows["jobs.csv"]}
    assert sorted(rows) == [request.name for request in requests] and len(tables.rows["jobs.csv"]) == len(
        jobs
    )
    for request in requests:
        row = rows[request.name]
        assert row["start"] >= request.job.submit
        assert row["end"] - row["start"] >= request.job.duration
        if not row["stops"] and not chosen.fewest_percent < 100 and row["profile"] == "MaxP":
            assert row["end"] - row["start"] == request.job.duration
    for row in tables.rows["series.csv"]:
        assert row["gpus_busy"] <= row["gpus"] and row["gpus_busy"] + row["gpus_free"] == row["gpus"]
        assert row["worst_headroom_watts"] >= 0 and row["limits_exceeded"] == ""
