"""Splits: which rows are test and which are val, decided by what the rows hold, never by where they stand.

Rows are put in the order of a keyed hash of their content (`vault.rows.digest_sets.order_keys`), and a part takes the
first of them. The outcome does not depend on the order of rows, on names or on the machine, and rows with equal
features stay on one side, as do rows of one declared group. A split decides in two steps: the test part once, by
`test_rule`; the val part over the rows that are left, as often as one likes. Both are given the facts of the rows,
never the rows.
"""

from holdfast.data.splits.facts import Mask, Split, SplitFacts, facts_of
from holdfast.data.splits.rules import Auto, Group, Holdout, KFold, Predefined, Time

__all__ = ["Auto", "Group", "Holdout", "KFold", "Mask", "Predefined", "Split", "SplitFacts", "Time", "facts_of"]
