"""What the API server says of names, labels and keys that break its rules. An empty list: nothing is wrong."""

from __future__ import annotations

import re
from functools import lru_cache

_LABEL_FORM = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN_FORM = rf"{_LABEL_FORM}(\.{_LABEL_FORM})*"
_NAME_FORM = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE_FORM = f"({_NAME_FORM})?"
_KEY_FORM = "[-._a-zA-Z0-9]+"

_LABEL = re.compile(_LABEL_FORM)
_SUBDOMAIN = re.compile(_SUBDOMAIN_FORM)
_NAME = re.compile(_NAME_FORM)
_VALUE = re.compile(_VALUE_FORM)
_KEY = re.compile(_KEY_FORM)
_ENDS = "and must start and end with an alphanumeric character"
_NAME_EXAMPLES = f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME_FORM}')"
_NAME_RULE = f"must consist of alphanumeric characters, '-', '_' or '.', {_ENDS} {_NAME_EXAMPLES}"


def _too_long(value: str, limit: int, unit: str = "characters") -> list[str]:
    return [f"must be no more than {limit} {unit}"] if len(value.encode()) > limit else []


@lru_cache(maxsize=4096)
def dns_label(value: str) -> tuple[str, ...]:
    """A name of one part, as containers have."""
    found = _too_long(value, 63)
    if not _LABEL.fullmatch(value):
        if _SUBDOMAIN.fullmatch(value):
            found.append("must not contain dots")
        else:
            found.append(
                f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {_ENDS} "
                f"(e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL_FORM}')"
            )
    return tuple(found)


@lru_cache(maxsize=4096)
def dns_subdomain(value: str) -> tuple[str, ...]:
    """A name of parts between dots, as most objects have."""
    found = _too_long(value, 253)
    if not _SUBDOMAIN.fullmatch(value):
        found.append(
            f"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', {_ENDS} "
            f"(e.g. 'example.com', regex used for validation is '{_SUBDOMAIN_FORM}')"
        )
    return tuple(found)


@lru_cache(maxsize=4096)
def qualified_name(value: str) -> tuple[str, ...]:
    """A name that may have a domain before a slash, as label keys, scheduling gates and resources have."""
    parts = value.split("/")
    if len(parts) > 2:
        with_domain = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return (f"a valid label key {_NAME_RULE} {with_domain}",)
    found: list[str] = []
    if len(parts) == 2:
        if not parts[0]:
            found.append("prefix part must be non-empty")
        else:
            found += [f"prefix part {text}" for text in dns_subdomain(parts[0])]
    name = parts[-1]
    if not name:
        found.append("name part must be non-empty")
    elif len(name.encode()) > 63:
        found.append("name part must be no more than 63 bytes")
    if not _NAME.fullmatch(name):
        found.append(f"name part {_NAME_RULE}")
    return tuple(found)


@lru_cache(maxsize=4096)
def label_value(value: str) -> tuple[str, ...]:
    """The value of a label."""
    found = _too_long(value, 63, "bytes")
    if not _VALUE.fullmatch(value):
        found.append(
            f"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', {_ENDS} "
            f"(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '{_VALUE_FORM}')"
        )
    return tuple(found)


def config_key(value: str) -> list[str]:
    """A key of a ConfigMap or Secret."""
    found = _too_long(value, 253)
    if not _KEY.fullmatch(value):
        found.append(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
            f"'KEY_NAME',  or 'key-name', regex used for validation is '{_KEY_FORM}')"
        )
    if value == ".":
        found.append("must not be '.'")
    elif value == "..":
        found.append("must not be '..'")
    elif value.startswith(".."):
        found.append("must not start with '..'")
    return found


def port_name(value: str) -> list[str]:
    """The name of a container's port."""
    found = _too_long(value, 15)
    if not re.fullmatch("[-a-z0-9]+", value):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        found.append("must contain at least one letter (a-z)")
    if "--" in value:
        found.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        found.append("must not begin or end with a hyphen")
    return found


def port_number(value: int) -> list[str]:
    """The number of a port."""
    return [] if 1 <= value <= 65535 else ["must be between 1 and 65535, inclusive"]


def environment_name(value: str) -> list[str]:
    """The name of an environment variable."""
    if not value:
        return ["environment variable name must be non-empty"]
    if all(" " <= char <= "~" and char != "=" for char in value):
        return []
    return [
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
    ]
