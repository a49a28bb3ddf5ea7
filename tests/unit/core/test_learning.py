"""Names of jobs without what was generated, and what is kept of their runs."""

from __future__ import annotations

import pytest

from rackplane.core.learning.memory import ENOUGH, KEPT, Family, Memory, Runs
from rackplane.core.learning.names import family_name
from rackplane.core.learning.window import Window


def of(name: str) -> Family:
    return Family("ml", name, "gb300", "MaxP")


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("train-llama-28123456", "train-llama"),
        ("train-llama-x7k2p", "train-llama"),
        ("train-llama-3", "train-llama"),
        ("train-llama-v3", "train-llama"),
        ("train-llama-20261121-0930", "train-llama"),
        ("sweep-9f8b7c6d5e", "sweep"),
        ("sweep-3f2504e0-4f89-11d3-9a0c-0305e82c3301", "sweep"),
        ("eval.seed-4.2", "eval.seed"),
        ("train-small", "train-small"),
        ("train-llama-large", "train-llama-large"),
        ("42", "42"),
        ("x7k2p-3", "x7k2p"),
        ("decade", "decade"),
        ("pretrain-deadbeef", "pretrain-deadbeef"),
    ],
)
def test_segments_that_no_person_chose_are_taken_from_the_end(name: str, family: str) -> None:
    assert family_name(name) == family


def test_the_bound_is_the_highest_of_runs_enough() -> None:
    memory = Memory()
    for i in range(ENOUGH - 1):
        memory.add("q", of("a"), 3_000 + i, float(i))
    assert memory.enough("q", "ml", "a") == {}
    memory.add("q", of("a"), 2_000, 99.0)
    assert memory.enough("q", "ml", "a") == {of("a"): Runs(ENOUGH, 3_000 + ENOUGH - 2, 99.0)}
    assert memory.enough("q", "other", "a") == memory.enough("p", "ml", "a") == {}


def test_fifty_nine_runs_are_the_fewest_whose_highest_is_above_95_percent_with_95_percent_confidence() -> (
    None
):
    assert 1 - 0.95**ENOUGH >= 0.95 > 1 - 0.95 ** (ENOUGH - 1)


def test_of_too_many_names_the_one_that_ran_longest_ago_is_forgotten() -> None:
    memory = Memory()
    for i in range(KEPT):
        memory.add("q", of(f"job{i}x"), 1_000, float(i))
    memory.add("q", of("job0x"), 1_000, 500.0)
    memory.add("q", of("new"), 1_000, 501.0)
    names = {each["name"] for each in memory.figures("q")}
    assert len(names) == KEPT
    assert names == {"new", *(f"job{i}x" for i in range(KEPT))} - {"job1x"}


def test_a_new_process_goes_on_from_the_status_and_passes_over_what_does_not_read() -> None:
    memory = Memory()
    memory.add("q", of("a"), 3_000, 60.0)
    memory.add("q", of("b"), 4_000, 120.0)
    after = Memory()
    bad = [{"name": "c"}, {**memory.figures("q")[0], "name": "d", "lastRun": "yesterday"}]
    after.restore("q", {"learned": [*memory.figures("q"), *bad]})
    assert after.figures("q") == memory.figures("q")
    after.restore("q", {})
    assert after.figures("q") == []


def test_who_does_not_lead_goes_by_the_queue_and_who_leads_by_what_it_knows() -> None:
    memory, other = Memory(), Memory()
    memory.add("q", of("a"), 3_000, 60.0)
    other.add("q", of("b"), 4_000, 60.0)
    stale = {"learned": other.figures("q")}
    memory.follow("q", stale, leading=True)
    memory.follow("new", stale, leading=True)
    assert [memory.figures(q)[0]["name"] for q in ("q", "new")] == ["a", "b"]
    memory.follow("q", stale, leading=False)
    assert memory.figures("q") == other.figures("q")
    memory.follow("q", {"learned": None}, leading=False)
    memory.forget("new")
    assert (memory.figures("q"), memory.figures("new")) == ([], [])


def test_what_a_run_draws_that_is_not_over_counts_at_once_and_is_no_run() -> None:
    memory = Memory()
    memory.add("q", of("a"), 3_000, 60.0)
    memory.drew("q", of("a"), 3_500)
    memory.drew("q", of("a"), 3_200)
    memory.drew("q", of("unknown"), 9_000)
    assert memory.figures("q") == [
        {
            "namespace": "ml",
            "name": "a",
            "hardwareProfile": "gb300",
            "powerProfile": "MaxP",
            "runs": 1,
            "nodeWatts": 3_500,
            "lastRun": "1970-01-01T00:01:00Z",
        }
    ]


def test_a_window_says_the_means_of_nodes_that_were_read_often_enough_and_begins_anew() -> None:
    window = Window(0.0, 0.0)
    for minute in range(15):
        assert (
            window.take(60.0 * minute, {"a": 1_000 + minute, **({"b": 2_000} if minute > 8 else {})}) is None
        )
    assert window.take(900.0, {"a": 1_015}) == {"a": 1_008}
    # What lies before a pause is forgotten.
    assert window.take(960.0, {"a": 9_000}) is None
    for minute in range(22, 37):
        assert window.take(60.0 * minute, {"a": 500}) is None
    assert window.take(2_220.0, {"a": 501}) == {"a": 501}
