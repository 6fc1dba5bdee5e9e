"""The graph that torch has recorded behind a tensor: its operations and its leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

VIEWS = ("View", "Unsafe", "Squeeze", "Unsqueeze", "Clone", "ToCopy", "Alias", "Permute", "Transpose", "Expand", "TB")
PRODUCTS = ("Addmm", "Mm", "Bmm", "Baddbmm", "Convolution")


def operations_behind(tensor: Tensor) -> Iterator[Any]:
    """Every operation behind a tensor once, the last ones first."""
    waiting, seen = [tensor.grad_fn], set()
    while waiting:
        node: Any = waiting.pop(0)
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting += [parent for parent, _ in node.next_functions]


def leaves_behind(tensor: Tensor) -> list[Tensor]:
    """The tensors that a gradient of this one would end in."""
    leaves = [node.variable for node in operations_behind(tensor) if hasattr(node, "variable")]
    return [*leaves, tensor] if tensor.is_leaf and tensor.requires_grad else leaves


def multiplied_leaves(tensor: Tensor) -> set[int]:
    """The ids of the leaves that a product of matrices or a convolution behind a tensor takes as they are."""
    ids = set[int]()
    for node in operations_behind(tensor):
        waiting = [parent for parent, _ in node.next_functions] if node.name().startswith(PRODUCTS) else []
        while waiting:
            factor = waiting.pop()
            if hasattr(factor, "variable"):
                ids.add(id(factor.variable))
            elif factor is not None and factor.name().startswith(VIEWS):
                waiting.append(factor.next_functions[0][0])
    return ids


def reduces_over_rows(tensor: Tensor, names: tuple[str, ...] = ("Softmax", "LogSoftmax")) -> bool:
    """Tell whether an operation of these names behind a tensor goes over dimension 0 of several."""
    for node in operations_behind(tensor):
        if node.name().startswith(names) and getattr(node, "_saved_dim", None) in (0, (0,)):
            return True
    return False
