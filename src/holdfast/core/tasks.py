"""Tasks: one of several classes, one of two, labels, a value or several are predicted, or the row is given back.

A task is an object that says what follows for outputs, targets, metrics, losses and words. Records keep its name;
`task_of` gives the object. Arrays are numpy's; `probabilities` takes tensors of torch, which is not imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Mask = NDArray[np.bool_]
SMALLEST_P = 1e-12
Combine = Literal["probabilities", "logits"]  # what is averaged over several models of classes or labels
PerTarget = float | Sequence[float]  # a number of the one target of a regression, or one for each of several


class Task:
    """A kind of prediction, with all that the tasks have in common.

    Attributes:
        name: As records and manifests have it.
        prediction: What the model predicts for a row, in words.
        outputs: The outputs of the network for one row, in words; `{}` stands for their number.
        is_classes: Each row has one of some classes.
        is_labels: Each row has each of some labels or not.
        is_values: Each row has a number, or one for each of several targets.
        is_multitarget: Each row has a number for each of several targets.
        is_rows: Each row is given back; there is no target.
        is_softmax: Outputs are logits of classes of which one is true, and targets are their indices.
        is_flat: The network has one output for a row, and predictions have no second axis.
    """

    name: str
    prediction: str
    outputs = "a row has {} outputs"
    is_classes = False
    is_labels = False
    is_values = False
    is_multitarget = False
    is_rows = False
    is_softmax = False
    is_flat = False

    def __repr__(self) -> str:
        return self.name

    @property
    def kind(self) -> Literal["classes", "labels", "values", "rows"]:
        """The word for what is predicted."""
        if self.is_values:
            return "values"
        if self.is_rows:
            return "rows"
        return "labels" if self.is_labels else "classes"

    def num_outputs(self, num_names: int) -> int:
        """Outputs of the network, given the number of classes, labels or targets."""
        return 1 if self.is_flat else num_names

    def num_columns(self, num_outputs: int) -> int:
        """Classes or labels, given the outputs of the network: one output tells two classes apart."""
        return 2 if self.is_classes and self.is_flat else num_outputs

    def row_shape(self, num_outputs: int) -> tuple[int, ...]:
        """The shape of the outputs, and of the prediction, of one row."""
        return () if self.is_flat else (num_outputs,)

    def probabilities(self, outputs: Any) -> Any:
        """Probabilities of logits, a tensor (rows, ...); values stay as they are."""
        return outputs.sigmoid()

    def truth(self, y: Array, num_columns: int) -> Mask:
        """(n, columns) whether a row has the class or label; both classes of two have a column."""
        return np.asarray(np.equal.outer(np.asarray(y), np.arange(num_columns)))

    def guesses(self, predictions: Array) -> Mask:
        """(n, columns) what is decided, as torchmetrics decides; where there are no classes or labels, no columns."""
        return np.zeros((len(predictions), 0), bool)

    def scores(self, predictions: Array) -> Array:
        """(n, columns) what areas under curves rank the rows by."""
        return predictions

    def row_losses(self, predictions: Array, y: Array, target_std: PerTarget = 1.0) -> NDArray[np.float64]:
        """(n,) the loss of every row by its prediction alone: -log p of what is true, p at least 1e-12.

        Of labels it is their mean; of values the squared error in units of the train targets' variance, the mean over
        several targets.
        """
        p = np.clip(predictions.astype(np.float64), SMALLEST_P, 1.0)
        other = np.clip(1.0 - predictions.astype(np.float64), SMALLEST_P, 1.0)
        losses = -np.where(np.asarray(y) > 0, np.log(p), np.log(other)).reshape(len(y), -1)
        return np.asarray(losses.mean(axis=1))

    def outcomes(self, predictions: Array, y: Array) -> NDArray[np.float32]:
        """(n,) what a model made of each row: the guessed class, whether all labels are right, or the error.

        Of several targets (n, targets), the error of each.
        """
        return np.asarray(self.guesses(predictions).argmax(axis=1), np.float32)


class Multiclass(Task):
    """One of several classes; outputs and predictions are (n, classes)."""

    name = "multiclass"
    prediction = "probability of each class"
    outputs = "a row has {} outputs, a logit of each class"
    is_classes = True
    is_softmax = True

    def probabilities(self, outputs: Any) -> Any:
        """Softmax over the classes."""
        return outputs.softmax(dim=1)

    def guesses(self, predictions: Array) -> Mask:
        """The likeliest class."""
        return self.truth(predictions.argmax(axis=1), predictions.shape[1])

    def row_losses(self, predictions: Array, y: Array, target_std: PerTarget = 1.0) -> NDArray[np.float64]:
        """-log p of the true class."""
        p = np.clip(predictions.astype(np.float64), SMALLEST_P, 1.0)
        return np.asarray(-np.log(p[np.arange(len(y)), y]))


class Binary(Task):
    """One of two classes; the one output of a row is the logit of the second, predictions are its probability (n,)."""

    name = "binary"
    prediction = "probability of the second class"
    outputs = "a row of two classes has one output, the logit of the second class"
    is_classes = True
    is_flat = True

    def guesses(self, predictions: Array) -> Mask:
        """The second class where it is above one half."""
        return self.truth(predictions > 0.5, 2)

    def scores(self, predictions: Array) -> Array:
        """P(1) and its negative, as 1 - p would round small p away."""
        return np.stack([-predictions, predictions], axis=1)


class Multilabel(Task):
    """Any of several labels; outputs and predictions are (n, labels), targets 0 and 1."""

    name = "multilabel"
    prediction = "probability of each label"
    outputs = "a row has {} outputs, a logit of each label"
    is_labels = True

    def truth(self, y: Array, num_columns: int) -> Mask:
        """The labels themselves."""
        return np.asarray(np.asarray(y).reshape(len(y), num_columns) > 0)

    def guesses(self, predictions: Array) -> Mask:
        """Every label above one half."""
        return np.asarray(predictions > 0.5)

    def outcomes(self, predictions: Array, y: Array) -> NDArray[np.float32]:
        """(n,) 1 where all labels of a row are right, else 0."""
        is_right = self.guesses(predictions) == self.truth(y, predictions.shape[1])
        return np.asarray(is_right.all(axis=1), np.float32)


class Regression(Task):
    """A value; outputs are standardised, predictions (n,) in original units."""

    name = "regression"
    prediction = "value in original units"
    outputs = "a row has one output, the value in units of the train targets' spread"
    is_values = True
    is_flat = True

    def probabilities(self, outputs: Any) -> Any:
        """The values, as they are."""
        return outputs

    def row_losses(self, predictions: Array, y: Array, target_std: PerTarget = 1.0) -> NDArray[np.float64]:
        """Squared errors in units of the train targets' variance; of several targets their mean."""
        squares = np.square((predictions.astype(np.float64) - y) / np.asarray(target_std))
        return np.asarray(squares.reshape(len(y), -1).mean(axis=1))

    def outcomes(self, predictions: Array, y: Array) -> NDArray[np.float32]:
        """Errors, in original units."""
        return np.asarray(predictions - np.asarray(y, np.float32), np.float32)


class Multitarget(Regression):
    """Several values; outputs are standardised target by target, predictions (n, targets) in original units."""

    name = "multitarget"
    prediction = "value of each target in original units"
    outputs = "a row has {} outputs, one for each target; a value in units of its train targets' spread"
    is_multitarget = True
    is_flat = False


class Reconstruction(Task):
    """The row itself: of a run that looks at no target, whatever the task of its data."""

    name = "reconstruction"
    prediction = "the row"
    is_rows = True


TASKS: dict[str, Task] = {
    task.name: task for task in (Multiclass(), Binary(), Multilabel(), Regression(), Multitarget(), Reconstruction())
}


def class_task(num_classes: int) -> Literal["binary", "multiclass"]:
    """The name of the task with so many classes."""
    return "binary" if num_classes == 2 else "multiclass"


def task_of(name: str) -> Task:
    """Give the task that a record names."""
    return TASKS[name]
