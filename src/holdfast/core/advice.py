"""Advice that is typed: overrides as bash and Hydra's grammar take them, whatever names and values hold."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

# A value, and the last part of a key, that Hydra's grammar takes as it stands.
_PLAIN_VALUE = re.compile(r"(?!(null|true|false|nan|inf)$)(\.{0,2}/)?[A-Za-z_][\w./-]*$", re.ASCII | re.IGNORECASE)
_PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*$", re.ASCII)


def quoted(text: str, quote: str = "'") -> str:
    """A text as a value that Hydra's grammar takes literally; only backslashes before a quote are escapes in there."""
    escaped = re.sub(rf"(\\*)({quote}|$)", lambda match: match[1] * 2 + match[2].replace(quote, f"\\{quote}"), text)
    return f"{quote}{escaped}{quote}"


def in_shell(word: str | Path) -> str:
    """A text or a path as one word of a command line."""
    return shlex.quote(str(word))


def setting(key: str, value: str | Path | Sequence[str]) -> str:
    """One word of a command line that gives a key a text, a path, or a list of texts."""
    if isinstance(value, str | Path):
        return in_shell(f"{key}={_written(str(value))}")
    return in_shell(f"{key}=[{','.join(map(_written, value))}]")


def column_type(name: str, kind: str) -> str:
    """One word of a command line that gives a column of a table a type; Hydra has no key for most signs."""
    if _PLAIN_KEY.match(name):
        return setting(f"data.types.{name}", kind)
    return setting("data.types", [f"{name}: {kind}"])


def _written(value: str) -> str:
    return value if _PLAIN_VALUE.match(value) else quoted(value, '"')
