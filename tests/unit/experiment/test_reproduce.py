from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import holdfast
from holdfast.cli.main import app
from holdfast.core.errors import InputError
from holdfast.experiment.reproduce import _measured, write_lock
from holdfast.experiment.reproduction import compared as compare
from holdfast.reporting.diff import Difference

SMALL = ["model.hidden=[8]", "max_epochs=2", "logger=none", "check=none"]
OWN_NET = """\
from torch import nn


class Net(nn.Sequential):
    def __init__(self, *, input_shape, num_outputs, category_sizes=()):
        super().__init__(nn.Flatten(), nn.Linear(64, 8), nn.{activation}(), nn.Linear(8, num_outputs))
"""


@pytest.fixture
def project(home_with_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOLDFAST_HOME", str(home_with_digits))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def changed(folder: Path, **fields: Any) -> None:
    """Write other values into a record, as somebody would who tampers with it."""
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def names(reproduction: holdfast.Reproduction, kind: str) -> list[str]:
    return [row.name for row in reproduction.differences if row.kind == kind]


def test_a_run_is_the_same_to_the_bit_until_its_record_is_tampered_with(project: Path) -> None:
    run = holdfast.train([*SMALL, "hydra.run.dir=first"])
    again = holdfast.reproduce(run)
    assert (again.is_reproduced, again.is_exact, again.differences) == (True, True, [])
    assert again.conclusion == "The result is the same, bit for bit."
    assert again.run.folder.parent == Path("outputs/reproduced")
    assert again.run.record["reproduces"] == str(run.folder)

    changed(run.folder, config=run.record["config"] | {"batch_size": 32})
    other = holdfast.reproduce(run.folder)
    assert not other.is_reproduced
    assert names(other, "config") == ["batch_size"]
    assert "weights" in names(other, "result")
    assert any(name.startswith("epoch 1, ") for name in names(other, "result"))
    assert other.conclusion == "The result is not the same (bit for bit): config changed."

    changed(run.folder, config=run.record["config"] | {"batch_size": 32, "seed": 1}, seed=1)
    seeded = holdfast.reproduce(run.folder)
    assert names(seeded, "seed") == ["seed"]
    assert seeded.conclusion == "The result is not the same (bit for bit): config and seed changed."


def test_each_planted_change_is_named(project: Path) -> None:
    run = holdfast.train([*SMALL, "hydra.run.dir=first"])
    first = _measured(run.folder)

    def compared(**fields: Any) -> holdfast.Reproduction:
        return compare("first", copy.deepcopy(first) | fields, first, [], [])

    assert compared().differences == []
    data = first["data"] | {"content_sha256": "0" * 64}
    assert names(compared(data=data), "data") == ["content of rows"]
    assert names(compared(data=first["data"] | {"order_sha256": "0" * 64}), "data") == ["order of rows"]
    assert names(compared(data=first["data"] | {"name": "moved.csv"}), "data") == []
    assert names(compared(best=first["best"] | {"value": 0.5}), "result") == ["best value"]
    assert names(compared(code=first["code"] | {"holdfast": "1"}), "code") == ["source of holdfast"]
    assert compared(code=first["code"] | {"holdfast": "1"}).is_exact
    assert not compared(cpu="another").is_exact
    assert not compared(threads=9).is_exact
    assert compared(versions=first["versions"] | {"platform": "another kernel"}).is_exact

    def with_loss(factor: float, score: float) -> dict[str, Any]:
        metrics = dict(first["best"]["metrics"])
        metrics["val/loss"] *= factor
        metrics["val/accuracy"] += score
        return first["best"] | {"metrics": metrics, "value": metrics["val/loss"]}

    near, far = compared(cpu="another", best=with_loss(1.01, 0.005)), compared(cpu="another", best=with_loss(1.3, 0.02))
    assert near.is_reproduced
    assert near.conclusion.endswith("of a score, although environment changed.")
    assert names(far, "result") == ["val/loss", "val/accuracy"]
    assert names(compared(best=with_loss(1.0000001, 0)), "result") == ["val/loss"]


def test_a_module_of_ones_own_and_an_option_that_changed_are_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(project)
    module = project / "own_net_of_the_test.py"
    module.write_text(OWN_NET.format(activation="ReLU"))
    option = project / "conf" / "model" / "mine.yaml"
    option.parent.mkdir(parents=True)
    option.write_text("_target_: own_net_of_the_test.Net\n")
    words = [*SMALL[1:], "model=mine", "trusted_modules=[own_net_of_the_test]", "hydra.run.dir=first"]
    run = holdfast.train(words)
    module.write_text(OWN_NET.format(activation="Tanh"))
    (project / "conf" / "model" / "mine.yaml").write_text("_target_: holdfast.models.linear\n")
    again = holdfast.reproduce(run)
    assert names(again, "code") == ["own_net_of_the_test.py"]
    assert names(again, "config") == ["model._target_"]
    assert again.notes == ["What was typed composes another config today; that of the record was run."]


def test_a_run_of_another_machine_says_what_it_needs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(project)
    (project / "net_of_a_stranger.py").write_text(OWN_NET.format(activation="ReLU"))
    rows = [f"{n % 17},{n % 5},{2 * (n % 17) + n % 5}" for n in range(60)]
    (project / "rows.csv").write_text("\n".join(["a,b,y", *rows]))
    run = holdfast.train(["model=linear", *SMALL[1:], "data=csv", "data.path=rows.csv", "data.target=y"])
    (project / "rows.csv").rename("moved.csv")
    with pytest.raises(InputError, match=r"rows\.csv does not exist; next: holdfast reproduce .* data\.path=\.\.\."):
        holdfast.reproduce(run)
    again = holdfast.reproduce(run, ["data.path=moved.csv"])
    assert (again.is_reproduced, again.is_exact, again.differences) == (True, True, [])

    changed(run.folder, config=run.record["config"] | {"trusted_modules": ["net_of_a_stranger"]})
    with pytest.raises(InputError, match=r"trusts net_of_a_stranger.*trusted_modules=\[\.\.\.\], if you know them"):
        holdfast.reproduce(run, ["data.path=moved.csv"])
    trusted = holdfast.reproduce(run, ["data.path=moved.csv", "trusted_modules=[net_of_a_stranger]"])
    assert trusted.is_reproduced


def test_rows_in_memory_are_asked_for(project: Path) -> None:
    frame = pd.DataFrame({"a": [float(n % 17) for n in range(200)], "b": [float(n % 5) for n in range(200)]})
    frame["y"] = frame["a"] * 2 + frame["b"]
    run = holdfast.train(["model=linear", *SMALL[1:]], data=frame, target="y")
    with pytest.raises(InputError, match=r"was trained on rows in memory.*holdfast\.reproduce\(.*, data=frame\)"):
        holdfast.reproduce(run)
    assert holdfast.reproduce(run, data=frame).conclusion == "The result is the same, bit for bit."


def test_a_pruned_run_is_compared_as_far_as_it_came(project: Path) -> None:
    class Gives:
        def epoch(self, number: int, metrics: Any) -> holdfast.Stop | None:
            return holdfast.Stop("not promising", is_pruned=True) if number == 2 else None

    run = holdfast.train([*SMALL, "max_epochs=4"], reporter=Gives())
    again = holdfast.reproduce(run)
    assert again.is_reproduced
    assert len(again.run.record["history"]) == 2
    assert again.notes == ["The first run is pruned: its 2 epochs are compared."]


@pytest.mark.slow
def test_members_of_an_ensemble_are_repeated_too(project: Path) -> None:
    for seed in (0, 1, 2):
        holdfast.train([*SMALL, f"seed={seed}", f"hydra.run.dir=runs/{seed}"])
    ensemble = holdfast.train(["ensemble=top_k", "ensemble.runs=runs", "ensemble.size=2"])
    again = holdfast.reproduce(ensemble)
    assert (again.is_reproduced, again.differences) == (True, [])
    assert again.notes == ["2 of 2 members have the same result."]
    assert len(list((again.run.folder / "members").iterdir())) == 2


def test_a_recipe_is_compared_with_its_lock(project: Path) -> None:
    recipe, lock = project / "recipes" / "mine.yaml", project / "recipes" / "locks" / "mine.json"
    recipe.parent.mkdir()
    recipe.write_text("max_epochs: 2\nmodel: {hidden: [8]}\ndefaults: [{override /model: mlp}]\n")
    first = holdfast.reproduce(holdfast.train(["recipes=mine", "logger=none", "check=none"]))
    write_lock(first, lock)
    assert str(project) not in lock.read_text()
    same = holdfast.reproduce("mine")
    assert (same.is_reproduced, same.is_exact, same.differences) == (True, True, [])
    recipe.write_text(recipe.read_text().replace("[8]", "[9]"))
    other = holdfast.reproduce("mine")
    assert names(other, "config") == ["model.hidden"]
    assert not other.is_reproduced
    with pytest.raises(InputError, match="The result is not the same"):
        write_lock(other, lock)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "reproduce: there is no folder and no lock of a recipe nothing; allowed: "),
        (["chance_los"], "did you mean 'chance_loss'"),
        (
            ["x", ["lr=3"]],
            "lr=3: would be another experiment; allowed: data.path=..., threads=..., trusted_modules=...",
        ),
    ],
)
def test_what_cannot_be_repeated_is_refused(project: Path, words: list[Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        holdfast.reproduce(*words)
    assert message in str(caught.value)


@pytest.mark.parametrize(("losses", "code"), [((0.5, 0.5), 0), ((0.5, 0.7), 1)])
def test_the_verb_says_so_to_a_script_by_its_exit_code(
    losses: tuple[float, float], code: int, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [] if losses[0] == losses[1] else [Difference("result", "val/loss", *losses)]
    (project / "again").mkdir()
    monkeypatch.setattr("holdfast.experiment.run.read_run", lambda folder: {})
    repeated = holdfast.Reproduction("first", holdfast.Run("again"), rows, is_exact=True, notes=[])
    monkeypatch.setattr("holdfast.api.reproduce", lambda source, overrides: repeated)
    done = CliRunner().invoke(app, ["reproduce", "first", "--json"])
    assert done.exit_code == code
    answer = json.loads(done.stdout)
    assert (answer["is_reproduced"], answer["compared"], answer["run"]) == (code == 0, "bit for bit", "again")
    assert [row["name"] for row in answer["differences"]] == [row.name for row in rows]
    shown = CliRunner().invoke(app, ["reproduce", "first"]).stdout
    assert shown.endswith(f"{repeated.conclusion}\n")


def test_a_sweep_is_told_as_one(project: Path) -> None:
    (project / "sweep").mkdir()
    (project / "sweep" / "sweep.json").write_text("{}")
    with pytest.raises(InputError, match="sweep is a sweep; allowed: one of its runs"):
        holdfast.reproduce("sweep")
