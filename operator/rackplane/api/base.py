"""What every kind is made of: the strict base model, rules, printer columns and bounded field types.

A rule is written once and held twice: as CEL by the API server, and as a Python predicate wherever
an object is decoded without one. The tests run both over the same tables.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

GROUP = "rackplane.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "rackplane"

#: No element of any facility is larger: 100 GW. The bound catches a figure in the wrong unit and keeps
#: every product of watts and basis points inside an int64.
MAX_WATTS = 100_000_000_000
#: The most slots one gang may ask for. At about 20 bytes a node name the assignment stays below etcd's
#: 1.5 MB for one object.
MAX_SLOTS = 65_536

RULE_ERROR = "rackplane_rule"


#: What the rules of our CRDs may use of CEL: what means the same in the API server (cel-go with Kubernetes' libraries)
#: and in the `common-expression-language` package, which the embedded cluster and our tests run. Not used, though both
#: parse it: `size` of strings (bytes in one, letters in the other), times other than by `timestamp(...)` (text in one,
#: a point in time in the other), `==` of lists whose type is set or map (order counts in one only), `string` and
#: `matches` of anything (numbers and classes are written otherwise). Loops run over lists with `maxItems`, whose items
#: are bounded too: the server estimates the cost of a rule from these bounds and the package does not.
CEL_VOCABULARY: Final = frozenset(
    {
        *("_&&_", "_||_", "!_", "_?_:_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "_+_", "_-_"),
        *("has", "all", "exists", "exists_one", "map", "size", "sum", "timestamp"),
    }
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition over several fields of one object, of `CEL_VOCABULARY`.

    `cel` is what the API server evaluates, `check` the same predicate over the parsed model; it is None
    for a transition rule, which needs the old object and so only the API server can judge. `message` and
    `remedy` are one sentence each without a full stop; `field` is the JSON name of the field to blame,
    empty for the object itself.
    """

    cel: str
    message: str
    remedy: str
    check: Callable[[Any], bool] | None
    field: str = ""

    def to_schema(self) -> dict[str, str]:
        """The entry of `x-kubernetes-validations`."""
        schema = {"rule": self.cel, "message": f"{self.message}. {self.remedy}"}
        if self.field:
            schema["fieldPath"] = f".{self.field}"
        return schema


@dataclass(frozen=True, slots=True)
class RuleBreach:
    """A rule or a uniqueness demand that a parsed object breaks; `field` as in `Rule`."""

    field: str
    message: str
    remedy: str


