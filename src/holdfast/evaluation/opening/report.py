"""The report of a selection: what was measured, how it was chosen, and what the number cannot say. HTML and JSON.

It is written from manifest, ledger and selection alone, never from rows, so that it can be written again at any time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from holdfast import __version__
from holdfast.config.provenance import by_file
from holdfast.core.errors import HoldfastError
from holdfast.core.files import read_plain, write_atomic
from holdfast.core.run_record import now
from holdfast.evaluation.freeze.trials import without_seed
from holdfast.evaluation.opening.result import Opened, answer_of, find_entry, in_order, quotable
from holdfast.evaluation.selections import read_selection, selection_folder
from holdfast.reporting.pages import render
from holdfast.vault import lifecycle, registry
from holdfast.vault.ledger import leaked_bits, ledger
from holdfast.vault.ledger.ledger import Found
from holdfast.vault.manifest import read_manifest

VERSION = 1
PAGE = "final_report.html"
MAX_BYTES = 2**26
COPIED = ("name", "task", "class_names", "primary_metric", "definitions", "criterion")  # from the selection
KEY_MODES = {
    "local": "The framework could decrypt as this user: accidents are prevented. Who has a shell as this user, or a "
    "copy of the home with its keys, can decrypt the rows by code of their own, and no ledger tells of it.",
    "passphrase": "Only who knows the passphrase could open the vault.",
    "keyfile": "Only the holder of the private key could open the vault; training had the public key alone.",
}


def write_report(vault: str, selection: str) -> dict[str, Path]:
    """Write `report.html` and `report.json` into the selection's folder; their paths by "html" and "json"."""
    facts = json.loads(json.dumps(gather(vault, selection)))
    folder = selection_folder(vault, selection)
    paths = {"html": folder / "report.html", "json": folder / "report.json"}
    contents = {"json": json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "html": render(PAGE, facts)}
    for form, path in paths.items():
        with registry.on_disk(path, "the report could not be written"):
            write_atomic(path, contents[form])
    return paths


def report_problems(vault: str, selection: str) -> Iterator[Found]:
    """Differences between a written report and the ledger as it was when the report was written."""
    folder = selection_folder(vault, selection)
    html, path = folder / "report.html", folder / "report.json"
    if not path.exists() and not html.exists():
        return
    try:
        facts = json.loads(read_plain(path, MAX_BYTES))
        known = json.loads(json.dumps(gather(vault, selection, facts["head"]["index"] + 1)))
        known |= {name: facts[name] for name in ("written", "holdfast")}
        source = read_manifest(vault)["source"]  # whether it still lies there changes
        if facts["vault"]["source"] in (_source(source, is_there) for is_there in (True, False)):
            known["vault"]["source"] = facts["vault"]["source"]
        known["limits"] = _limits(known)
    except (OSError, ValueError, KeyError, TypeError, IndexError, HoldfastError) as error:
        yield "report", str(path), f"cannot be compared with the ledger ({type(error).__name__}: {error})"
        return
    for name in sorted(known.keys() | facts.keys()):
        if facts.get(name) != known.get(name):
            yield "report", str(path), f"has another {name} than the ledger; holdfast report writes it again"
    if facts == known and not _is_content(html, render(PAGE, facts)):
        yield "report", str(html), "is not the page of report.json; holdfast report writes it again"


def _is_content(path: Path, text: str) -> bool:
    try:
        return read_plain(path, MAX_BYTES) == text.encode()
    except (OSError, ValueError):
        return False


def gather(vault: str, selection: str, num_entries: int | None = None) -> dict[str, Any]:
    """Everything the report says, as JSON, by the first `num_entries` of the ledger or all."""
    manifest = read_manifest(vault)
    fields = read_selection(vault, selection)
    entries = registry.read_ledger(vault)[:num_entries]
    result = find_entry(entries, "open.result", selection)
    opened = answer_of(result, is_replayed=True) if result else None
    body = result.body if result else {}
    facts = {
        **{name: fields[name] for name in COPIED},
        "version": VERSION,
        "written": now(),
        "holdfast": __version__,
        "selection": selection,
        "state": "opened" if result else "frozen",
        "head": {"sha256": entries[-1].sha256, "index": entries[-1].index},
        "result": _result(opened, result) if opened and result else None,
        "quote": quotable(opened) if opened else None,
        "models": _models(fields, body),
        "comparisons": body.get("comparisons", []),
        "details": _details(entries, selection),
        "spread": _spread(fields, body),
        "vault": _vault(manifest, vault),
        "openings": _openings(entries),
        "wear": _wear(entries, result, manifest["num_test"], len(fields["models"])),
        "environment": _environment(fields, body),
    }
    return {**facts, "limits": _limits(facts)}


