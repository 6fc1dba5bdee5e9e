"""Advice that is typed: overrides as bash and Hydra's grammar take them, whatever names and values hold."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

# A value, and the last part of a key, that Hydra's grammar takes as it stands.
_PLAIN_VALUE = re.compile(r"(?!(null|true|false|nan|inf)$)[A-Za-z_][\w./-]*$", re.ASCII | re.IGNORECASE)
_PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*$", re.ASCII)


def quoted(text: str, quote: str = "'") -> str:
    """A text as a value that Hydra's grammar takes literally; only backslashes before a quote are escapes in there."""
    escaped = re.sub(rf"(\\*)({quote}|$)", lambda match: match[1] * 2 + match[2].replace(quote, f"\\{quote}"), text)
    return f"{quote}{escaped}{quote}"


def override(key: str, value: str | Sequence[str]) -> str:
    """One word of a command line that gives a key a text, or a list of texts."""
    values = [text if _PLAIN_VALUE.match(text) else quoted(text, '"') for text in _as_texts(value)]
    written = values[0] if isinstance(value, str) else f"[{','.join(values)}]"
    return shlex.quote(f"{key}={written}")


def column_type(name: str, kind: str) -> str:
    """One word of a command line that gives a column of a table a type; Hydra has no key for most signs."""
    if _PLAIN_KEY.match(name):
        return override(f"data.types.{name}", kind)
    return override("data.types", [f"{name}: {kind}"])


def _as_texts(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value
