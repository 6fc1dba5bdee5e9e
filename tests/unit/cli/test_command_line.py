"""A command line that no verb can read is an error like any other."""

from __future__ import annotations

import json
import sys

import pytest

from holdfast.cli.main import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["opne"], "no such command 'opne'"),
        (["open"], "holdfast open: missing argument 'SELECTION'; next: holdfast open --help"),
        (["vault", "status", "--jsn"], "holdfast vault status: no such option: --jsn"),
        (["vault"], "holdfast vault: needs a verb; next: holdfast vault --help"),
    ],
)
def test_it_is_one_line(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["holdfast", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_script_reads_it_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["holdfast", "freeze", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["where"]) == ("input", "holdfast freeze")
