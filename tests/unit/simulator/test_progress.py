"""How far a job has come: worked out by hand."""

from __future__ import annotations

from rackplane.simulator.progress import NEVER, ON_STOP, Progress, Rules


def told(progress: Progress) -> tuple[float, float, int, float]:
    return progress.done, progress.saved, progress.stops, progress.lost


def test_undisturbed_it_ends_after_its_work_and_at_a_lower_speed_later() -> None:
    job = Progress(1_000)
    assert job.ends() is None
    job.start(50, 1.0)
    assert job.ends() == 1_050
    job.change(550, 0.8)  # 500 are done, 500 / 0.8 are left
    assert job.ends() == 550 + 625
    job.change(550 + 125, 1.0)  # 100 more are done
    assert job.ends() == 675 + 400


def test_a_stopped_job_does_again_what_its_last_checkpoint_does_not_have() -> None:
    job = Progress(1_000, Rules(checkpoint=300, restart=50))
    job.start(0, 1.0)
    job.stop(700, asked=True)
    assert (told(job), job.ends(), job.left()) == ((600.0, 600.0, 1, 100.0), None, 450)
    job.start(2_000, 1.0)
    assert job.ends() == 2_000 + 50 + 400
    job.stop(2_040, asked=True)  # it had not begun to work again
    assert told(job) == (600.0, 600.0, 2, 100.0)


def test_a_checkpoint_has_what_was_done_by_then_at_the_speeds_until_then() -> None:
    job = Progress(1_000, Rules(checkpoint=300))
    job.start(0, 1.0)
    job.change(100, 0.5)
    job.change(500, 1.0)  # the checkpoint at 300 has 100 + 100
    assert (job.done, job.saved) == (300.0, 200.0)
    job.stop(550, asked=True)
    assert told(job) == (200.0, 200.0, 1, 150.0)


def test_other_rules_for_checkpoints() -> None:
    for rules, asked, saved in (
        (Rules(checkpoint=ON_STOP), True, 700.0),
        (Rules(checkpoint=ON_STOP), False, 0.0),  # who fails writes nothing
        (Rules(checkpoint=NEVER), True, 0.0),
    ):
        job = Progress(1_000, rules)
        job.start(0, 1.0)
        job.stop(700, asked=asked)
        assert told(job) == (saved, saved, 1, 700.0 - saved)


def test_speeds_that_are_no_binary_fractions_do_not_add_a_second() -> None:
    job = Progress(85)
    job.start(0, 0.85)
    assert job.ends() == 100
