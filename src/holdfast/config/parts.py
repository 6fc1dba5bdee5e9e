"""A part is told by its signature: an option that makes the part, or the part itself.

Holdfast calls an option with its arguments from the config and with what it knows beside them (`groups.Group`). A
class or function of the user's own need not name all of that: it is handed what it names. A plain function such as
`my_loss(outputs, targets)` is the part itself, since nobody but a step of the training can give it those two.

Importing this module imports neither torch nor Lightning.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from holdfast.config.groups import GROUPS

_ANY = {"kwargs": inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)}
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@functools.cache
def parameters_of(symbol: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of a class or function; any keyword where they are not known, as of one written in C."""
    try:
        return inspect.signature(symbol).parameters
    except (TypeError, ValueError):
        return _ANY


def takes_any(symbol: Callable[..., Any]) -> bool:
    """Tell whether arguments of any name can be given."""
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters_of(symbol).values())


def named(option: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Choose from the offered arguments those that an option names."""
    return {name: value for name, value in offered.items() if name in parameters_of(option)}


def is_itself(group: str, symbol: Callable[..., Any], given: Mapping[str, Any]) -> bool:
    """Tell whether a function is the part itself, such as `my_loss(outputs, targets)`, and not one that makes it.

    Its first arguments are then those of each call: they have no default, and neither the config, which has `given`
    ones, nor Holdfast gives them when the part is made.
    """
    count = GROUPS[group].calls
    first = list(parameters_of(symbol).values())[:count]
    return (
        0 < count == len(first)
        and not inspect.isclass(symbol)
        and all(parameter.kind in _BY_PLACE and parameter.default is parameter.empty for parameter in first)
        and not any(parameter.name in given or parameter.name in GROUPS[group].supplied for parameter in first)
    )


def handed_over(group: str, symbol: Callable[..., Any], given: Mapping[str, Any]) -> set[str]:
    """The arguments that a config cannot set: those that Holdfast gives by name, or by their place."""
    by_place = GROUPS[group].calls if is_itself(group, symbol, given) else GROUPS[group].by_place
    first = list(parameters_of(symbol).values())[:by_place]
    return {*GROUPS[group].supplied, *(parameter.name for parameter in first if parameter.kind in _BY_PLACE)}
