"""Operations inside a forward pass: softmax weights, masks, and views that must not mix dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from operator import mul
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from holdfast.checks.probes.causes import Finding, finding
from holdfast.checks.probes.observer import base_name
from holdfast.checks.subject import Subject, outputs_of, plain_number

NUM_ROWS = 13  # a prime number, which no product of other sizes equals
NEAR = 1e-3
FEW = 4
MOSTLY_SATURATED = 0.8
SURE = 0.99
HIDDEN = -1e3  # scores that weigh nothing
VIEWS = ("view", "_unsafe_view", "_reshape_alias", "reshape")


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows softmax weights, masked scores and shapes; tensors are known by their storage, which views share."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sums: list[Tensor] = []  # one tensor for each product: the sums of the weights over what they weigh
        self.saturated: list[float] = []  # one share for each softmax over several places: of those that are all on one
        self.is_masked_by_zero = False  # a softmax takes scores that were multiplied by a mask
        self.cut: list[tuple[Sequence[int], Sequence[int]]] = []  # shapes before and after a view that cuts rows apart
        self.hidden: list[Tensor] = []  # one mask for each operation that hides numbers: true where they are hidden
        self.hidden_scores: list[Tensor] = []  # the same for attention, (..., queries, keys)
        self._weights: dict[int, Tensor] = {}
        self._masked: dict[int, Tensor] = {}
        self._computed: dict[int, Tensor] = {}  # the tensor as it was computed, before any view of it

    def __torch_dispatch__(self, operation: Any, types: Any, values: Any = (), options: Any = None) -> Any:
        """Look at an operation, and let it run."""
        result = operation(*values, **(options or {}))
        name = base_name(operation)
        if name == "_softmax":
            self._weights[_place(result)] = result
            self.is_masked_by_zero |= _place(values[0]) in self._masked
            self._keep_hidden(values[0])
            if result.shape[values[1]] >= FEW:
                self.saturated.append(float((result.amax(dim=values[1]) > SURE).float().mean()))
        elif name == "mul" and (_is_mask(values[0]) or _is_mask(values[1])):
            kept = self._weights if any(_place(value) in self._weights for value in values[:2]) else self._masked
            kept[_place(result)] = result
            self.hidden += [value == 0 for value in values[:2] if _is_mask(value)]
        elif name == "masked_fill":
            self.hidden.append(values[1])
        elif name.startswith("_scaled_dot_product") and (options or {}).get("attn_mask") is not None:
            self._keep_hidden(options["attn_mask"])
        elif name in ("bmm", "baddbmm"):
            first, second = values[-2:]
            self.sums += [first.sum(dim=-1)] if _place(first) in self._weights else []
            self.sums += [second.sum(dim=-2)] if _place(second) in self._weights else []
        elif name in VIEWS:
            self._look_at_view(values[0], result)
        return result

    def _keep_hidden(self, scores: Tensor) -> None:
        hidden = ~scores if scores.dtype == torch.bool else scores < HIDDEN
        if scores.ndim > 2 and bool(hidden.any()):
            self.hidden_scores.append(hidden)

    def _look_at_view(self, before: Tensor, after: Tensor) -> None:
        """Compare a view with the finest shape so far of the same numbers, as long as their order is the same."""
        finest = self._computed.setdefault(_place(before), before)
        if not before.is_contiguous() or finest.numel() != after.numel():
            return
        old, new = _borders(finest.shape), _borders(after.shape)
        if set(old) <= set(new):
            self._computed[_place(before)] = after
        elif _cuts(finest.shape, after.shape):
            self.cut.append((tuple(finest.shape[1:]), tuple(after.shape[1:])))


def _place(tensor: Any) -> int:
    return tensor.untyped_storage().data_ptr() if isinstance(tensor, Tensor) else 0


def _is_mask(tensor: Any) -> bool:
    """Tell whether a tensor has several numbers, all of them 0 or 1, and some 0."""
    return (
        isinstance(tensor, Tensor)
        and tensor.numel() > FEW
        and bool(((tensor == 0) | (tensor == 1)).all())
        and not bool(tensor.all())
    )


def _cuts(before: Sequence[int], after: Sequence[int]) -> bool:
    """Tell whether a view keeps neither the old dimensions nor whole parts of them.

    Dimensions may be merged, split, and split and merged as steps that are stacked: each border between dimensions,
    counted in numbers from the end, is then a multiple of the one before. A size that turns up at another place is a
    transpose.
    """
    old, new = _borders(before), _borders(after)
    if set(new) <= set(old):
        return False
    is_chain = all(larger % smaller == 0 for smaller, larger in pairwise(sorted({*old, *new})))
    sizes = {larger // smaller for smaller, larger in pairwise(new)}
    is_moved = any({low, high} - {*new} and high // low in sizes for low, high in pairwise(old))
    return is_moved or not is_chain


def _borders(shape: Sequence[int]) -> list[int]:
    """The counts of numbers behind each border between dimensions, from the end: 1, then that of the last one, ..."""
    return [1, *accumulate((size for size in reversed(shape) if size > 1), mul)]


def forward_mistakes(subject: Subject) -> Iterator[Finding]:
    """Views that cut rows apart, masks of the wrong way round, weights that do not sum to one or have no slope."""
    module, inputs, _ = subject.start(NUM_ROWS)
    module.eval()
    with torch.no_grad(), Operations() as operations:
        outputs = outputs_of(module, inputs)
    with Operations() as shown:  # torch's attention hides its masks where no gradient is asked for
        outputs_of(module, inputs)
    if how := _inverted_mask(shown, _padding(subject.rows(NUM_ROWS)[0])):
        yield finding("mask_inverted", how=how)
    if operations.cut:
        before, after = (" x ".join(map(str, shape)) for shape in operations.cut[0])
        yield finding("reshaped_not_transposed", before=before, after=after)
    if operations.is_masked_by_zero:
        yield finding("masked_by_zero")
    wrong = [sums for sums in operations.sums if float((sums - 1.0).abs().max()) > NEAR]
    if wrong:
        low, high = float(wrong[0].min()), float(wrong[0].max())
        yield finding("softmax_not_normalised", {"least_sum": plain_number(low), "largest_sum": plain_number(high)})
    share = max(operations.saturated, default=0.0)
    if share >= MOSTLY_SATURATED and bool(outputs.isfinite().all()):
        yield finding("softmax_saturated", {"share": plain_number(share)})


def _padding(rows: Tensor) -> Tensor | None:
    """(rows, places): true where sequences of several lengths are filled up to one; None where there are none."""
    if rows.ndim not in (2, 3) or len(rows) < FEW:
        return None
    for turned in (rows.flip(1), rows):
        is_fill = (
            (turned == turned[:, 0].mode(dim=0).values).flatten(2).all(dim=2)
            if rows.ndim == 3
            else turned == turned[:, :1].mode(dim=0).values
        )
        padding = is_fill.long().cumprod(dim=1).bool()
        lengths = padding.sum(dim=1)
        if len(set(lengths.tolist())) > 2 and int(lengths.max()) < rows.shape[1]:
            return padding.flip(1) if turned is not rows else padding
    return None


def _inverted_mask(operations: Operations, padding: Tensor | None) -> str:
    """The place of a mask that is the wrong way round; empty where there is none."""
    for hidden in operations.hidden_scores:
        queries, keys = hidden.shape[-2:]
        if queries == keys > 2:
            both = hidden.reshape(-1, queries, keys).float().mean(dim=0)
            past, future = both.tril(-1).sum(), both.triu(1).sum()
            if float(past) == queries * (queries - 1) / 2 and float(future) == 0:
                return "an attention hides the past, and shows the future"
    if padding is None:
        return ""
    if any(_hides(hidden, ~padding) for hidden in operations.hidden_scores):
        return "an attention hides the entries of a sequence, and shows its padding"
    if any(_hides(hidden, ~padding) for hidden in operations.hidden) and not any(
        _hides(hidden, padding) for hidden in operations.hidden
    ):
        return "what is summed or averaged is the padding of a sequence, and its entries are left out"
    return ""


def _hides(hidden: Tensor, places: Tensor) -> bool:
    """Tell whether what a mask hides, in all queries and heads, are just these places (rows, places)."""
    rows, length = places.shape
    if hidden.ndim <= 3 and hidden.numel() == places.numel() and len(hidden) == rows:
        return torch.equal(hidden.reshape(rows, length), places)
    if len(hidden) % rows or hidden.shape[-1] < length:
        return False
    return torch.equal(hidden.reshape(rows, -1, hidden.shape[-1]).all(dim=1)[:, -length:], places)
