"""The one pass over a composed config: every `_target_` trusted, every key an argument of it, every value of its type.

Run before data is touched; all mistakes are told at once. Importing this module imports neither torch nor Lightning.
"""

from __future__ import annotations

import functools
import inspect
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from holdfast.core.annotations import fits, type_name
from holdfast.core.errors import Problem, did_you_mean, raise_problems
from holdfast.core.trust import trusted_here

PRIMARY = "holdfast"
_PACKAGE = Path(__file__).resolve().parents[1]
_ROOT = _PACKAGE if (_PACKAGE / "conf").is_dir() else _PACKAGE.parents[1]
CONF = _ROOT / "conf"
RECIPES = _ROOT / "recipes"


@dataclass(frozen=True)
class Group:
    """What a group's targets may be, and how they are called.

    Attributes:
        trusted: Prefixes of the modules that a target may come from.
        supplied: Arguments that Holdfast passes when it calls the target; a config must not set them.
        is_optional: Whether an option may be empty.
        free: Keys beside `_target_` that are not arguments: an option that holds targets in its values.
        accepts: Those of `supplied` that a target must have as arguments.
        required: Keys that an option of a free group must have.
        only_entries: Every value of an option is a target.
        own: Keys beside the arguments that Holdfast reads itself.
    """

    trusted: tuple[str, ...] = ()
    supplied: tuple[str, ...] = ()
    is_optional: bool = False
    free: bool = False
    accepts: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    only_entries: bool = False
    own: tuple[str, ...] = ()


GROUPS: dict[str, Group] = {
    "stage": Group(("holdfast.training.fit",), ("config", "record", "datamodule")),
    "data": Group(("holdfast.data.sources",), free=True, required=("name", "resident", "num_workers", "source")),
    "split": Group(("holdfast.data.splits",)),
    "transform": Group(("holdfast.data.transforms",), ("train_statistics",)),
    "augment": Group(
        ("holdfast.data.augment", "kornia.augmentation"), ("size",), is_optional=True, free=True, only_entries=True
    ),
    "mixing": Group(("holdfast.training",), ("x",), is_optional=True),
    "tta": Group(("holdfast.training",), ("x",), is_optional=True),
    "averaging": Group(("holdfast.training",), is_optional=True),
    "model": Group(
        ("holdfast.models", "torch.nn"),
        ("input_shape", "num_outputs", "category_sizes"),
        accepts=("input_shape", "num_outputs"),
        own=("pretrained",),
    ),
    "init": Group(("holdfast.models", "torch.nn.init"), ("model",), is_optional=True),
    "loss": Group(("holdfast.training.losses", "torch.nn"), ("task",)),
    "regularization": Group(("holdfast.training",), ("model",), is_optional=True),
    "optimizer": Group(("torch.optim", "holdfast.optim"), ("params",)),
    "schedule": Group(
        ("holdfast.optim",),
        ("optimizer", "total_steps", "steps_per_epoch", "monitor", "mode"),
        accepts=("total_steps", "steps_per_epoch"),
    ),
    "finetune": Group(("holdfast.training",), is_optional=True),
    "rates": Group(("holdfast.training",), ("model",)),
    "early_stopping": Group(("holdfast.training",), ("values", "mode"), is_optional=True),
    "ensemble": Group(("holdfast.ensembles",), ("config", "record"), is_optional=True),
    "vault": Group(free=True),
    "check": Group(("holdfast.checks",), is_optional=True),
    "watch": Group(("holdfast.training",), is_optional=True),
    "trainer": Group(
        ("pytorch_lightning.Trainer", "pytorch_lightning.trainer", "pytorch_lightning.strategies")
        + ("pytorch_lightning.profilers",),
        ("max_epochs", "callbacks", "plugins", "default_root_dir", "logger", "enable_checkpointing")
        + ("enable_progress_bar", "enable_model_summary", "num_sanity_val_steps"),
    ),
    "callbacks": Group(("pytorch_lightning.callbacks",), is_optional=True, free=True, only_entries=True),
    "logger": Group(("pytorch_lightning.loggers",), ("save_dir",), is_optional=True, free=True, only_entries=True),
    "debug": Group(is_optional=True, free=True),
    "paths": Group(free=True, required=("output",)),
}
FORBIDDEN = ("holdfast.vault", "holdfast.evaluation", "holdfast.cli")
_SPECIAL = {"_target_", "_partial_", "_convert_", "_recursive_"}


