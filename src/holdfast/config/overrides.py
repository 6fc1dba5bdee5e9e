"""Mistakes on the command line, answered before torch is imported: group, option, key and type, all at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.default_element import ConfigDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, Sweep, ValueType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from holdfast.config.groups import GROUPS, PRIMARY, SCALARS, SWEEP, VALUES, Group
from holdfast.config.targets import fits, type_name
from holdfast.core.advice import in_shell, setting
from holdfast.core.errors import InputError, Problem, did_you_mean

# Words that are allowed beside the type of the default.
WORDS: dict[str, tuple[str, ...]] = {"trainer.devices": ("auto",)}

# What a sweep compares its trials by, and what it reads itself.
NEVER_SWEPT = ("monitor", "mode", "resume", "sweep")

# Mappings whose keys are the user's: columns of a table, arguments of a sampler.
OPEN_MAPPINGS = ("data.types.", "data.types=", "hydra.sweeper.arguments.", "hydra.sweeper.arguments=")


def with_open_key(word: str) -> str:
    """An override as Hydra wants it: a key of an open mapping need not be there to be set."""
    return f"++{word}" if word.startswith(OPEN_MAPPINGS) else word


def command_line_problems(arguments: Sequence[str], loader: ConfigLoader, *, is_sweep: bool) -> list[Problem]:
    """Compare every override, as it was typed, with what the options offer.

    `is_sweep` says whether `-m` was given: only then may an override have several values.
    """
    problems: list[Problem] = []
    choices: dict[str, list[str]] = {}
    of_hydra: list[str] = []  # composed with as well: the run that follows has the same options then
    unsure: set[str] = set()  # groups whose option is wrong: nothing is known of the keys below them
    values: list[Override] = []
    parsed: list[Override] = []
    for argument in arguments:
        try:
            override = OverridesParser.create(config_loader=loader).parse_overrides([argument])[0]
        except HydraException as error:
            problems.append(_grammar_problem(argument, error))
            continue
        if _has_sweep_inside(override):
            problem = f"{override.input_line} has an interval, a range or a choice among other values"
            problems.append(Problem(override.key_or_group, problem, "one of these alone, or a list of values"))
            continue
        parsed.append(override)
        key = override.key_or_group
        mistakes = list(_sweep_problems(override, is_sweep))
        if is_choice(override, loader):
            mistakes += _option_problems(override, loader.get_group_options(key, ObjectType.CONFIG), loader)
            if mistakes:
                unsure.add(key)
            else:
                choices[key] = choice_words(override)
        elif not mistakes and override.is_hydra_override():
            of_hydra.append(argument)
        elif not mistakes:
            values.append(override)
        problems += mistakes
    problems += _repeated(parsed)
    first = [*of_hydra, *(words[0] for words in choices.values())]
    base = _compose(loader, first, problems) if values or not problems else None
    if base is not None and "recipes" not in unsure:
        known = [str(key) for key in base if key != "hydra"] + [g for g in loader.list_groups("") if g != "hydra"]
        for override in values:
            root = override.key_or_group.partition(".")[0]
            if root not in unsure:
                configs = [base, *_alternatives(root, first, choices, loader)]
                with_key = [config for config in configs if has_key(config, override.key_or_group)]
                for config in with_key or [base]:  # some of the swept options need not have it
                    problems += _value_problems(override, config, known, loader)
    return list(dict.fromkeys(problems))


def is_choice(override: Override, loader: ConfigLoader) -> bool:
    """Tell whether an override chooses options of a group."""
    key = override.key_or_group
    is_group = bool(loader.get_group_options(key, ObjectType.CONFIG)) or key in loader.list_groups("")
    return is_group and not isinstance(override.value(), dict)


def choice_words(override: Override) -> list[str]:
    """The overrides that an override of a group stands for: itself, or one an option that it is swept over."""
    if override.is_delete() or not override.is_sweep_override():
        return [str(override.input_line)]
    return [f"{override.get_key_element()}={value}" for value in _swept(override)]


def groups_of_key(key: str) -> tuple[str, str]:
    """The groups whose options decide whether there is a key: the one that it lies in, and the recipes."""
    return key.partition(".")[0], "recipes"


def has_key(config: DictConfig, key: str) -> bool:
    """Tell whether a composed config has a key, which may be null."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return isinstance(node, DictConfig) and name in node


def _alternatives(
    root: str, first: Sequence[str], choices: Mapping[str, Sequence[str]], loader: ConfigLoader
) -> Iterator[DictConfig]:
    """The configs with the other options of the groups that decide about a key."""
    for group in groups_of_key(root):
        for word in choices.get(group, ())[1:]:
            words = [word if each == choices[group][0] else each for each in first]
            if (config := _compose(loader, words, [])) is not None:
                yield config


