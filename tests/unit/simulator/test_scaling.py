"""A trace made to fit a facility, by figures that can be checked by hand."""

from __future__ import annotations

from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.scaling import Scaling, Shape, Sizes, shape_of

JOBS = [
    TraceJob("c", 1_200, 100, 32),
    TraceJob("a", 1_000, 400, 6),
    TraceJob("b", 1_100, 100, 1, nodes=1),
    TraceJob("d", 91_000, 10, 16, nodes=4),
]


def scaled(scaling: Scaling, gpus: int = 64) -> tuple[list[tuple[str, int, int]], dict[str, int]]:
    jobs, left_out = scaling.scaled(JOBS, gpus=gpus, gpus_per_node=4)
    return [(job.name, job.submit, job.gpus) for job in jobs], dict(left_out)


def test_as_it_is_in_order_of_arrival() -> None:
    assert scaled(Scaling()) == ([("a", 0, 6), ("b", 100, 1), ("c", 200, 32), ("d", 90_000, 16)], {})


def test_some_of_its_jobs() -> None:
    assert scaled(Scaling(days=1, first=2)) == (
        [("a", 0, 6), ("b", 100, 1)],
        {"come after the first 2": 1, "come later than 1 days after the first": 1},
    )
    assert scaled(Scaling(largest=16), gpus=12) == (
        [("a", 0, 6), ("b", 100, 1)],
        {"ask for more than 16 GPUs": 1, "ask for more than the 12 GPUs of the facility": 1},
    )


def test_sizes() -> None:
    def sizes(scaling: Scaling) -> list[int]:
        return [gpus for _, _, gpus in scaled(scaling)[0]]

    assert sizes(Scaling(cap=8)) == [6, 1, 8, 8]
    assert sizes(Scaling(sizes=Sizes.WHOLE_NODES)) == [8, 4, 32, 16]
    # On nodes of 8 GPUs: 6 of one, 1 of one, four of them, and the four that the trace names.
    assert sizes(Scaling(sizes=Sizes.SAME_NODES, source_gpus=8)) == [3, 1, 16, 16]


def test_arrivals_until_the_jobs_ask_for_so_much() -> None:
    # Work: 400 x 8 + 100 x 1 + 100 x 32 = 6,500 GPU-seconds, of whole nodes; 64 GPUs offer that at load 0.5 in 203 s.
    found, _ = scaled(Scaling(days=1, load=0.5))
    assert found == [("a", 0, 6), ("b", 102, 1), ("c", 203, 32)]
    assert scaled(Scaling(days=1, faster=4))[0] == [("a", 0, 6), ("b", 25, 1), ("c", 50, 32)]


def test_shapes() -> None:
    assert [shape_of(gpus, 4) for gpus in (1, 4, 5, 64)] == [
        Shape(1, 1),
        Shape(1, 4),
        Shape(2, 4),
        Shape(16, 4),
    ]
