"""`-m resume=SWEEP`, handled before Hydra composes: the recorded overrides and folder become the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from holdfast.config.overrides import keys_of, quoted
from holdfast.core.errors import InputError
from holdfast.core.sweep_folder import SWEEP_FILE
from holdfast.experiment.resume import refuse_untrusted, resume_overrides
from holdfast.search.record import read_sweep


def resumed(arguments: Sequence[str]) -> list[str]:
    """Turn `resume=FOLDER` into what repeats that run or that sweep in its folder; others come back as they are.

    Args:
        arguments: Overrides and flags.

    Raises:
        InputError: The folder is none of both, or it cannot go on.
    """
    named = [word.partition("=")[2].strip("'\"") for word in arguments if word.startswith("resume=")]
    folder = Path(named[-1]).expanduser() if named else None
    if folder is None or not (folder / SWEEP_FILE).is_file():
        return resume_overrides(arguments)
    record = read_sweep(folder)
    _refuse_untrusted(folder, record.typed)
    if record.cwd != str(Path.cwd()):
        print(f"note: the sweep was started in {record.cwd}; relative paths are looked for here", file=sys.stderr)
    others = [word for word in arguments if not word.startswith("resume=") and word not in ("-m", "--multirun")]
    kept = [word for word in record.typed if not keys_of([word]) & keys_of(others)]
    place = quoted(str(folder))
    options = [f"--config-dir={record.config_dir}"] if record.config_dir else []
    return ["-m", *options, *kept, *others, f"resume={place}", f"hydra.sweep.dir={place}"]


def _refuse_untrusted(folder: Path, words: Sequence[str]) -> None:
    """A folder may come from a stranger: no code of theirs runs, and what it trusts counts only where the user did."""
    for override in OverridesParser.create().parse_overrides(list(words)):
        line = str(override.input_line)
        if override.is_hydra_override() and ("_target_" in line or "searchpath" in line):
            raise InputError(str(folder), f"sets {line}, which may run code", next="start a sweep of its own")
        if override.key_or_group == "trusted_modules":
            value = override.value()
            refuse_untrusted("resume", folder, value if isinstance(value, list) else [str(value)])
