"""The files that a path stands for, and their bytes: decompressed, with errors that say what to do."""

from __future__ import annotations

import glob
import io
import lzma
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from holdfast.core.advice import in_shell
from holdfast.core.errors import InputError, did_you_mean
from holdfast.data.arrow import pa

WHERE = "data.path"
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".xz")
MAGIC = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\x28\xb5\x2f\xfd": ".zst", b"\xfd7zXZ\x00": ".xz"}
ARCHIVES = {b"PK\x03\x04": "a zip archive (or a spreadsheet)", b"PAR1": "a Parquet file", b"\x89PNG": "an image"}
# What a damaged stream may raise; a decompressor of pyarrow raises OSError.
DAMAGED = (EOFError, zlib.error, lzma.LZMAError)


def files_of(path: Any, where: str, suffixes: Sequence[str]) -> list[Path]:
    """The files that a setting names: a file, a list, a glob, or all files with one of the suffixes in a folder.

    `where` is the setting to blame where there is no such file, or it cannot be read.
    """
    if path is None or path in ([], ""):
        raise InputError(where, "is not given", next=f"{where}=FILE names the file to read")
    if isinstance(path, list | tuple):
        return [file for entry in path for file in files_of(entry, where, suffixes)]
    if not isinstance(path, str) or "\x00" in path:
        raise InputError(where, f"is {path!r}", allowed="a file, a list of files, a glob or a folder")
    given = Path(path).expanduser()
    try:
        if given.is_dir():
            return _files_in(given, where, suffixes)
        if not given.exists() and glob.has_magic(str(given)):
            matches = sorted(Path(name) for name in glob.glob(str(given), recursive=True) if os.path.isfile(name))
            if not matches:
                raise InputError(where, f"no file matches {path}")
            return [_readable(file, where) for file in matches]
        return [_readable(given, where)]
    except PermissionError:
        raise InputError(where, f"{given} cannot be read: no permission") from None
    except OSError as error:
        raise InputError(where, f"{path[:200]} cannot be read ({error.strerror})") from None


def existing_folder(path: str, advice: str) -> Path:
    """The folder that a setting names; an InputError with the advice where there is none, or it cannot be read."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        problem = "is a file, not a folder" if folder.exists() else "does not exist"
        raise InputError(WHERE, f"{folder} {problem}", next=advice)
    if not os.access(folder, os.R_OK | os.X_OK):
        raise InputError(WHERE, f"{folder} cannot be read: no permission", next=f"chmod u+rx {in_shell(folder)}")
    return folder


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The decompressed bytes of a file; an InputError, also while it is read, where the file is damaged."""
    try:
        with _stream_of(path) as stream:
            yield stream
    except DAMAGED as error:
        raise InputError(WHERE, f"{path} is damaged or truncated ({error})") from None
    except PermissionError:
        raise InputError(WHERE, f"{path} cannot be read: no permission", next=f"chmod u+r {in_shell(path)}") from None
    except OSError as error:
        reason = " ".join(str(error.strerror or error).split())
        advice = "is it whole, and of the kind that its suffix says?" if path.suffix in COMPRESSED else ""
        raise InputError(WHERE, f"{path} cannot be read ({reason})", next=advice) from None


def _stream_of(path: Path) -> Any:
    """A binary stream over a file, decompressed by its suffix."""
    if path.suffix == ".xz":
        return io.BufferedReader(lzma.open(path))
    if path.suffix in COMPRESSED:
        return io.BufferedReader(pa.input_stream(str(path), compression="detect"))
    return path.open("rb")


def refuse_other_formats(path: Path, start: bytes) -> None:
    """Refuse what its first bytes, decompressed, say is an archive, compressed under another suffix, or empty."""
    if not start:
        raise InputError(WHERE, f"{path} is empty")
    for magic, kind in ARCHIVES.items():
        if start.startswith(magic):
            advice = "unpack or export it, or choose its data option"
            raise InputError(WHERE, f"{path} is {kind}, not text", next=advice)
    for magic, suffix in MAGIC.items():
        if start.startswith(magic):
            raise InputError(WHERE, f"{path} is compressed", next=f"name it {path.name}{suffix}")


def unique_names(place: str, names: Sequence[str], where: str = WHERE) -> list[str]:
    """The names of columns without white space around them; one that stands for several columns is refused."""
    stripped = [name.strip() for name in names]
    if twice := sorted(name for name, count in Counter(stripped).items() if count > 1):
        problem = f"{place}: several columns have the name {' or '.join(map(repr, twice[:5]))}"
        raise InputError(where, problem, next="give every column a name of its own")
    return stripped


def _files_in(folder: Path, where: str, suffixes: Sequence[str]) -> list[Path]:
    endings = tuple(suffix + packed for suffix in suffixes for packed in ("", *COMPRESSED))
    # A link to nothing counts: it would be missed without a word.
    matches = [file for file in folder.rglob("*") if file.name.lower().endswith(endings) and not file.is_dir()]
    files = sorted(file for file in matches if not any(part[0] in "._" for part in file.relative_to(folder).parts))
    if not files:
        problem = f"{folder} is a folder without {' or '.join(suffixes)} files"
        raise InputError(where, problem, next=f"{where}=FILE names the file to read")
    return [_readable(file, where) for file in files]


def _readable(file: Path, where: str) -> Path:
    if not file.exists():
        names = os.listdir(file.parent) if os.access(file.parent, os.R_OK) else []
        raise InputError(where, f"{file} does not exist", next=did_you_mean(file.name, names))
    if not file.is_file():
        raise InputError(where, f"{file} is not a file")
    if not os.access(file, os.R_OK):
        raise InputError(where, f"{file} cannot be read: no permission", next=f"chmod u+r {in_shell(file)}")
    return file
