"""Advice in messages can be pasted into bash as it stands: real mistakes, and what comes of following the advice."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig

from holdfast.core.advice import column_type, in_shell, setting
from holdfast.core.errors import InputError
from holdfast.data.fit_view import fit_view
from holdfast.data.rows import Rows
from holdfast.data.sources import table
from holdfast.experiment.compose import compose

Paste = Callable[[str], list[str]]
NAMES = (
    "age",
    "größe (m²)",
    "a=b",
    "x.y",
    "it's",
    'so "called"',
    "back\\slash\\",
    "$HOME",
    "1st, `2nd`",
    "null",
    "a: b",
)
# A word of a command line that sets something, quoted or not.
ADVISED = re.compile(r"(?<![\w'\"])'?[a-z]+(?:\.[\w]+)*=(?:'\"'\"'|[^\s';]|(?<=[\[\",:]) |(?<!') (?=[^'\n]*'))+'?")


@pytest.fixture
def paste(tmp_path: Path) -> Paste:
    """Give words of a command line to bash, with a `python` that shows what it is given."""
    stub = tmp_path / "bin" / "python"
    stub.parent.mkdir()
    stub.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    stub.chmod(0o755)

    def run(words: str) -> list[str]:
        line = f"PATH={stub.parent}:$PATH; python {words}"
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert not done.stderr
        return done.stdout.split("\0")[:-1]

    return run


def words_in(advice: str) -> list[str]:
    """The settings that a message advises."""
    return [match[0] for match in ADVISED.finditer(advice)]


def notes_of(config: DictConfig) -> tuple[Rows, list[str]]:
    """The table of a config, read and looked at as a run would."""
    source = {key: value for key, value in config.data.source.items() if not str(key).startswith("_")}
    rows = table.load(**source)
    assert rows.table is not None
    assert rows.settings is not None
    view, _, notes = fit_view(rows.table, rows.settings, np.ones(len(rows), bool))
    return rows, [*notes, *(column.origin for column in view.columns)]


@pytest.mark.parametrize("name", NAMES)
def test_a_text_reaches_the_config_through_bash_and_hydra(paste: Paste, name: str) -> None:
    words = f"{setting('data.target', name)} {setting('data.drop', [name, 'b'])} {column_type(name, 'category')}"
    config = compose(["data=csv", *paste(words)])
    assert (config.data.target, list(config.data.drop)) == (name, [name, "b"])
    assert config.data.types in ({name: "category"}, [f"{name}: category"])
    assert paste(in_shell(name)) == [name]


MISTAKES = {
    "a text among numbers": [*map(str, range(40)), "(gone)"],
    "dates in two ways": ["01/02/2024", "03/04/2024"] * 20,
    "both orders": ["31/12/2024", "12/31/2024"] * 20,
    "another form": ["May 2024", "June 2024"] * 20,
    "units": [f"{i % 7}.50 EUR" for i in range(40)],
    "texts of their own": [f"k{i}" for i in range(40)],
    "codes": ["0123", "0456"] * 20,
}


@pytest.mark.parametrize(
    ("name", "mistake"), [(name, list(MISTAKES)[at % len(MISTAKES)]) for at, name in enumerate(NAMES)]
)
def test_advice_on_a_column_is_followed_as_it_stands(
    paste: Paste, tmp_path: Path, home: Path, name: str, mistake: str
) -> None:
    cells = MISTAKES[mistake]
    quoted = [f'"{text}"' for text in (name.replace('"', '""'), *cells)]
    rest = ["n,y", *(f"{i / 2},{i % 2}" for i in range(len(cells)))]
    (tmp_path / "t.csv").write_text("".join(f"{a},{b}\n" for a, b in zip(quoted, rest, strict=True)))
    line = f"data=csv {setting('data.path', tmp_path / 't.csv')} data.target=y"

    def outcome(words: str) -> str:
        try:
            return "\n".join(notes_of(compose(paste(f"{line} {words}")))[1])
        except InputError as error:
            return str(error)

    message = outcome("")
    advised = words_in(message)
    assert advised, message
    for word in advised:
        if word not in ("data.on_error=skip",):
            assert outcome(word) != message, f"{word} has no effect"


@pytest.mark.parametrize(
    ("overrides", "advised"),
    [
        (["lr=1e-3,1e-4"], ["'lr=[1e-3,1e-4]'"]),
        (["data=csv", "data.path=größe (m²).csv"], ["'data.path=\"größe (m²).csv\"'"]),
        (["model.dropuot=1"], []),
    ],
)
def test_advice_on_an_override(paste: Paste, overrides: list[str], advised: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        compose(overrides)
    assert words_in(str(caught.value).partition("next: ")[2]) == advised
    for word in advised:
        assert len(paste(word)) == 1
