"""`python dump_memory.py DUMP TRAIN.PY OVERRIDE...`: train, and at the end write all memory that can hold rows to DUMP.

That is every readable mapping of this process but the code of libraries.
"""

from __future__ import annotations

import atexit
import re
import runpy
import sys

MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r(.).. \S+ \S+ \S+\s*(.*)")
PIECE_BYTES = 2**24


def dump(path: str) -> None:
    with open("/proc/self/maps") as file:
        mappings = [match.groups() for line in file if (match := MAPPING.match(line.strip()))]
    with open("/proc/self/mem", "rb", buffering=0) as memory, open(path, "wb") as out:
        for start, end, writable, name in mappings:
            if name in ("[vvar]", "[vsyscall]", "[vvar_vclock]") or (writable != "w" and ".so" in name):
                continue
            try:
                memory.seek(int(start, 16))
                for place in range(int(start, 16), int(end, 16), PIECE_BYTES):
                    out.write(memory.read(min(PIECE_BYTES, int(end, 16) - place)))
            except (OSError, OverflowError):
                continue


if __name__ == "__main__":
    atexit.register(dump, sys.argv[1])
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")
