"""From the overrides of a sweep, in Hydra's grammar, to its space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Sweep
from hydra.types import RunMode
from omegaconf import DictConfig

from holdfast.config.groups import PRIMARY
from holdfast.config.overrides import choice_words, groups_of_key, has_key, is_choice
from holdfast.core.errors import Problem, raise_problems
from holdfast.experiment.compose import OptionsLoader
from holdfast.search.space import Dimension, Space

LOG, ZIP = "log", "zip"
NOT_OF_TRIALS = ("sweep", "resume")


def read_space(words: Sequence[str], loader: OptionsLoader) -> tuple[list[str], Space]:
    """Read what a sweep searches from overrides, each of which is right by itself (`command_line_problems`).

    Returns:
        The overrides that all trials share, and the space; those of Hydra and of the sweep itself are in neither.

    Raises:
        InputError: An interval is empty, lists of different lengths go together, a key is swept twice, and the like.
    """
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(words))
    swept = [override for override in parsed if override.is_sweep_override()]
    raise_problems([problem for override in swept for problem in _mistakes(override)])
    options = {
        override.key_or_group: _configs(override, parsed, loader) for override in swept if is_choice(override, loader)
    }
    dimensions: list[Dimension] = []
    shared: list[str] = []
    for override in parsed:
        only_with = _only_with(override, options)
        if override.is_sweep_override() or only_with:
            dimensions.append(_dimension(override, only_with))
        elif not override.is_hydra_override() and override.key_or_group.partition(".")[0] not in NOT_OF_TRIALS:
            shared.append(str(override.input_line))
    raise_problems(list(_zip_problems(dimensions)))
    return shared, Space(tuple(dimensions))


def _dimension(override: Override, only_with: Mapping[str, tuple[str, ...]]) -> Dimension:
    key, value = override.get_key_element(), override.value()
    if not isinstance(value, Sweep) and override.is_sweep_override():  # a glob
        return Dimension(key, tuple(override.sweep_string_iterator()), only_with=only_with)
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        assert low is not None
        assert high is not None
        whole = isinstance(low, int) and isinstance(high, int)
        return Dimension(key, low=low, high=high, is_log=LOG in value.tags, is_whole=whole, only_with=only_with)
    if isinstance(value, Sweep):
        zipped = next(iter(sorted(value.tags)), None)
        return Dimension(key, tuple(override.sweep_string_iterator()), zipped=zipped, only_with=only_with)
    return Dimension(key, (override.get_value_element_as_str(),), only_with=only_with)


def _mistakes(override: Override) -> Iterator[Problem]:
    """Say what is wrong with the values of one override."""
    key, value = override.key_or_group, override.value()
    tags = value.tags if isinstance(value, Sweep) else set[str]()
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        assert low is not None
        assert high is not None
        text = f"interval({low:g},{high:g})"
        if low > high:
            yield Problem(key, f"{text} ends before it starts", next=f"write interval({high:g},{low:g})")
        elif not low < high:
            yield Problem(key, f"{text} is empty", next=f"write {key}={low:g}, or two ends")
        elif LOG in tags and low <= 0:
            yield Problem(key, f"{text} has no log scale: it starts at {low:g}", "an interval above 0")
        wrong, allowed = tags - {LOG}, LOG
    else:
        wrong, allowed = {tag for tag in tags if not tag.startswith(ZIP)}, f"{ZIP}, or {ZIP} and more letters"
    if wrong:
        yield Problem(key, f"has the tag {sorted(wrong)[0]!r}", allowed)
    elif len(tags) > 1:
        yield Problem(key, f"has the tags {', '.join(sorted(tags))}", "one")


def _zip_problems(dimensions: Sequence[Dimension]) -> Iterator[Problem]:
    """Say which lists are to go together and cannot."""
    for name in dict.fromkeys(dimension.zipped for dimension in dimensions if dimension.zipped):
        together = [dimension for dimension in dimensions if dimension.zipped == name]
        keys = ", ".join(dimension.key for dimension in together)
        if len(together) == 1:
            yield Problem(keys, f"is alone in tag({name},...)", next=f"give another list the tag {name}")
        elif len({len(dimension.values) for dimension in together}) > 1:
            lengths = ", ".join(str(len(dimension.values)) for dimension in together)
            yield Problem(keys, f"go together and have {lengths} values", "lists of one length")


def _configs(override: Override, parsed: Sequence[Override], loader: OptionsLoader) -> dict[str, DictConfig]:
    """Compose the config with each option of a swept group and the first of every other one."""
    composed = [other for other in parsed if other.is_hydra_override() or is_choice(other, loader)]
    others = [choice_words(other)[0] for other in composed if other is not override]
    options = override.sweep_string_iterator()
    return {
        option: loader.load_configuration(PRIMARY, [*others, word], RunMode.RUN)
        for option, word in zip(options, choice_words(override), strict=True)
    }


def _only_with(override: Override, options: Mapping[str, Mapping[str, DictConfig]]) -> dict[str, tuple[str, ...]]:
    """The options without which there is no such key, by their group; empty where the key is always there."""
    key = override.key_or_group
    conditions: dict[str, tuple[str, ...]] = {}
    if override.is_force_add() or override.is_delete():
        return conditions
    for group in groups_of_key(key):
        configs = options.get(group, {})
        having = tuple(option for option, config in configs.items() if has_key(config, key))
        if key != group and 0 < len(having) < len(configs):
            conditions[group] = having
    return conditions
