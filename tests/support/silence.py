"""Logs kept quiet where what they tell of is the point of the test."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

__all__ = ["silenced"]


@contextmanager
def silenced() -> Iterator[None]:
    """Nothing below critical is logged, by structlog or by the standard library."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        structlog.reset_defaults()
