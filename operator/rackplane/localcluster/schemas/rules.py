"""The CEL rules of a schema (`x-kubernetes-validations`): compiled with the CRD, run over its objects.

The evaluator is the `common-expression-language` package; `celcheck` says before what it could not evaluate as the
server does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cel
import msgspec

from rackplane.localcluster.errors import Cause, invalid_value, show

from . import celcheck, internal
from .celvalues import FUNCTIONS, cel_value, failure
from .fieldpaths import resolve
from .validation import ABSENT, counterpart, property_schema, unchanged
from .values import Schema, child, key

OLD = "oldSelf"
_MAX_MESSAGE = 5 * 1024
#: So many values that kept their rules are remembered at most.
_MOST_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled entry. `name` is what messages call it; `transition` says that it compares with the old value."""

    program: Any
    name: str
    message: str
    expression: Any
    reason: str
    field_path: str
    transition: bool
    optional: bool

    @classmethod
    def of(cls, entry: dict[str, Any], schema: Schema) -> Rule:
        """Compile an entry that passed `check_rule`."""
        text, said = str(entry["rule"]), str(entry.get("message") or "").strip()
        where = entry.get("fieldPath")
        return cls(
            program=_program(text),
            name=said or text.strip(),
            message=said or f"failed rule: {text.strip()}",
            expression=_program(entry["messageExpression"]) if entry.get("messageExpression") else None,
            reason=str(entry.get("reason") or "FieldValueInvalid"),
            field_path=resolve(where, schema)[0] if where else "",
            transition=celcheck.uses(text, OLD),
            optional=bool(entry.get("optionalOldSelf")),
        )


@lru_cache(maxsize=1024)
def _program(text: str) -> Any:
    return cel.compile(celcheck.translated(text))


def check_rule(
    schema: Schema, entry: dict[str, Any], path: str, *, root: bool = False, untold: str = ""
) -> Iterator[Cause]:
    """What keeps a rule from compiling.

    Args:
        root: the schema is that of a whole resource, whose metadata rules may name.
        untold: the path from where on old values cannot be told.

    Raises:
        ApiError: 501, it uses what the embedded cluster cannot evaluate as the server does.
    """
    text, expression = str(entry["rule"]), entry.get("messageExpression")
    optional = bool(entry.get("optionalOldSelf"))
    problem = celcheck.check(text, schema, root=root, optional_old=optional, wanted="bool")
    if problem:
        detail = problem if problem.startswith("cel expression") else f"compilation failed: {problem}"
        yield invalid_value(f"{path}.rule", internal.rule(entry), detail)
        return
    if expression:
        problem = celcheck.check(expression, schema, root=root, optional_old=optional, wanted="string")
        if problem:
            detail = (
                "messageExpression must evaluate to a string"
                if problem.startswith("cel expression")
                else f"messageExpression compilation failed: {problem}"
            )
            yield invalid_value(f"{path}.messageExpression", internal.rule(entry), detail)
    if celcheck.uses(text, OLD):
        if untold:
            detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {untold}"
            yield invalid_value(f"{path}.rule", text, detail)
    elif entry.get("optionalOldSelf") is not None:
        detail = "may not be set if oldSelf is not used in rule"
        yield invalid_value(f"{path}.optionalOldSelf", entry["optionalOldSelf"], detail)


