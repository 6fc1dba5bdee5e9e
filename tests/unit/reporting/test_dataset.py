from __future__ import annotations

import json

import numpy as np
import pytest

from holdfast.data.columns import Column
from holdfast.reporting.data_facts import dataset_facts
from holdfast.reporting.dataset import number_facts, sampled

from .conftest import MakeRows

COLUMNS = (Column("town", "category", ("", "Bonn", "Ulm")), Column("size", "number"))
X = np.array([[1, 5], [1, 6], [2, np.nan], [0, 8], [0, 9], [1, 10], [1, 11], [-1, np.nan]], np.float32)


def test_columns_are_described_by_train_rows(make_rows: MakeRows) -> None:
    facts = json.loads(json.dumps(dataset_facts(make_rows(X, np.arange(8) % 2, COLUMNS), "price")))
    town, size = facts["columns"]
    assert facts["rows"] == {"train": 6, "val": 2, "test": 7, "left_out": 0, "looked_at": 8}
    assert town["top"] == [["Bonn", 4], ["missing", 1], ["Ulm", 1]]
    assert (town["missing_train"], town["missing_val"], town["new_in_val"], town["distinct"]) == (1, 1, 1, 3)
    assert (size["missing_train"], size["missing_val"], size["min"], size["max"]) == (1, 1, 5, 11)
    assert size["mean"] == pytest.approx(np.mean([5, 6, 9, 10, 11]))
    assert sum(size["histogram"]["counts"]) == 5
    assert facts["classes"] == [{"name": "class 0", "train": 4, "val": 0}, {"name": "class 1", "train": 2, "val": 2}]
    assert facts["examples"]["header"] == ["town", "size", "price"]
    assert facts["examples"]["rows"][2] == ["Ulm", "missing", "class 0"]


def test_values_and_labels(make_rows: MakeRows) -> None:
    facts = dataset_facts(make_rows(X, np.arange(8, dtype=np.float32), COLUMNS))
    assert facts["classes"] is None
    (values,) = facts["values"]
    assert (values["name"], values["min"], values["max"]) == ("target", 0, 6)
    assert facts["examples"]["rows"][0][-1] == "0"
    labels = np.array([[1, 0], [1, 1], [0, 0], [0, 1]] * 2, np.uint8)
    facts = dataset_facts(make_rows(X, labels, COLUMNS))
    assert [(entry["train"], entry["val"]) for entry in facts["classes"]] == [(4, 0), (2, 2)]
    assert [row[-1] for row in facts["examples"]["rows"][:3]] == ["class 0", "class 0, class 1", "none"]


def test_numbers() -> None:
    assert number_facts(np.array([np.nan])) == {"distinct": 0, "histogram": None}
    assert number_facts(np.full(5, 3.0))["histogram"] == {"low": 3.0, "high": 3.0, "counts": [5]}
    outlier = number_facts(np.append(np.linspace(0, 1, 1000), 1e9))
    assert outlier["max"] == 1e9
    assert outlier["histogram"]["high"] < 1.1


def test_a_sample_is_bounded_and_spread() -> None:
    rows = np.arange(100_000)
    few = sampled(np.zeros((1, 20), np.float32), rows)
    assert (len(few), few[0], few[-1]) == (20_000, 0, 99_999)
    assert len(sampled(np.zeros((1, 512, 512, 3), np.uint8), rows)) == 85
    assert sampled(np.zeros((1, 2)), rows[:10]) is not None