def _has_sweep_inside(override: Override) -> bool:
    """Tell whether an interval, a range or a choice stands among other values; Hydra reads it and then breaks."""
    value = override.value()
    entries = value.list if isinstance(value, ChoiceSweep) else value
    return isinstance(entries, list) and any(isinstance(entry, Sweep) for entry in entries)


def _sweep_problems(override: Override, is_sweep: bool) -> Iterator[Problem]:
    key = override.key_or_group
    if key.partition(".")[0] == "sweep" and not is_sweep:
        yield Problem(key, "belongs to a sweep and this is one run", next="add -m")
    elif override.is_sweep_override() and key.partition(".")[0] in NEVER_SWEPT:
        yield Problem(key, "is the same in all trials of a sweep", next=f"give {key} one value")
    elif override.is_sweep_override() and not is_sweep:
        text = str(override.input_line).partition("=")[2]
        next_step = f"add -m to sweep over them, or write {in_shell(f'{key}=[{text}]')} for a list"
        yield Problem(key, f"has several values ({text}) and this is one run", next=next_step)
    elif override.is_sweep_override() and override.is_discrete_sweep() and not _swept(override):
        yield Problem(key, f"{override.input_line} stands for no value: the sweep has no job")
    elif key == "lr" and override.is_sweep_override() and "auto" in _swept(override):
        yield Problem("lr", "is swept over, and auto is no rate", "numbers", "lr=auto on its own finds a rate a run")


def _repeated(overrides: Sequence[Override]) -> Iterator[Problem]:
    """Say which keys are swept and given once more."""
    for key in dict.fromkeys(override.key_or_group for override in overrides):
        same = [override for override in overrides if override.key_or_group == key]
        if len(same) > 1 and any(override.is_sweep_override() for override in same):
            words = ", ".join(str(override.input_line) for override in same)
            yield Problem(key, f"is swept and given once more ({words})", next="leave out one of them")


def keys_of(words: Sequence[str]) -> set[str]:
    """The keys of overrides, without what adds or deletes."""
    return {word.partition("=")[0].lstrip("+~") for word in words}


def _grammar_problem(argument: str, error: HydraException) -> Problem:
    if "=" not in argument and not argument.startswith("~"):
        return Problem(argument, "is no override", "key=value", "`python train.py --help` shows examples")
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    key, _, value = argument.partition("=")
    if names := re.fullmatch(r"""\[([^][{}'"]+)\]""", value):
        words = f"quote the values: {setting(key, [name.strip() for name in names[1].split(',')])}"
    else:
        words = f"quote the value: {setting(key, value)}"
    return Problem(argument, f"cannot be read ({lines[0]})", next=words)


def _option_problems(override: Override, options: list[str], loader: ConfigLoader) -> Iterator[Problem]:
    group = override.key_or_group
    if override.is_delete():
        return
    allowed = ", ".join(options) or "nothing: there is no option in this group"
    for value in _swept(override):
        if isinstance(value, list) and GROUPS.get(group, Group()).only_entries:  # options of named entries add up
            for name in value:
                if not _is_option(group, str(name), options, loader):
                    yield Problem(group, f"has no option {str(name)!r}", allowed, did_you_mean(str(name), options))
        elif isinstance(value, list):
            names = ",".join(map(str, value))
            yield Problem(group, f"is a list ({names}) and takes one option", next=f"add -m and write {group}={names}")
        elif value is None and group != "recipes":
            yield Problem(group, "is null", allowed)
        elif value is not None and not _is_option(group, str(value), options, loader):
            yield Problem(group, f"has no option {str(value)!r}", allowed, did_you_mean(str(value), options))


def _is_option(group: str, name: str, options: list[str], loader: ConfigLoader) -> bool:
    """Options of a folder below the group are named with a slash."""
    folder, _, last = name.rpartition("/")
    below = loader.get_group_options(f"{group}/{folder}", ObjectType.CONFIG) if folder else ()
    return name in options or last in below


def _swept(override: Override) -> list[Any]:
    """The values that an override stands for: one, all of a list, or both ends of an interval."""
    if not override.is_sweep_override():
        return [override.value()]
    value = override.value()
    if isinstance(value, IntervalSweep):
        return [value.start, value.end]
    parser = OverridesParser.create()
    values = [parser.parse_override(f"key={text}").value() for text in override.sweep_string_iterator()]
    return [value for _ in values] if override.value_type == ValueType.ELEMENT else values


def _compose(loader: ConfigLoader, choices: list[str], problems: list[Problem]) -> DictConfig | None:
    """The config with the chosen options and recipe and no other override."""
    try:
        return loader.load_configuration(config_name=PRIMARY, overrides=choices, run_mode=RunMode.RUN)
    except InputError as error:
        problems += error.problems
    except (HydraException, OmegaConfBaseException) as error:
        problems.append(composition_problem(error))
    return None


