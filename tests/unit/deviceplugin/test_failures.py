"""What the annotation rackplane.dev/fail-gpus may say."""

from __future__ import annotations

import pytest

from rackplane.deviceplugin.failures import parse_failures


@pytest.mark.parametrize(
    ("text", "failures"),
    [
        ("", {}),
        ("1", {1: 79}),
        ("0,2", {0: 79, 2: 79}),
        (" 0 , 3:48 ", {0: 79, 3: 48}),
        ("all", {0: 79, 1: 79, 2: 79, 3: 79}),
        ("all:48,1", {0: 48, 1: 79, 2: 48, 3: 48}),
        ("1,", {1: 79}),
    ],
)
def test_which_are_broken_and_how(text: str, failures: dict[int, int]) -> None:
    assert parse_failures(text, 4) == failures


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4", "rackplane.dev/fail-gpus names GPU 4; there are 0 to 3"),
        (
            "1 2",
            "rackplane.dev/fail-gpus says '1 2'; write GPUs by index, as 1 or 0,2 or 1:48 (an XID), or all",
        ),
        (
            "-1",
            "rackplane.dev/fail-gpus says '-1'; write GPUs by index, as 1 or 0,2 or 1:48 (an XID), or all",
        ),
        (
            "\u0663",
            "rackplane.dev/fail-gpus says '\u0663'; write GPUs by index, as 1 or 0,2 or 1:48 (an XID), or all",
        ),
    ],
)
def test_what_is_none_is_said_in_words(text: str, said: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        parse_failures(text, 4)
    assert str(error.value) == said
