"""What an options model says about itself, in a user's words: types, limits, and where an error lies."""

from __future__ import annotations

import enum
import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

__all__ = ["Place", "groups", "limits", "locate", "named", "typename"]

_BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "multiple_of": "a multiple of", "pattern": "matches"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where an error lies.

    Attributes:
        path: as a user writes it, ``retry.tries`` or ``steps[0].name``.
        keys: the way to the value in what was given.
        field: the option there; ``None`` where there is none, or where it lies inside an option's value.
        siblings: names of all options of its group; ``None`` if the place is in no group.
    """

    path: str
    keys: tuple[str | int, ...]
    field: FieldInfo | None
    siblings: tuple[str, ...] | None


def named(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's options under the names that users write."""
    found = {}
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        found[alias if isinstance(alias, str) else name] = field
    return found


def groups(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """The groups of options that an option may hold, with what stands between its name and theirs."""
    for one in _members(annotation):
        origin, args = get_origin(one), get_args(one)
        if _is_group(one):
            yield ".", one
        elif isinstance(origin, type) and issubclass(origin, Mapping) and len(args) == 2:
            yield from ((f".*{rest}", group) for rest, group in groups(args[1]))
        elif isinstance(origin, type) and args:
            yield from ((f"[]{rest}", group) for rest, group in groups(args[0]))


def typename(annotation: Any) -> str:
    """An annotation as a user reads it: ``int | none``, ``student | teacher``, ``{tries, wait}``."""
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation is None or annotation is type(None):
        return "none"
    if origin is Annotated:
        return typename(args[0])
    if origin is Literal:
        return " | ".join(_word(value) for value in args)
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(typename(arg) for arg in args))
    if origin is not None:
        inside = ", ".join("…" if arg is Ellipsis else typename(arg) for arg in args)
        return f"{getattr(origin, '__name__', origin)}[{inside}]"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return " | ".join(_word(member.value) for member in annotation)
    if _is_group(annotation):
        return f"{{{', '.join(named(annotation))}}}"
    return str(getattr(annotation, "__name__", annotation))


def limits(field: FieldInfo) -> str:
    """What a value must keep to, ``≥ 1, ≤ 9``; empty if nothing can be said."""
    return ", ".join(dict.fromkeys(_limits(field.annotation, field.metadata)))


def _limits(annotation: Any, metadata: Sequence[Any]) -> Iterator[str]:
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from _limits(annotation, item.metadata)
        for name, sign in _BOUNDS.items():
            bound = getattr(item, name, None)
            if bound is not None:
                yield f"{sign} {getattr(bound, 'pattern', bound)}"
        least, most = getattr(item, "min_length", None), getattr(item, "max_length", None)
        if least:
            yield f"length ≥ {least}"
        if most is not None:
            yield f"length ≤ {most}"
    for inner, own in _annotated(annotation):
        yield from _limits(inner, own)
    for one in _members(annotation):
        if _is_collection(get_origin(one)):
            inside = [found for arg in get_args(one) for found in _limits(arg, ())]
            yield from (f"each {found}" for found in inside)


def locate(model: type[BaseModel], loc: Sequence[str | int]) -> Place:
    """The place that pydantic's ``loc`` speaks of; what tells the members of a union apart is left out."""
    path = ""
    keys: list[str | int] = []
    field: FieldInfo | None = None
    siblings: tuple[str, ...] | None = None
    here: Any = model
    for part in loc:
        members = list(_members(here))
        if len(members) > 1:
            # A member's name, which is no part of what the user wrote.
            here = next((one for one in members if getattr(one, "__name__", None) == part), None)
            continue
        one = members[0] if members else None
        keys.append(part)
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
        if _is_group(one):
            options = named(one)
            siblings = tuple(options)
            field = options.get(str(part))
            here = field.annotation if field is not None else None
        else:
            field = siblings = None
            here = _inside(one)
    return Place(path, tuple(keys), field, siblings)


def _members(annotation: Any) -> Iterator[Any]:
    """The types that a value may have, besides none."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for arg in get_args(annotation):
            yield from _members(arg)
    elif annotation is not None and annotation is not type(None):
        yield annotation


def _annotated(annotation: Any) -> Iterator[tuple[Any, Sequence[Any]]]:
    """The annotated types among a union's members, with what is noted about each."""
    if get_origin(annotation) is Annotated:
        inner, *noted = get_args(annotation)
        yield inner, noted
    elif get_origin(annotation) in (Union, types.UnionType):
        for arg in get_args(annotation):
            yield from _annotated(arg)


def _inside(annotation: Any) -> Any:
    """The type of a collection's items."""
    origin, args = get_origin(annotation), get_args(annotation)
    if not _is_collection(origin) or not args:
        return None
    return args[-1] if issubclass(origin, Mapping) else args[0]


def _is_collection(origin: Any) -> bool:
    kinds = (list, tuple, set, frozenset, Mapping, Sequence)
    return isinstance(origin, type) and issubclass(origin, kinds) and not issubclass(origin, (str, bytes))


def _is_group(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return (
        get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, BaseModel)
    )


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
