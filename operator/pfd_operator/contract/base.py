"""The common shape of everything written as JSON or YAML: camelCase outside, snake_case inside."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)]
"""A DNS label: it becomes part of object names and S3 keys."""

_OBJECT_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"

ObjectName = Annotated[str, Field(pattern=_OBJECT_NAME, max_length=63)]
"""Name of an object of Kubernetes that also has to fit into a label."""

LongObjectName = Annotated[str, Field(pattern=_OBJECT_NAME, max_length=253)]
"""Name of any other object: also a part of a path by which it is read, so it leads nowhere else."""

Uri = Annotated[
    str,
    Field(pattern=r"^(s3|file)://.+$", max_length=1024, json_schema_extra={"pattern": "^s3://[^/]+/.+$"}),
]
"""An s3:// or, outside a cluster, file:// address: the API server knows the first only."""

Positive = Annotated[float, Field(gt=0)]

Count = Annotated[int, Field(ge=1)]

Tally = Annotated[int, Field(ge=0, le=2**53)]
"""How many, which may be none; no more than any reader of JSON takes for a whole number."""


class Strict(BaseModel):
    """A frozen model that refuses unknown fields, so that a typing error is an error and not a default."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, allow_inf_nan=False
    )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return itself: it is frozen, and pydantic copies a default deeply for every object that takes it."""
        return self

    def to_json(self, without: Collection[str] = ()) -> dict[str, Any]:
        """Return the JSON form as users and stage containers see it: camelCase, without unset optional fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=set(without))


class Message(Strict):
    """What one part of this software tells another, which may be of an earlier version: it passes over what is new.

    What tells a part to do something is no message: it must be understood, or refused.
    """

    model_config = ConfigDict(extra="ignore")


def invalid_at(path: Sequence[str], words: str, given: Any) -> ValidationError:
    """Return an error of a field below the object that finds it.

    Parameters
    ----------
    path
        From that object to the field, as users write it.
    words
        What is wrong.
    given
        The field's value.
    """
    error = PydanticCustomError("invalid", "{words}", {"words": words})
    return ValidationError.from_exception_data(path[-1], [InitErrorDetails(type=error, loc=tuple(path), input=given)])


def moved_to(path: Sequence[str], error: ValidationError) -> ValidationError:
    """Return the same errors with the place where users have written what was validated."""
    details = [
        InitErrorDetails(type=item["type"], loc=(*path, *item["loc"]), input=item["input"], ctx=item.get("ctx", {}))
        for item in error.errors(include_url=False)
    ]
    return ValidationError.from_exception_data(error.title, details)


class ExactlyOne(Strict):
    """A union written as an object with exactly one key set; subclasses narrow `union_members`.

    What is not a member goes with any of them, unless `companions` says otherwise.
    """

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Say in the schema, too, what goes together, as rules the API server checks."""
        schema = handler.resolve_ref_schema(handler(core))
        names = list(cls._aliases().values())
        count = ", ".join(f"has(self.{name})" for name in names)
        few, words = ("<=", "at most") if cls.has_default() else ("==", "exactly")
        rule = f"[{count}].filter(x, x).size() {few} 1"
        message = f"{words} one of {', '.join(names)} is needed"
        rules = [{"rule": rule, "message": message}]
        for field, members in cls.companions().items():
            if set(members) != set(cls.union_members()):
                given = [f"has(self.{cls._alias(member)})" for member in members]
                rule = " || ".join([f"!has(self.{cls._alias(field)})", *given])
                rules.append({"rule": rule, "message": cls._only_with(field)})
        schema["x-kubernetes-validations"] = rules
        return schema

    def chosen(self) -> tuple[str, Any]:
        """Return the alias and the value of the one member that is set.

        Raises
        ------
        ValueError
            If none or several are set; the schema refuses this before anything else sees it.
        """
        given = [(alias, value) for alias, value in self._members().items() if value is not None]
        if len(given) != 1:
            names = ", ".join(sorted(self._members()))
            raise ValueError(f"exactly one of {names} is needed, {len(given)} are given")
        return given[0]

    def _members(self) -> dict[str, Any]:
        return {alias: getattr(self, name) for name, alias in self._aliases().items()}

    @classmethod
    def _aliases(cls) -> dict[str, str]:
        return {name: cls._alias(name) for name in cls.union_members()}

    @classmethod
    def _alias(cls, name: str) -> str:
        return cls.model_fields[name].alias or name

    @classmethod
    def union_members(cls) -> tuple[str, ...]:
        """Names of the fields of which exactly one is set; all of them unless a subclass says otherwise."""
        return tuple(cls.model_fields)

    @classmethod
    def companions(cls) -> dict[str, tuple[str, ...]]:
        """Names of fields that say something of some members only, and of those members."""
        return {}

    @classmethod
    def _only_with(cls, field: str) -> str:
        members = (cls._alias(member) for member in cls.companions()[field])
        return f"{cls._alias(field)} goes with {' or '.join(members)} only"

    @classmethod
    def has_default(cls) -> bool:
        """Whether a member is chosen when none is given; a subclass that says so chooses it before validation."""
        return False

    def model_post_init(self, context: Any, /) -> None:
        """Check the union when the object is made, wherever it comes from."""
        self.chosen()
        for field, members in self.companions().items():
            if getattr(self, field) is not None and all(getattr(self, member) is None for member in members):
                raise ValueError(self._only_with(field))
