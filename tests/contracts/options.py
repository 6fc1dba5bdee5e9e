"""The options of `conf`, found by a walk and built as a run builds them."""

from __future__ import annotations

from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from holdfast.config.groups import CONF
from holdfast.config.resolve import build_option
from holdfast.experiment.compose import VERSION_BASE


def options(group: str) -> list[str]:
    """The names of a group's options that name something."""
    names = sorted(path.stem for path in (CONF / group).glob("*.yaml") if node_of(path.stem, group))
    assert names, f"conf/{group} has no options"
    return names


def node_of(name: str, group: str) -> Any:
    return OmegaConf.load(CONF / group / f"{name}.yaml")


def build(group: str, name: str, *overrides: str) -> Any:
    """The target of an option, with the values of its file."""
    with initialize_config_dir(str(CONF), version_base=VERSION_BASE):
        # a data option may choose its own split
        roots = ["+split=auto", "+lr=0.01"] if group == "data" else ["+lr=0.01"]
        config = compose(overrides=[*roots, f"+{group}={name}", *overrides])
    node = OmegaConf.to_container(config[group], resolve=True)
    assert isinstance(node, dict)
    node = node.get("source", node)
    return build_option(node, group)
