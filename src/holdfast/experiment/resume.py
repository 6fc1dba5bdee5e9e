"""`resume=RUN`, handled before Hydra composes: the recorded overrides and folder become the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from holdfast.config.resolve import leaves
from holdfast.config.trust import trusted_here
from holdfast.core.advice import quoted
from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.core.run_record import read_run

MAY_CHANGE = ("trainer", "logger")


def resume_overrides(arguments: Sequence[str]) -> list[str]:
    """Turn `resume=RUN` into the overrides that repeat the run in its own folder; others come back as they are.

    Raises:
        InputError: The folder is no run, the run cannot go on, or another override would change it.
    """
    named = [argument.partition("=")[2] for argument in arguments if argument.startswith("resume=")]
    if not named or named[-1] == "null":
        return list(arguments)
    if named[-1].strip("'\"") == "":
        raise InputError("resume", "names no folder", next="`holdfast runs outputs` lists the runs")
    folder = Path(named[-1].strip("'\"")).expanduser()
    if not folder.is_dir():
        raise InputError("resume", f"there is no folder {folder}", next="`holdfast runs outputs` lists the runs")
    others = [argument for argument in arguments if not argument.startswith("resume=")]
    wrong = [argument for argument in others if argument.partition("=")[0] not in MAY_CHANGE]
    problem = ("would change a run that goes on", "trainer=..., logger=...", "start a run of its own")
    raise_problems([Problem(argument, *problem) for argument in wrong])
    record = read_run(folder)
    if record["status"] in ("completed", "running", "pruned"):
        raise InputError("resume", f"{folder} is {record['status']}", allowed="a run that is interrupted or failed")
    if record["kind"] not in ("fit", "ensemble"):
        raise InputError("resume", f"{folder} trained nothing", next="repeat its command")
    note_other_folder(record)
    recorded = _recorded_overrides(folder)
    trusted = record["config"].get("trusted_modules") or ()
    refuse_untrusted("resume", folder, trusted or [word for word in recorded if "trusted_modules" in word])
    replaced = {"lr", *(argument.partition("=")[0] for argument in others)}
    kept = [word for word in recorded if word.partition("=")[0].lstrip("+~") not in replaced]
    place = quoted(str(folder.absolute()))
    rate = f"lr={record['config']['lr']}"  # what `lr=auto` has found, or auto
    return [*kept, *others, rate, f"resume={place}", f"hydra.run.dir={place}", "hydra.output_subdir=null"]


def note_other_folder(record: Mapping[str, Any]) -> None:
    """Say so where a run was started in another folder than this one."""
    if record.get("cwd") not in (None, str(Path.cwd())):
        print(f"note: the run was started in {record['cwd']}; relative paths are looked for here", file=sys.stderr)


def refuse_untrusted(where: str, folder: Path, trusted: Iterable[str], next: str = "") -> None:
    """Refuse a folder that trusts modules which the user has trusted nowhere here: it may come from a stranger.

    `where` is the key or verb to blame; `next` says what to do, if not to train once with them.
    """
    if unknown := set(trusted) - trusted_here() - {"__main__"}:
        problem = f"{folder} trusts {', '.join(sorted(unknown))}, and you have not on this machine"
        raise InputError(where, problem, next=next or "train once with trusted_modules=[...] if you know them")


def check_same_config(config: DictConfig, folder: Path) -> None:
    """Refuse to go on when the options have changed since the run was started."""
    now: Any = OmegaConf.to_container(config, resolve=True)
    recorded, composed = leaves(read_run(folder)["config"]), leaves(now)
    changed = [key for key in sorted({*recorded, *composed}) if recorded.get(key) != composed.get(key)]
    problems = []
    for key in changed:
        if key.partition(".")[0] not in (*MAY_CHANGE, "resume") and recorded.get(key) != "auto":
            problem = f"is {composed.get(key)!r} now and was {recorded.get(key)!r}"
            problems.append(Problem(key, problem, next="undo the change of the option, or start anew"))
    raise_problems(problems)


def _recorded_overrides(folder: Path) -> list[str]:
    path = folder / ".hydra" / "overrides.yaml"
    if not path.is_file():
        raise InputError("resume", f"{folder} has no .hydra/overrides.yaml", next="start the run anew")
    try:
        words = [str(word) for word in OmegaConf.load(path)]
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException) as error:
        problem = f"cannot be read ({str(error).splitlines()[0]})"
        raise InputError(str(path), problem, next="start the run anew") from None
    if foreign := [word for word in words if word.lstrip("+~").startswith("hydra")]:
        raise InputError(str(path), f"sets {foreign[0]}, which a run does not record", next="start the run anew")
    return words