def check_config(config: DictConfig) -> None:
    """Resolve `config` and check all of it.

    Raises:
        InputError: One problem for every mistake, each with the key, the bad value and what is allowed.
    """
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        what = str(error).splitlines()[0]
        raise_problems([Problem(str(getattr(error, "full_key", None) or "config"), what)])
        raise
    assert isinstance(values, dict)
    problems = [*_root_problems({str(key): value for key, value in values.items() if key != "hydra"})]
    for name, group in GROUPS.items():
        node = values.get(name) or {}
        if not isinstance(node, dict):
            problems.append(Problem(name, f"is {node!r}, not an option", next=f"choose one: {name}=..."))
        elif "_target_" not in node and not group.free and (node or not group.is_optional):
            problems.append(
                Problem(name, "has no _target_", next=f"give one in the option's file, or choose another {name}")
            )
        else:
            problems += [Problem(f"{name}.{key}", "is missing") for key in group.required if key not in node]
            problems += _value_problems(name, node)
            if group.only_entries:
                problems += [
                    Problem(f"{name}.{key}", "has no _target_") for key, entry in node.items() if not _is_target(entry)
                ]
            for path, target_node in _targets(name, node):
                found = _target_problems(path, target_node, group, values["trusted_modules"])
                problems += [_as_typed(problem, name, node) for problem in found] if group.free else found
    raise_problems(problems)


def _as_typed(problem: Problem, group: str, node: Mapping[str, Any]) -> Problem:
    """Blame `data.task`, which the user can type, and not `data.source.task`, which is taken from it."""
    parent, _, key = problem.where.rpartition(".")
    return replace(problem, where=f"{group}.{key}") if parent.count(".") == 1 and key in node else problem


def check_recorded(config: Mapping[str, Any], groups: Sequence[str]) -> None:
    """Check the options of a run's record before they are built again: it may come from a stranger.

    Args:
        config: The record's `config`.
        groups: Those that are built.

    Raises:
        InputError: A target is not trusted, or no longer has the recorded arguments.
    """
    trusted = sorted(trusted_here().intersection(config.get("trusted_modules") or ()))
    problems: list[Problem] = []
    for name in groups:
        for path, node in _targets(name, config.get(name) or {}):
            problems += _target_problems(path, node, GROUPS[name], trusted)
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


@dataclass(frozen=True)
class Scalar:
    """A rule for one run scalar."""

    allowed: str
    accepts: typing.Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


SCALARS: dict[str, Scalar] = {
    "lr": Scalar("a positive number", lambda value: _is_number(value) and value > 0),
    "seed": Scalar("a whole number from 0 to 4294967295", lambda value: _is_count(value, 0) and value < 2**32),
    "max_epochs": Scalar("a whole number, 1 or more", lambda value: _is_count(value, 1)),
    "batch_size": Scalar("a whole number, 1 or more, or full", lambda value: value == "full" or _is_count(value, 1)),
    "deterministic": Scalar("true, false", lambda value: isinstance(value, bool)),
    "compile": Scalar("true, false", lambda value: isinstance(value, bool)),
    "monitor": Scalar(
        "the name of a val metric, such as val/loss", lambda value: isinstance(value, str) and value != ""
    ),
    "mode": Scalar("auto, min, max", lambda value: value in ("auto", "min", "max")),
    "resume": Scalar("a run's folder", lambda value: value is None or (isinstance(value, str) and value != "")),
    "trusted_modules": Scalar(
        "a list of module names", lambda value: isinstance(value, list) and all(isinstance(v, str) and v for v in value)
    ),
}


# Values of a free group that are no argument of a target, and so have no annotation to be checked by.
VALUES: dict[str, dict[str, Scalar]] = {
    "data": {
        "resident": Scalar("auto, true, false", lambda value: value == "auto" or isinstance(value, bool)),
        "num_workers": Scalar("a whole number, 0 or more", lambda value: _is_count(value, 0)),
        "subset": Scalar(
            "a share of the train rows, above 0 and up to 1, as in 0.1, or a count, as in 500",
            lambda value: value is None or _is_count(value, 1) or (isinstance(value, float) and 0 < value <= 1),
        ),
        "sampling": Scalar("balanced, null", lambda value: value in ("balanced", None)),
    }
}


def _value_problems(name: str, node: Mapping[str, Any]) -> Iterator[Problem]:
    for key, rule in VALUES.get(name, {}).items():
        if key in node and not rule.accepts(node[key]):
            hint = did_you_mean(str(node[key]), rule.allowed.split(", "))
            yield Problem(f"{name}.{key}", f"is {node[key]!r}", rule.allowed, hint)


def _is_target(entry: Any) -> bool:
    return isinstance(entry, dict) and "_target_" in entry


