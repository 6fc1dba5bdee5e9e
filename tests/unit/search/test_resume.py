"""`-m resume=SWEEP` on the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.core.errors import InputError
from holdfast.experiment.compose import OptionsLoader
from holdfast.search.compose import compose_sweep, plan_sweep
from holdfast.search.resume import resumed

from .conftest import RANDOM, RATE, plan

WORDS = [RANDOM, RATE, "sweep.trials=8", "max_epochs=2"]


def test_a_sweep_is_typed_again(loader: OptionsLoader) -> None:
    folder = Path("a b")
    record = plan(loader, *WORDS, "hydra.sweep.dir='a b'")
    record.create(folder)
    words = resumed(["-m", "resume=a b", "sweep.add=4", "hydra.launcher.workers=2"])
    place = f"'{folder.absolute()}'"
    assert words == [
        "-m",
        *WORDS,
        "sweep.add=4",
        "hydra.launcher.workers=2",
        f"resume={place}",
        f"hydra.sweep.dir={place}",
    ]
    config = compose_sweep(words[1:], loader)
    assert Path(config.hydra.sweep.dir) == folder.absolute()
    again = plan_sweep(config, loader)
    assert again is not None
    assert (again.trials, again.space, again.overrides) == (12, record.space, record.overrides)


def test_what_is_typed_anew_replaces_what_was(loader: OptionsLoader) -> None:
    plan(loader, *WORDS).create(Path("mine"))
    assert "max_epochs=3" in resumed(["-m", "resume=mine", "max_epochs=3"])
    assert "max_epochs=2" not in resumed(["-m", "resume=mine", "max_epochs=3"])


def test_other_arguments_come_back_as_they_are() -> None:
    assert resumed(["-m", "lr=1,2"]) == ["-m", "lr=1,2"]
    with pytest.raises(InputError, match=r"^resume: there is no folder nowhere"):
        resumed(["-m", "resume=nowhere"])


def test_a_strangers_sweep_runs_no_code(loader: OptionsLoader) -> None:
    record = plan(loader, *WORDS)
    words = {
        "trusted_modules=[evil]": r"^resume: evil trusts evil, and you have not on this machine",
        "hydra.launcher._target_=evil.Launcher": r"^evil: sets hydra.launcher._target_=evil.Launcher, which may",
        "hydra.searchpath=[file://evil]": r"^evil: sets hydra.searchpath=\[file://evil\], which may run code",
    }
    for word, message in words.items():
        Path("evil/sweep.json").unlink(missing_ok=True)
        replace(record, typed=[*record.typed, word]).create(Path("evil"))
        with pytest.raises(InputError, match=message):
            resumed(["-m", "resume=evil"])
