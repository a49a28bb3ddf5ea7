"""What is wrong with something a person wrote, in words that a person can act on."""

from dataclasses import dataclass

_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with one field.

    `where` is the field's path as the user wrote it (`spec.feeds[0].weight`,
    `metadata.annotations[rackplane.dev/segment-size]`), `what` says what is wrong with it as the
    rest of a sentence that starts with the path, `remedy` says what to write instead.
    """

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where} {self.what}. {self.remedy}"


def show(value: object) -> str:
    """A value as it may appear in a sentence: quoted if it is text, and never longer than a line."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            text = f'"{value}"'
        case dict():
            return "an object" if value else "an empty object"
        case list() | tuple():
            return f"a list of {len(value)}" if value else "an empty list"
        case int() if value.bit_length() > 128:
            # Python refuses to print integers of more than 4,300 digits; nobody needs to read one.
            return "a number with too many digits"
        case _:
            text = str(value)
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