def _targets(path: str, node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping with a `_target_` at or below `node`, with its path."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from _targets(f"{path}.{key}", value)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _targets(f"{path}[{index}]", value)


def _target_problems(path: str, node: dict[str, Any], group: Group, trusted_modules: Sequence[str]) -> list[Problem]:
    target = node["_target_"]
    where = f"{path}._target_"
    trusted = (*group.trusted, *trusted_modules)
    allowed = f"targets under {', '.join(trusted)}" if trusted else "no target"
    untrusted = Problem(
        where,
        f"{target!r} is not trusted",
        allowed,
        "a module of your own: trusted_modules=[NAME] on the command line of train.py",
    )
    if not isinstance(target, str) or not _is_under(target, trusted) or _is_under(target, FORBIDDEN):
        return [untrusted]
    try:
        symbol = resolve_target(target)
    except (ImportError, AttributeError) as error:
        return [Problem(where, f"{target!r} cannot be found ({error})", next=_near_symbol(target))]
    home = getattr(symbol, "__module__", None) or ""
    if not _is_under(home, trusted) or _is_under(home, FORBIDDEN):
        return [untrusted]
    # A method could do more than its class is trusted with, such as `LightningModule.load_from_checkpoint`.
    if not callable(symbol) or getattr(symbol, "__qualname__", ".") != getattr(symbol, "__name__", ""):
        return [Problem(where, f"{target!r} is neither a class nor a function of a module")]
    return list(_argument_problems(path, node, target, symbol, group))


def _argument_problems(path: str, node: dict[str, Any], target: str, symbol: Any, group: Group) -> Iterator[Problem]:
    parameters, types_of = _signature(symbol)
    supplied = group.supplied
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    names = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    settable = [name for name in names if name not in supplied]
    for key, value in node.items():
        if key in _SPECIAL or (key in group.own and "." not in path):
            continue
        if key not in settable and not (takes_any and key not in supplied):
            hint = did_you_mean(key, settable)
            yield Problem(f"{path}.{key}", f"{target} has no such argument", ", ".join(settable), hint)
        elif _has_nan(value):
            yield Problem(f"{path}.{key}", f"is {value!r}", "numbers")
        elif key in types_of and not fits(value, types_of[key]):
            allowed = type_name(types_of[key])
            hint = did_you_mean(value, allowed.split(", ")) if isinstance(value, str) else ""
            yield Problem(f"{path}.{key}", f"is {value!r}", allowed, hint)
    if not takes_any and "." not in path:
        for name in group.accepts:
            if name not in names:
                yield Problem(
                    path, f"{target} must take {name}", ", ".join(group.accepts), "see the README, Your own parts"
                )
    if node.get("_partial_") or not supplied:
        missing = [n for n in settable if parameters[n].default is inspect.Parameter.empty and n not in node]
        # The first positional argument of an optimizer goes by several names; it is ours to give.
        for name in missing[1:] if path == "optimizer" and missing and missing[0] == names[0] else missing:
            yield Problem(f"{path}.{name}", f"is missing; {target} needs it")


def _has_nan(value: Any) -> bool:
    """Whether a value or one in its list is no number, which most targets take without a word."""
    return any(map(_has_nan, value)) if isinstance(value, list) else isinstance(value, float) and math.isnan(value)


@functools.cache
def _signature(symbol: Any) -> tuple[Mapping[str, inspect.Parameter], dict[str, Any]]:
    try:
        parameters: Mapping[str, inspect.Parameter] = inspect.signature(symbol).parameters
    except (TypeError, ValueError):
        return {"kwargs": inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)}, {}
    function = symbol.__init__ if inspect.isclass(symbol) else symbol
    try:
        hints = typing.get_type_hints(inspect.unwrap(function))
    except Exception:  # a forward reference that cannot be resolved: nothing is known of the types
        hints = {}
    return parameters, hints


@functools.cache
def resolve_target(target: str) -> Any:
    """The object that a dotted path names; imports modules on the way.

    Raises:
        ImportError: A module of the path cannot be imported.
        AttributeError: The last module has no such name.
    """
    words = target.split(".")
    module = import_module(words[0])
    symbol: Any = module
    for index, word in enumerate(words[1:], start=1):
        if isinstance(symbol, types.ModuleType) and not hasattr(symbol, word):
            try:
                symbol = import_module(".".join(words[: index + 1]))
                continue
            except ModuleNotFoundError as error:
                if error.name != ".".join(words[: index + 1]):
                    raise
        symbol = getattr(symbol, word)
    return symbol


def _near_symbol(target: str) -> str:
    parent, _, name = target.rpartition(".")
    try:
        return did_you_mean(name, [word for word in vars(resolve_target(parent)) if not word.startswith("_")])
    except (ImportError, AttributeError, TypeError):
        return ""


def _is_under(name: str, prefixes: Sequence[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)
