"""Base of the models: strict scalars, Kubernetes's list types, and rules that are also written into the CRDs.

Kubernetes decodes strictly (a quoted number is no integer, ``1`` is no boolean), so the scalars here reject
what pydantic would convert. A list that Kubernetes treats as a map (``x-kubernetes-list-type: map``) has a
:class:`ListMap`, which rejects a key given twice. A CEL rule of upstream's CRDs is a :class:`Rule`, with its
text for ``crds/`` and the check in Python side by side, because nothing else would notice a difference
between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from reconciler.api.name_syntax import is_timestamp
from reconciler.api.quantities import PATTERN as QUANTITY_PATTERN
from reconciler.api.quantities import canonicalize, is_quantity

#: Names whose capitals do not follow from the attribute.
_ACRONYMS: Final = {
    "dataset_uuid": "datasetUUID",
    "disk_uri": "diskURI",
    "downward_api": "downwardAPI",
    "enable_dns_hostnames": "enableDNSHostnames",
    "host_ip": "hostIP",
    "host_ipc": "hostIPC",
    "host_pid": "hostPID",
    "pd_id": "pdID",
    "scale_io": "scaleIO",
    "set_hostname_as_fqdn": "setHostnameAsFQDN",
    "storage_policy_id": "storagePolicyID",
    "target_wwns": "targetWWNs",
    "volume_id": "volumeID",
}


def to_manifest_name(attribute: str) -> str:
    """Returns an attribute's name in manifests: ``host_ipc`` is ``hostIPC``, ``num_nodes`` ``numNodes``."""
    return _ACRONYMS.get(attribute) or to_camel(attribute)


@dataclass(frozen=True)
class Rule:
    """A CEL rule of upstream's CRD: its text for ``crds/``, its message, and the check in Python."""

    cel: str
    message: str
    #: None where the check is outside of the models, with a better path and remedy.
    check: Callable[[Any], bool] | None = None

    def verify(self, value: Any) -> Any:
        """Returns ``value``, or raises the error that validation turns into a fault."""
        if self.check is not None and not self.check(value):
            raise PydanticCustomError("rule", "{message}", {"message": self.message})
        return value

    def as_cel(self) -> dict[str, str]:
        """Returns the entry of ``x-kubernetes-validations``."""
        return {"rule": self.cel, "message": self.message}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.verify, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return _add_rules(dict(handler(schema)), [self])


def at_least_one(message: str) -> Rule:
    """Returns the rule ``self >= 1`` of a number."""
    return Rule("self >= 1", message, lambda value: bool(value >= 1))


@dataclass(frozen=True)
class Immutable:
    """Marks a field that may not change once the object exists (upstream: ``self == oldSelf``)."""

    message: str = "field is immutable"

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return _add_rules(dict(handler(schema)), [Rule("self == oldSelf", self.message)])


IMMUTABLE: Final = Immutable()
#: As JobSet's CRD words it.
IMMUTABLE_VALUE: Final = Immutable("Value is immutable")


class ListSet:
    """Marks a list that is a set; rejects a value given twice."""

    def __init__(self) -> None:
        self._schema: dict[str, Any] = {"x-kubernetes-list-type": "set"}

    def key_of(self, item: Any) -> Any:
        """Returns what no other item of the list may have."""
        return item

    def _show(self, key: Any) -> str:
        return repr(key)

    def verify(self, items: Sequence[Any]) -> Sequence[Any]:
        """Returns ``items``, or raises an error that names each item whose key came before."""
        seen: set[Any] = set()
        repeated: list[tuple[int, str]] = []
        for index, item in enumerate(items):
            key = self.key_of(item)
            if key in seen:
                message = f"Duplicate value: {self._show(key)} is in this list already; give it once"
                repeated.append((index, message))
            seen.add(key)
        if repeated:
            raise PydanticCustomError("items", "Duplicate value", {"items": repeated})
        return items

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.verify, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), **self._schema}


class ListMap(ListSet):
    """Marks a list that is a map, keyed by the given attributes of its items; rejects a key given twice."""

    def __init__(self, *attributes: str) -> None:
        self._attributes = attributes
        self._names = [to_manifest_name(attribute) for attribute in attributes]
        self._schema = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": self._names}

    def key_of(self, item: Any) -> Any:
        """Returns the values of the attributes."""
        return tuple(getattr(item, attribute) for attribute in self._attributes)

    def _show(self, key: Any) -> str:
        return f"{{{', '.join(f'{name}: {value}' for name, value in zip(self._names, key, strict=True))}}}"


class Model(BaseModel):
    """Base of every Kubernetes type: frozen, closed to unknown fields, camelCase in manifests.

    Subclasses may set ``cel_rules`` (CEL rules of the whole object) and ``min_properties``.
    """

    model_config = ConfigDict(
        alias_generator=to_manifest_name,
        defer_build=True,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        protected_namespaces=(),
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = ()
    min_properties: ClassVar[int] = 0

    def as_manifest(self) -> dict[str, Any]:
        """Returns plain data as in a manifest, without fields that are not set (lists, not tuples)."""
        data: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return data

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        if len(self.model_fields_set) < self.min_properties:
            message = f"must have at least {self.min_properties} field"
            raise PydanticCustomError("rule", "{message}", {"message": message})
        for rule in self.cel_rules:
            rule.verify(self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> dict[str, Any]:
        result = handler.resolve_ref_schema(handler(schema))
        if cls.min_properties:
            result["minProperties"] = cls.min_properties
        return _add_rules(result, cls.cel_rules)


def _add_rules(schema: dict[str, Any], rules: Sequence[Rule]) -> dict[str, Any]:
    """Returns ``schema`` with the CEL text of ``rules`` added, each once."""
    if rules:
        present = schema.setdefault("x-kubernetes-validations", [])
        present += [rule.as_cel() for rule in rules if rule.as_cel() not in present]
    return schema


def _validate_quantity(value: Any) -> str:
    """Returns the canonical text of a quantity given as text or number (the SDK writes ``1.0``)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise PydanticCustomError("quantity_type", "must be a quantity")
    if not is_quantity(value):
        raise PydanticCustomError("quantity", "not a quantity")
    return canonicalize(value)


def _validate_int_or_string(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise PydanticCustomError("int_or_string", "must be an integer or a string")
    return value


def _validate_timestamp(value: str) -> str:
    if not is_timestamp(value):
        raise PydanticCustomError("timestamp", "must be an RFC 3339 time, as in 2026-01-31T12:00:00Z")
    return value


Flag = Annotated[bool, Strict()]
#: Only the models have the range: in a CRD the format implies it.
Int32 = Annotated[int, Strict(), Field(ge=-(2**31), lt=2**31, json_schema_extra={"format": "int32"})]
Int64 = Annotated[int, Strict(), Field(ge=-(2**63), lt=2**63, json_schema_extra={"format": "int64"})]
#: An RFC 3339 time, kept as text.
Timestamp = Annotated[
    str, AfterValidator(_validate_timestamp), WithJsonSchema({"type": "string", "format": "date-time"})
]
#: A Kubernetes quantity in canonical text; :mod:`reconciler.api.quantities` reads it.
Quantity = Annotated[
    str,
    BeforeValidator(_validate_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": QUANTITY_PATTERN,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
IntOrString = Annotated[
    int | str,
    BeforeValidator(_validate_int_or_string),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}),
]
StringMap = dict[str, str]
ResourceList = dict[str, Quantity]