# --- parts ------------------------------------------------------------------------------------------------------------


def _result(opened: Opened, result: ledger.Entry) -> dict[str, Any]:
    names = ("n", "opening", "level", "is_clean", "former", "reason", "confidence", "head", "not_confined")
    return {
        **{name: getattr(opened, name) for name in names},
        "passed": (opened.criterion or {}).get("passed"),
        "time": result.fields["time"],
        "bits": result.fields["bits"],
    }


def _models(fields: Mapping[str, Any], body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every model with what was known when it was chosen, and with its test metrics where it was opened."""
    tests = {model["name"]: model for model in body.get("models", [])}
    reported, cells = [], body.get("cells", [])
    for index, model in enumerate(fields["models"]):
        known = tests.get(model["name"], {})
        test = known.get("metrics") or (body.get("metrics") if index == 0 else None)
        reported.append(
            {
                "name": model["name"],
                "kind": model["kind"],
                "seeds": [member["seed"] for member in model["members"]],
                "rule": model["selection_rule"],
                "val": {name.removeprefix("val/"): value for name, value in model["val"].items()},
                "test": in_order(test) if test else {},
                "targets": [{**target, "metrics": in_order(target["metrics"])} for target in known.get("targets", ())],
                "trials": model["trials"],
                "cells": cells[index] if index < len(cells) else None,
                "features": [column.get("source", column["name"]) for column in model["view"].get("columns", [])],
            }
        )
    return reported


def _details(entries: Sequence[ledger.Entry], selection: str) -> list[dict[str, Any]]:
    disclosed = find_entry(entries[::-1], "disclose", selection)
    return list(disclosed.body.get("details", [])) if disclosed else []


def _spread(fields: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The spread over seeds: of the test, where models that differ in the seed alone were opened; else of val."""
    models, tests = fields["models"], {model["name"]: model["metrics"] for model in body.get("models", [])}
    first = without_seed(models[0]["config"])
    same = [model for model in models if without_seed(model["config"]) == first and model["name"] in tests]
    metric = "accuracy" if "accuracy" in fields["definitions"] else "rmse"
    values = [tests[model["name"]].get(metric, {}).get("value") for model in same]
    values = [value for value in values if value is not None]
    if len(values) > 1:
        return {"of": "test", "metric": metric, "values": values, "mean": fmean(values), "std": stdev(values)}
    trials = models[0]["trials"]
    if trials and trials["seed_spread"]:
        known = trials["seed_spread"]
        spread = {key: known[key] for key in ("values", "mean", "std")}
        return {"of": "val", "metric": known["metric"].removeprefix("val/"), **spread}
    return None


def _vault(manifest: Mapping[str, Any], vault: str) -> dict[str, Any]:
    copied = ("name", "content", "num_test", "num_development", "test_rule", "counts", "policy")
    return {
        **{name: manifest[name] for name in (*copied, "replaces", "shares", "lineage")},
        "id": vault,
        "sealed": manifest["created"],
        "ambiguous": manifest["fingerprints"]["ambiguous"],
        "key_mode": KEY_MODES.get(manifest["policy"]["key_mode"], manifest["policy"]["key_mode"]),
        "source": _source(manifest["source"]),
    }


def _source(source: Mapping[str, Any], is_there: bool | None = None) -> dict[str, Any]:
    """The place that the rows came from, and whether they still lie there in the open; None: it is looked up."""
    paths = [str(value) for key, value in source.items() if "path" in key and isinstance(value, str)]
    if is_there is None:
        is_there = any(Path(path).exists() for path in paths)
    if paths and is_there:
        words = f"The raw source is kept in the open, test rows included: {', '.join(paths)}."
    elif str(source.get("_target_")).startswith("holdfast.sources.memory"):
        words = "The rows were handed over in memory: the process that trained held the table, test rows included."
    elif paths:
        words = f"The raw source is no longer where it was sealed from ({', '.join(paths)})."
    else:
        words = "The rows come from a public source: whoever looks for the test rows finds them."
    return {"target": source.get("_target_"), "paths": paths, "is_kept": is_there or not paths, "words": words}


def _openings(entries: Sequence[ledger.Entry]) -> list[dict[str, Any]]:
    bits = {entry.fields["opening"]: entry.fields["bits"] for entry in entries if entry.type == "open.result"}
    return [
        {
            "opening": entry.fields["opening"],
            "selection": entry.selection,
            "time": entry.fields["time"],
            "level": entry.body.get("level", "full"),
            "reason": entry.body.get("reason"),
            "bits": bits.get(entry.fields["opening"]),
            "state": "opened" if entry.fields["opening"] in bits else "begun",
        }
        for entry in entries
        if entry.type == "open.intent"
    ]


def _wear(
    entries: Sequence[ledger.Entry], result: ledger.Entry | None, num_rows: int, num_models: int
) -> dict[str, Any]:
    """Bits told so far, and log2 K where the best of K models will be quoted; what they leave of the rows."""
    after = float(entries[-1].fields["total_bits"])
    before = float(result.fields["total_bits"] - result.fields["bits"]) if result else after
    before += math.log2(num_models)
    return {
        "bits_before": before,
        "bits_of_choice": math.log2(num_models),
        "bits_after": after,
        "half_width": min(1.0, leaked_bits.half_width(before, num_rows)),
        "rows_left": math.floor(leaked_bits.effective_rows(before, num_rows)),
        "half_width_next": min(1.0, leaked_bits.half_width(after, num_rows)),
        "rows_left_next": math.floor(leaked_bits.effective_rows(after, num_rows)),
    }


def _environment(fields: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    names = ("python", "platform", "torch", "pytorch-lightning", "numpy", "scipy", "scikit-learn")
    return {
        "versions": {name: fields["versions"][name] for name in names if name in fields["versions"]},
        "framework": fields["framework"],
        "git": fields["git"],
        "modules": {file: sha256 for model in fields["models"] for file, sha256 in by_file(model["modules"]).items()},
        "changes": list(body.get("changes", [])),
    }


def _limits(facts: Mapping[str, Any]) -> list[str]:
    """The limits of the report: things that it cannot vouch for, in the words of this case."""
    vault, trials = facts["vault"], facts["models"][0]["trials"]
    limits = [
        f"{facts['vault']['key_mode']} Who owns the disk can cheat, but not unseen by who remembers a head.",
        vault["source"]["words"] + " A vault over rows that are known elsewhere enforces honesty, not secrecy.",
        "The interval tells how the number would move with another sample of test rows from the same population; it "
        "covers neither another seed nor rows of another kind.",
        "Rows are recognised by content. Rows that were augmented or re-encoded, or most of whose cells were changed, "
        "are not; the search of checkpoints finds rows that are held as they are, scaled or standardised.",
        *_view_limits(facts),
    ]
    if trials is None:
        limits.append("The run came from no sweep: how many others were tried is not known.")
    if facts["result"] and not facts["result"]["is_clean"]:
        limits.append(
            "This is not a clean test: the vault had answered before. Read the adaptive bound, not the interval."
        )
    if facts["result"]:
        limits += [f"The model's code was not confined: {words}." for words in facts["result"]["not_confined"]]
    if vault["replaces"]:
        limits.append("The rows were sealed anew before the first freeze; runs of the former vault may have seen some.")
    if vault["lineage"]:
        limits.append("Some of these rows were in a vault that was superseded after a freeze: they may have been seen.")
    return limits


def _view_limits(facts: Mapping[str, Any]) -> Iterator[str]:
    """Cells that a model could not read or did not know, and features that another vault predicts."""
    family = lifecycle.family_of(facts["vault"]["id"])
    siblings = {registry.record_of(vault)["target"]: vault for vault in family}
    for model in facts["models"]:
        cells, name = model["cells"] or {}, model["name"]
        if cells.get("unreadable"):
            yield f"{cells['unreadable']:,} cells of the test rows could not be read by {name} and counted as missing."
        if cells.get("unknown"):
            yield f"{cells['unknown']:,} cells of the test rows were categories that {name} does not know."
        for feature in sorted(set(model["features"]) & siblings.keys()):
            yield f"{name} was given '{feature}', which vault {siblings[feature][:8]} predicts of the same test rows."
