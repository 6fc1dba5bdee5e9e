from __future__ import annotations

import io

import pytest

from holdfast.core.errors import InputError
from holdfast.core.exits import tell
from holdfast.core.terminal import Console, printable

NAME = "run\x1b]0;title\x07\x1b[2J\r\u202eexe"


def test_control_characters_are_shown_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that clears the screen, sets the window's title or turns the direction of what follows."""
    shown = r"run\x1b]0;title\x07\x1b[2J\r\u202eexe"
    assert printable(NAME) == shown
    assert printable("line\nline, Zürich") == "line\nline, Zürich"
    Console(file=(file := io.StringIO()), width=200).print(NAME, markup=False)
    assert file.getvalue() == f"{shown}\n"
    tell(InputError(NAME, "is no run"))
    assert capsys.readouterr().err == "error: {}: is no run\n".format(shown.replace(r"\r", " "))
