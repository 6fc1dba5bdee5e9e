"""The form of `run.json`: what kinds of values its fields have, so that a file from anywhere is a record or an error.

A form is a kind of value (a type, or several), `[form]` for a list of such values, `{...: form}` for an object whose
fields all have it, or `{name: form}` for an object with fields that have theirs where they are there, and others.
"""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DIGITS = 20
NONE = type(None)
NUMBER = (int, float)
TEXT_OR_NULL, WHOLE_OR_NULL, NUMBER_OR_NULL = (str, NONE), (int, NONE), (int, float, NONE)
METRICS = {...: NUMBER_OR_NULL}
BEST = {
    **{"monitor": str, "mode": str, "value": NUMBER_OR_NULL, "metrics": METRICS},
    **{"epoch": WHOLE_OR_NULL, "checkpoint": TEXT_OR_NULL},
}
DATA = {
    **dict.fromkeys(("name", "task", "kind", "vault", "rows", "val_sha256", "dtype"), str),
    **dict.fromkeys(("train_rows", "val_rows", "num_outputs"), int),
    **{"row_shape": [int], "input_shape": [int], "notes": [str], "class_names": [str], "feature_names": [str]},
    **{"view": dict, "split": dict, "pixel_scale": NUMBER, "columns": [{"name": str, "type": str}]},
    "subset": NUMBER_OR_NULL,
}
ROWS = (  # what `data` must say before anything is predicted
    *("name", "task", "kind", "vault", "rows", "view", "val_sha256"),
    *("row_shape", "dtype", "num_outputs", "class_names"),
)
MEMBER = {"run": str, "checkpoint": str, "sha256": TEXT_OR_NULL, "weight": NUMBER, "metrics": METRICS}
ENSEMBLE = {"members": [MEMBER], "combine": str, "temperature": NUMBER, "out_of_fold": bool}
RECORD: dict[str, Any] = {
    **dict.fromkeys(("id", "kind", "status", "created"), str),
    **dict.fromkeys(("stop_reason", "finished", "heartbeat", "host", "boot_id", "cwd"), TEXT_OR_NULL),
    **dict.fromkeys(("monitor", "mode", "device", "precision"), TEXT_OR_NULL),
    **dict.fromkeys(("pid", "threads", "parameters", "seed"), WHOLE_OR_NULL),
    **dict.fromkeys(("choices", "versions", "code"), dict),
    "config": {
        **{"data": dict, "trusted_modules": (list, NONE)},
        **dict.fromkeys(("split", "loss", "debug", "metrics"), (dict, NONE)),
    },
    **{"overrides": [str], "timings": METRICS, "history": [METRICS], "diagnosis": list},
    "checks": [{"name": str, "verdict": str, "evidence": dict, "causes": [str], "next": str}],
    "resumes": [{"time": str, "epoch": WHOLE_OR_NULL}],
    "pretrained": [dict.fromkeys(("run", "checkpoint", "sha256", "vault", "rows", "data"), str)],
    "parts": {...: {"_target_": str}},
}
OBJECTS_OR_NULL: dict[str, Any] = {
    **{"best": {**BEST, "by_target": {...: METRICS}}, "data": DATA, "ensemble": ENSEMBLE},
    **{"error": {}, "git": {"commit": str, "dirty_sha256": TEXT_OR_NULL}, "stack": {}, "loggers": {}},
}
REQUIRED = {
    "": ("id", "kind", "status", "created", "config"),
    "best": tuple(BEST),
    "ensemble": tuple(ENSEMBLE),
    "git": ("commit",),
}


def parse_object(content: bytes) -> dict[str, Any]:
    """The fields of a JSON object.

    Raises:
        ValueError: The content is none, or holds a number or text that nothing could print.
    """
    try:
        fields = json.loads(content.decode(), parse_constant=_refuse, parse_float=_finite, parse_int=_short)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(fields, dict):
        raise ValueError("is no JSON object")
    if rb"\u" in content:  # half of a pair of surrogates is JSON, and no text
        json.dumps(fields, ensure_ascii=False).encode()
    return fields


def problem_of(fields: dict[str, Any]) -> str | None:
    """The first field of a record that is missing or has not its form; None where there is none."""
    objects = {name: form for name, form in OBJECTS_OR_NULL.items() if fields.get(name) is not None}
    for name, names in REQUIRED.items():
        parent = fields.get(name) if name else fields
        if isinstance(parent, dict) and (missing := [field for field in names if field not in parent]):
            return f"{name}.{missing[0]} is missing".lstrip(".")
    return problem_in(fields, RECORD | objects, "")


def problem_in(value: Any, form: Any, place: str) -> str | None:
    """Name the first value in another one that has not the form that it must have; None where there is none."""
    if not isinstance(form, list | dict):
        return None if isinstance(value, form) else f"{place} is {value!r:.40}"
    if not isinstance(value, type(form)):
        return f"{place} is {value!r:.40}"
    for name, part in enumerate(value) if isinstance(value, list) else value.items():
        part_form = form[0] if isinstance(form, list) else form.get(name, form.get(..., object))
        if problem := problem_in(part, part_form, f"{place}.{name}".lstrip(".")):
            return problem
    return None


def _refuse(name: str) -> Any:
    raise ValueError(f"holds {name}")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"holds {text[:MAX_DIGITS]}")
    return number


def _short(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"holds a whole number of {len(text)} digits")
    return int(text)
