"""`python train.py ...` and `holdfast train ...`: from the command line to a composed config. Imports no torch."""

from __future__ import annotations

import os
import secrets
import sys
import time
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from holdfast import __version__
from holdfast.cli import sources
from holdfast.cli.exits import ending, program, survive_closed_stdout
from holdfast.cli.overrides import command_line_problems, composition_problem, with_open_key
from holdfast.cli.resume import resume_arguments
from holdfast.core.errors import InputError, did_you_mean, raise_problems
from holdfast.core.groups import CONF, PRIMARY

STARTED = time.perf_counter()
VERSION_BASE = "1.3"
_RUN_ID = secrets.token_hex(3)

HELP = """\
usage: {program} [GROUP=OPTION | KEY=VALUE]... [-m] [--cfg job]

Train and validate one experiment. The test rows stay sealed until `holdfast open`.

  {program}                                    digits, a small MLP
  {program} optimizer=adam lr=3e-4             another optimizer, another rate
  {program} data=mnist data.path=DIR model=cnn
  {program} -m lr=1e-2,1e-3 seed=0,1           a sweep: every combination is a job
  {program} recipes=NAME                       an experiment from recipes/
  {program} resume=RUN                         go on with an interrupted run

  run scalars   {scalars}
  groups        {groups}
  options       `{program} GROUP=?` names the options of a group
  config        `{program} --cfg job` prints the composed config with every key
  completion    eval "$({program} -sc install=bash)"     (zsh and fish likewise)
  Hydra's own   `{program} --hydra-help`

Then: holdfast runs outputs | holdfast freeze RUN | holdfast open SELECTION | holdfast vault status
"""


def main() -> None:
    """Answer `--help` and `resume=`, then hand the command line to Hydra; exit codes as in `holdfast.core.errors`."""
    with ending():
        survive_closed_stdout()
        if str(Path.cwd()) not in sys.path:  # a module of the user's lies beside their configs
            sys.path.insert(1, str(Path.cwd()))
        if "--version" in sys.argv[1:]:
            print(f"holdfast {__version__}")
            return
        if {"--help", "-h"} & set(sys.argv[1:]):
            print(_help_page(), end="")
            return
        if {"-m", "--multirun"} & set(sys.argv[1:]) and {"--cfg", "-c"} & set(sys.argv[1:]):
            raise InputError("--cfg", "shows the config of one run", next="leave out -m")
        # argparse takes overrides in one piece only: `lr=1e-3 -m seed=0,1` is `-m lr=1e-3 seed=0,1`
        sys.argv[1:] = sorted(map(with_open_key, resume_arguments(sys.argv[1:])), key=_is_override)
        _check_flags(sys.argv[1:])
        _set_up_hydra()
        try:
            _compose_and_run()
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            _explain(error)


@hydra.main(version_base=VERSION_BASE, config_path=str(CONF), config_name=PRIMARY)
def _compose_and_run(config: DictConfig) -> None:
    from holdfast.cli.run import run

    if HydraConfig.get().mode == RunMode.MULTIRUN:  # a launcher of Hydra's own: it collects what is raised
        run(config)
    else:
        with ending():
            run(config, STARTED)


def register_resolvers() -> None:
    """`${run_id:}`: six hex digits of this process, so that two runs of one second have folders of their own."""
    OmegaConf.register_new_resolver("run_id", lambda: _RUN_ID, replace=True)


def _is_override(word: str) -> bool:
    return not word.startswith("-") and ("=" in word or word[:1] in ("+", "~"))


def _check_flags(words: list[str]) -> None:
    """Answer a wrong flag in one line; argparse prints its whole usage."""

    def refuse(message: str) -> NoReturn:
        flags = [flag for action in parser._actions for flag in action.option_strings]
        wrong = message.removeprefix("unrecognized arguments: ").split()[0]
        hint = did_you_mean(wrong, flags) or f"`{program()} --help` lists the common ones, --hydra-help all"
        raise InputError("command line", message, next=hint)

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    parser.parse_args(words)


def _set_up_hydra() -> None:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and exiting with 1
    register_resolvers()
    sources.register(Path.cwd())
    for name in sources.shadowed(Path.cwd()):
        print(f"note: your own {name}.yaml is used in place of Holdfast's", file=sys.stderr)


def _explain(error: Exception) -> None:
    """Say what is wrong with the command line, every mistake at once."""
    typed = get_args_parser().parse_args()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(CONF), version_base=VERSION_BASE):
        problems = command_line_problems(
            typed.overrides, GlobalHydra.instance().config_loader(), is_sweep=typed.multirun
        )
    raise_problems(problems or [composition_problem(error, is_sweep=typed.multirun)])


def _help_page() -> str:
    groups = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
    scalars = [line.split(":")[0] for line in (CONF / f"{PRIMARY}.yaml").read_text().splitlines() if line[:1].isalpha()]
    return HELP.format(
        program=program(),
        scalars=_wrapped([name for name in scalars if name not in ("defaults", "hydra")]),
        groups=_wrapped([*groups, "recipes"]),
    )


def _wrapped(words: list[str]) -> str:
    import textwrap

    indent = " " * 16
    return textwrap.fill(" ".join(words), 80, initial_indent=indent, subsequent_indent=indent).lstrip()


if __name__ == "__main__":
    main()
