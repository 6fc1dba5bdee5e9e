"""Modules of their own that a user has trusted on this machine.

A run's record names the modules that its config was trusted with, but a record may come from a stranger: it is believed
only as far as somebody here has typed `trusted_modules=[...]` before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from holdfast.core import places
from holdfast.core.errors import InputError
from holdfast.core.files import write_atomic

FILE_NAME = "trusted_modules.json"


def trusted_here() -> frozenset[str]:
    """The modules that were trusted on a command line, or in a config of the user's, before."""
    try:
        names = json.loads((places.home() / FILE_NAME).read_bytes())
    except (OSError, ValueError):
        return frozenset()
    return frozenset(name for name in names if isinstance(name, str))


def remember_trusted(modules: Iterable[str]) -> None:
    """Trust `modules` from now on."""
    known = trusted_here()
    if not known.issuperset(modules):
        try:
            places.home().mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomic(places.home() / FILE_NAME, json.dumps(sorted(known.union(modules))), mode=0o600)
        except OSError as error:
            raise InputError("HOLDFAST_HOME", f"{places.home()} cannot be written to ({error.strerror})") from None
