"""What is left out says so, and the documentation lists it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .outside import OUTSIDE
from .run import filled
from .servers import Embedded
from .steps import Ask

PAGE = Path(__file__).parents[2] / "docs" / "embedded-cluster.md"


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(step, id=f"{what[:40]} {number}")
        for what, steps in OUTSIDE.items()
        for number, step in enumerate(steps, 1)
    ],
)
def test_what_is_left_out_answers_501_with_a_sentence(step: Ask) -> None:
    server = Embedded()
    server.prepare("outside", crds=False)
    answer = server.ask(filled(step, {"ns": "outside"}))
    start = "the embedded cluster of Rackplane does not implement "
    assert (answer.code, answer.object["reason"], answer.object["message"][: len(start)]) == (
        501,
        "NotImplemented",
        start,
    )


def test_the_documentation_lists_what_is_left_out_and_nothing_else() -> None:
    text = PAGE.read_text(encoding="utf-8")
    part = text.split("## Left out\n")[1].split("\n## ")[0]
    items = [" ".join(item.split()) for item in part.split("\n- ")[1:]]
    assert items == [f"{what}." for what in OUTSIDE]
