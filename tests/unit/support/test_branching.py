"""What is killed goes on in a copy, and what fails there fails the test."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import pytest

from tests.support import branching
from tests.support.branching import Branching, Kill, killed_at


@dataclass
class Story:
    """Three writes; one that is killed at is begun anew."""

    kill: Kill
    restarts: int = 0
    written: list[str] = field(default_factory=list)

    def play(self) -> None:
        for number in (1, 2, 3):
            for moment in ("before", "after"):
                if self.kill(number, moment):
                    self.restarts += 1
                    self.written.append(f"killed {moment} {number}")
                    break
                if moment == "before":
                    self.written.append(f"{number}")


@pytest.fixture(autouse=True)
def every_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branching, "EVERY", 1)


def told(path: str, story: Story) -> None:
    with open(path, "a", encoding="utf-8") as log:
        log.write(f"{' '.join(story.written)}\n")


def test_each_kill_is_a_run_of_its_own_and_the_last_is_undisturbed(tmp_path: os.PathLike[str]) -> None:
    log = f"{tmp_path}/log"

    def run(kill: Kill) -> Story:
        story = Story(kill)
        story.play()
        told(log, story)
        return story

    assert killed_at(lambda number, moment: number != 2, run) == 4
    with open(log, encoding="utf-8") as lines:
        assert lines.read().splitlines() == [
            "killed before 1 2 3",
            "1 killed after 1 2 3",
            "1 2 killed before 3",
            "1 2 3 killed after 3",
            "1 2 3",
        ]


def test_where_a_successor_finds_the_same_one_kill_stands_for_both(tmp_path: os.PathLike[str]) -> None:
    log = f"{tmp_path}/log"

    def run(kill: Kill) -> Story:
        story = Story(kill)
        assert isinstance(kill, Branching)
        # Somebody else changes something after the second write, and nobody after the first.
        found = iter(("none", "one", "one", "two", "changed", "three"))
        kill.found = lambda: next(found)
        story.play()
        told(log, story)
        return story

    assert killed_at(lambda number, moment: True, run) == 5
    with open(log, encoding="utf-8") as lines:
        assert lines.read().splitlines() == [
            "killed before 1 2 3",
            "1 killed after 1 2 3",
            "1 2 killed after 2 3",
            "1 2 killed before 3",
            "1 2 3 killed after 3",
            "1 2 3",
        ]


def test_of_three_kills_one_is_tried(tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branching, "EVERY", 3)
    log = f"{tmp_path}/log"

    def run(kill: Kill) -> Story:
        story = Story(kill)
        story.play()
        told(log, story)
        return story

    assert killed_at(lambda number, moment: True, run) == 6
    with open(log, encoding="utf-8") as lines:
        assert lines.read().splitlines() == ["1 killed before 2 3", "1 2 3 killed after 3", "1 2 3"]


def test_what_fails_in_a_copy_fails_here_and_says_where() -> None:
    def run(kill: Kill) -> Story:
        story = Story(kill)
        story.play()
        assert "killed after 2" not in story.written
        return story

    with pytest.raises(AssertionError, match=r"(?s)^killed after write 2: .*assert .killed after 2. not in"):
        killed_at(lambda number, moment: True, run)


def test_a_copy_that_dies_is_told_of() -> None:
    def run(kill: Kill) -> Story:
        story = Story(kill)
        story.play()
        if story.restarts:
            os._exit(7)
        return story

    with pytest.raises(AssertionError, match=r"^killed before write 1: it died"):
        killed_at(lambda number, moment: True, run)


def test_a_copy_must_have_started_anew_once() -> None:
    def run(kill: Kill) -> Story:
        story = Story(kill)
        story.play()
        story.restarts = 0
        return story

    with pytest.raises(AssertionError, match="the operator started anew 0 times"):
        killed_at(lambda number, moment: True, run)
