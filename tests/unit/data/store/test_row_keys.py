"""One table in several files is one table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from holdfast.data.sources import csv, jsonl, parquet
from holdfast.data.store.row_keys import identity_of
from holdfast.vault.rows.digest_sets import rows_id


@pytest.mark.parametrize("is_full", [False, True])
def test_a_table_is_known_in_every_format(home: Path, tmp_path: Path, is_full: bool) -> None:
    import pandas as pd

    random, num_rows = np.random.default_rng(0), 120
    table = pd.DataFrame(
        {
            "size": np.where(random.random(num_rows) < 0.1, np.nan, np.round(random.normal(size=num_rows), 4)),
            "city": random.choice(["Köln", "Bonn ", "NA", "7"], num_rows),
            "long": random.integers(2**53, 2**62, num_rows),
            "flag": random.random(num_rows) < 0.5,
            "single": random.normal(size=num_rows).astype(np.float32),
            "part": random.choice(["a", "b", None], num_rows),
            "price": np.round(random.lognormal(size=num_rows), 2),
        }
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    table.sample(frac=1, random_state=1)[table.columns[::-1]].to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    table.to_json(tmp_path / "t.jsonl", orient="records", lines=True, double_precision=15)
    found = []
    for source, name in ((csv, "t.csv"), (csv, "t.tsv"), (parquet, "t.parquet"), (jsonl, "t.jsonl")):
        rows = source.load(str(tmp_path / name), "price")
        digests = rows.full_digests if is_full else rows.source_digests
        assert digests is not None
        found.append(rows_id(digests))
    assert len(set(found)) == 1


@pytest.mark.parametrize(("column", "num_units"), [("stage", 40), ("dose", 20)])
def test_few_possible_rows_do_not_tie_groups_together(home: Path, tmp_path: Path, column: str, num_units: int) -> None:
    """Patients of one sex and stage are many; those of one sex and dose to four digits are one patient, twice."""
    value = {"stage": lambda i: i % 3, "dose": lambda i: 0.1234 + i % 20}[column]
    lines = [f"{i},{'mf'[i % 2]},{value(i)},{'uv'[i % 5 % 2]}" for i in range(40) for _ in range(3)]
    (tmp_path / "t.csv").write_text("\n".join([f"patient,sex,{column},y", *lines]))
    units = identity_of(csv.load(str(tmp_path / "t.csv"), "y", group="patient")).units
    assert len(np.unique(units, axis=0)) == num_units
