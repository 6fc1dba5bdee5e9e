"""README and docs: every link leads somewhere, every command can be typed; the ten minutes are typed as they stand."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

import holdfast
from commands import ROOT, run_command
from holdfast.cli.main import app
from holdfast.config.groups import CONF, RECIPES
from holdfast.experiment.compose import options_loader

README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LOCKS = {path.stem: json.loads(path.read_text()) for path in sorted((RECIPES / "locks").glob("*.json"))}
TAKES_OVERRIDES = ("inspect", "preview", "check")


def blocks(page: Path) -> list[str]:
    """The lines of a page's blocks of commands and outputs."""
    return [
        line for block in re.findall(r"^```\n(.*?)^```", page.read_text(), re.M | re.S) for line in block.splitlines()
    ]


def verbs() -> list[tuple[str, str]]:
    """`holdfast VERB ...` wherever it stands at the start of a line in a block."""
    lines = [(page.name, line.partition("  #")[0].strip()) for page in PAGES for line in blocks(page)]
    return [(name, line) for name, line in lines if line.startswith("holdfast ") and "..." not in line]


def test_the_readme_is_short_and_the_pages_have_commands() -> None:
    assert len(README.read_text().splitlines()) <= 150
    assert len(verbs()) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_the_readme_leads_to_every_page() -> None:
    text = README.read_text()
    assert not [page.name for page in PAGES if page.parent.name == "docs" and f"(docs/{page.name})" not in text]


@pytest.mark.parametrize(("where", "line"), verbs())
def test_every_verb_can_be_typed(where: str, line: str) -> None:
    from holdfast.config.overrides import command_line_problems, with_open_key

    command: Any = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    command.make_context(command.name, list(words))
    if command.name in TAKES_OVERRIDES:
        overrides = [with_open_key(word) for word in words if "=" in word]
        assert command_line_problems(overrides, options_loader(), is_sweep=False) == []


def test_the_page_of_options_has_every_option_and_no_other() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (.*) \|$", (ROOT / "docs" / "options.md").read_text().partition("## Scalars")[0], re.M
    )
    groups = {path.name: {file.stem for file in path.glob("*.yaml")} for path in CONF.iterdir() if path.is_dir()}
    assert {name for name, _ in rows} == groups.keys() - {"hydra"} | {"recipes"}
    for name, text in rows:
        named = set(re.findall(r"`(\w+)`", text))
        if name in ("recipes", "paths"):
            continue
        missing = groups[name] - named - {"memory", "memory_arrays"}
        assert not missing, f"docs/options.md: {name} lacks {missing}"
        options = set(re.findall(r"`(\w+)`", re.split("[;:]", text)[0]))  # keys may follow them
        assert options <= groups[name], f"docs/options.md: {name} has no {options - groups[name]}"


def test_every_lock_is_of_a_recipe_and_names_no_place() -> None:
    assert len(LOCKS) >= 4
    for name, lock in LOCKS.items():
        assert (RECIPES / f"{name}.yaml").is_file()
        assert lock["status"] == "completed"
        assert "/home" not in json.dumps(lock)
        assert lock["config"]["data"].get("path") in (None, "DIR")


@pytest.mark.parametrize("name", ["chance_loss", "diabetes_linear"])
def test_quick_recipes_come_out_as_measured(
    name: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    again = holdfast.reproduce(name)
    assert again.is_reproduced, again.differences


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, lock in LOCKS.items() if "path" not in lock["config"]["data"]])
def test_recipes_on_data_that_comes_along_come_out_as_measured(
    name: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_quick_recipes_come_out_as_measured(name, home, tmp_path, monkeypatch)


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    """A folder with the table of the README, and rows without a price."""
    folder = tmp_path / "project"
    folder.mkdir()
    numbers = random.Random(0)
    for name, columns in (("houses.csv", ["area", "rooms", "place", "price"]), ("new.csv", ["area", "rooms", "place"])):
        with (folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            for number in range(400 if name == "houses.csv" else 5):
                row = {"area": round(numbers.uniform(30, 200), 1), "rooms": number % 6 + 1, "place": "abc"[number % 3]}
                writer.writerow({**row, "price": round(2000 * row["area"] + numbers.gauss(0, 9000))})
    return folder


@pytest.mark.slow
def test_the_ten_minutes_are_typed_as_they_stand(houses: Path, home: Path) -> None:
    environment = {**os.environ, "HOLDFAST_HOME": str(home), "OMP_NUM_THREADS": "1"}
    chapter = README.read_text().partition("## Ten minutes")[2].partition("\n## ")[0]
    lines = re.findall(r"^((?:holdfast|python train\.py) .*)$", chapter, re.M)
    assert len(lines) == 11
    selection = ""
    for line in lines:
        words = shlex.split(line.replace("python train.py", "train").replace("SELECTION", selection))
        done = run_command(*words, cwd=houses, environment=environment)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        if "freeze" in words:
            selection = re.search(r"selection +([0-9a-f]{64})", done.stdout)[1]  # type: ignore[index]
    with (houses / "predictions.csv").open() as file:
        assert len(list(csv.reader(file))) == 6