def composition_problem(error: Exception, *, is_sweep: bool = False) -> Problem:
    """Hydra's message in one line."""
    cause = error.__cause__ if not str(error).strip() and error.__cause__ else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    key = re.match(r"Could not override '(.+?)'", lines[0] if lines else "")
    if key and is_sweep:  # Hydra composes a sweep once with the default options, whatever is swept over
        problem = "is no key of the options that the sweep starts from"
        return Problem(key[1], problem, next=f"write ++{key[1]}=... when every swept option has it")
    if key:
        return Problem(key[1], "is given keys that its option does not have", next=f"+{key[1]}.KEY=... adds one")
    return Problem("config", " ".join(lines[:3]) or type(cause).__name__)


def _value_problems(
    override: Override, base: DictConfig, known: Sequence[str], loader: ConfigLoader
) -> Iterator[Problem]:
    key = override.key_or_group
    root = key.split(".")[0].split("/")[0].split("@")[0]
    if root not in known:
        yield Problem(key, "is neither a group nor a key of the config", next=_hint(root, known))
        return
    if override.is_add() or override.is_force_add():
        if "." not in key and (override.is_add() or key not in base):
            yield Problem(f"+{key}", "adds nothing that is read", next=f"leave out the +: {key}=...")
        return  # a new argument of a target: the signature judges it
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(base, parent) if parent else base
    if not isinstance(node, DictConfig) or name not in node:
        names = [str(k) for k in node if not str(k).startswith("_")] if isinstance(node, DictConfig) else []
        known = [f"{parent}.{k}" if parent else k for k in names]
        others = [other for other in _all_keys(base) if not key.startswith(f"{other}.")]
        is_far = parent == root and not did_you_mean(name, names)
        hint = (_options_with(name, root, loader) if is_far else "") or _hint(key, [*known, *others])
        yield Problem(key, "is no key of the config", ", ".join(known), hint)
        return
    if override.is_delete():
        return
    default = OmegaConf.select(base, key)
    for value in _swept(override):
        if allowed := _type_mismatch(key, default, value):
            needs_whole = override.is_interval_sweep() and isinstance(default, int)
            hint = f"write '{key}=int(interval(LEAST,MOST))' for whole numbers" if needs_whole else ""
            yield Problem(key, f"is {value!r}", allowed, hint)
            if hint:  # it is the same for the other end
                return


def _options_with(name: str, group: str, loader: ConfigLoader) -> str:
    """The options of a group that have a key, such as "model=resnet has it"; empty where none has."""
    options = loader.get_group_options(group, ObjectType.CONFIG)
    matches = [option for option in options if name in _keys_of(group, option, loader)]
    words = " and ".join(f"{group}={option}" for option in matches)
    return f"{words} {'has' if len(matches) == 1 else 'have'} it" if matches else ""


def _keys_of(group: str, option: str, loader: ConfigLoader) -> set[str]:
    """The keys of an option's file and of those that it includes."""
    loaded = loader.repository.load_config(f"{group}/{option}")  # type: ignore[attr-defined]
    included = [entry.path for entry in loaded.defaults_list if isinstance(entry, ConfigDefault)]
    parts = [_keys_of(group, path, loader) for path in included if path and path != "_self_"]
    return {*map(str, loaded.config)}.union(*parts)


def _type_mismatch(key: str, default: Any, value: Any) -> str:
    """The types that are allowed instead of `value`, or an empty string when it has the default's type or may have."""
    group, _, name = key.partition(".")
    if rule := SCALARS.get(key) or SWEEP.get(key) or VALUES.get(group, {}).get(name):
        return "" if _is_interpolation(value) or rule.accepts(value) else rule.allowed
    if default is None or _is_interpolation(value) or value in WORDS.get(key, ()):
        return ""
    if OmegaConf.is_dict(default):
        keys = ", ".join(f"{key}.{name}" for name in map(str, default))
        return "" if isinstance(value, dict) else f"keys below it, such as {keys}"
    if isinstance(default, str):
        return "one value, not a list" if isinstance(value, list | dict) else ""
    kind = list if OmegaConf.is_list(default) else type(default)
    is_right = fits(value, kind) or (value is None and kind is not bool)
    return "" if is_right else ", ".join((type_name(kind), *WORDS.get(key, ())))


def _is_interpolation(value: Any) -> bool:
    return isinstance(value, str) and "${" in value


def _all_keys(node: DictConfig, path: str = "") -> Iterator[str]:
    for key in map(str, node):
        if (path == "" and key == "hydra") or key.startswith("_"):
            continue
        yield f"{path}{key}"
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing():
            yield from _all_keys(child, f"{path}{key}.")


def _hint(wrong: str, known: Sequence[str]) -> str:
    return did_you_mean(wrong, known) or "`python train.py --cfg job` lists the keys"
