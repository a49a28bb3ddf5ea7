"""How many pods a Job runs at a time: whose number it is, and what is written to change it."""

from __future__ import annotations

from rackplane.api.labels import COMPLETIONS_EQUAL, GRANTED_PARALLELISM, REQUESTED_PARALLELISM
from rackplane.core.gangs.parallelism import (
    follows,
    full_size,
    own_parallelism,
    own_slots,
    ranks_at_once,
    size_for,
)
from rackplane.core.instructions import JobSize
from rackplane.core.objects import Job, JobSpec, Metadata


def job(
    parallelism: int,
    completions: int | None = None,
    *,
    indexed: bool = False,
    asked: str | None = None,
    ours: str | None = None,
    allowed: str | None = None,
) -> Job:
    notes = {REQUESTED_PARALLELISM: asked, GRANTED_PARALLELISM: ours, COMPLETIONS_EQUAL: allowed}
    return Job(
        Metadata(name="j", annotations={key: text for key, text in notes.items() if text is not None}),
        JobSpec(
            parallelism=parallelism,
            completions=completions,
            completion_mode="Indexed" if indexed else "NonIndexed",
        ),
    )


def test_the_number_is_ours_as_long_as_nobody_changed_it() -> None:
    assert own_parallelism(job(8)) == 8
    assert own_parallelism(job(4, asked="8", ours="4")) == 8
    assert own_parallelism(job(6, asked="8", ours="4")) == 6
    for asked, ours in (
        ("", "4"),
        ("x", "4"),
        ("0", "4"),
        ("-3", "4"),
        ("9" * 40, "4"),
        (None, "4"),
        ("8", None),
    ):
        assert own_parallelism(job(4, asked=asked, ours=ours)) == 4, (asked, ours)


def test_slots_are_no_more_than_the_completions_unless_these_follow() -> None:
    assert own_slots(job(8, 20)) == 8
    assert own_slots(job(8, 5)) == 5
    assert own_slots(job(3, 5, asked="8", ours="3")) == 5
    assert own_slots(job(3, 3, indexed=True, asked="8", ours="3")) == 8


def test_completions_follow_where_every_index_is_a_rank_and_its_user_allows_fewer() -> None:
    assert follows(job(4, 4, indexed=True, allowed="true"))
    assert not follows(job(4, 4, indexed=True))
    assert not follows(job(4, 4, indexed=True, allowed="false"))
    assert not follows(job(4, 4, allowed="true"))
    assert not follows(job(4, 9, indexed=True, allowed="true"))
    # What we lowered is ours to raise, whatever its user has written since.
    assert follows(job(4, 4, indexed=True, asked="8", ours="4"))
    assert [ranks_at_once(job(8, n, indexed=True)) for n in (4, 8, 9)] == [True, True, False]
    assert ranks_at_once(job(3, 5, indexed=True, asked="8", ours="3"))
    assert not ranks_at_once(job(8, 8))


def test_what_is_written_to_run_with_fewer_with_other_and_with_all() -> None:
    work = job(8, 20)
    assert size_for(work, 8) is None
    assert size_for(work, 3) == JobSize(3, None, 8)
    lowered = job(3, 20, asked="8", ours="3")
    assert size_for(lowered, 3) is None
    assert size_for(lowered, 5) == JobSize(5, None, 8)
    assert size_for(lowered, 8) == full_size(lowered) == JobSize(8, None, None)
    ranks = job(3, 3, indexed=True, asked="8", ours="3")
    assert size_for(ranks, 5) == JobSize(5, 5, 8)
    assert full_size(ranks) == JobSize(8, 8, None)
    assert full_size(work) is None


def test_what_a_user_changed_meanwhile_is_kept() -> None:
    changed = job(6, 20, asked="8", ours="3")
    assert size_for(changed, 3) == JobSize(3, None, 6)
    assert size_for(changed, 6) == full_size(changed) == JobSize(6, None, None)
