"""The end of a process: one line for an error of ours, a line before the traceback for any other, and the exit code."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import json
import os
import sys
import traceback
from collections.abc import Iterator
from typing import TextIO

from holdfast.core.errors import HoldfastError

# At its end Python looks three times through all that torch and Lightning have made, for more than a second; nothing of
# ours waits for that, as files are closed where they are written.
atexit.register(gc.freeze)


@contextlib.contextmanager
def ending(*, as_json: bool = False) -> Iterator[None]:
    """Turn exceptions into a message and an exit code.

    Args:
        as_json: Tell an error of ours as `{"error": {...}}` on stdout instead of a line on stderr.
    """
    try:
        yield
    except HoldfastError as error:
        if as_json:
            print(json.dumps({"error": error.as_dict()}))
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
    return "python train.py" if os.path.basename(sys.argv[0]) == "train.py" else "holdfast train"


def survive_closed_stdout() -> None:
    """Go on without output when nobody reads it (`| head`, `>&-`): training is worth more than its progress lines."""
    sys.stdout = _Survivor(sys.stdout)


class _Survivor(io.TextIOBase):
    """Hands everything to `stream` until that is closed, then to nowhere."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream if stream is not None else open(os.devnull, "w")  # noqa: SIM115 - for the whole process

    def write(self, text: str) -> int:
        """Write, and survive a pipe that was closed."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._go_on_without()
            return len(text)

    def flush(self) -> None:
        """Flush, likewise."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._go_on_without()

    def isatty(self) -> bool:
        """Tell whether a person reads it."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor behind it."""
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream behind it."""
        return self._stream.encoding

    def _go_on_without(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def tell(error: HoldfastError) -> None:
    """Print every problem of `error`, a line each."""
    from holdfast.core.terminal import printable

    for problem in error.problems:
        print(f"error: {printable(str(problem))}", file=sys.stderr)
