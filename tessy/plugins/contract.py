"""Is a class that a plugin loaded what its kind promises, as far as one can tell without running it?

Held against the abstract class of its kind, member by member: what is abstract is there, methods take what
the core gives them, those that are awaited are ``async def`` and no others are, values are of their type.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

from tessy.abc import Options

__all__ = ["breach"]


def breach(loaded: Any, base: type[Any]) -> str | None:
    """Why ``loaded`` is not a usable subclass of ``base``, for its author; ``None`` if it is one."""
    if not isinstance(loaded, type) or not issubclass(loaded, base):
        what = loaded.__name__ if isinstance(loaded, type) else repr(loaded)
        return f"load() must return a subclass of tessy.{base.__name__}, it returned {what}"
    if inspect.isabstract(loaded):
        missing = ", ".join(sorted(getattr(loaded, "__abstractmethods__", ())))
        return f"{loaded.__name__} leaves {missing} of tessy.{base.__name__} without an implementation"
    options = getattr(loaded, "Options", None)
    if not isinstance(options, type) or not issubclass(options, Options):
        return f"{loaded.__name__}.Options must be a subclass of tessy.Options"
    for name, promised in vars(base).items():
        if name.startswith("_") and name != "__init__":
            continue
        given = inspect.getattr_static(loaded, name)
        if given is promised:
            continue
        if isinstance(promised, FunctionType):
            reason, expected = _method(given, promised), _definition(promised)
        elif isinstance(promised, property) and promised.fget is not None:
            reason, expected = _value(given, promised.fget), f"@property {_definition(promised.fget)}"
        else:
            continue
        if reason is not None:
            return f"{loaded.__name__}.{name} {reason}; expected: {expected}"
    return None


def _method(given: Any, promised: FunctionType) -> str | None:
    """What is wrong with what stands in a method's place."""
    bound = isinstance(given, staticmethod)
    function = given.__func__ if isinstance(given, (staticmethod, classmethod)) else given
    if not isinstance(function, FunctionType):
        # What a decorator made of it may be called in ways that cannot be known here.
        return None if callable(given) or hasattr(given, "__get__") else f"is {_typed(given)}, not a method"
    return _colour(function, promised) or _call(function, promised, bound)


def _colour(function: FunctionType, promised: FunctionType) -> str | None:
    """Awaited or not, and no generator."""
    # A decorator may have wrapped one in the other: each of the two may be what the caller meets.
    inner = inspect.unwrap(function)
    if inspect.iscoroutinefunction(promised):
        if not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(inner)):
            return f"is {_kind(function)}, it must be defined with 'async def'"
    elif inspect.iscoroutinefunction(function):
        return "is defined with 'async def', it must be a plain 'def': nobody awaits it"
    elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return f"is {_kind(function)}, it must return its result"
    return None


def _call(function: FunctionType, promised: FunctionType, bound: bool) -> str | None:
    """Can it be called as the core calls it: positions by position, keywords by name?"""
    parameters = list(inspect.signature(promised).parameters.values())
    by_name = {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
    by_position = [p for p in parameters if p.name not in by_name]
    try:
        signature = inspect.signature(function)
        signature.bind(*by_position[bound:], **by_name)
    except ValueError:  # it has none that can be read
        return None
    except TypeError as error:
        return f"is defined as {function.__name__}{_plain(signature)}: {error}"
    return None


def _value(given: Any, promised: Callable[..., Any]) -> str | None:
    """What is wrong with what stands in a property's place."""
    if isinstance(given, (FunctionType, staticmethod, classmethod)):
        return "is a method, it must be a property"
    if isinstance(given, property):
        waits = given.fget is not None and inspect.iscoroutinefunction(given.fget)
        return "is defined with 'async def', it must be a plain 'def': nobody awaits it" if waits else None
    wanted = inspect.signature(promised, eval_str=True).return_annotation
    if hasattr(given, "__get__") or not isinstance(wanted, type) or isinstance(given, wanted):
        return None
    ours = "tessy." if wanted.__module__.startswith("tessy.") else ""
    return f"is {_typed(given)}, it must be {ours}{wanted.__name__}"


def _definition(function: Callable[..., Any]) -> str:
    asynchronous = "async " if inspect.iscoroutinefunction(function) else ""
    return f"{asynchronous}def {function.__name__}{_plain(inspect.signature(function))}"


def _plain(signature: inspect.Signature) -> str:
    """A signature as its author wrote it: annotations without the quotes that postponing them adds."""
    return str(signature).replace("'", "").replace("_Options", "Options")


def _kind(function: FunctionType) -> str:
    if inspect.isasyncgenfunction(function):
        return "an asynchronous generator (it has 'yield')"
    if inspect.isgeneratorfunction(function):
        return "a generator (it has 'yield')"
    return "a plain 'def'"


def _typed(value: Any) -> str:
    return f"{type(value).__name__} {value!r}" if value is not None else "None"
