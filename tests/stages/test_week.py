"""A week with one table, as a user works: columns, types and files change, and neither a run nor the lock is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from commands import run_command
from holdfast.data.store.store import open_prepared

pytestmark = pytest.mark.slow
NUM_ROWS, NUM_TEST = 400, 80
Typed = Callable[..., subprocess.CompletedProcess[str]]


def patients() -> pd.DataFrame:
    """Visits of patients; `dose` tells every row from every other."""
    random = np.random.default_rng(11)
    frame = pd.DataFrame(
        {
            "age": random.integers(20, 90, NUM_ROWS),
            "dose": random.permutation(NUM_ROWS * 3)[:NUM_ROWS] / 7,
            "ward": random.choice(["north", "south", "east"], NUM_ROWS),
            "zip": [f"{code:05d}" for code in random.integers(100, 160, NUM_ROWS)],
            "stay": np.where(random.random(NUM_ROWS) < 0.1, -9, random.integers(1, 30, NUM_ROWS)),
            "patient": random.integers(0, 60, NUM_ROWS),
            "day": random.integers(0, 1000, NUM_ROWS),
        }
    )
    risk = frame.age / 30 + frame.dose / 90 + (frame.ward == "north") + random.normal(size=NUM_ROWS) / 2
    frame["cost"] = (1000 * risk).round(1)
    frame["ill"] = np.where(risk > risk.median(), "yes", "no")
    return frame


def appended(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    """The table with rows more, in another order."""
    random = np.random.default_rng(5)
    new = frame.sample(count, random_state=3).assign(
        dose=random.permutation(NUM_ROWS)[:count] / 7 + 1000, age=random.integers(20, 90, count)
    )
    new["patient"] = random.integers(0, 90, count)
    new["day"] = random.integers(0, 1200, count)
    return pd.concat([frame, new]).sample(frac=1, random_state=1)


class Week:
    """A project: commands typed in it, and what the store shows to development."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "HOLDFAST_HOME": str(folder.with_name(f"{folder.name}-home")),
            "COLUMNS": "200",
        }

    def typed(self, *words: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        done = run_command(*words, cwd=self.folder, environment={**self.environment, **environment})
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def train(self, name: str, *words: str, target: str = "ill") -> dict[str, Any]:
        """Train a run; its record's `data`."""
        options = (f"data.target={target}", "max_epochs=2", f"hydra.run.dir={name}")
        self.typed("train", *words, *options)
        data: dict[str, Any] = json.loads((self.folder / name / "run.json").read_text())["data"]
        return data

    def doses(self, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> set[float]:
        """The doses, which name rows, of all train and val rows that a run may see."""
        monkeypatch.setenv("HOLDFAST_HOME", str(self.folder.with_name(f"{self.folder.name}-home")))
        prepared = open_prepared(data["rows"])
        at = [column["name"] for column in data["view"]["columns"]].index("dose")
        return set(np.asarray(prepared.x[:, at], np.float32).tolist())


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Week:
    folder = tmp_path_factory.mktemp("week")
    frame = patients()
    frame.to_csv(folder / "t.csv", index=False)
    return Week(folder)


CSV = ("data=csv", "data.path=t.csv")


def test_a_week(week: Week, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = patients()
    all_doses = set(frame.dose.astype(np.float32).tolist())
    first = week.train("monday", *CSV)
    vault = first["vault"]
    sealed = all_doses - week.doses(first, monkeypatch)
    assert len(sealed) == NUM_TEST
    week.typed("holdfast", "data", "inspect", *CSV, "data.target=ill", "data.drop=[age]")
    views = {
        "narrow": ("data.drop=[zip,stay]",),
        "typed": ("data.types.patient=category", "data.missing=[-9]"),
        "numbers": ("data.types.zip=number",),
    }
    for name, words in views.items():
        data = week.train(name, *CSV, *words)
        assert (data["vault"], data["val_sha256"]) == (vault, first["val_sha256"]), name
        assert not week.doses(data, monkeypatch) & sealed
    listed = json.loads(week.typed("holdfast", "runs", ".", "--json").stdout)
    assert {run["folder"] for run in listed["runs"]} >= {"monday", *views}
    # Every run of the week can still be chosen; one is.
    selection = json.loads(week.typed("holdfast", "freeze", "typed", "--json").stdout)["selection"]
    data = week.train("after", *CSV, "data.drop=[day]")
    assert (data["vault"], data["val_sha256"]) == (vault, first["val_sha256"])

    grown = appended(frame, 120).assign(feature=lambda rows: rows.age * 2.0)
    grown.to_csv(week.folder / "grown.csv", index=False)
    data = week.train("grown", "data=csv", "data.path=grown.csv")
    assert data["vault"] == vault
    doses = week.doses(data, monkeypatch)
    assert not doses & sealed
    assert len(doses) == NUM_ROWS - NUM_TEST + 120
    assert any("'feature' is not in the sealed rows" in note for note in data["notes"])

    other = week.train("cost", *CSV, target="cost")
    assert other["vault"] != vault
    assert all_doses - week.doses(other, monkeypatch) == sealed, "another target is sealed over the same test rows"

    opened = json.loads(week.typed("holdfast", "open", selection, "--json").stdout)
    week.typed("holdfast", "freeze", "monday")
    week.typed("holdfast", "open", selection[:8])
    assert opened["n"] == NUM_TEST
    _check_opening(week, opened, frame[frame.dose.astype(np.float32).isin(sealed)])

    # What comes in other clothes is the same table.
    frame.to_csv(week.folder / "index.csv")
    frame.to_parquet(week.folder / "t.parquet")
    frame.sample(frac=1, random_state=2).reset_index(drop=True).to_feather(week.folder / "shuffled.feather")
    random = np.random.default_rng(8)
    for name in ("ids", "renumbered"):
        frame.assign(number=random.permutation(NUM_ROWS)).to_csv(week.folder / f"{name}.csv", index=False)
    shutil.copy(week.folder / "t.csv", week.folder / "renamed.csv")
    for path in ("index.csv", "t.parquet", "shuffled.feather", "ids.csv", "renumbered.csv", "renamed.csv"):
        data = week.train(f"as {path}", f"data={path.partition('.')[2]}", f"data.path={path}")
        assert data["vault"] == vault, path
        assert not week.doses(data, monkeypatch) & sealed, path
    assert "whole: 2 vaults" in week.typed("holdfast", "vault", "verify").stdout


def _check_opening(week: Week, opened: dict[str, Any], rows: pd.DataFrame) -> None:
    """Recompute metrics from the raw file, by other libraries and in a home that knows of no vault."""
    rows.drop(columns="ill").to_csv(week.folder / "sealed-rows.csv", index=False)
    words = ("holdfast", "predict", "typed", "--input", "sealed-rows.csv", "--output", "predicted.csv")
    week.typed(*words, HOLDFAST_HOME=str(week.folder.with_name(f"{week.folder.name}-another-home")))
    predicted = pd.read_csv(week.folder / "predicted.csv")
    accuracy = accuracy_score(rows.ill, predicted.prediction)
    auroc = roc_auc_score(rows.ill == "yes", predicted.probability_yes)
    assert opened["metrics"]["accuracy"]["value"] == pytest.approx(accuracy, abs=1e-9)
    assert opened["metrics"]["auroc_macro"]["value"] == pytest.approx(auroc, abs=1e-6)


@pytest.mark.parametrize(
    ("split", "words", "is_out"),
    [
        ("group", ("data.group=patient",), lambda new, sealed: new.patient.isin(sealed.patient)),
        ("time", ("data.time=day",), lambda new, sealed: new.day >= sealed.day.min()),
    ],
)
def test_appended_rows_under_a_split(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    split: str,
    words: tuple[str, ...],
    is_out: Callable[[pd.DataFrame, pd.DataFrame], pd.Series],
) -> None:
    week, frame = Week(tmp_path), patients()
    frame.to_csv(tmp_path / "t.csv", index=False)
    first = week.train("first", *CSV, f"split={split}", *words)
    kept = week.doses(first, monkeypatch)
    sealed = frame[~frame.dose.astype(np.float32).isin(kept)]
    week.typed("holdfast", "freeze", "first")
    grown = appended(frame, 120)
    grown.to_csv(tmp_path / "t.csv", index=False)
    data = week.train("second", *CSV, f"split={split}", *words)
    assert data["vault"] == first["vault"]
    new = grown[grown.dose >= 1000]
    allowed = new[~is_out(new, sealed)]
    assert 0 < len(allowed) < len(new)
    expected = kept | set(allowed.dose.astype(np.float32).tolist())
    assert week.doses(data, monkeypatch) == expected


def test_images_of_another_size(tmp_path: Path) -> None:
    from PIL import Image

    random = np.random.default_rng(2)
    for kind, base in (("cat", 60), ("dog", 150)):
        (tmp_path / "pets" / kind).mkdir(parents=True)
        for number in range(40):
            pixels = np.clip(random.normal(base, 40, (20, 20, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / kind / f"{number}.png")
    week = Week(tmp_path)
    options = ("data=image_folder", "data.path=pets", "model=mlp", "max_epochs=2")
    records = {}
    for size in ("16", "24"):
        week.typed("train", *options, f"data.size={size}", f"hydra.run.dir=size{size}")
        records[size] = json.loads((tmp_path / f"size{size}" / "run.json").read_text())["data"]
    assert records["16"]["vault"] == records["24"]["vault"]
    assert records["16"]["val_sha256"] == records["24"]["val_sha256"]
    selection = json.loads(week.typed("holdfast", "freeze", "size16", "--json").stdout)["selection"]
    week.typed("train", *options, "data.size=12", "data.mode=gray", "hydra.run.dir=after")
    opened = json.loads(week.typed("holdfast", "open", selection, "--json").stdout)
    assert opened["n"] == 16
    assert opened["metrics"]["accuracy"]["value"] > 0.8
