"""The end of a process: one line for an error of ours, a line before the traceback for any other, and the exit code."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import Any

from holdfast.core.errors import HoldfastError, Interrupted

# At its end Python looks three times through all that torch and Lightning have made, for more than a second; nothing of
# ours waits for that, as files are closed where they are written.
atexit.register(gc.freeze)


@contextlib.contextmanager
def ending(*, as_json: bool = False) -> Iterator[None]:
    """Turn exceptions into a message and an exit code; `as_json`: errors of ours as JSON on stdout."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as `holdfast.cli` leaves it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except HoldfastError as error:
        if as_json:
            print(json.dumps({"error": error.as_dict()}))
        elif isinstance(error, Interrupted) and error.problems[0].next:
            print(f"interrupted; go on with: {error.problems[0].next}", file=sys.stderr)
        else:
            tell(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # `holdfast runs outputs | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        print(f"holdfast: unexpected {type(error).__name__}: {error}", file=sys.stderr)
        traceback.print_exc()
        sys.exit(1)


def program() -> str:
    """The command that the user typed to get here."""
    folder, name = os.path.split(sys.argv[0])
    is_module = os.path.basename(folder) == "cli"  # what `holdfast train` runs is called train.py too
    return "python train.py" if name == "train.py" and not is_module else "holdfast train"


def survive_closed_stdout() -> None:
    """Go on without output when nobody reads it (`| head`, `>&-`): training is worth more than its progress lines."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for the whole process
        return
    file = io.BufferedWriter(_Survivor(sys.stdout.fileno(), "w", closefd=False))
    before = sys.stdout
    sys.stdout = io.TextIOWrapper(file, before.encoding, before.errors, line_buffering=before.isatty())


class _Survivor(io.FileIO):
    """A file that is written to until its reader has gone, and whose content goes nowhere from then on."""

    def write(self, content: Any) -> int:
        """Write, and survive a pipe that was closed."""
        try:
            return super().write(content)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(content)


def tell(error: HoldfastError) -> None:
    """Print every problem of `error`, a line each."""
    from holdfast.core.terminal import printable

    for problem in error.problems:
        print(f"error: {printable(str(problem))}", file=sys.stderr)
