"""`holdfast diff A B`: what is different between two runs, by their records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from rich.markup import escape

from holdfast.config.resolve import leaves
from holdfast.core.figures import figure
from holdfast.core.terminal import Console, plain_table

KINDS = ("config", "seed", "code", "data", "environment", "result")
# Groups and keys that change nothing in what is trained; seed and threads have lines of their own.
_NO_CHOICE = ("check", "logger", "paths", "recipes", "resume", "seed", "threads", "trusted_modules", "watch")
_MISSING = "-"
_MOST_LETTERS = 120  # of a value

Facts = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """One thing that differs."""

    kind: str  # one of `KINDS`
    name: str  # a key, or what a record calls it
    first: Any  # its value in the first run; "-" where it has none
    second: Any  # its value in the second run


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """Compare two records: config, seed, code, data, environment and result.

    A group of which another option was chosen is one difference, whatever the keys of its options. A key that only
    follows another one, as `optimizer.lr` follows `lr`, is left out, and so is the place of the same rows.
    """
    data, content = (_data(first), _data(second)), "content of rows"
    has_same_rows = data[0][content] is not None and data[0][content] == data[1][content]
    pairs: list[tuple[str, Iterator[tuple[str, Any, Any]]]] = [
        ("config", _config(first, second, has_same_rows=has_same_rows)),
        ("seed", _unlike({"seed": first.get("seed")}, {"seed": second.get("seed")})),
        ("code", _unlike(_code(first), _code(second))),
        ("data", _data_differences(*data, has_same_rows=has_same_rows)),
        ("environment", _unlike(*_known_of_both(_environment(first), _environment(second)))),
        ("result", _result_differences(_result(first), _result(second))),
    ]
    return [Difference(kind, *values) for kind, items in pairs for values in items]


def conclusion(rows: Sequence[Difference]) -> str:
    """Say in a sentence whether the difference in result can have one cause only."""
    choices = [item.name for item in rows if item.kind in ("config", "seed")]
    others = sorted({item.kind for item in rows} - {"config", "seed", "result"})
    changed = [*choices, *others]
    if "val rows" in [item.name for item in rows if item.kind == "data"]:
        return "The val rows differ: the two scores cannot be compared."
    if not changed:
        is_same = not any(item.kind == "result" for item in rows)
        return "Nothing differs." if is_same else "Only the result differs: the training does not repeat exactly."
    if len(changed) > 1:
        return f"{len(changed)} things differ ({', '.join(changed)}): the result cannot be put down to one of them."
    if changed == ["seed"]:
        return "Only the seed differs: the difference in result is the noise of training."
    if any(item.name == "status" for item in rows):
        return f"Only {changed[0]} differs."
    noise = "another seed alone would change the result too (-m seed=0,1,2 shows by how much)"
    return f"Only {changed[0]} differs; {noise}."


def print_rows(rows: Sequence[Difference], first: str, second: str, console: Console) -> None:
    """Print differences of a first and a second run, sorted by their kind, as a table with a line each."""
    if not rows:
        return
    table = plain_table("", "", escape(first), escape(second))
    last = ""
    for row in rows:
        kind = "" if row.kind == last else row.kind
        table.add_row(kind, escape(row.name), *(escape(_shown(value, row.kind)) for value in (row.first, row.second)))
        last = row.kind
    console.print(table)


def _config(
    first: Mapping[str, Any], second: Mapping[str, Any], *, has_same_rows: bool
) -> Iterator[tuple[str, Any, Any]]:
    """Groups with another option, then keys with another value outside of those groups."""
    groups = list(_unlike(_choosing(first["choices"]), _choosing(second["choices"])))
    yield from groups
    changed = [name for name, _, _ in groups]
    unlike = list(_unlike(*(_choices(_choosing(record["config"], changed)) for record in (first, second))))
    leading = {(name, repr(a), repr(b)) for name, a, b in unlike if "." not in name}
    for name, a, b in unlike:
        follows = "." in name and (name.rpartition(".")[2], repr(a), repr(b)) in leading
        is_place = name.startswith("data.") and name.rpartition(".")[2] in ("path", "test_path", "content")
        if not follows and not (has_same_rows and is_place):
            yield name, a, b


def _choosing(entries: Mapping[str, Any], without: Sequence[str] = ()) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if name not in (*_NO_CHOICE, *without)}


def _code(record: Mapping[str, Any]) -> dict[str, Any]:
    git, sources = record.get("git") or {}, dict(record.get("code") or {})
    return {
        "holdfast": (record.get("versions") or {}).get("holdfast"),
        "source of holdfast": sources.pop("holdfast", None),
        **sources,
        "git commit": git.get("commit"),
        "uncommitted changes": git.get("dirty_sha256"),
    }


def _data(record: Mapping[str, Any]) -> dict[str, Any]:
    """The rows that a run learned from; the vault is left out, whose id differs wherever the same rows are sealed."""
    data = record.get("data") or {}
    view = {f"view.{key}": value for key, value in _choices(data.get("view") or {}).items() if key != "columns"}
    return {
        "data set": data.get("name"),
        "val rows": data.get("val_sha256"),
        "train rows": data.get("train_rows"),
        "content of rows": data.get("content_sha256"),
        "order of rows": data.get("order_sha256"),
        "columns": [f"{column['name']} ({column['type']})" for column in data.get("columns") or []],
        **view,
        "pretrained weights": [source["sha256"] for source in record.get("pretrained") or []],
    }


def _environment(record: Mapping[str, Any]) -> dict[str, Any]:
    versions = {name: version for name, version in (record.get("versions") or {}).items() if name != "holdfast"}
    machine = {name: record.get(name) for name in ("cpu", "device", "precision", "threads")}
    return {**versions, **machine, "trained together": (record.get("stack") or {}).get("size") or 1}


def _result(record: Mapping[str, Any]) -> dict[str, Any]:
    best = record.get("best") or {}
    metrics = dict(best.get("metrics") or {})
    if best and best["value"] != metrics.get(best["monitor"]):
        metrics["best value"] = best["value"]  # somebody has edited one of the two
    return {
        "status": record.get("status"),
        "stop reason": str(record.get("stop_reason")).partition("; next:")[0],
        "parameters": record.get("parameters"),
        "epoch": best.get("epoch"),
        **metrics,
    }


def _data_differences(first: Facts, second: Facts, *, has_same_rows: bool) -> Iterator[tuple[str, Any, Any]]:
    """Leave out what does not count: the name of the same rows, and the order of others."""
    ignored = {"data set"} if has_same_rows else {"order of rows"}
    if first["data set"] != second["data set"] and first["val rows"] != second["val rows"] and not has_same_rows:
        ignored = {*first, *second} - {"data set", "val rows", "train rows"}
    yield from (item for item in _unlike(first, second) if item[0] not in ignored)


def _known_of_both(first: Facts, second: Facts) -> Iterator[Facts]:
    """The facts that stand in both; an ensemble, whose members train, has no device of its own."""
    known = [name for name in first if first[name] is not None and second.get(name) is not None]
    return ({name: facts[name] for name in known} for facts in (first, second))


def _result_differences(first: Facts, second: Facts) -> Iterator[tuple[str, Any, Any]]:
    """Leave out the metrics that one of them does not have: it has failed, or has another task."""
    yield from (item for item in _unlike(first, second) if "/" not in item[0] or item[0] in first.keys() & second)


def _unlike(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys([*first, *second]):
        values = first.get(name, _MISSING), second.get(name, _MISSING)
        if values[0] != values[1]:
            yield name, *values


def _choices(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a config by their dotted keys, without how a target is called, which is nobody's choice."""
    return {key: value for key, value in leaves(config).items() if key.rpartition(".")[2] != "_partial_"}


def _shown(value: Any, kind: str) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return figure(value) if kind == "result" else f"{value:g}"
    if isinstance(value, str) and len(value) == 64:  # a digest
        return value[:12]
    if isinstance(value, list):
        value = ", ".join(_shown(item, kind) for item in value) or "none"
    return shorten(str(value), _MOST_LETTERS, placeholder=" ...")
