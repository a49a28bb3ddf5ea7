"""The formats of strings that the server checks. Others are ignored, with a warning when the CRD is created."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from urllib.parse import urlsplit

_CLOCK = re.compile(r"(\d\d):(\d\d):(\d\d)(?:.\d+)?(?:z|[+-]\d\d:\d\d)")
_GO_DURATION = re.compile(r"[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_WORDS = re.compile(r"(\d+)\s*([A-Za-zµ]+)")
_UNITS = (
    ("ns", "nano"),
    ("us", "µs", "micro"),
    ("ms", "milli"),
    ("s", "sec"),
    ("m", "min"),
    ("h", "hr", "hour"),
    ("d", "day"),
    ("w", "wk", "week"),
)
_GO_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def _datetime(text: str) -> bool:
    date, t, clock = text.lower().partition("t")
    found = _CLOCK.fullmatch(clock)
    if not t or found is None or not _date(date):
        return False
    return found[1] <= "23" and found[2] <= "59" and found[3] <= "59"


def parse_time(text: str) -> datetime | None:
    """The point in time that a string of `format: date-time` says; None if it is none."""
    if not _datetime(text):
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None


def parse_duration(text: str) -> timedelta | None:
    """A duration in Go's form, `1h30m`; None if it is none."""
    if not _GO_DURATION.fullmatch(text):
        return None
    seconds = sum(
        float(amount) * _GO_SECONDS[unit]
        for amount, unit in re.findall(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", text)
    )
    return timedelta(seconds=-seconds if text.startswith("-") else seconds)


def _duration(text: str) -> bool:
    if parse_duration(text) is not None:
        return True
    for _, unit in _WORDS.findall(text):
        for variants in _UNITS:
            if unit.lower() in variants or unit.lower().startswith(variants[-1]):
                return True
    return False


def _date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


def _address(kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            kind(text)
        except ValueError:
            return False
        return "%" not in text

    return check


def _cidr(text: str) -> bool:
    address, slash, bits = text.partition("/")
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return bool(slash) and bits.isdecimal() and "%" not in address


def _base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return bool(text)


def _uri(text: str) -> bool:
    """An absolute URI or an absolute path, as Go's ParseRequestURI takes them."""
    if not text or any(ord(letter) <= 0x20 or ord(letter) == 0x7F for letter in text):
        return False
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        return False
    if text.startswith("/"):
        return True
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text)
    if scheme is None:
        return False
    try:
        urlsplit(text).port  # noqa: B018 - it raises where the port is no number
    except ValueError:
        return False
    return True


def _pattern(text: str) -> Callable[[str], bool]:
    pattern = re.compile(text)
    return lambda value: pattern.fullmatch(value) is not None


_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_HEX = "[0-9a-fA-F]"
_LONG_NAME = _pattern(rf"{_LABEL}(\.{_LABEL})*")
_SHORT_NAME = _pattern(_LABEL)
_HOST = _pattern(
    r"([a-zA-Z0-9]((-?[a-zA-Z0-9]{0,62})?)|([a-zA-Z0-9](([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)(\.))+[a-zA-Z]{2,63})"
)


def _hostname(text: str) -> bool:
    return len(text) <= 255 and _HOST(text) and all(len(part) <= 63 for part in text.split("."))


_FORMATS: dict[str, Callable[[str], bool]] = {
    "datetime": _datetime,
    "date": _date,
    "duration": _duration,
    "password": lambda _: True,
    "byte": _base64,
    "ipv4": _address(ipaddress.IPv4Address),
    "ipv6": _address(ipaddress.IPv6Address),
    "cidr": _cidr,
    "mac": _pattern(
        rf"({_HEX}{{2}}([:-]{_HEX}{{2}}){{5}}|({_HEX}{{2}}[:-]){{7}}{_HEX}{{2}}|{_HEX}{{4}}(\.{_HEX}{{4}}){{2,3}})"
    ),
    "uri": _uri,
    "email": _pattern(r"[^\s@<>,;:\"()\[\]\\.]+(\.[^\s@<>,;:\"()\[\]\\.]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"),
    "hostname": _hostname,
    "uuid": _pattern(rf"{_HEX}{{8}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{12}}"),
    "uuid3": _pattern(rf"{_HEX}{{8}}-?{_HEX}{{4}}-?3{_HEX}{{3}}-?{_HEX}{{4}}-?{_HEX}{{12}}"),
    "uuid4": _pattern(rf"{_HEX}{{8}}-?{_HEX}{{4}}-?4{_HEX}{{3}}-?[89abAB]{_HEX}{{3}}-?{_HEX}{{12}}"),
    "uuid5": _pattern(rf"{_HEX}{{8}}-?{_HEX}{{4}}-?5{_HEX}{{3}}-?[89abAB]{_HEX}{{3}}-?{_HEX}{{12}}"),
    "hexcolor": _pattern(rf"#?({_HEX}{{3}}|{_HEX}{{6}})"),
    "bsonobjectid": _pattern(rf"{_HEX}{{24}}"),
    "k8sshortname": lambda text: len(text) <= 63 and _SHORT_NAME(text),
    "k8slongname": lambda text: len(text) <= 253 and _LONG_NAME(text),
}
#: The server checks these and this one does not.
MISSING = frozenset({"isbn", "isbn10", "isbn13", "creditcard", "ssn", "rgbcolor"})
_NUMBERS = {"integer": ("int32", "int64"), "number": ("float", "double")}


def recognized(kind: str, text: str) -> bool:
    """Whether a format means something for a type of the schema; '' is a schema without type."""
    if kind in _NUMBERS:
        return text in _NUMBERS[kind]
    return kind in ("", "string") and (_normal(text) in _FORMATS or _normal(text) in MISSING)


def conforms(text: str, value: str) -> bool:
    """Whether a string has a recognized format."""
    return _FORMATS[_normal(text)](value)


def lacking(text: str) -> bool:
    """Whether a format is one the server checks and this one does not."""
    return _normal(text) in MISSING


def _normal(text: str) -> str:
    return text.replace("-", "")
