"""Where JSON text stops being JSON, in the words of the server's decoder."""

from __future__ import annotations

_SPACE = " \t\r\n"
_LITERALS = {"t": "true", "f": "false", "n": "null"}
_END = "unexpected end of JSON input"


class _Problem(Exception):
    """Carries the finding out of the descent."""


def problem(text: str) -> str:
    """What is wrong with a text as JSON; empty if nothing is."""
    try:
        place = _space(text, _value(text, _space(text, 0), "looking for beginning of value"))
    except _Problem as found:
        return str(found)
    return "" if place == len(text) else _odd(text, place, "after top-level value")


def _odd(text: str, place: int, where: str) -> str:
    if place >= len(text):
        return _END
    char = text[place]
    shown = {"'": "'\\''", '"': "'\"'"}.get(char) or f"'{_escaped(char)}'"
    return f"invalid character {shown} {where}"


def _escaped(char: str) -> str:
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", "\0": "\\x00"}
    return named.get(char) or (char if char.isprintable() else f"\\x{ord(char):02x}")


def _space(text: str, place: int) -> int:
    while place < len(text) and text[place] in _SPACE:
        place += 1
    return place


def _value(text: str, place: int, where: str) -> int:
    """The place after the value that begins at a place."""
    char = text[place : place + 1]
    if char == "{":
        return _members(text, place + 1, "}")
    if char == "[":
        return _members(text, place + 1, "]")
    if char == '"':
        return _string(text, place + 1)
    if char in _LITERALS and char:
        return _literal(text, place, _LITERALS[char])
    if char == "-" or (char and char in "0123456789"):
        return _number(text, place)
    raise _Problem(_odd(text, place, where))


def _members(text: str, place: int, end: str) -> int:
    place = _space(text, place)
    if text[place : place + 1] == end:
        return place + 1
    after = "after object key:value pair" if end == "}" else "after array element"
    while True:
        if end == "}":
            if text[place : place + 1] != '"':
                raise _Problem(_odd(text, place, "looking for beginning of object key string"))
            place = _space(text, _string(text, place + 1))
            if text[place : place + 1] != ":":
                raise _Problem(_odd(text, place, "after object key"))
            place = _space(text, place + 1)
        place = _space(text, _value(text, place, "looking for beginning of value"))
        char = text[place : place + 1]
        if char == end:
            return place + 1
        if char != ",":
            raise _Problem(_odd(text, place, after))
        place = _space(text, place + 1)


def _string(text: str, place: int) -> int:
    while True:
        char = text[place : place + 1]
        if char == '"':
            return place + 1
        if not char or char < " ":
            raise _Problem(_odd(text, place, "in string literal"))
        place += 1
        if char != "\\":
            continue
        if text[place : place + 1] == "u":
            for digit in range(place + 1, place + 5):
                if text[digit : digit + 1] not in set("0123456789abcdefABCDEF"):
                    raise _Problem(_odd(text, digit, "in \\u hexadecimal character escape"))
            place += 5
        elif text[place : place + 1] in set('"\\/bfnrt'):
            place += 1
        else:
            raise _Problem(_odd(text, place, "in string escape code"))


def _literal(text: str, place: int, word: str) -> int:
    for offset, wanted in enumerate(word):
        if text[place + offset : place + offset + 1] != wanted:
            where = f"in literal {word} (expecting '{wanted}')"
            raise _Problem(_odd(text, place + offset, where))
    return place + len(word)


def _number(text: str, place: int) -> int:
    if text[place] == "-":
        place += 1
    if text[place : place + 1] == "0":
        place += 1
    else:
        place = _digits(text, place, "in numeric literal")
    if text[place : place + 1] == ".":
        place = _digits(text, place + 1, "after decimal point in numeric literal")
    if text[place : place + 1] in ("e", "E"):
        place += 1
        if text[place : place + 1] in ("+", "-"):
            place += 1
        place = _digits(text, place, "in exponent of numeric literal")
    return place


def _digits(text: str, place: int, where: str) -> int:
    start = place
    while "0" <= text[place : place + 1] <= "9":
        place += 1
    if place == start:
        raise _Problem(_odd(text, place, where))
    return place
