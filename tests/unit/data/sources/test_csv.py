"""A table as users have them, from the file to `Rows`."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.data.columns import Column
from holdfast.data.formats import csv as csv_format
from holdfast.data.rows import Rows

Load = Callable[..., Rows]
ReadTable = Callable[..., Rows]
HEADER = "id,color,size,kind\n"
BODY = "".join(f"{i},{'ab'[i % 2]},{i * 1.5},{'pq'[i % 2]}\n" for i in range(30))
NUMBERS = "".join(f"{i},{i % 2}\n" for i in range(30))


OTHER_DATES = ("20140502T000000", "2014-05", "May 2014", "5-Jan-14")


@pytest.fixture
def load(read_table: ReadTable, tmp_path: Path) -> Load:
    def load_it(content: str | bytes, target: Any = "kind", name: str = "t.csv", **settings: Any) -> Rows:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, target, **settings)

    return load_it


def test_types_are_inferred_and_shown(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    rows = load(HEADER + BODY)
    assert rows.columns == (Column("id", "number"), Column("color", "category", ("a", "b")), Column("size", "number"))
    assert rows.x.dtype == np.float32
    assert rows.x[:2].tolist() == [[0, 0, 0], [1, 1, 1.5]]
    assert (rows.task, rows.class_names, rows.y[:3].tolist()) == ("binary", ("p", "q"), [0, 1, 0])
    assert rows.notes == ("column 'id' looks like an identifier: data.drop=auto leaves it out",)
    shown = capsys.readouterr().err
    assert "t.csv: 30 rows; target 'kind': 2 classes (text): p (15), q" in shown
    assert "holdfast: 2 numbers: id, size; 1 categories: color (2)\n" in shown


def test_missing_cells_are_nan_and_a_category(load: Load) -> None:
    rows = load("a,b,y\n" + "1,x,0\nNA,?,1\n,,0\n-9, x,1\n" * 3, "y", missing=[-9])
    assert rows.columns[1].categories == ("", "x")
    assert np.isnan(rows.x[:4, 0]).tolist() == [False, True, True, True]
    assert rows.x[:4, 1].tolist() == [1, 0, 0, 1]


def test_a_type_that_a_later_row_lacks_is_read_again(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_format, "BLOCK_BYTES", 2**12)
    content = "a,y\n" + NUMBERS * 200 + "0.5,1\n"
    assert load(content, "y").x[-1, 0] == 0.5


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"drop": "auto"}, ("color", "size")),
        ({"drop": ["color"]}, ("id", "size")),
        ({"types": {"color": "drop"}}, ("id", "size")),
    ],
)
def test_columns_are_left_out_on_request(load: Load, settings: dict[str, Any], names: tuple[str, ...]) -> None:
    rows = load(HEADER + BODY, **settings)
    assert rows.feature_names == names
    assert rows.x.shape == (30, 2)
    assert rows.digests is not None
    assert (rows.digests == load(HEADER + BODY).digests).all(), "of the source, whatever is left out"


def test_constant_columns_are_named(load: Load) -> None:
    rows = load("a,b,y\n" + "1,NA,0\n1,NA,1\n" * 10, "y")
    assert [note.partition(":")[0] for note in rows.notes] == [
        "column 'a' is the same in every row",
        "column 'b' is the same in every row",
    ]


def test_one_table_in_many_files_has_the_same_rows_and_digests(
    load: Load, read_table: ReadTable, tmp_path: Path
) -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(size=50).round(3), "color": rng.choice(["red", "blue", None], 50)})
    frame["sold"], frame["price"] = rng.random(50) < 0.5, rng.integers(0, 1000, 50)
    expected = load(frame.to_csv(index=False), "price")
    variants = {
        "a.csv.gz": gzip.compress(frame.to_csv(index=False).encode()),
        "a.tsv.bz2": bz2.compress(frame.to_csv(index=False, sep="\t").encode()),
        "a.txt.xz": lzma.compress(frame.to_csv(index=False, sep=";", decimal=",", lineterminator="\r\n").encode()),
        "bom.csv": b"\xef\xbb\xbf" + frame.to_csv(index=False, sep="|").encode(),
    }
    tables = [load(content, "price", name) for name, content in variants.items()]
    tables.append(load(frame.to_csv(index=False).encode("utf-16"), "price", encoding="utf-16"))
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.to_feather(tmp_path / "a.feather")
    tables += [read_table(tmp_path / f"a.{name}", "price", name) for name in ("parquet", "jsonl", "feather")]
    for rows in tables:
        assert rows.columns == expected.columns
        np.testing.assert_array_equal(rows.x[:], expected.x[:])
        assert rows.digests is not None
        assert (rows.digests == expected.digests).all()


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["yes", "no"], "binary", ("no", "yes")),
        (["true", "False"], "binary", ("false", "true")),
        ([0.0, 1.0], "binary", ("0", "1")),
        ([10, 2, 3], "multiclass", ("2", "3", "10")),
        ([0.5, 1.5], "regression", ()),
        (list(range(0, 42, 2)), "regression", ()),
    ],
)
def test_the_task_is_decided_by_the_target(load: Load, values: list[Any], task: str, classes: tuple[str, ...]) -> None:
    rows = load("a,y\n" + "".join(f"{i},{values[i % len(values)]}\n" for i in range(60)), "y")
    assert (rows.task, rows.class_names) == (task, classes)


def test_labels_groups_times_and_parts(load: Load, tmp_path: Path) -> None:
    lines = "".join(
        f"{i},p{i // 3},2020-01-{i % 9 + 1:02d},{['train', 'dev', 'Test'][i % 3]},{i % 2},{i % 3 == 0}\n"
        for i in range(30)
    )
    settings = {"group": "who", "time": "day", "split_column": "part"}
    rows = load("a,who,day,part,u,v\n" + lines, ["u", "v"], **settings)
    assert (rows.task, rows.class_names, rows.feature_names) == ("multilabel", ("u", "v"), ("a",))
    assert rows.y[:4].tolist() == [[0, 1], [1, 0], [0, 0], [1, 1]]
    assert rows.groups is not None
    assert rows.groups[:4].tolist() == [0, 0, 0, 1]
    assert rows.times is not None
    assert rows.times[:2].tolist() == [18262, 18263]
    assert rows.parts is not None
    assert rows.parts[:4].tolist() == [0, 1, 2, 0]
    (tmp_path / "test.csv").write_text("kind,id,color,size\np,1,b,2\n")
    rows = load(HEADER + BODY, test_path=str(tmp_path / "test.csv"))
    assert rows.parts is not None
    assert rows.parts.tolist() == [0] * 30 + [2]
    assert rows.x[-1].tolist() == [1, 1, 2]


def test_dates_are_days_when_declared_so(load: Load) -> None:
    content = "d,y\n" + "".join(f"2020-01-{i + 1:02d} 12:00:00,{i % 2}\n" for i in range(20))
    assert load(content, "y", types={"d": "number"}).x[:2, 0].tolist() == [18262.5, 18263.5]
    assert load(content, "y", types={"d": "category"}).columns[0].categories[0] == "2020-01-01 12:00:00"


def test_numbers_that_float32_would_make_equal_are_kept(load: Load) -> None:
    rows = load("a,y\n" + "16777216,0\n16777217,1\n" * 10, "y")
    assert rows.x.dtype == np.float64
    assert rows.x[:2, 0].tolist() == [16777216, 16777217]


def test_rows_that_cannot_be_used_are_left_out_on_request(load: Load) -> None:
    bad = "5,a,abc,p\n6,a,inf,p\n7,a,1,\n8,a\n"
    rows = load(HEADER + BODY + bad, on_error="skip", drop=["id"])
    assert rows.x is not None
    assert len(rows.x) == len(rows.y) == 30
    assert sorted(rows.notes) == [
        "1 rows left out with a text among the numbers in column 'size'",
        "1 rows left out with an infinite value in column 'size'",
        "1 rows left out with another number of cells",
        "1 rows left out with no value in column 'kind'",
    ]


@pytest.mark.parametrize(
    ("content", "settings", "words"),
    [
        ("", {}, "t.csv is empty"),
        ("\n\n", {}, "it has neither a header nor rows"),
        (HEADER, {}, "has a header and no rows"),
        (HEADER + BODY, {"target": "Kind"}, "the columns are id, color, size, kind; next: did you mean 'kind'?"),
        (HEADER + BODY, {"target": None}, "data.target: is not given; allowed: the columns are id, color, size, kind"),
        (HEADER + BODY, {"delimiter": ";"}, "the columns are id,color,size,kind; next: is data.delimiter right?"),
        ("5.1,3.5,a\n" + "4,3,b\n" * 9, {}, "line 1: holds numbers (5.1, 3.5), not the names of columns"),
        ("a,a,kind\n" + "4,3,b\n" * 9, {}, "line 1: several columns have the name 'a'"),
        (HEADER + BODY + "1,2\n", {}, "line 32: has 2 cells, the header has 4"),
        (HEADER + "\n" + '1,"x\ny",3,q\n' + BODY + "1,2\n", {}, "line 35: has 2 cells"),
        (HEADER + BODY + "5,a,abc,p\n", {}, "line 32, column 'size': has a text among the numbers ('abc')"),
        (HEADER + BODY + "5,a,-inf,p\n", {}, "line 32, column 'size': has an infinite value ('-inf')"),
        (HEADER + BODY + "5,a,1,NA\n", {}, "data.target: "),
        (HEADER + BODY + "5,a,1,r\n", {}, "'kind' has 1 of 3 classes with a single row: 'r'"),
        (HEADER + "1,a,1,p\n" * 9, {}, "'kind' is 'p' in every row: there is nothing to learn"),
        (HEADER + "".join(f"1,a,1,p{i}\n" for i in range(9)), {}, "'kind' has 9 classes in 9 rows"),
        (HEADER + BODY, {"target": "id"}, "'id' counts the rows (0 to 29, all distinct)"),
        (HEADER + BODY + '1,"a,1,p\n2,b,2,q\n', {}, "line 32: a quote opens and never closes"),
        (HEADER.encode() + b"1,\xc3\xa9\xe9,1,p\n", {}, "line 2: is not utf-8 (byte 0xe9); next: data.encoding=cp1252"),
        (HEADER.encode("utf-16"), {"encoding": "utf-8"}, "is UTF-16; next: data.encoding=utf-16"),
        (HEADER.encode() + b"1,\x00,1,p\n", {}, "line 2: holds a NUL byte"),
        (b"PK\x03\x04", {}, "is a zip archive (or a spreadsheet), not text"),
        (HEADER + BODY, {"types": {"size": "text"}}, "data.types.size: is 'text'; allowed: number, category, date"),
        (HEADER + BODY, {"drop": ["sise"]}, "data.drop: there is no column 'sise'"),
        (HEADER + BODY, {"drop": ["id", "color", "size"]}, "data.drop: leaves no column but the target"),
        (HEADER + BODY, {"encoding": "utf-99"}, "data.encoding: is 'utf-99'"),
        *[("d,kind\n" + f"{d},p\n{d},q\n" * 5, {}, f"holds dates ({d}) in a form that is not") for d in OTHER_DATES],
        ("d,kind\n" + "1/2/2020,p\n3/4/2020,q\n" * 5, {}, "next: data.types.d=day_first; or data.types.d="),
        ("d,kind\n" + "31/12/20,p\n12/31/20,q\n" * 5, {}, "the day first (31/12/20) and with the month"),
        ("d,kind\n" + "1.2.2020,p\n3.4.2020,q\n" * 5 + "so,p\n", {}, "a text among the dates ('so'): 1 of 11 "),
        ("d,kind\n" + "1,p\n2,q\n" * 5, {"types": {"d": "date"}}, "column 'd' holds 0 dates and 10 numbers"),
        (HEADER + BODY, {"thousands": "dot"}, "data.thousands: is 'dot'; allowed: auto, none, point, comma, space"),
        (HEADER + BODY, {"thousands": "comma", "decimal": "comma"}, "allowed: another sign than data.decimal"),
        (HEADER + BODY, {"target": ["size", "id"]}, "data.target: 'id' counts the rows (0 to 29, all distinct)"),
        (HEADER + BODY + "5,a,7\x1a,p\n", {}, "('7\\x1a'): 1 of 31 cells are no numbers; next: mend it; or data.t"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_in_one_line(
    load: Load, content: str | bytes, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        load(content, **{"target": "kind", **settings})
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_files_that_disagree_on_a_type_are_read_as_one_table(read_table: ReadTable, tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b,y\n" + "1,5,0\n,6,1\n" * 5)
    (tmp_path / "2.csv").write_text("y,a,b\n" + "0,x,7\n1,2,2.5\n" * 5)
    rows = read_table(tmp_path / "*.csv")
    assert rows.columns == (Column("a", "category", ("", "1", "2", "x")), Column("b", "number"))
    assert rows.x[[0, 1, 10, 11]].tolist() == [[1, 5], [0, 6], [3, 7], [2, 2.5]]
    (tmp_path / "0.csv").write_text("a,b,y\n,5,0\n,6,1\n")
    rows = read_table([str(tmp_path / "0.csv"), str(tmp_path / "2.csv")])
    assert rows.x[:2, 0].tolist() == [0, 0]
    assert rows.columns[0].categories == ("", "2", "x")


def test_files_that_are_not_there(read_table: ReadTable, tmp_path: Path) -> None:
    (tmp_path / "houses.csv").write_text(HEADER + BODY)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(HEADER.encode() * 99)[:-9])
    for path, words in {
        "house.csv": "does not exist; next: did you mean",
        "*.nope": "no file matches",
        "cut.csv.gz": "cannot be read (Truncated compressed stream)",
    }.items():
        with pytest.raises(InputError, match=r"data\.path") as caught:
            read_table(tmp_path / path, "kind")
        assert words in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"is a folder without \.csv"):
        read_table(tmp_path / "empty", "kind")


def test_codes_keep_their_leading_zeros(load: Load) -> None:
    body = "".join(f"{['01234', '90210', '00501'][i % 3]},{i / 2},{i % 2}\n" for i in range(12))
    rows = load("zip,size,y\n" + body, "y")
    assert rows.columns[0] == Column("zip", "category", ("00501", "01234", "90210"))
    assert rows.notes == ("column 'zip' has leading zeros (00501): categories; data.types.zip=number if not",)
    assert load("zip,size,y\n" + body, "y", types={"zip": "number"}).x[:3, 0].tolist() == [1234, 90210, 501]
    assert load("size,zip\n" + "1,0010\n2,0020\n3,30\n" * 4, "zip", task="regression").y[:3].tolist() == [10, 20, 30]


@pytest.mark.parametrize("code", ["00501", '"00501"', "0x1F"])
def test_codes_that_come_late_are_no_numbers_either(load: Load, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(csv_format, "SAMPLE_BYTES", 200)
    body = "".join(f"{10115 + i % 9},{i / 2},{i % 2}\n" for i in range(100))
    rows = load("zip,size,y\n" + body + f"{code},0.5,1\n", "y", types={} if "5" in code else {"zip": "category"})
    assert code.strip('"') in rows.columns[0].categories
    assert rows.columns[1].type == "number"


@pytest.mark.parametrize(("cell", "first"), [("€ {}.50", 100.5), ("{}%", 100), ("-USD {}", -100), ('"1,{} EUR"', 1100)])
def test_numbers_with_units_are_categories_until_they_are_asked_for(load: Load, cell: str, first: float) -> None:
    content = "a,b,y\n" + "".join(f"{cell.format(100 + i % 5)},{i},{i % 2}\n" for i in range(20))
    rows = load(content, "y")
    assert rows.columns[0].type == "category"
    (note,) = rows.notes
    assert note.startswith("column 'a' holds texts such as ")
    assert note.endswith(": categories; data.types.a=number reads them as numbers")
    assert load(content, "y", types={"a": "number"}).x[0, 0] == pytest.approx(first)
    assert load(content, "a", types={"a": "number"}).task == "regression"


GERMAN = "Größe;Umsatz;verkauft;Art\n" + "".join(
    f"{i},5;{1 + i % 7}.{i:03d},50;{1 + i % 28:02d}.0{1 + i % 9}.2024;{'äö'[i % 2]}\n" for i in range(40)
)
QUOTED = "".join('"' + line.replace(";", '";"') + '"\r\n' for line in GERMAN.splitlines())
FRENCH = "taille;prix;date;type\n" + "".join(
    f"{i},5;1\u202f{i:03d},5;{1 + i % 28:02d}/0{1 + i % 9}/2024;{'éè'[i % 2]}\n" for i in range(40)
)


@pytest.mark.parametrize(
    ("content", "columns", "first"),
    [
        (GERMAN.encode("cp1252"), ("Größe", "Umsatz", "verkauft: elapsed"), [1.5, 2001.5, 19755]),
        (GERMAN.encode("utf-8-sig"), ("Größe", "Umsatz", "verkauft: elapsed"), [1.5, 2001.5, 19755]),
        (QUOTED.encode("utf-16"), ("Größe", "Umsatz"), [1.5, 2001.5]),
        (FRENCH.encode(), ("taille", "prix", "date: elapsed"), [1.5, 1001.5, 19755]),
        (FRENCH.replace("\u202f", "\xa0").encode("latin-1"), ("taille", "prix"), [1.5, 1001.5]),
    ],
)  # fmt: skip
def test_exports_of_other_countries(load: Load, content: bytes, columns: tuple[str, ...], first: list[float]) -> None:
    rows = load(content, "Art" if columns[0] == "Größe" else "type")
    assert rows.feature_names[: len(columns)] == columns
    assert rows.x[1, : len(first)].tolist() == first
    assert set(rows.class_names) in ({"ä", "ö"}, {"é", "è"})


def test_numbers_that_may_be_thousands_are_told(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    content = "a;y\n" + "".join(f"{1 + i}.{i:03d};{i % 2}\n" for i in range(20))
    assert load(content, "y").x[1, 0] == np.float32(2.001)
    assert "with fractions such as 20.019 (data.thousands=point if these are thousands)" in capsys.readouterr().err
    assert load(content, "y", thousands="point").x[1, 0] == 2001
    assert load("a,y\n" + '"1,500",0\n"2,500",1\n' * 5, "y").x[0, 0] == 1500
    assert "with a comma between thousands (data.thousands=none if not)" in capsys.readouterr().err
    assert load("a,y\n" + '"1,500",0\n"2,500",1\n' * 5, "y", decimal="comma").x[0, 0] == 1.5


def test_a_text_that_may_mean_missing_is_told(load: Load) -> None:
    (note,) = load("a,y\n" + "1,0\n-,1\n2.5,0\n-,1\n" * 5, "y").notes
    assert note.startswith(
        "column 'a' holds numbers and '-': categories; data.types.a=number 'data.missing=[\"-\"]' if"
    )
    assert load("a,y\n" + "1,0\nB,1\nC,0\n" * 5, "y").notes == ()


def test_all_words_of_a_column_that_may_mean_missing_are_told_at_once(load: Load) -> None:
    content = "a,y\n" + "1,0\n-,1\n2.5,0\n3,1\nn.a.,1\nk.A.,0\n4,1\n" + "5,1\n6,0\n" * 10
    with pytest.raises(InputError) as caught:
        load(content, "y")
    assert "mend it; or 'data.missing=[\"-\",k.A.,n.a.]' if it means missing" in str(caught.value)
    with pytest.raises(InputError) as caught:
        load(content, "y", missing=["-"])
    assert "'data.missing=[\"-\",n.a.,k.A.]'" in str(caught.value)
    assert np.isnan(load(content, "y", missing=["-", "n.a.", "k.A."]).x).sum() == 3


def test_prices_with_signs_are_no_classes(load: Load) -> None:
    with pytest.raises(InputError, match=r"data\.types\.price=number reads them as numbers"):
        load("a,price\n" + "".join(f"{i},${100 + i}\n" for i in range(20)), "price")


def test_a_rare_class_is_told(load: Load) -> None:
    (note,) = load("a,y\n" + "".join(f"{i / 2},{'rare' if i < 2 else 'usual'}\n" for i in range(200)), "y").notes
    assert note.startswith("class 'rare' has 2 of 200 rows: accuracy says little of it; data.sampling=balanced")
    many = "a,y\n" + "".join(f"{i / 2},{'abcdefghij'[i % 10]}{i % 7}\n" for i in range(700))
    assert load(many, "y").notes == ()