class Rules:
    """The rules of a schema, compiled once and kept by the identity of their part of the schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._rules: dict[int, tuple[Rule, ...]] = {}
        #: values that keep all rules of their part: most writes leave most of an object as it is
        self._kept: set[tuple[int, bytes]] = set()
        self._below: dict[int, bool] = {}
        self._compile(schema)

    @property
    def exist(self) -> bool:
        """Whether there are any."""
        return self._below[id(self.schema)]

    def _compile(self, schema: Schema) -> bool:
        rules = tuple(Rule.of(entry, schema) for entry in schema.get("x-kubernetes-validations") or ())
        self._rules[id(schema)] = rules
        below = bool(rules)
        for part in (schema.get("properties") or {}).values():
            below |= self._compile(part)
        for name in ("items", "additionalProperties"):
            if isinstance(schema.get(name), dict):
                below |= self._compile(schema[name])
        self._below[id(schema)] = below
        return below

    def check(
        self,
        value: Any,
        old: Any = None,
        *,
        path: str = "",
        warn: Callable[[str], None] | None = None,
    ) -> list[Cause]:
        """Every rule the value breaks.

        Args:
            old: what the value replaces; transition rules are not run without.
            warn: is told of broken rules that are excused, since nothing they speak of changed.
        """
        found = self._walk(
            self.schema, value, old, path, _Excuse(ABSENT if old is None else old, False), warn
        )
        return list(found)

    def _walk(
        self,
        schema: Schema,
        value: Any,
        old: Any,
        path: str,
        excuse: _Excuse,
        warn: Callable[[str], None] | None,
    ) -> Iterator[Cause]:
        if value is None or not self._below.get(id(schema)):
            return
        rules = self._rules[id(schema)]
        if rules and not self._keeps(rules, schema, value):
            for rule, cause in _broken(rules, schema, value, old, path):
                if warn is not None and not rule.transition and excuse.holds(schema, value):
                    warn(f"{cause.field}: {cause.message}")
                else:
                    yield cause
        if isinstance(value, dict):
            before = old if isinstance(old, dict) else {}
            for name, item in value.items():
                below = property_schema(schema, name)
                if below is not None and isinstance(item, (dict, list, str, int, float)):
                    where = child(path, name) if name in (schema.get("properties") or {}) else key(path, name)
                    inner = excuse.below(
                        schema,
                        value,
                        excuse.old.get(name, ABSENT) if isinstance(excuse.old, dict) else ABSENT,
                    )
                    yield from self._walk(below, item, before.get(name), where, inner, warn)
        elif isinstance(value, list) and isinstance(schema.get("items"), dict):
            for index, item in enumerate(value):
                previous = counterpart(schema, item, old)
                inner = excuse.below(schema, value, counterpart(schema, item, excuse.old))
                yield from self._walk(
                    schema["items"],
                    item,
                    None if previous is ABSENT else previous,
                    f"{path}[{index}]",
                    inner,
                    warn,
                )

    def _keeps(self, rules: tuple[Rule, ...], schema: Schema, value: Any) -> bool:
        """Whether the value is known to keep the rules, or is found to; of those that look at old values nothing is."""
        if any(rule.transition for rule in rules):
            return False
        known = id(schema), msgspec.json.encode(value)
        if known not in self._kept:
            if any(True for _ in _broken(rules, schema, value, None, "")):
                return False
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept.add(known)
        return True


@dataclass(frozen=True, slots=True)
class _Excuse:
    """Whether a broken rule is excused: the value, or the nearest one around it that can be told, did not change."""

    old: Any
    around: bool

    def holds(self, schema: Schema, value: Any) -> bool:
        return self.around if self.old is ABSENT else unchanged(schema, value, self.old)

    def below(self, schema: Schema, value: Any, old: Any) -> _Excuse:
        # Looked at only where a rule is broken, in practice; a node whose old value is known decides for itself.
        if old is not ABSENT:
            return _Excuse(old, False)
        return _Excuse(ABSENT, self.holds(schema, value))


def _broken(
    rules: tuple[Rule, ...], schema: Schema, value: Any, old: Any, path: str
) -> Iterator[tuple[Rule, Cause]]:
    seen = cel_value(schema, value)
    before: Any = None
    for rule in rules:
        if rule.transition and old is None and not rule.optional:
            continue
        context = cel.Context(variables={"self": seen}, functions=FUNCTIONS)
        if rule.transition:
            if before is None and old is not None:
                before = cel_value(schema, old)
            context.add_variable(OLD, _optional(before, old) if rule.optional else before)
        try:
            if rule.program.execute(context) is True:
                continue
        except Exception as problem:  # the evaluator raises several unrelated types; all mean the same here
            yield rule, invalid_value(path or "<nil>", schema.get("type") or "", failure(problem, rule.name))
            continue
        yield (
            rule,
            _cause(rule, schema, value, child(path, rule.field_path) if rule.field_path else path, context),
        )


def _optional(before: Any, old: Any) -> Any:
    return cel.OptionalValue.none() if old is None else cel.OptionalValue.of(before)


def _cause(rule: Rule, schema: Schema, value: Any, path: str, context: Any) -> Cause:
    message = _said(rule, context) or rule.message
    path = path or "<nil>"
    shown = "" if schema.get("type") in ("object", "array") else f": {show(value)}"
    match rule.reason:
        case "FieldValueForbidden":
            return Cause(path, rule.reason, f"Forbidden: {message}")
        case "FieldValueRequired":
            return Cause(path, rule.reason, f"Required value: {message}")
        case "FieldValueDuplicate":
            return Cause(path, rule.reason, f"Duplicate value{shown}")
    return Cause(path, "FieldValueInvalid", f"Invalid value{shown}: {message}")


def _said(rule: Rule, context: Any) -> str:
    """The value of the messageExpression; empty where it has none that may be shown."""
    if rule.expression is None:
        return ""
    try:
        text = rule.expression.execute(context)
    except Exception:  # whatever it is, the server shows the plain message then
        return ""
    text = text.strip() if isinstance(text, str) else ""
    return "" if "\n" in text or len(text.encode()) > _MAX_MESSAGE else text
