"""What every storm needs."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.support.silence import silenced


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Operators log what befalls them, and here something always does."""
    with silenced():
        yield


@pytest.fixture(autouse=True)
def _few_collections() -> Iterator[None]:
    """What other tests have left in memory is not looked through again and again."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()
