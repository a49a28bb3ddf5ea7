"""Small helpers of the models."""

import pytest

from rackplane.api.base import kilowatts


@pytest.mark.parametrize(
    ("watts", "text"),
    [
        (0, "0.0"),
        (49, "0.0"),
        (50, "0.1"),
        (100_800, "100.8"),
        (99_949, "99.9"),
        (99_950, "100.0"),
        (-49, "0.0"),
        (-1_250, "-1.3"),
        (2_000_000_000, "2000000.0"),
    ],
)
def test_kilowatts_have_one_decimal(watts: int, text: str) -> None:
    assert kilowatts(watts) == text
