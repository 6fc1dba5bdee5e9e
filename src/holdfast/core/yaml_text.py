"""Plain values as YAML, as OmegaConf writes it and several times as fast: every run writes its config four times."""

from __future__ import annotations

from typing import Any

import yaml
from omegaconf._utils import OmegaConfDumper


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """PyYAML's dumper in C, where it was built with one."""


# "1e-3" needs quotes, as OmegaConf would read it as a number
_Dumper.add_representer(str, OmegaConfDumper.str_representer)


def as_yaml(value: Any) -> str:
    """Dump dicts, lists and scalars in the order that they have."""
    return str(yaml.dump(value, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False))
