"""The one pass over a composed config: every `_target_` trusted, every key an argument of it, every value of its type.

Run before data is touched; all mistakes are told at once. Importing this module imports neither torch nor Lightning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from holdfast.config.groups import GROUPS, NO_PART_OF_A_RUN, SCALARS, VALUES
from holdfast.config.targets import is_target, target_problems, targets_below
from holdfast.config.trust import trusted_here
from holdfast.core.errors import InputError, Problem, did_you_mean, raise_problems
from holdfast.core.metrics import METRICS


def check_config(config: DictConfig, groups: Sequence[str] = tuple(GROUPS)) -> None:
    """Resolve `config` and check all of it, or its scalars and some groups.

    Raises:
        InputError: One problem for every mistake, each with the key, the bad value and what is allowed.
    """
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        where = str(getattr(error, "full_key", None) or "config")
        raise InputError(where, str(error).splitlines()[0]) from None
    assert isinstance(values, dict)
    problems = [*_root_problems({str(key): value for key, value in values.items() if key not in NO_PART_OF_A_RUN})]
    for name in groups:
        problems += _group_problems(name, values.get(name) or {}, values["trusted_modules"])
    raise_problems(problems)


def check_recorded(config: Mapping[str, Any], groups: Sequence[str]) -> None:
    """Check these groups of a record's config before they are built again: it may come from a stranger.

    Raises:
        InputError: A target is not trusted, or no longer has the recorded arguments.
    """
    # What stands in the script or notebook itself cannot come from a stranger.
    trusted = sorted((trusted_here() | {"__main__"}).intersection(config.get("trusted_modules") or ()))
    problems: list[Problem] = []
    for name in groups:
        problems += _form_problems(name, config.get(name) or {})
        for path, node in targets_below(name, config.get(name) or {}):
            problems += target_problems(path, node, name, trusted)
    raise_problems(problems)


def _root_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    """The run scalars, and keys that nobody reads."""
    known = {*SCALARS, *GROUPS}
    for key in values:
        if key not in known:
            hint = did_you_mean(key, [*known, "recipes"])
            yield Problem(key, "is no key of the config", next=hint or "`python train.py --cfg job` lists the keys")
    for key, rule in SCALARS.items():
        if key not in values:
            yield Problem(key, "is missing")
        elif not rule.accepts(values[key]):
            yield Problem(key, f"is {values[key]!r}", allowed=rule.allowed)


def _group_problems(name: str, node: Any, trusted_modules: Sequence[str]) -> Iterator[Problem]:
    """Mistakes in the option that a group has."""
    group = GROUPS[name]
    if problems := _form_problems(name, node):
        yield from problems
        return
    for key in group.required:
        if key not in node:
            yield Problem(f"{name}.{key}", "is missing")
    yield from _value_problems(name, node)
    for key, entry in node.items():
        if name == "metrics" and key in METRICS:
            if entry:
                yield Problem(f"{name}.{key}", "is the name of a metric of Holdfast's", next="choose another name")
        elif group.only_entries and not is_target(entry):
            yield Problem(f"{name}.{key}", "has no _target_", next=f"conf/{name}/mine.yaml: NAME: {{_target_: ...}}")
    for path, target_node in targets_below(name, node):
        for problem in target_problems(path, target_node, name, trusted_modules):
            yield _as_typed(problem, name, node) if group.free else problem


def _form_problems(name: str, node: Any) -> list[Problem]:
    """Report what is no option at all."""
    group = GROUPS[name]
    if not isinstance(node, dict):
        return [Problem(name, f"is {node!r:.80}, not an option", next=f"choose one: {name}=...")]
    if "_target_" not in node and not group.free and (node or not group.is_optional):
        return [Problem(name, "has no _target_", next=f"give one in the option's file, or choose another {name}")]
    return []


def _value_problems(name: str, node: Mapping[str, Any]) -> Iterator[Problem]:
    """Values that Holdfast reads itself."""
    for key, rule in VALUES.get(name, {}).items():
        if key in node and not rule.accepts(node[key]):
            hint = did_you_mean(str(node[key]), rule.allowed.split(", "))
            yield Problem(f"{name}.{key}", f"is {node[key]!r}", rule.allowed, hint)


def _as_typed(problem: Problem, group: str, node: Mapping[str, Any]) -> Problem:
    """Blame `data.task`, which the user can type, and not `data.source.task`, which is taken from it."""
    parent, _, key = problem.where.rpartition(".")
    return replace(problem, where=f"{group}.{key}") if parent.count(".") == 1 and key in node else problem
