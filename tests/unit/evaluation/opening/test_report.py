from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.cli.report import report
from holdfast.cli.vault import verify
from holdfast.data.store import store
from holdfast.evaluation.freeze.freezing import freeze_runs
from holdfast.evaluation.opening.final import open_vault
from holdfast.evaluation.opening.report import gather, report_problems, write_report
from holdfast.evaluation.scorer import score_models
from holdfast.reporting.pages import render
from holdfast.vault import registry
from holdfast.vault.verify import verify_home

from ..conftest import Make, prepare_here

VOID = {"meta", "line", "circle", "rect"}


class _Balanced(HTMLParser):
    """Every element that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def _check(html: str) -> None:
    parser = _Balanced()
    parser.feed(html)
    assert parser.open == []
    assert not re.search(r"<script|https?://|src=|@import|url\(", html)
    assert "None" not in html
    assert not re.search(r"\bnan\b", html)


@pytest.fixture
def prepared(home: Path) -> store.Prepared:
    return prepare_here({"policy": "batch", "k": 2})


@pytest.fixture
def selection(make_run: Make) -> str:
    return freeze_runs([make_run("one"), make_run("two", 0.8)], "accuracy > 0.5").selection


def test_a_frozen_selection_is_reported_as_sealed(selection: str, prepared: store.Prepared) -> None:
    paths = write_report(prepared.vault, selection)
    html, facts = paths["html"].read_text(), json.loads(paths["json"].read_text())
    _check(html)
    assert "frozen, not opened" in html
    assert (facts["state"], facts["quote"], facts["result"]) == ("frozen", None, None)
    assert facts["criterion"] == "accuracy > 0.5"
    assert verify_home() == []


def test_an_opened_selection_says_all_there_is_to_say(selection: str, prepared: store.Prepared) -> None:
    opened, _ = open_vault(selection)
    paths = write_report(prepared.vault, selection)
    html, facts = paths["html"].read_text(), json.loads(paths["json"].read_text())
    _check(html)
    accuracy = opened.metrics["accuracy"]
    value, low, high = (f"{100 * accuracy[key]:.2f}" for key in ("value", "low", "high"))
    place = f"vault {prepared.vault[:8]}, selection {selection[:8]}, head {opened.head[:8]}"
    where = f"opening 1 of 1, the best by val of 2, {place}"
    assert facts["quote"] == f"test accuracy {value} % [{low}, {high}] Wilson 97.5 %, n = 114, {where}"
    assert facts["quote"] in html
    assert facts["head"]["sha256"] == registry.read_ledger(prepared.vault)[-1].sha256
    assert facts["vault"]["policy"]["key_mode"] == "local"
    assert facts["vault"]["counts"]["test"] == 114
    assert facts["wear"]["bits_before"] == 1  # the choice between two models
    assert facts["wear"]["rows_left"] == 95
    assert list(facts["models"][0]["test"]) == list(opened.metrics)
    assert len(facts["models"]) == 2
    assert all(f"<h3>{model['name']}</h3>" in html for model in facts["models"])
    assert facts["wear"]["rows_left_next"] < 114
    assert [opening["state"] for opening in facts["openings"]] == ["opened"]
    assert facts["vault"]["source"]["words"].startswith("The rows come from a public source")
    for words in ("clean test", "What this report cannot say", "enforces honesty, not secrecy", "multinomial draws"):
        assert words in html
    assert "of how many others were tried" not in html
    assert verify_home() == []


def _rich(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts with what several models and a disclosure add."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 114)
    predictions = [(0.3 * random.random(114) + 0.6 * y).astype(np.float32), random.random(114).astype(np.float32)]
    models = [{"name": model["name"], "has_loss": True} for model in facts["models"]]
    options = {"task": "binary", "num_outputs": 1, "target_std": 1.0}
    scored = score_models(predictions, y, models=models, **options)
    for model, scored_model in zip(facts["models"], scored["models"], strict=True):
        model["test"] = scored_model["metrics"]
    return {**facts, "comparisons": scored["comparisons"], "details": scored["details"]}


def test_comparisons_and_classes_are_drawn(selection: str, prepared: store.Prepared) -> None:
    open_vault(selection)
    facts = _rich(gather(prepared.vault, selection))
    facts["class_names"] = ["<b>bad</b>", "a name that is far too long for a cell"]
    html = render("final_report.html", facts)
    _check(html)
    assert "<b>bad" not in html
    assert "&lt;b&gt;bad" in html
    for words in (
        "McNemar exact, Bonett-Price",
        "97.5 % interval",
        "p (Holm)",
        "DeLong",
        "Classes (disclosed)",
        "guessed",
    ):
        assert words in html
    facts["spread"] = {"of": "test", "metric": "accuracy", "values": [0.9, 0.92], "mean": 0.91, "std": 0.01414}
    assert "standard deviation of test/accuracy over 2 seeds (90.00, 92.00)" in render("final_report.html", facts)


def test_one_bit_is_all_that_a_criterion_tells(selection: str, prepared: store.Prepared) -> None:
    open_vault(selection)
    facts = gather(prepared.vault, selection)
    facts["result"] |= {"level": "criterion", "passed": False}
    for model in facts["models"]:
        model["test"] = {}
    html = render("final_report.html", facts)
    _check(html)
    assert "one bit. The vault has given 1 answer," in html


def test_a_second_look_is_never_called_clean(selection: str, prepared: store.Prepared) -> None:
    open_vault(selection)
    facts = gather(prepared.vault, selection)
    facts["result"] |= {"level": "primary", "is_clean": False, "opening": 2, "reason": "a bug"}
    html = render("final_report.html", facts)
    assert "opening 2: not a clean test" in html
    assert "Not a clean test (a bug): the vault had told 1.0 bits before" in html


def test_the_command_says_where_it_is(
    make_run: Make, prepared: store.Prepared, capsys: pytest.CaptureFixture[str]
) -> None:
    selection = freeze_runs([make_run()]).selection
    capsys.readouterr()
    report(selection[:8])
    output = capsys.readouterr().out
    assert f"selections/{selection}/report.html" in output
    assert f"next       holdfast open {selection[:8]}" in output
    open_vault(selection)
    report(selection[:8], as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"selection", "vault", "state", "quote", "html", "json"}
    assert answer["state"] == "opened"


def _reported(vault: str, selection: str) -> list[str]:
    return [f"{Path(where).name} {what}" for _, where, what in report_problems(vault, selection)]


def test_a_report_that_was_edited_is_found(selection: str, prepared: store.Prepared, home: Path) -> None:
    """A better number on the page, or in the file beside it; what a later opening adds is no edit."""
    write_report(prepared.vault, selection)
    open_vault(selection)
    assert _reported(prepared.vault, selection) == [], "it was written before"
    paths = write_report(prepared.vault, selection)
    registry.append(prepared.vault, "verify", {})
    assert _reported(prepared.vault, selection) == []
    page, facts = paths["html"].read_text(), paths["json"].read_text()
    value = json.loads(facts)["models"][0]["test"]["accuracy"]["value"]
    paths["html"].write_text(page.replace(f"{100 * value:.2f}", "99.99"))
    assert _reported(prepared.vault, selection) == [
        "report.html is not the page of report.json; holdfast report writes it again"
    ]
    edited = facts.replace(str(value), "0.9999")
    assert edited != facts
    paths["json"].write_text(edited)
    paths["html"].write_text(render("final_report.html", json.loads(edited)))
    assert "report.json has another models than the ledger; holdfast report writes it again" in _reported(
        prepared.vault, selection
    )
    assert verify(as_json=True) == 3
    edited = json.loads(facts)
    edited["vault"]["source"]["words"] = "The raw source was deleted before anything was trained."
    paths["json"].write_text(json.dumps(edited))
    assert "report.json has another vault than the ledger; holdfast report writes it again" in _reported(
        prepared.vault, selection
    )
    paths["json"].write_text(facts)
    paths["html"].write_bytes(b"\xff")
    assert _reported(prepared.vault, selection) == [
        "report.html is not the page of report.json; holdfast report writes it again"
    ]
    paths["json"].write_text("{}")
    assert _reported(prepared.vault, selection)[0].startswith("report.json cannot be compared with the ledger")
    write_report(prepared.vault, selection)
    assert verify(as_json=True) == 0
