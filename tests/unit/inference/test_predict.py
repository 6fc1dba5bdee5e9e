from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow.csv import read_csv

from holdfast.cli.predict import predict
from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.run_record import read_run
from holdfast.data.new_rows import NewRows
from holdfast.data.store import store, worker
from holdfast.inference.predict import predict_blocks, refuse_sealed, sealed_vaults
from holdfast.inference.tables import table_writer
from holdfast.training.restore import load_model
from holdfast.vault.rows.identity import row_digests

from .conftest import MakeRun

X = np.random.default_rng(3).normal(size=(11, 4)).astype(np.float32)
DATA = {"name": "breast_cancer", "source": {"_target_": "holdfast.data.sources.embedded.breast_cancer"}}
SPLIT = {"_target_": "holdfast.data.splits.Holdout", "fractions": [0.6, 0.2, 0.2], "seed": 0}


def blocks_of(x: Any, size: int = 4) -> list[NewRows]:
    return [NewRows(x[at : at + size], [f"row {i}" for i in range(at, min(at + size, len(x)))]) for at in (0, 4, 8)]


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_blocks_are_predicted_as_one(make_run: MakeRun, tmp_path: Path, task: str) -> None:
    run, counts = make_run(task=task), []
    data = read_run(run)["data"]
    num = predict_blocks(run, data, blocks_of(X), tmp_path / "p.csv", id_name="id", batch_size=3, on_rows=counts.append)
    assert (num, counts) == (11, [4, 4, 3])
    written = read_csv(tmp_path / "p.csv")
    assert written["id"].to_pylist() == [f"row {index}" for index in range(11)]
    expected = load_model(run).predict(X)
    columns = ["prediction"] if task == "regression" else ["probability_a", "probability_b", "probability_c"]
    np.testing.assert_allclose(
        np.column_stack([written[name] for name in columns]), expected.reshape(11, -1), rtol=1e-6
    )
    if task == "multiclass":
        assert written["prediction"].to_pylist() == [data["class_names"][index] for index in expected.argmax(axis=1)]


def test_rows_of_another_kind(make_run: MakeRun, tmp_path: Path) -> None:
    run, output = make_run(), tmp_path / "p.csv"
    data = read_run(run)["data"]
    with pytest.raises(InputError, match=r"has rows of the shape \(3,\), the run takes \(4,\)"):
        predict_blocks(run, data, [NewRows(X[:, :3], [])], output, id_name="id")
    with pytest.raises(InputError, match="has rows of float64, the run takes float32"):
        predict_blocks(run, data, [NewRows(X, X[:, 0]), NewRows(X.astype(float), [])], output, id_name="id")
    with pytest.raises(InputError, match="--input: has no rows"):
        predict_blocks(run, data, [NewRows(X[:0], [])], output, id_name="id")
    assert not output.exists()


def test_sealed_rows_are_not_predicted_on(home: Path) -> None:
    request = store.make_request(DATA, SPLIT, {})
    worker.answer_request(request)
    prepared = store.find_prepared(request)
    assert prepared is not None
    from holdfast.data.sources.embedded import breast_cancer as load

    names = prepared.feature_names
    all_rows = row_digests(load().x, kind="table", feature_names=names)
    sealed = sealed_vaults()
    assert [record["vault"] for record, _ in sealed] == [prepared.vault]
    refuse_sealed([row_digests(np.asarray(prepared.x), kind="table", feature_names=names)], sealed, 455)
    with pytest.raises(VaultRefused, match=r"114 of the first 1,024 rows are sealed in vault \w{8} \(breast_cancer\)"):
        refuse_sealed([all_rows], sealed, 1024)
    with pytest.raises(VaultRefused):
        refuse_sealed([np.zeros_like(all_rows), all_rows], sealed, len(all_rows))


def test_without_a_home_nothing_is_refused_or_made(home: Path) -> None:
    refuse_sealed([np.zeros((3, 16), np.uint8)], sealed_vaults(), 3)
    assert not home.exists()


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl"])
def test_a_file_of_any_format_and_order(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    run, source = make_run(task="binary"), tmp_path / f"new{suffix}"
    values = {name: [float(value) for value in X[:, index]] for index, name in enumerate("wxyz")}
    table: dict[str, Any] = {"z": values["z"], "name": [f"ü{i}" for i in range(11)], "more": ["?"] * 11}
    with table_writer(source, overwrite=False) as write:
        write(table | values)
    options: dict[str, Any] = {"id": "name", "batch_size": 4, "as_json": True}
    predict(run, input=[source], output=tmp_path / "p.csv", **options)
    answer = json.loads(capsys.readouterr().out)
    assert answer == {
        **{"output": str(tmp_path / "p.csv"), "rows": 11},
        "columns": ["name", "prediction", "probability_no", "probability_yes"],
    }
    written = read_csv(tmp_path / "p.csv")
    assert written["name"].to_pylist() == table["name"]
    expected = load_model(run).predict(X)
    np.testing.assert_allclose(written["probability_yes"], expected, rtol=1e-5)
    assert written["prediction"].to_pylist() == ["yes" if probability > 0.5 else "no" for probability in expected]


def test_arrays_are_numbered(make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(kind="image", model="cnn")
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype(np.uint8)
    np.save(tmp_path / "new.npy", images)
    predict(run, input=[tmp_path / "new.npy"], output=tmp_path / "p.jsonl", batch_size=2)
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [row["row"] for row in rows] == [0, 1, 2, 3, 4]
    expected = load_model(run).predict(images)
    np.testing.assert_allclose([row["probability_b"] for row in rows], expected[:, 1], rtol=1e-5)
    assert "p.jsonl (5 rows)" in capsys.readouterr().out


def test_a_missing_column_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("w,x,zz\n1,2,3\n")
    with pytest.raises(InputError, match=r"new\.csv has no column 'y', 'z', which the run needs"):
        predict(make_run(), input=[tmp_path / "new.csv"], output=tmp_path / "p.csv", batch_size=4)
    assert not (tmp_path / "p.csv").exists()


def test_wrong_requests(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    (tmp_path / "in.csv").write_text("w,x,y,z\n1,2,3,4\n")
    for words, source, target, size in (
        (r"no\.csv does not exist", "no.csv", "p.csv", 1),
        (r"in\.csv is the input", "in.csv", "in.csv", 1),
        (r"p\.xls has no known format", "in.csv", "p.xls", 1),
        (r"--batch-size: is 0", "in.csv", "p.csv", 0),
        (r"checkpoints/best\.ckpt\S* exists|has no known format", "in.csv", "run/checkpoints/best.ckpt", 1),
    ):
        with pytest.raises(InputError, match=words):
            predict(run, input=[tmp_path / source], output=tmp_path / target, batch_size=size)
