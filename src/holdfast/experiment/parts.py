"""Classes and functions of the caller's own, in place of options: what the command line does with a YAML file."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from holdfast.config.groups import GROUPS
from holdfast.config.resolve import as_plain
from holdfast.config.targets import targets_below
from holdfast.core.errors import InputError, did_you_mean

NOTEBOOK = "__main__"
Node = dict[str, Any]


def option_of(group: str, part: Any) -> Node:
    """Describe a class, a function, or a `functools.partial` with keyword arguments as the option of a group.

    Of a group of which several can be chosen, such as callbacks, the part may also be a list of them.

    Raises:
        InputError: There is no such group, or the part cannot be named from outside.
    """
    allowed = [name for name, known in GROUPS.items() if known.only_entries or not known.free]
    if group not in allowed:
        hint = did_you_mean(group, allowed)
        raise InputError("parts", f"has {group!r}, which is no group of parts", ", ".join(allowed), hint)
    if not GROUPS[group].only_entries:
        return _node_of(group, part)
    nodes = [_node_of(group, each) for each in (part if isinstance(part, list | tuple) else [part])]
    return {str(node["_target_"]).rpartition(".")[2]: node for node in nodes}


def put_parts(config: DictConfig, nodes: Mapping[str, Node]) -> None:
    """Put parts into a composed config, and trust the modules that they come from: the caller has handed them over."""
    with open_dict(config):
        for group, node in nodes.items():
            try:
                config[group] = OmegaConf.create(node)
            except OmegaConfBaseException as error:
                reason = str(error).splitlines()[0]
                raise InputError(group, f"has an argument that no record can hold ({reason})", "plain values") from None
        targets = [entry["_target_"] for group, node in nodes.items() for _, entry in targets_below(group, node)]
        modules = [str(target).rpartition(".")[0] for target in targets]
        config.trusted_modules = [*config.trusted_modules, *(m for m in modules if m not in config.trusted_modules)]


def notebook_parts(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield place and target of every part of a resolved config that lives in a notebook or a script."""
    for group in GROUPS:
        for place, node in targets_below(group, as_plain(config.get(group))):
            if str(node["_target_"]).startswith(f"{NOTEBOOK}."):
                yield place, str(node["_target_"])


def _node_of(group: str, part: Any) -> Node:
    keywords: dict[str, Any] = {}
    while isinstance(part, functools.partial):
        if part.args:
            raise InputError(group, "has arguments without names", next="functools.partial(PART, name=value)")
        keywords, part = {**part.keywords, **keywords}, part.func
    name, module = getattr(part, "__qualname__", None), getattr(part, "__module__", None)
    if not callable(part) or name is None or module is None:
        hint = f"the class itself: functools.partial({type(part).__name__}, name=value)"
        raise InputError(group, f"is {part!r}", allowed="a class or a function", next=hint)
    if "<" in name or "." in name:
        raise InputError(group, f"{name} is defined inside of something else", next="define it on its own")
    return {"_target_": f"{module}.{name}", **keywords}
