from __future__ import annotations

import pytest

from holdfast.cli import train
from holdfast.core.errors import InputError


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--mutirun", "seed=0,1"],
            "command line: unrecognized arguments: --mutirun; next: did you mean '--multirun'?",
        ),
        (["-x"], "command line: unrecognized arguments: -x; next: `holdfast train --help` lists the common ones"),
        (["--cfg", "jobb"], "command line: argument --cfg/-c: invalid choice: 'jobb'"),
    ],
)
def test_a_wrong_flag_is_one_line(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["holdfast"])
    with pytest.raises(InputError) as caught:
        train._read_flags(words)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().err == ""


def test_the_help_page_fits_a_terminal() -> None:
    page = train._help_page()
    groups = page[page.index("run scalars") : page.index("options ")]
    assert max(map(len, groups.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-r", "-m", "seed=0,1"], "-r -m: do not go together; next: leave out -m"),
        (["-m", "--cfg", "job"], "-m --cfg: do not go together; next: leave out --cfg"),
        (["--resolve"], "--resolve: belongs to --cfg"),
        (["-cn", "mine"], "--config-name: would leave out Holdfast's own options"),
        (["--experimental-rerun", "x"], "--experimental-rerun: repeats no run of Holdfast"),
    ],
)
def test_flags_that_do_not_go_together(words: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["holdfast"])
    with pytest.raises(InputError) as caught:
        train._read_flags(words)
    assert str(caught.value).startswith(message)
