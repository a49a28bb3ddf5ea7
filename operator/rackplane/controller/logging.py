"""One log format for our records and for those of every library, kopf's among them."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final, TextIO

import structlog

__all__ = ["configure_logging"]

#: kopf runs in a thread of its own, where it cannot take the signals; that is on purpose, and no news.
_EXPECTED: Final = ("OS signals are ignored",)


def configure_logging(*, level: str = "INFO", json: bool = True, stream: TextIO | None = None) -> None:
    """Send every record of this process to `stream` (default stderr), as JSON lines or for a terminal.

    Replaces the handlers of the root logger.

    Args:
        level: a name of the standard library's, e.g. "DEBUG".
        json: one JSON object a line; otherwise coloured text.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    # kopf attaches its whole settings to each record: only the name of the object is wanted.
    foreign = [*shared, structlog.stdlib.ExtraAdder(allow=["k8s_ref"])]
    renderer: Any = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer()
    final: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if json:
        final.append(structlog.processors.format_exc_info)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=foreign, processors=[*final, renderer])
    )
    handler.addFilter(_is_news)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # A line for every request would drown what they are for.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    # kopf reports every event of every object as handled.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_EXPECTED)
