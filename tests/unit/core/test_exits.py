from __future__ import annotations

import sys

import pytest

from holdfast.core.errors import InputError, Interrupted
from holdfast.core.exits import ending, program


def test_ctrl_c_is_one_line_that_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, ending():
        raise Interrupted(2, "python train.py resume=outputs/one")
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "interrupted; go on with: python train.py resume=outputs/one\n")


def test_an_error_is_a_line_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    for as_json, out, err in (
        (False, "", "error: lr: is 'x'; allowed: a number\n"),
        (
            True,
            '{"error": {"code": "input", "where": "lr", "what": "is \'x\'", "allowed": "a number", "next": ""}}\n',
            "",
        ),
    ):
        with pytest.raises(SystemExit) as ended, ending(as_json=as_json):
            raise InputError("lr", "is 'x'", "a number")
        assert ended.value.code == 2
        assert capsys.readouterr() == (out, err)


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("train.py", "python train.py"),
        ("/lib/holdfast/cli/train.py", "holdfast train"),
        ("/bin/holdfast", "holdfast train"),
    ],
)
def test_the_command_is_the_one_that_was_typed(path: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [path])
    assert program() == command
