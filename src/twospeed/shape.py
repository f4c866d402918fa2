"""Shape of the settings: which keys may stand where, read from the settings classes themselves."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from inspect import getsource
from itertools import pairwise
from textwrap import dedent
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from twospeed.problems import Path
from twospeed.types import Settings

ANY_KEY = "<name>"  # stands for the keys that the operator chooses
ANY_PLACE = "<item>"  # stands for the entries of a list


class Entry(NamedTuple):
    """One key of the file. `owner`: the class that has it; `path`: with ANY_KEY and ANY_PLACE where names are free."""

    path: tuple[str, ...]
    owner: type[Settings]
    field: FieldInfo


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return what a value may be, `None` left out: the members of a union, else the annotation itself."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return alternatives(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return tuple(choice for member in get_args(annotation) for choice in alternatives(member))
    return () if annotation is NoneType else (annotation,)


def blocks(annotation: Any) -> list[type[Settings]]:
    """Return the settings classes a block may be read with."""
    return [choice for choice in alternatives(annotation) if isinstance(choice, type) and issubclass(choice, Settings)]


def block(annotation: Any, value: Any) -> type[Settings] | None:
    """Return the class `value` is read with: of several, the one whose `kind` it names."""
    classes = blocks(annotation)
    if len(classes) < 2:
        return classes[0] if classes else None
    kind = value.get("kind") if isinstance(value, Mapping) else None
    return next((owner for owner in classes if owner.model_fields["kind"].default == kind), None)


def inside(annotation: Any, value: Any, step: str | int) -> Any:
    """Return the annotation of one entry of `value`, None when there is none."""
    owner = block(annotation, value)
    if owner is not None:
        field = owner.model_fields.get(str(step))
        return field.annotation if field else None
    for choice in alternatives(annotation):
        if get_origin(choice) in (dict, list):
            return get_args(choice)[-1]
    return None


def at(annotation: Any, value: Any, path: Path) -> tuple[Any, Any]:
    """Follow `path` down: (annotation, value) found there, (None, None) where it leads out of the settings."""
    for step in path:
        annotation, value = inside(annotation, value, step), _child(value, step)
    return annotation, value


def secrets(annotation: Any, value: Any, path: Path = ()) -> Iterator[Path]:
    """Find each value in the file that the settings call a secret."""
    if SecretStr in alternatives(annotation):
        if value is not None:
            yield path
        return
    for step, child in _children(value):
        yield from secrets(inside(annotation, value, step), child, (*path, step))


def entries(annotation: Any, path: tuple[str, ...] = ()) -> Iterator[Entry]:
    """List every key there is, in file order, each with the keys below it."""
    for owner in blocks(annotation):
        for name, field in owner.model_fields.items():
            yield Entry((*path, name), owner, field)
            yield from entries(field.annotation, (*path, name))
    for choice in alternatives(annotation):
        if get_origin(choice) in (dict, list):
            step = ANY_KEY if get_origin(choice) is dict else ANY_PLACE
            yield from entries(get_args(choice)[-1], (*path, step))


def description(owner: type[Settings], name: str) -> str:
    """Return the sentences below a key in the class that has it, on one line; "" when there are none."""
    for ancestor in owner.__mro__:
        found = owner.model_fields[name].description or _docstrings(ancestor).get(name)
        if found:
            return " ".join(found.split())
    return ""


@cache
def _docstrings(owner: type) -> dict[str, str]:
    """Read the docstrings below the attributes of a class from its source."""
    if not issubclass(owner, Settings) or owner is Settings:
        return {}
    [body] = [node.body for node in ast.parse(dedent(getsource(owner))).body if isinstance(node, ast.ClassDef)]
    return {
        key.target.id: text.value.value
        for key, text in pairwise(body)
        if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


def _children(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _child(value: Any, step: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    return value[step] if isinstance(value, list) and isinstance(step, int) and step < len(value) else None
