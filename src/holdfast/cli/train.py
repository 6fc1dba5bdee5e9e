"""`python train.py ...` and `holdfast train ...`: from the command line to a composed config. Imports no torch."""

from __future__ import annotations

import sys
import textwrap
import time
from argparse import Namespace
from pathlib import Path
from typing import NoReturn

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobStatus, run_job
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from holdfast import __version__
from holdfast.config import search_path
from holdfast.config.groups import CONF, PRIMARY
from holdfast.config.overrides import command_line_problems, composition_problem, with_open_key
from holdfast.config.resolve import import_from_here
from holdfast.core.advice import setting
from holdfast.core.cores import set_spin_count
from holdfast.core.errors import InputError, Interrupted, did_you_mean, raise_problems
from holdfast.core.exits import ending, program, survive_closed_stdout
from holdfast.experiment.compose import OptionsLoader, compose_run, options_loader, typed_overrides
from holdfast.search.resume import resumed

STARTED = time.perf_counter()

HELP = """\
usage: {program} [GROUP=OPTION | KEY=VALUE]... [-m] [--cfg job]

Train and validate one experiment. The test rows stay sealed until `holdfast open`.

  {program}                                    digits, a small MLP
  {program} optimizer=adam lr=3e-4             another optimizer, another rate
  {program} data=mnist data.path=DIR model=cnn
  {program} -m lr=1e-2,1e-3 seed=0,1           a sweep: every combination is a job
  {program} recipes=NAME                       an experiment from recipes/
  {program} resume=RUN                         go on with an interrupted run
  {program} -m hydra/sweeper=random 'lr=tag(log,interval(1e-5,1e-1))' sweep.trials=40     a search
  {program} -m resume=SWEEP                    go on with a sweep; sweep.add=20 for more
  {program} stage=check [--json]               look for mistakes; trains nothing

  run scalars   {scalars}
  groups        {groups}
  options       `{program} GROUP=?` names the options of a group
  config        `{program} --cfg job` prints the composed config with every key
  completion    eval "$({program} -sc install=bash)"     (zsh and fish likewise)
  Hydra's own   `{program} --hydra-help`

Then: holdfast runs outputs | holdfast diff A B | holdfast freeze RUN | holdfast open SELECTION | holdfast vault status
"""


def main() -> None:
    """Answer `--help` and `resume=`, then compose and run; exit codes as in `holdfast.core.errors`."""
    set_spin_count()
    is_json_wanted = "--json" in sys.argv[1:]
    with ending(as_json=is_json_wanted):
        survive_closed_stdout()
        import_from_here()
        if "--version" in sys.argv[1:]:
            print(f"holdfast {__version__}")
            return
        if {"--help", "-h"} & set(sys.argv[1:]):
            print(_help_page(), end="")
            return
        if is_json_wanted:
            _check_as_json([word for word in sys.argv[1:] if word != "--json"])
            return
        # argparse takes overrides in one piece only: `lr=1e-3 -m seed=0,1` is `-m lr=1e-3 seed=0,1`
        sys.argv[1:] = sorted(map(with_open_key, resumed(sys.argv[1:])), key=_is_override)
        typed = _read_flags(sys.argv[1:])
        loader = options_loader(typed.config_dir)
        for name in search_path.shadowed(Path.cwd()):
            print(f"note: your own {name}.yaml is used in place of Holdfast's", file=sys.stderr)
        try:
            _answer(typed, loader)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            problems = command_line_problems(typed.overrides, loader, is_sweep=typed.multirun)
            raise_problems(problems or [composition_problem(error, is_sweep=typed.multirun)])


def _check_as_json(words: list[str]) -> None:
    """Check one experiment as `holdfast check --json` does; nothing else that is typed here answers for a script."""
    overrides = [word for word in words if word != "stage=check"]
    if len(overrides) == len(words) or not all(map(_is_override, overrides)):
        advice = "leave --json out: `holdfast runs FOLDER --json` reads what runs have given"
        raise InputError("--json", "belongs to the checks of one experiment (stage=check)", next=advice)
    from holdfast.cli.check import check

    check(overrides, as_json=True)


def _answer(typed: Namespace, loader: OptionsLoader) -> None:
    """Do what the flags ask for: show something, or run the one experiment or the sweep."""
    if typed.hydra_help or typed.cfg is not None or typed.shell_completion or typed.info is not None:
        _show(typed, loader)
    elif typed.multirun or _mode(typed.overrides, loader) == RunMode.MULTIRUN:
        _sweep(typed.overrides, loader)
    else:
        _run(typed.overrides, loader)


