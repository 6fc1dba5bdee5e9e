"""The table of causes: each mistake that a probe may find, how sure it is, what is wrong and what to change.

The order is that of likelihood: of mistakes that are equally sure, the first one here explains those behind it.
Symptoms, which follow from many mistakes, come last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Word = Literal["fail", "doubtful"]


@dataclass(frozen=True)
class Cause:
    """The words for a mistake; sentence and advice have the names of numbers and words in braces."""

    word: Word  # "fail" where the evidence is certain, else "doubtful"
    sentence: str
    next: str  # what to change
    explains: tuple[str, ...] = ()  # mistakes that are surer and follow from this one
    is_symptom: bool = False  # it follows from many mistakes, and from others here, if there are any


@dataclass(frozen=True)
class Finding:
    """A mistake that a probe has found, and how it shows."""

    mistake: str  # a key of `CAUSES`
    word: Word
    cause: str
    next: str
    evidence: Mapping[str, Any] = field(default_factory=dict)  # numbers by name


def finding(
    mistake: str, numbers: Mapping[str, Any] | None = None, *, word: Word | None = None, **words: Any
) -> Finding:
    """Say a mistake in the words of the table.

    Args:
        mistake: A key of `CAUSES`.
        numbers: The evidence, which the sentence may quote.
        word: The verdict, where it is not that of the table.
        words: Whatever else the sentence and the advice quote.
    """
    cause, numbers = CAUSES[mistake], numbers or {}
    sentence, advice = (text.format(**numbers, **words) for text in (cause.sentence, cause.next))
    return Finding(mistake, word or cause.word, sentence, advice, numbers)


def likeliest_first(findings: Sequence[Finding]) -> list[Finding]:
    """Put what explains others first, then what is certain, then by the order of the table; symptoms last."""
    mistakes, places = {item.mistake for item in findings}, list(CAUSES)

    def rank(item: Finding) -> tuple[bool, bool, bool, int]:
        cause = CAUSES[item.mistake]
        explains, is_sure = not mistakes.isdisjoint(cause.explains), item.word == "fail" or cause.is_symptom
        return cause.is_symptom, not explains, not is_sure, places.index(item.mistake)

    return sorted(findings, key=rank)


CAUSES: dict[str, Cause] = {
    "inputs_not_finite": Cause(
        "fail",
        "the inputs hold missing or infinite values: every output of such a row is not a number",
        "transform.impute=median, or data.missing",
    ),
    "step_fails": Cause(
        "fail", "a training step ends in {error}: {problem}", "the run would end in the same way: mend it first"
    ),
    "loss_cut_off": Cause(
        "fail",
        "the loss is cut off from its graph (detach, item, numpy, argmax or no_grad in the loss): nothing learns",
        "compute the loss of the outputs with torch alone",
    ),
    "slope_missing": Cause(
        "fail",
        "the loss has no slope for outputs near 0, which is where networks start: a clamp or a step is in the way",
        "leave the clamp out, or let it end where no row starts",
    ),
    "targets_ignored": Cause(
        "fail",
        "the loss ignores the targets: it is the same whatever they are",
        "let the loss compare outputs with targets",
    ),
    "targets_without_gradient": Cause(
        "fail",
        "the gradient of the loss is the same whatever the targets are: they are compared with what has no gradient, "
        "such as rounded outputs",
        "probabilities in place of round(), argmax or a comparison",
    ),
    "loss_unbounded": Cause(
        "fail",
        "the loss has no least value: outputs that go on in one direction make it ever smaller",
        "a square or an absolute value of each row's error",
    ),
    "outputs_ignored": Cause(
        "fail",
        "the loss ignores some outputs (the columns {some}): nothing moves them",
        "hand all columns to the loss",
    ),
    "targets_shuffled": Cause(
        "fail", "the loss compares outputs with the targets of other rows: {how}", "keep each target with its row"
    ),
    "wrong_sign": Cause(
        "fail",
        "the loss has the wrong sign: {outputs} have a larger loss than opposite ones",
        "change the sign of the loss: it is minimised",
    ),
    "labels_shifted": Cause(
        "fail",
        "the loss is off by one in the labels: it is least where the outputs say the class {shift:+d} places away",
        "use the targets as they are, from 0",
    ),
    "labels_as_classes": Cause(
        "fail",
        "the loss takes the labels of a row, of which several may be right, for classes of which one is: {how}",
        "loss=binary_cross_entropy",
    ),
    "softmax_over_batch": Cause(
        "fail",
        "a softmax over the wrong dimension: the {place} takes it over the rows of the batch (dimension 0)",
        "softmax over the classes (dim=1), or none: the loss wants logits",
    ),
    "second_softmax": Cause(
        "fail",
        "a second softmax or sigmoid {how}",
        "hand the raw outputs to the loss; take their softmax once",
    ),
    "stuck_in_train_mode": Cause(
        "fail",
        "the model is stuck in train mode: after eval() {part} still trains (train or eval is overridden)",
        "let train(mode) hand the mode on",
    ),
    "stuck_in_eval_mode": Cause(
        "fail",
        "the model is stuck in eval mode: after train() {part} is still in it (train is overridden)",
        "let train(mode) hand the mode on",
    ),
    "forward_changes_mode": Cause(
        "fail", "the forward pass switches {part} to {mode}", "leave train() and eval() out of forward"
    ),
    "weights_change_in_forward": Cause(
        "fail",
        "the forward pass changes {weight}: it is made anew or set again, and what is learnt is lost",
        "make and set weights in __init__ alone",
    ),
    "hidden_parameters": Cause(
        "fail",
        "{count} tensors take part in the loss and no optimizer has them: {where}",
        "nn.ModuleList, nn.ModuleDict or nn.Parameter, made in __init__",
    ),
    "buffers_change_in_eval_mode": Cause(
        "fail",
        "a forward pass in eval mode changes the buffer {buffer}: val rows leak into the model's statistics",
        "update statistics only while self.training",
    ),
    "rows_shuffled": Cause(
        "fail",
        "the rows of a batch are shuffled in the forward pass: outputs belong to other rows than their targets",
        "leave the order of the rows as it is",
    ),
    "state_kept": Cause(
        "fail",
        "the outputs depend on earlier calls: the model keeps a state from one batch to the next",
        "start from the same state in every forward pass",
    ),
    "random_in_eval_mode": Cause(
        "fail",
        "the outputs are random in eval mode: {dropout} stays on, or noise is drawn",
        "F.dropout(x, p, training=self.training)",
    ),
    "outputs_of_an_earlier_batch": Cause(
        "fail",
        "the outputs are those of an earlier batch: something is computed in the first pass and kept",
        "compute it anew in every forward pass",
    ),
    "rows_see_each_other": Cause("fail", "the rows of a batch see each other in eval mode: {why}", "{advice}"),
    "graph_cut_off": Cause(
        "fail",
        "the graph is cut off in the {place}: no parameter of the model gets a gradient from the loss "
        "(detach, .data, item, numpy, argmax or no_grad on the way)",
        "compute the {place} of its inputs with torch alone",
    ),
    "parameter_cut_off": Cause(
        "fail",
        "trainable parameters get no gradient: {parameter} is used, and cut off from the loss "
        "(detach, .data, no_grad or argmax behind it)",
        "remove the cut, or freeze them by requires_grad_(False)",
    ),
    "result_unused": Cause(
        "fail",
        "trainable parameters get no gradient: what is computed with {parameter} is thrown away",
        "add the result, or hand it to the next layer",
    ),
    "probabilities_as_logits": Cause(
        "fail",
        "probabilities are handed to a loss that wants logits: the model ends in a softmax, the loss has its own",
        "leave the softmax out of the model",
    ),
    "not_log_probabilities": Cause(
        "fail",
        "raw outputs or probabilities are handed to a loss that wants log-probabilities (NLLLoss)",
        "loss=cross_entropy, which wants logits",
    ),
    "not_probabilities": Cause(
        "fail",
        "raw outputs are handed to a loss that wants probabilities: it is not a number outside of 0..1",
        "loss=auto, which wants logits",
    ),
    "symmetric_weights": Cause(
        "fail",
        "{weight}: its units start as copies of each other and are moved alike (weights set to one constant)",
        "init=he_normal, or random weights of your own",
    ),
    "stays_at_zero": Cause(
        "doubtful",
        "{weight} stays at 0: it starts there and has no gradient, as what it is multiplied by is 0 too, or the ReLU "
        "behind it is dead",
        "init=he_normal; of two factors, let one start away from 0",
    ),
    "reshaped_not_transposed": Cause(
        "doubtful",
        "a view takes {before} for {after}: it cuts rows of numbers apart, where a transpose or a permute was meant",
        "x.transpose(1, 2) or x.permute(...), and then reshape",
    ),
    "mask_inverted": Cause(
        "doubtful",
        "a mask is the wrong way round: {how}",
        "turn the mask over (~mask): True in `key_padding_mask` and `masked_fill` is what is hidden",
    ),
    "masked_by_zero": Cause(
        "doubtful",
        "scores are masked by a product with 0 in front of a softmax: exp(0) is 1, and nothing is hidden",
        "scores.masked_fill(~mask, -math.inf)",
    ),
    "softmax_not_normalised": Cause(
        "doubtful",
        "weights of a softmax sum to {least_sum:.2g} to {largest_sum:.2g} and not to one over what they weigh: "
        "a softmax over the wrong dimension, or a mask behind the softmax and not in front of it",
        "softmax(dim=-1) of scores (..., queries, keys), masked with -inf before it",
    ),
    "inputs_not_normalised": Cause(
        "doubtful",
        "the inputs are {how}: their root mean square is {root_mean_square:.3g}, of standardised ones 1",
        "{advice}",
    ),
    "steps_without_slope": Cause(
        "doubtful",
        "the gradient of {weight} is 0, and outputs depend on it: a rounding, a sign, a comparison or a clamp stands "
        "behind it, which has no slope",
        "a smooth function in its place, or a gradient of your own that passes it (straight-through)",
    ),
    "inputs_rounded": Cause(
        "doubtful",
        "the model rounds its inputs ({how}): small differences are lost",
        "{advice}",
    ),
    "targets_broadcast": Cause(
        "fail",
        "the loss does not know which target belongs to which row: outputs and targets of different shapes are "
        "broadcast to all pairs, as (n, 1) against (n,), or a mean over rows is taken before they are compared",
        "give outputs and targets the same shape in the loss",
    ),
    "sum_over_batch": Cause(
        "fail",
        "the loss is a sum over the batch: the step grows with the batch size, and metrics are not comparable",
        "take the mean over rows (reduction='mean')",
    ),
    "mean_taken_twice": Cause(
        "fail",
        "the loss is divided by the number of rows twice: the step shrinks with the batch size",
        "a loss with reduction='mean' is divided already",
    ),
    "rows_ignored": Cause(
        "fail",
        "the loss ignores {how}: {rows_ignored} of {rows} rows move no output",
        "take the mean over all rows, not a slice, the least or the largest one",
    ),
    "errors_ignored": Cause(
        "doubtful",
        "the loss is flat where it should tell errors: of values that are a standard deviation too {direction}, "
        "{share:.0%} move no output (a clamp, or a logarithm of what is below 0?)",
        "standardised targets lie on both sides of 0: let the loss have a slope there",
    ),
    "classes_ignored": Cause(
        "fail",
        "the loss ignores the rows of some classes ({some}): they move no output",
        "let the loss have a slope for every target",
    ),
    "not_in_optimizer": Cause(
        "fail", "the optimizer does not have all trainable parameters: {parameter} is missing", "hand it all of them"
    ),
    "gradients_not_zeroed": Cause(
        "fail",
        "gradients are not set to zero between steps: zero_grad leaves them, and they add up",
        "let zero_grad of the optimizer do its work",
    ),
    "steps_uphill": Cause(
        "fail",
        "the optimizer goes up the slope: its step makes the loss larger (maximize, or a rate below 0)",
        "optimizer.maximize=false",
    ),
    "softmax_of_one_output": Cause(
        "fail",
        "a softmax over one output is always 1, whatever the row",
        "leave the softmax out: the loss wants one logit",
    ),
    "outputs_rounded": Cause(
        "fail",
        "the outputs are whole numbers, whatever the weights: a rounding is behind the last layer, and has no slope",
        "round predictions, not the outputs that are trained",
    ),
    "outputs_equal": Cause(
        "fail",
        "the outputs of all {columns} differ by constants alone, whatever the row: none can be told from another",
        "a column of its own for each in the last layer",
    ),
    "sigmoid_outputs": Cause(
        "fail",
        "the outputs are squashed into 0..1 (a sigmoid at the end of the model), and {wanted}",
        "leave the sigmoid out of the model",
    ),
    "relu_outputs": Cause(
        "fail",
        "the outputs are never {sign} (a ReLU, square or exponential at the end of the model), and {wanted}",
        "leave what stands behind the last layer out",
    ),
    "norm_without_effect": Cause(
        "doubtful",
        "{part} does not normalise: its outputs have a root mean square of {root_mean_square:.2g} and not 1; it takes "
        "single numbers, each of which is its own mean, or its eps is too large",
        "normalise over several features, or leave the norm out",
    ),
    "val_rows_in_train": Cause(
        "fail",
        "val rows are among the train rows: {val_rows_in_train:,} of {val_rows:,} are equal to a train row, and "
        "{train_rows_repeated:,} train rows repeat another one",
        "leave repeated rows out, or keep them on one side (data.group)",
    ),
    "val_rows_near_train_rows": Cause(
        "doubtful",
        "val rows are near copies of train rows: {val_rows_near_train_rows:,} of {val_rows:,} lie within {near:.2g} of "
        "the distance to other rows, which is far more than chance gives",
        "keep copies of a row, and rows of one origin, on one side (data.group); augment after the split",
    ),
    "values_apart": Cause(
        "doubtful",
        "a few numbers of the column '{column}' are so far from all others that they make up its spread: {rows} rows "
        "have {value:g} or further, and all others lie in {low:g}..{high:g} (a sentinel, which stands for a missing "
        "number, or other units?)",
        "data.missing, or look at the column: `holdfast data inspect`",
        explains=("inputs_not_normalised",),
    ),
    "columns_scaled_by_row": Cause(
        "doubtful",
        "transform.scope=sample scales each row by its own numbers, and those of the column '{column}' are far larger "
        "than the others ({largest:.3g} against {usual:.3g}): next to them the others are all alike",
        "transform.scope=feature, for columns of different units",
    ),
    "arguments_swapped": Cause(
        "doubtful",
        "{function} gets the outputs in the place of the targets: its arguments are swapped",
        "{function}(outputs, targets)",
        explains=("classes_ignored", "second_softmax", "wrong_sign"),
    ),
    "divergence_reversed": Cause(
        "doubtful",
        "the divergence has its arguments in the wrong order: it is KL(outputs, targets), the sum of p log(p / target) "
        "over the outputs p, which hardly has a slope where outputs are surely wrong",
        "KL(targets, outputs): the sum of target * (log target - log p), as kl_div(log_softmax(outputs), targets)",
    ),
    "slope_stopped": Cause(
        "doubtful",
        "the loss stops gradients that it needs (detach, .data or no_grad): {share:.0%} of the outputs that change it "
        "are not moved, or moved the wrong way",
        "detach weights of rows and targets alone",
    ),
    "augmentation_changes_units": Cause(
        "doubtful",
        "the augmentation gives rows of other units: their root mean square is {augmented:.3g} and not {without:.3g}, "
        "and val rows are not augmented",
        "give numbers of the range that comes in, such as 0 to 1 for images",
    ),
    "augmentation_mixes_rows": Cause(
        "doubtful",
        "the augmentation {how}, and their targets stay where they are",
        "change each row by itself; mixing=mixup mixes the targets as well",
    ),
    "log_missing": Cause(
        "doubtful",
        "the loss wants log-probabilities, and the logarithm is missing",
        "log_softmax in place of softmax in front of nll_loss or kl_div",
    ),
    "loss_hardly_moves": Cause(
        "doubtful",
        "the loss hardly moves: it is {chance_loss:.3g} for equal outputs and {least_loss:.3g} for the best ones "
        "(label smoothing near 1, or a temperature)",
        "less label smoothing, which is the share that other classes get; a temperature near 1",
    ),
    "loss_tiny": Cause(
        "doubtful",
        "the loss is tiny: {loss_of_random_outputs:.2g} for outputs that are wrong; weight decay, and the eps of an "
        "optimizer, outweigh it",
        "a loss of about 1 for outputs that say nothing: look for a factor, or a delta that is too small",
    ),
    "class_weights_inverted": Cause(
        "doubtful",
        "the loss weighs the frequent class {frequent} {ratio:.3g} times as much as the rare class {rare}: the weights "
        "of classes are the wrong way round",
        "loss.class_weights=balanced, or the inverse of the shares",
    ),
    "class_weights_too_large": Cause(
        "doubtful",
        "the loss weighs the class {heavy} {ratio:.3g} times as much as the class {light}, far more than the counts of "
        "their rows ({counts}) call for: the class {light} hardly matters (pos_weight, or weights of classes)",
        "loss.class_weights=balanced, or the inverse of the shares",
    ),
    "rows_weighed_by_targets": Cause(
        "doubtful",
        "the loss divides errors by their targets (a relative or percentage error), and targets are standardised: rows "
        "with targets near 0, the mean, weigh {ratio:.3g} times as much as others",
        "an absolute or squared error; a percentage needs targets in their own units, away from 0",
    ),
    "layer_unused": Cause(
        "doubtful",
        "layers are never used: {layer} is part of the model and of no forward pass",
        "use it in forward, or leave it out",
    ),
    "used_in_eval_mode_alone": Cause(
        "doubtful",
        "{parameter} takes part in eval mode alone: nothing trains it, and predictions are made with it",
        "use the same layers in both modes",
    ),
    "layer_shared": Cause(
        "doubtful",
        "{places} are one layer under several names: they share their weights",
        "make each one by itself: [make() for _ in range(n)], not [make()] * n or a second name",
    ),
    "head_frozen": Cause(
        "doubtful",
        "the last layer is frozen and what is before it is trained: {layer}, which gives the outputs, keeps its random "
        "weights",
        "freeze the body alone: requires_grad_(False) of all but the last layer",
    ),
    "only_biases_trained": Cause(
        "doubtful",
        "nothing but {parameter} is trained: the weights of all layers are frozen",
        "freeze the body alone, before the last layer is made (finetune)",
    ),
    "statistics_never_move": Cause(
        "doubtful",
        "the statistics {statistics} never move: what normalises with them in eval mode takes those of its start",
        "update them while self.training; momentum=0.1, the share of the new batch",
        explains=("inputs_not_normalised",),
    ),
    "statistics_move_fast": Cause(
        "doubtful",
        "the statistics of {part} are those of the last batches: momentum is the share of the new batch",
        "momentum=0.1",
    ),
    "dropout_of_nearly_all": Cause(
        "doubtful",
        "{part} drops {p:.0%} of its inputs: p is the share that is dropped, not kept",
        "p=0.1 to 0.5",
    ),
    "outputs_dropped": Cause(
        "doubtful",
        "a dropout stands behind the last layer: it sets {share_of_outputs:.0%} of the outputs to 0 in training",
        "put the dropout in front of the last layer",
    ),
    "outputs_in_other_units": Cause(
        "doubtful",
        "the outputs start at {mean:.3g}, and targets are standardised: are they in the units of the data?",
        "predict standardised values",
    ),
    "outputs_normalised": Cause(
        "doubtful",
        "the outputs of every row have the length 1 (they are normalised at the end of the model): no class can get a "
        "probability near one",
        "multiply them by a temperature, as 16",
    ),
    "outputs_bounded": Cause(
        "doubtful",
        "the outputs are squashed into {least_output:.2g}..{largest_output:.2g} (a tanh or a clamp at the end of the "
        "model), and {wanted}",
        "leave what squashes them out of the model",
    ),
    "channels_last": Cause(
        "doubtful",
        "images have their channels last, and a model wants them first: {shape} is taken for {channels} channels",
        "data.layout=nhwc",
    ),
    "half_precision": Cause(
        "doubtful",
        "the model computes in {dtype} in the middle (a cast): two or three digits are left",
        "leave the cast out; trainer.precision=bf16-mixed casts where it does no harm",
    ),
    "writes_into_inputs": Cause(
        "doubtful",
        "the model writes into its inputs (an operation in place): the rows of the data change",
        "work on a copy, or leave out inplace in the first layer",
    ),
    "softmax_saturated": Cause(
        "doubtful",
        "{share:.0%} of the rows of a softmax inside the model are saturated: no slope is left",
        "divide scores by the root of their width",
    ),
    "level_ignored": Cause(
        "doubtful",
        "the outputs do not depend on a sum of the inputs that goes with the target (correlation {correlation:.2f}): "
        "is it the level of each row, which a normalisation takes away and nothing gives back?",
        "give it back at the end of the model: outputs * spread + mean",
    ),
    "rate_of_zero": Cause(
        "doubtful",
        "the schedule holds the rate at 0 in each of the first {steps:,} steps: nothing learns",
        "`holdfast schedule preview` draws it; look for a division of whole numbers, or a warm-up that is too long",
    ),
    "rate_gone_early": Cause(
        "doubtful",
        "the schedule leaves nothing of the rate: after {last_step:,} of {steps:,} steps it is below a thousandth of "
        "its largest value",
        "`holdfast schedule preview` draws it; is it meant in epochs, and moves with every step? `interval: epoch`",
    ),
    "rate_grows": Cause(
        "doubtful",
        "the schedule lets the rate grow: from {lr:.3g} to {largest:.3g} within {steps:,} steps",
        "a factor below 1: `holdfast schedule preview` draws it",
    ),
    "rate_too_large": Cause(
        "doubtful",
        "the rate is too large: within {steps} steps on one batch the loss goes from {first_loss:.3g} up to "
        "{largest_loss:.3g}, and outputs move by {movement:.2g}",
        "a smaller lr: check=lr_range advises one",
    ),
    "momentum_too_large": Cause(
        "doubtful",
        "the momentum averages gradients over {averaged:,.0f} steps, and the run takes {steps_of_run:,}",
        "optimizer.momentum=0.9 (betas: [0.9, 0.999])",
    ),
    "average_stays": Cause(
        "doubtful",
        "{average} hardly leave the initial ones: with a decay of {decay:g}, {share:.0%} of them are still those after "
        "{averages:,} averages, all that the run makes",
        "{advice}",
    ),
    "minimum_missed": Cause(
        "doubtful",
        "the optimizer does not find the minimum of a parabola: after {steps} steps it is {distance:.2g} times as far "
        "from it as at the start ({how}?)",
        "compare its step with the formula",
    ),
    "clipped_away": Cause(
        "doubtful",
        "gradients are clipped away: their norm is {gradient_norm:.2g}, and {clip:.2g} of it is left",
        "trainer.gradient_clip_val=1, or null",
    ),
    "few_steps": Cause(
        "doubtful",
        "the run takes {steps_of_run} steps in all: a step takes all {rows:,} rows (batch_size, or "
        "accumulate_grad_batches), and an epoch is one step",
        "batch_size=64 and trainer.accumulate_grad_batches=1, or many more epochs",
    ),
    "one_target": Cause(
        "doubtful",
        "all train rows have the same target: there is nothing to learn",
        "look at the data: `holdfast data inspect`",
    ),
    "targets_apart": Cause(
        "doubtful",
        "a few targets are so far from the others that they make up the spread: {rows} rows have {value:g} or further, "
        "and all others lie in {low:g}..{high:g} (a number that stands for a missing one, or other units?)",
        "look at the target: `holdfast data inspect`; data.missing",
    ),
    # symptoms
    "activations_explode": Cause(
        "doubtful",
        "activations explode at the start: those of {layer} have a root mean square of {root_mean_square:.3g}",
        "init=he_normal, or a norm (model.norm=batch)",
        is_symptom=True,
    ),
    "activations_vanish": Cause(
        "doubtful",
        "activations vanish at the start: those of {layer} have a root mean square of {root_mean_square:.3g}",
        "init=he_normal, or a norm (model.norm=batch)",
        is_symptom=True,
    ),
    "dead_units": Cause(
        "doubtful",
        "{share:.0%} of the units of a ReLU layer are dead at the start: 0 for every row",
        "biases of 0, init=he_normal, or leaky_relu",
        is_symptom=True,
    ),
    "saturated_units": Cause(
        "doubtful",
        "{share:.0%} of the values of a {name} layer are saturated at the start: no slope is left",
        "smaller weights, or transform=standardize",
        is_symptom=True,
    ),
    "weights_without_effect": Cause(
        "doubtful",
        "the outputs do not depend on {weight}, whatever it and the others are: terms with it cancel (a difference of "
        "equal ones, a softmax over one place), its units are dead, or a mask or a factor of 0 hides them",
        "look where {weight} is used; biases of 0, init=he_normal",
        is_symptom=True,
    ),
    "gradients_explode": Cause(
        "doubtful",
        "gradients explode at the start: that of {parameter} has a root mean square of {root_mean_square:.3g}",
        "init=he_normal, a norm, or a smaller scale of the loss",
        is_symptom=True,
    ),
    "decay_too_strong": Cause(
        "doubtful",
        "weight decay is too strong beside the gradient: it takes {share_of_weights:.2g} of the weights in the first "
        "step, and is {share_of_step:.2g} times as long as the rest of it",
        "optimizer.weight_decay=0.01",
        is_symptom=True,
    ),
    "gradients_vanish": Cause(
        "doubtful",
        "gradients vanish at the start: {how}",
        "relu in place of sigmoid or tanh, init=he_normal, a norm, short cuts around layers",
        is_symptom=True,
    ),
    "loss_not_finite": Cause(
        "fail",
        "the loss of the first training step is not a number, or infinite",
        "look for logarithms of 0, divisions by 0 and missing values",
        is_symptom=True,
    ),
    "slope_not_finite": Cause(
        "fail",
        "the gradient of the loss is not finite: a logarithm of 0, a root of 0 or a division by 0, as of outputs and "
        "targets in the wrong order",
        "loss(outputs, targets), and logarithms of what is above 0",
        is_symptom=True,
    ),
    "gradient_not_finite": Cause(
        "fail",
        "the loss of the first training step is finite, and the gradient of {parameter} is not",
        "look for roots of 0, norms of 0, logarithms of 0 and where() with a branch that is not finite",
        is_symptom=True,
    ),
    "no_gradient": Cause(
        "fail",
        "the gradient of every parameter is 0 at the start: factors of 0 that are multiplied, dead units or a rounding",
        "let one of two factors start away from 0; biases of 0; init=he_normal",
        is_symptom=True,
    ),
    "inputs_ignored": Cause(
        "fail",
        "the outputs {how}, also after five steps: what the input says is lost, or fades from layer to layer",
        "let the outputs depend on x; look for dead units, and for a mask that is the wrong way round",
        is_symptom=True,
    ),
    "inputs_ignored_in_part": Cause(
        "doubtful",
        "the outputs ignore {share_of_inputs_without_effect:.0%} of the inputs",
        "look for a slice of x, or units that are dead",
        is_symptom=True,
    ),
    "network_is_linear": Cause(
        "doubtful",
        "the network is linear: it has {count} layers with weights and no activation between them",
        "an activation (nn.ReLU) between layers, or model=linear",
        is_symptom=True,
    ),
    "wrong_minimum": Cause(
        "fail",
        "the loss is not least at its targets: {how}",
        "compare each output with its own target, as it is",
        is_symptom=True,
    ),
    "steps_too_short": Cause(
        "doubtful",
        "the run hardly moves its outputs: by {movement:.2g} in all of its {steps_of_run:,} steps, if they go on as "
        "the first {steps}: {why}",
        "{advice}",
        is_symptom=True,
    ),
}
