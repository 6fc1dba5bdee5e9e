"""Locks of recipes: `recipes/locks/NAME.json` is what was measured of one.

It is the part of a record that says what the result depends on and what came out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.config.groups import RECIPES
from holdfast.core.errors import InputError, did_you_mean
from holdfast.core.files import write_atomic

LOCKS = Path("recipes", "locks")
FOLDERS = (LOCKS, RECIPES / "locks")  # the user's own come first
FIELDS = (
    *("kind", "overrides", "choices", "config", "seed", "monitor", "mode", "versions", "cpu", "device", "precision"),
    *("threads", "parameters", "status", "stop_reason", "pretrained", "data", "checks", "best", "weights"),
)
DATA = ("name", "train_rows", "val_rows", "val_sha256", "content_sha256", "order_sha256", "columns", "view")


def names() -> list[str]:
    """The recipes that have a lock, the user's own included."""
    return sorted({path.stem for folder in FOLDERS for path in folder.glob("*.json")})


def read(name: str) -> dict[str, Any]:
    """Read the lock of a recipe; a recipe without one is refused."""
    known = names()
    if name not in known:
        hint = did_you_mean(name, known) or "train it, then `holdfast reproduce RUN --lock recipes/locks/NAME.json`"
        raise InputError("reproduce", f"there is no folder and no lock of a recipe {name}", ", ".join(known), hint)
    path = next(folder / f"{name}.json" for folder in FOLDERS if (folder / f"{name}.json").is_file())
    lock: dict[str, Any] = json.loads(path.read_text())
    return lock


def write(measured: Mapping[str, Any], path: Path) -> None:
    """Write the record of a run, with the digests of its weights, as a lock: an entry a line, and an epoch a line."""
    place = measured["config"]["data"].get("path")
    lock = {name: measured[name] for name in FIELDS}
    lock["overrides"] = [word for word in lock["overrides"] if not word.startswith(("data.path=", "threads="))]
    lock["config"] = lock["config"] | {"data": replaced(measured["config"]["data"], place, "DIR")}
    lock["data"] = {name: measured["data"][name] for name in DATA}
    lock["checks"] = [{name: check[name] for name in ("name", "verdict")} for check in measured["checks"]]
    lines = [f" {json.dumps(name)}: {json.dumps(value)}," for name, value in lock.items()]
    history = [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in measured["history"]]
    epochs = ",\n  ".join(json.dumps(epoch) for epoch in history)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "\n".join(["{", *lines, f' "history": [\n  {epochs}\n ]', "}"]) + "\n")


def replaced(node: Any, old: Any, new: Any) -> Any:
    """The node with a value in place of another one, wherever that stands."""
    if isinstance(node, dict):
        return {key: replaced(value, old, new) for key, value in node.items()}
    return new if old is not None and node == old else node
