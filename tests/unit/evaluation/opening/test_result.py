from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.cli.freeze import freeze
from holdfast.cli.open import open_selection
from holdfast.cli.vault import status, verify
from holdfast.data.store import store
from holdfast.vault.manifest import folder_of

from ..conftest import Make


def _json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_scripts_read_the_answers(make_run: Make, prepared: store.Prepared, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run()
    capsys.readouterr()
    freeze([run], as_json=True)
    frozen = _json(capsys)
    assert set(frozen) == {"selection", "vault", "val"}
    assert frozen["val"] == json.loads((run / "run.json").read_text())["best"]["metrics"]
    open_selection(frozen["selection"], as_json=True)
    opened = _json(capsys)
    assert set(opened) == {"selection", "vault", "opening", "n", "metrics", "head", "replayed"}
    assert set(opened["metrics"]["accuracy"]) == {"value", "low", "high", "method"}
    assert verify(as_json=True) == 0
    assert _json(capsys) == {"ok": True, "findings": []}
    status(as_json=True)
    (vault,) = _json(capsys)["vaults"]
    assert (vault["name"], vault["num_test"], vault["selections"][0]["state"]) == ("breast_cancer", 114, "opened")
    (folder_of(prepared.vault) / "x.sealed").unlink()
    assert verify(as_json=True) == 3
    (finding,) = _json(capsys)["findings"]
    assert (finding["vault"], finding["kind"], finding["what"]) == (prepared.vault, "file", "is missing")


def test_people_read_what_comes_next(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run()

    def printed() -> str:
        return capsys.readouterr().out

    printed()
    status()
    assert "breast_cancer: 114 test rows, policy once, key local" in (text := printed())
    assert "next       holdfast freeze RUN" in text
    freeze([run])
    selection = (text := printed()).split()[1]
    assert f"next       holdfast open {selection[:8]}   (the test rows, once)" in text
    freeze([make_run("other", 0.5)])
    printed()
    status()
    assert f"next       holdfast open {selection[:8]}\n" in printed()
    open_selection(selection)
    assert "n = 114, opening 1 of 1, vault" in (text := printed())
    assert "repeated" not in text
    open_selection(selection)
    assert printed().startswith("repeated from the ledger; nothing was decrypted")
    status()
    assert "next       holdfast vault verify" in printed()
    assert verify() == 0
    assert printed().startswith("whole: 1 vault of ")


def test_an_empty_home_says_how_to_begin(home: object, capsys: pytest.CaptureFixture[str]) -> None:
    status()
    assert "next       python train.py" in capsys.readouterr().out