class ApiModel(BaseModel):
    """Base of everything in `rackplane.api`: frozen, camelCase outside, snake_case inside.

    Unknown fields are ignored, so that objects written for a newer version still parse.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _hold_rules(self) -> Self:
        breaches = [*self._duplicates()]
        breaches += [
            RuleBreach(rule.field, rule.message, rule.remedy)
            for rule in self.rules
            if rule.check is not None and not rule.check(self)
        ]
        if breaches:
            raise PydanticCustomError(
                RULE_ERROR, "{text}", {"text": breaches[0].message, "breaches": breaches}
            )
        return self

    def _duplicates(self) -> Iterable[RuleBreach]:
        """List-maps and sets that hold a key twice: the API server refuses them by list type."""
        for name, info in type(self).model_fields.items():
            extra = info.json_schema_extra
            kind = extra.get("x-kubernetes-list-type") if isinstance(extra, Mapping) else None
            if kind not in ("map", "set"):
                continue
            assert isinstance(extra, Mapping)
            keys = _strings(extra.get("x-kubernetes-list-map-keys"))
            seen: set[object] = set()
            for index, entry in enumerate(getattr(self, name)):
                key = tuple(getattr(entry, _field_of(entry, k)) for k in keys) if kind == "map" else entry
                if key in seen:
                    shown = ", ".join(str(part) for part in key) if isinstance(key, tuple) else str(key)
                    yield RuleBreach(
                        f"{info.alias or name}[{index}]", f"{shown} is listed twice", "Keep one entry of it"
                    )
                seen.add(key)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        target = handler.resolve_ref_schema(schema)
        if cls.rules:
            target["x-kubernetes-validations"] = [rule.to_schema() for rule in cls.rules]
        return schema

    def to_dict(self) -> dict[str, Any]:
        """The object as the API server wants it: camelCase, JSON types, nothing that is None.

        Empty lists are kept: as a merge patch it empties them.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _strings(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else []


def _field_of(model: BaseModel, json_name: str) -> str:
    for name, info in type(model).model_fields.items():
        if (info.alias or name) == json_name:
            return name
    raise KeyError(json_name)


# --- lists -----------------------------------------------------------------------------------------


def list_map(*keys: str) -> dict[str, Any]:
    """Schema of a list whose entries are told apart by `keys` (JSON names), for server-side apply too."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def unique() -> dict[str, Any]:
    """Schema of a list of different scalars."""
    return {"x-kubernetes-list-type": "set"}


def one_owner() -> dict[str, Any]:
    """Schema of an object whose fields belong together: to `metadata.managedFields`, and so to server-side apply, one.

    The API server keeps, decodes and compares an entry for every field of any other, with each write to the object.
    Not for an object whose fields have defaults: who applies it without them would change what another owns.
    """
    return {"x-kubernetes-map-type": "atomic"}


# --- field types -----------------------------------------------------------------------------------

Integer = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Watts = Annotated[Integer, Field(ge=0, le=MAX_WATTS)]
PositiveWatts = Annotated[Integer, Field(ge=1, le=MAX_WATTS)]
#: May be below zero: what is left of a limit that an event made too small.
SignedWatts = Annotated[Integer, Field(ge=-MAX_WATTS, le=MAX_WATTS)]
Percent = Annotated[Integer, Field(ge=0, le=100)]
Count = Annotated[Integer, Field(ge=0, le=10_000_000)]
Weight = Annotated[Integer, Field(ge=1, le=1_000_000)]
Priority = Annotated[Integer, Field(ge=-1_000_000_000, le=1_000_000_000)]
Seconds = Annotated[Integer, Field(ge=1, le=10 * 365 * 86_400)]
Celsius = Annotated[Integer, Field(ge=-50, le=150)]

_DNS = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=rf"^{_DNS}(\.{_DNS})*$")]
NamespaceName = Annotated[str, Field(min_length=1, max_length=63, pattern=rf"^{_DNS}$")]
#: The value of a Kubernetes label, not empty.
LabelValue = Annotated[
    str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
]
#: The value that a node selector asks for: a label's value, which may be empty.
SelectorValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
LEVEL_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
LevelName = Annotated[str, Field(min_length=1, max_length=63, pattern=LEVEL_PATTERN)]
PROFILE_PATTERN = r"^[A-Za-z]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
ProfileName = Annotated[str, Field(min_length=1, max_length=63, pattern=PROFILE_PATTERN)]
ExtendedResource = Annotated[
    str,
    Field(
        min_length=1, max_length=317, pattern=rf"^{_DNS}(\.{_DNS})*/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
    ),
]
Line = Annotated[str, Field(max_length=253)]
Text = Annotated[str, Field(max_length=4096)]
#: Kilowatts with one decimal, for a printer column: "100.8".
Kilowatts = Annotated[str, Field(max_length=24, pattern=r"^-?[0-9]+\.[0-9]$")]


def _only_text(value: object) -> object:
    # pydantic would read a number as seconds since 1970; the API server refuses it.
    if isinstance(value, int | float):
        raise PydanticCustomError("timestamp_type", "not a time")
    return value


Timestamp = Annotated[AwareDatetime, BeforeValidator(_only_text)]


def kilowatts(watts: int) -> str:
    """Watts as a printer column shows them: kilowatts with one decimal, rounded half up ("100.8")."""
    tenths = (abs(watts) + 50) // 100
    sign = "-" if watts < 0 and tenths else ""
    return f"{sign}{tenths // 10}.{tenths % 10}"


# --- kinds -----------------------------------------------------------------------------------------


class Scope(StrEnum):
    """Whether objects of a kind live in a namespace."""

    CLUSTER = "Cluster"
    NAMESPACED = "Namespaced"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; `wide` ones show with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    wide: bool = False


AGE = Column("Age", ".metadata.creationTimestamp", "date", "Time since the object was created")
READY = Column(
    "Ready", '.status.conditions[?(@.type=="Ready")].status', "string", "Whether Rackplane counts on it"
)
REASON = Column(
    "Reason",
    '.status.conditions[?(@.type=="Ready")].reason',
    "string",
    "Why it is, or is not, ready",
    wide=True,
)


@dataclass(frozen=True, slots=True)
class KindInfo:
    """Names and table of one kind, as its CustomResourceDefinition gives them."""

    kind: str
    plural: str
    short_names: tuple[str, ...]
    scope: Scope
    columns: tuple[Column, ...]

    @property
    def singular(self) -> str:
        return self.kind.lower()


class ObjectMeta(ApiModel):
    """The part of an object's metadata that Rackplane reads."""

    name: str = Field(default="", description="Name of the object.")
    namespace: str | None = Field(default=None, description="Namespace, for a Gang.")
    uid: str = Field(default="", description="Identity of this very object.")
    resource_version: str = Field(default="", description="Version of the stored object.")
    generation: int = Field(default=0, description="Counts changes of the spec.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Annotations.")
    creation_timestamp: Timestamp | None = Field(default=None, description="When it was created.")
    deletion_timestamp: Timestamp | None = Field(default=None, description="When its deletion was asked for.")


class Resource(ApiModel):
    """Base of the eight kinds. A subclass gives `info`, `spec` and `status`."""

    info: ClassVar[KindInfo]

    api_version: str = Field(default=API_VERSION, description="Group and version of the object.")
    kind: str = Field(default="", description="Kind of the object.")
    metadata: ObjectMeta = Field(default_factory=ObjectMeta, description="Standard metadata.")

    @property
    def name(self) -> str:
        """Name of the object, for a Gang unique only in its namespace."""
        return self.metadata.name
