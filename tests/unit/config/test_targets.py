from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from torch import Tensor

from holdfast.config.targets import type_name


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (float, "a number"),
        (int | None, "a whole number, null"),
        (bool, "true, false"),
        (Literal["fan_in", "fan_out"], "fan_in, fan_out"),
        (Tensor | Sequence[float] | Literal["balanced"] | None, "a list of numbers, balanced, null"),
        (float | Tensor, "a number"),
        (tuple[float, float], "a list of numbers"),
        (tuple[int, ...] | list[int], "a list of whole numbers"),
        (Sequence[Sequence[int]], "a list of a list of whole numbers"),
        (Mapping[str, Any], "keys with values"),
        (str | Path, "a word, Path"),
    ],
)
def test_types_as_users_read_them(annotation: Any, words: str) -> None:
    assert type_name(annotation) == words