def _show(typed: Namespace, loader: OptionsLoader) -> None:
    """Answer the flags of Hydra that show something and run nothing."""
    hydra = Hydra(task_name="train", config_loader=loader)
    GlobalHydra.instance().initialize(hydra)
    try:
        if typed.hydra_help:
            hydra.hydra_help(PRIMARY, args_parser=get_args_parser(), args=typed)
        elif typed.cfg is not None:
            hydra.show_cfg(PRIMARY, typed.overrides, typed.cfg, typed.package, typed.resolve)
        elif typed.shell_completion:
            hydra.shell_completion(PRIMARY, typed.overrides)
        else:
            hydra.show_info(typed.info, PRIMARY, typed.overrides)
    finally:
        GlobalHydra.instance().clear()


def _mode(overrides: list[str], loader: OptionsLoader) -> RunMode | None:
    """Read the mode that a recipe may have chosen, that of a space to sweep over."""
    config = loader.load_configuration(PRIMARY, overrides, RunMode.RUN, validate_sweep_overrides=False)
    mode: RunMode | None = config.hydra.mode
    return mode


def _run(overrides: list[str], loader: OptionsLoader) -> None:
    """Check the one run and carry it out by Hydra, with its folder, its callbacks and its settings of the job."""
    config = compose_run(overrides, loader)
    _warn_of_leaks(config)
    from holdfast.experiment.console import run_on_console
    from holdfast.experiment.experiment import Experiment

    experiment = Experiment.of(config, started=STARTED)
    experiment.check()
    callbacks = Callbacks(config)
    callbacks.on_run_start(config=config, config_name=PRIMARY)
    result = run_job(
        hydra_context=HydraContext(config_loader=loader, callbacks=callbacks),
        task_function=lambda _: run_on_console(experiment),
        config=config,
        job_dir_key="hydra.run.dir",
        job_subdir_key=None,
    )
    callbacks.on_run_end(config=config, config_name=PRIMARY, job_return=result)
    if result.status is JobStatus.FAILED:
        raise result._return_value


def _sweep(overrides: list[str], loader: OptionsLoader) -> None:
    """Carry out a sweep, and print the table of all its jobs."""
    from holdfast.search.worker_process import start_process

    with start_process() as process:  # it imports what trials need while the sweep is composed and checked
        from holdfast.api import carry_out_sweep
        from holdfast.search.compose import compose_sweep

        config = compose_sweep(overrides, loader)
        _warn_of_leaks(config)
        try:
            carry_out_sweep(config, loader, process, shows_table=True)
        except Interrupted as error:
            resume = f"{program()} -m {setting('resume', config.hydra.sweep.dir)}"
            raise Interrupted(error.signal_number, resume) from None


def _warn_of_leaks(config: DictConfig) -> None:
    """Name the values of a recipe that the command line has taken the option from."""
    recipe = config.hydra.runtime.choices.get("recipes")
    if recipe and config.resume is None:
        typed = {word.partition("=")[0] for word in typed_overrides(config)}
        for warning in search_path.leaks(str(recipe), typed):
            print(f"warning: {warning}", file=sys.stderr)


def _is_override(word: str) -> bool:
    return not word.startswith("-") and ("=" in word or word[:1] in ("+", "~"))


def _read_flags(words: list[str]) -> Namespace:
    """The command line as Hydra's parser reads it; a wrong flag is refused in one line, not with the whole usage."""

    def refuse(message: str) -> NoReturn:
        flags = [flag for action in parser._actions for flag in action.option_strings]
        wrong = message.removeprefix("unrecognized arguments: ").split()[0]
        hint = did_you_mean(wrong, flags) or f"`{program()} --help` lists the common ones, --hydra-help all"
        raise InputError("command line", message, next=hint)

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    typed = parser.parse_args(words)
    for flag, value in (("--config-path", typed.config_path), ("--config-name", typed.config_name)):
        if value is not None:
            raise InputError(flag, "would leave out Holdfast's own options", next="--config-dir adds a folder of yours")
    if typed.experimental_rerun is not None:
        raise InputError("--experimental-rerun", "repeats no run of Holdfast", next="resume=RUN goes on with one")
    asked = {"-r": typed.run, "-m": typed.multirun, "--cfg": typed.cfg, "--info": typed.info}
    asked["-sc"] = typed.shell_completion
    both = [flag for flag, value in asked.items() if value]
    if len(both) > 1:
        raise InputError(" ".join(both), "do not go together", next=f"leave out {both[-1]}")
    if typed.resolve and not typed.cfg:
        raise InputError("--resolve", "belongs to --cfg", next=f"{program()} --cfg job --resolve")
    return typed


def _help_page() -> str:
    groups = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
    scalars = [line.split(":")[0] for line in (CONF / f"{PRIMARY}.yaml").read_text().splitlines() if line[:1].isalpha()]
    return HELP.format(
        program=program(),
        scalars=_wrapped([name for name in scalars if name not in ("defaults", "hydra")]),
        groups=_wrapped([*groups, "recipes"]),
    )


def _wrapped(words: list[str]) -> str:
    indent = " " * 16
    return textwrap.fill(" ".join(words), 80, initial_indent=indent, subsequent_indent=indent).lstrip()


if __name__ == "__main__":
    main()
