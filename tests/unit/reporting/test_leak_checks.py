from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris

from holdfast.data.columns import Column
from holdfast.data.loading.train_val import RunRows
from holdfast.reporting.column_scores import column_scores
from holdfast.reporting.data_facts import dataset_facts
from holdfast.reporting.leak_checks import likeness

from .conftest import MakeRows

GENERATOR = np.random.default_rng(0)
NUM = 800
NOISE = GENERATOR.normal(size=(NUM, 3)).astype(np.float32)
CLASSES = GENERATOR.integers(0, 3, NUM)
VALUES = GENERATOR.lognormal(3, 1, NUM).astype(np.float32)


def checks_of(rows: RunRows) -> dict[str, tuple[str, str]]:
    return {check["name"]: (check["verdict"], check["what"]) for check in dataset_facts(rows)["checks"]}


@pytest.mark.parametrize("y", [CLASSES, VALUES], ids=["classes", "values"])
@pytest.mark.parametrize("how", ["plain", "shuffled codes", "missing"])
def test_a_column_that_gives_the_target_away(make_rows: MakeRows, y: np.ndarray, how: str) -> None:
    leak = y * 0.001 - 5.0
    if how == "shuffled codes":
        leak = np.array([2.0, 0.0, 1.0])[CLASSES] if y.dtype.kind == "i" else np.rint(np.argsort(np.argsort(y)) / 4)
    if how == "missing" and y.dtype.kind == "i":  # that it is missing is what tells
        leak = np.where(y == 0, np.nan, leak)
    checks = checks_of(make_rows(np.column_stack([NOISE, leak]).astype(np.float32), y))
    verdict, message = checks["one column gives the target away"]
    assert verdict == "bad"
    assert message.startswith("'c3' (")


def test_a_category_gives_the_target_away(make_rows: MakeRows) -> None:
    codes = CLASSES * 40 + GENERATOR.integers(0, 40, NUM)
    columns = (Column("town", "category", tuple(f"{i:03}" for i in range(120))), Column("w", "number"))
    checks = checks_of(make_rows(np.column_stack([codes, NOISE[:, 0]]).astype(np.float32), CLASSES, columns))
    assert checks["one column gives the target away"][0] == "bad"
    assert checks["one column gives the target away"][1].startswith("'town'")


def test_honest_columns_give_nothing_away(make_rows: MakeRows) -> None:
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    checks = checks_of(make_rows(x[order].astype(np.float32), y[order]))
    assert checks["one column gives the target away"][0] in ("good", "look")
    assert checks["the order of rows tells the target"] == ("good", "no (0.00, 0 as by chance)")
    assert checks["identifiers among the columns"] == ("good", "none")
    assert max(column_scores(NOISE[:600], CLASSES[:600], NOISE[600:], CLASSES[600:])) < 0.15
    assert max(column_scores(NOISE[:600], VALUES[:600], NOISE[600:], VALUES[600:])) < 0.15


def test_the_order_of_rows(make_rows: MakeRows) -> None:
    name = "the order of rows tells the target"
    in_runs = np.repeat(np.random.default_rng(5).integers(0, 3, NUM // 40), 40)
    verdict, message = checks_of(make_rows(NOISE, in_runs))[name]
    assert verdict == "look"
    assert "declare data.group" in message
    for y in (np.sort(CLASSES), -np.sort(VALUES)):
        verdict, message = checks_of(make_rows(NOISE, y))[name]
        assert verdict == "good"
        assert message.startswith("the source is sorted by its target")


def test_identifiers(make_rows: MakeRows) -> None:
    names = tuple(f"name {index:04}" for index in range(NUM))
    columns = (Column("who", "category", names), Column("id", "number"), Column("w", "number"))
    x = np.column_stack([np.arange(NUM), 1000 + np.arange(NUM), NOISE[:, 0]]).astype(np.float32)
    verdict, message = checks_of(make_rows(x, CLASSES, columns))["identifiers among the columns"]
    assert verdict == "look"
    assert message.startswith("'who', 'id': a different value in every row")
    verdict, message = checks_of(make_rows(x, np.sort(CLASSES), columns))["identifiers among the columns"]
    assert verdict == "bad"
    assert message.startswith("'id' (0.99) looks like an identifier and predicts the target")


def test_equal_rows(make_rows: MakeRows) -> None:
    x, y = NOISE.copy(), CLASSES.copy()
    x[4], y[4] = x[0], (y[0] + 1) % 3
    x[8], y[8] = x[1], y[1]
    x[3] = x[2]  # row 3 is a val row
    checks = checks_of(make_rows(x, y))
    assert checks["val rows that are also train rows"] == ("bad", "1 of 200")
    assert checks["equal rows"][0] == "look"
    assert checks["equal rows"][1].startswith("3 rows repeat another one, ")


def test_columns_and_classes(make_rows: MakeRows) -> None:
    x, y = NOISE.copy(), np.zeros(NUM, np.int64)
    y[:5], y[3] = 1, 2
    x[:, 1] = 4
    x[:600, 2] = np.nan
    checks = checks_of(make_rows(x, y))
    assert checks["columns with one value only"][1].startswith("'c1'")
    assert checks["columns that are mostly missing"] == ("look", "'c2'")
    assert checks["classes without a train row"] == ("bad", "'class 2'")
    assert checks["classes with fewer than 10 train rows"] == ("look", "'class 1'")
    assert checks["class balance"][0] == "look"
    assert "loss.class_weights=balanced" in checks["class balance"][1]


def test_images_that_look_alike(make_rows: MakeRows) -> None:
    images = GENERATOR.integers(0, 200, (80, 20, 20, 3)).astype(np.uint8)
    images[3] = images[0] // 2 + 20  # less contrast, more light
    images[3, 0, 0] += 2
    name = "val images that look like a train image"
    assert checks_of(make_rows(images, CLASSES[:80]))[name] == ("look", "1 of 20 val images, among 60 train images")
    assert checks_of(make_rows(images[4:], CLASSES[:76]))[name] == (
        "good",
        "0 of 19 val images, among 57 train images",
    )


def test_likeness_does_not_depend_on_size() -> None:
    image = GENERATOR.integers(0, 256, (1, 8, 8, 1)).astype(np.uint8)
    large = image.repeat(9, axis=1).repeat(7, axis=2)
    assert likeness(large, np.concatenate([255 - large, large]))[0] == pytest.approx(1, abs=1e-5)
    assert likeness(large, 255 - large)[0] == pytest.approx(-1, abs=1e-5)
    assert likeness(np.zeros_like(image), image)[0] == 0


def test_labels_are_scored_by_the_best(make_rows: MakeRows) -> None:
    y = (NOISE > 0).astype(np.uint8)
    scores = column_scores(NOISE[:600], y[:600], NOISE[600:], y[600:])
    assert scores.tolist() == pytest.approx([1, 1, 1], abs=0.03)
