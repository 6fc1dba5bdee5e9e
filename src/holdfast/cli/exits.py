"""How a process ends: one line for an error of ours, a line before the traceback for any other, and the exit code."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Iterator

from holdfast.core.errors import HoldfastError


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


def tell(error: HoldfastError) -> None:
    """Print every problem of `error`, a line each."""
    for problem in error.problems:
        print(f"error: {problem}", file=sys.stderr)
