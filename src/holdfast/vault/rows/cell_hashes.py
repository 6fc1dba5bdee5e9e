"""Rows of a table that are known by most of their cells: columns were removed, renamed or changed, or a cell mended.

For every sealed row a vault keeps a keyed hash of 32 bits of each cell (AES-256 as the pseudo-random function). Columns
of another table are paired with the sealed ones by their names, or by the values that they have in common. A row is
known if all paired cells are equal, or all but one; but only where such cells tell rows apart, in the vault and in the
table.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from holdfast.vault.rows.digest_sets import places_in

Hashes = NDArray[np.uint32]
Words = NDArray[np.uint8]
Mask = NDArray[np.bool_]

SKETCH = 1024  # of the smallest hashes of a column
FEWEST_VALUES = 64  # a column of fewer, and of fewer than half of the rows, tells nothing of where a table comes from
SAME_NAME_SHARE, RENAMED_SHARE = 0.1, 0.9  # of the share that the column has which has most
LEAST_SHARE = 0.02
CHANCE_BITS = 6.0  # so many unrelated rows (2 to the minus) may be equal by chance
MOST_PAIRS = 400
TELLING_SHARE = 0.95
SAMPLE_ROWS = 100_000
MOST_NUMBERS = 40_000_000  # of signatures with one column left out


@dataclass(frozen=True)
class TableCells:
    """The cells of a table as words (`canonical_cells.words_of`)."""

    names: tuple[str, ...]  # its columns, but for the target
    # given columns, and which rows, (k, columns, 16) words of these rows in order, some at a time; None: of all rows
    blocks: Callable[[Sequence[str], Mask | None], Iterator[Words]]


def hashes_of(words: Words, key: bytes) -> Hashes:
    """(...,) keyed hashes of (..., 16) words."""
    derived = hashlib.blake2b(b"holdfast cells 1", key=key, digest_size=32).digest()
    cipher = Cipher(algorithms.AES256(derived), modes.ECB()).encryptor()
    sealed = np.frombuffer(cipher.update(np.ascontiguousarray(words).tobytes()), "<u4")
    return np.ascontiguousarray(sealed[::4]).reshape(words.shape[:-1])


def known_by_cells(
    sealed: Hashes, columns: Sequence[str], table: TableCells, target: Hashes, key: bytes
) -> tuple[Mask, Mask]:
    """(n,) True for rows that are sealed rows by most of their cells; (n,) for those of them with the sealed target.

    `sealed` are (m, columns + 1) hashes, those of the target last; `target` are (n,).
    """
    is_known, agrees, done = np.zeros(len(target), bool), np.zeros(len(target), bool), 0
    sealed_target, sealed = _mixed(sealed[:, -1:])[:, 0], sealed[:, :-1]
    least = min(FEWEST_VALUES, max(2, len(sealed) // 2))
    telling = [at for at, column in enumerate(sealed.T) if len(np.unique(column)) >= least]
    pairs = _pairs(sealed, columns, table, key, telling)
    num_paired = sum(at in pairs for at in telling)
    if len(pairs) < max(2, len(columns) / 2) or num_paired < max(1, len(telling) / 2):
        return is_known, agrees  # most columns must be paired, and most of those that have many values
    places, names = list(pairs), list(pairs.values())
    mixed = _mixed(sealed[:, places])
    first = next(iter(table.blocks(names, None)), np.zeros((0, len(names), 16), np.uint8))
    sample = _mixed(hashes_of(first[:SAMPLE_ROWS], key))
    num_sealed, num_sample = len(np.unique(_mixed(sealed).sum(axis=1))), len(np.unique(_signatures(sample, None)))
    ways = []
    for at in _ways(sealed[:, places], len(target), has_names=not set(columns).isdisjoint(table.names)):
        signs = _signatures(mixed, at)
        if _tells_apart(signs, num_sealed) and _tells_apart(_signatures(sample, at), num_sample):
            ways.append((at, np.sort(signs), np.sort(signs + sealed_target)))
    for words in table.blocks(names, None) if ways else ():
        block, rows = _mixed(hashes_of(words, key)), slice(done, done + len(words))
        targets = _mixed(target[rows, None])[:, 0]
        for at, signs, with_target in ways:
            signatures = _signatures(block, at)
            is_known[rows] |= places_in(signs, signatures) >= 0
            agrees[rows] |= places_in(with_target, signatures + targets) >= 0
        done += len(words)
    return is_known, agrees


def _pairs(
    sealed: Hashes, columns: Sequence[str], table: TableCells, key: bytes, telling: Sequence[int]
) -> dict[int, str]:
    """Places of sealed columns, each with the column of the table that holds most of its values."""
    same = {at: name for at, name in enumerate(columns) if name in table.names}
    # Without a name in common no other pair tells what share to expect: each column goes with the one that fits best.
    share = RENAMED_SHARE if same else SAME_NAME_SHARE
    wanted = dict.fromkeys(same.items(), SAME_NAME_SHARE)
    spare = [name for name in table.names if name not in columns]
    lost = [at for at in telling if at not in same]
    if len(lost) * len(spare) <= MOST_PAIRS:
        wanted |= {(at, name): share for at in lost for name in spare}
    if not wanted:
        return {}
    names = sorted({name for _, name in wanted})
    sketches = {at: np.unique(sealed[:, at])[:SKETCH] for at, _ in wanted}
    seen = {pair: np.zeros(len(sketches[pair[0]]), bool) for pair in wanted}
    num_rows, num_hits = Counter[tuple[int, str]](), Counter[tuple[int, str]]()
    for words in table.blocks(names, None):
        hashes = hashes_of(words, key)
        for (at, name), is_seen in seen.items():
            column, sketch = hashes[:, names.index(name)], sketches[at]
            places = places_in(sketch, column)
            is_seen[places[places >= 0]] = True
            num_rows[at, name] += len(column) if len(sketch) < SKETCH else int((column <= sketch[-1]).sum())
            num_hits[at, name] += int((places >= 0).sum())
    shares = {pair: float(is_seen.mean()) for pair, is_seen in seen.items()}
    # Of columns of the same small numbers the best is that which has few others.
    fit = {pair: share * num_hits[pair] / max(1, num_rows[pair]) for pair, share in shares.items()}
    # A part of a table has a part of the values of every column: what counts is the share that others have.
    most = max([share for (at, _), share in shares.items() if at in telling], default=1.0)
    chosen: dict[int, str] = {}
    for (at, name), share in sorted(shares.items(), key=lambda item: -fit[item[0]]):
        if share >= max(LEAST_SHARE, most * wanted[at, name]) and at not in chosen and name not in chosen.values():
            chosen[at] = name
    return chosen


def _mixed(hashes: Hashes) -> NDArray[np.uint64]:
    """(n, columns) numbers whose sum tells rows apart (the finaliser of MurmurHash3, another seed a column)."""
    values = hashes.astype(np.uint64) + (np.arange(1, hashes.shape[1] + 1, dtype=np.uint64) << np.uint64(32))
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        values = (values ^ (values >> np.uint64(33))) * np.uint64(multiplier)
    return np.asarray(values ^ (values >> np.uint64(33)))


def _signatures(mixed: NDArray[np.uint64], left_out: int | None) -> NDArray[np.uint64]:
    total = mixed.sum(axis=1, dtype=np.uint64)
    return np.asarray(total if left_out is None else total - mixed[:, left_out])


def _tells_apart(signatures: NDArray[np.uint64], num_distinct: int) -> bool:
    """Tell whether signatures differ for rows that differ in some column."""
    return num_distinct > 0 and len(np.unique(signatures)) >= TELLING_SHARE * num_distinct


def _ways(sealed: Hashes, num_rows: int, *, has_names: bool) -> list[int | None]:
    """The columns of which one may differ where all others are equal, which is hardly ever so by chance.

    None among them: rows may be known where all columns are equal.
    """
    counts = [np.unique(column, return_counts=True)[1] for column in sealed.T]
    equal_pairs = np.array([max(1, int((times * (times - 1)).sum())) for times in counts])
    # Two rows are equal in a column by a chance of 2 to the minus so many.
    bits = np.log2(max(1, len(sealed) * (len(sealed) - 1)) / equal_pairs)
    rest = bits.sum() - CHANCE_BITS - np.log2(max(1, len(sealed))) - np.log2(max(1, num_rows))
    ways: list[int | None] = [None] if has_names or rest >= 0 else []
    if len(bits) > 2 and sealed.size <= MOST_NUMBERS:
        ways += np.flatnonzero(rest - bits >= 0).tolist()
    return ways
