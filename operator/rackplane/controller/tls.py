"""A certificate in a directory, as a mounted Secret of type kubernetes.io/tls has it."""

from __future__ import annotations

import math
import ssl
from pathlib import Path

import structlog

__all__ = ["Certificate"]

log = structlog.stdlib.get_logger(__name__)


class Certificate:
    """What a server shows to its clients.

    Args:
        directory: with tls.crt and tls.key.

    Raises:
        OSError, ssl.SSLError: they cannot be read.
    """

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        self._loaded = -math.inf
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._load()

    def follow(self) -> None:
        """Load it if it is another one: it is renewed long before it ends, while requests still come."""
        try:
            self._load()
        except (OSError, ssl.SSLError) as error:
            log.warning("the certificate cannot be read anew", error=str(error))

    def _load(self) -> None:
        changed = (self._directory / "tls.crt").stat().st_mtime
        if changed != self._loaded:
            self.context.load_cert_chain(self._directory / "tls.crt", self._directory / "tls.key")
            self._loaded = changed
