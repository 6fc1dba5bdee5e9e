"""From an option of the config to the object that it names."""

from __future__ import annotations

from typing import Any

from hydra.utils import instantiate


def build_option(node: Any) -> Any:
    """The object that an option names, with plain lists and dictionaries as arguments."""
    return instantiate(node, _convert_="all")
