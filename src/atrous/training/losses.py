"""What a training minimises: a weighted sum of losses, at the crop's full resolution."""

from functools import lru_cache

from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from atrous.domain.loss_terms import LossTerm, parse_loss
from atrous.domain.recipes import TrainingRecipe
from atrous.training.losses_lovasz import lovasz_softmax
from atrous.training.losses_mutual import region_mutual_information
from atrous.training.losses_pixels import cross_entropy, focal, hard_cross_entropy
from atrous.training.losses_regions import dice, tversky

__all__ = ["cross_entropy", "loss_of"]

terms_of = lru_cache(parse_loss)


def loss_of(
    output: Float[Tensor, "batch classes height width"] | tuple[Tensor, Tensor],
    targets: Int64[Tensor, "batch height width"],
    recipe: TrainingRecipe,
) -> Float[Tensor, ""]:
    """The loss of a network's output, with that of an auxiliary head where there is one.

    Whatever the logits' precision, it is computed in float32 or better. Pixels of 255 count
    nowhere; of a batch that has no others the loss is 0 and so are its gradients.
    """
    logits, auxiliary = output if isinstance(output, tuple) else (output, None)
    loss = _sum_of_terms(logits, targets, recipe)
    if auxiliary is not None:
        loss = loss + recipe.auxiliary_weight * _sum_of_terms(auxiliary, targets, recipe)
    return loss


def _sum_of_terms(
    logits: Float[Tensor, "batch classes height width"],
    targets: Int64[Tensor, "batch height width"],
    recipe: TrainingRecipe,
) -> Shaped[Tensor, ""]:
    first, *others = terms_of(recipe.loss)
    total = first.weight * _value(first, logits, targets, recipe)
    for term in others:
        total = total + term.weight * _value(term, logits, targets, recipe)
    return total


def _value(
    term: LossTerm,
    logits: Float[Tensor, "batch classes height width"],
    targets: Int64[Tensor, "batch height width"],
    recipe: TrainingRecipe,
) -> Shaped[Tensor, ""]:
    """One loss. Class weights and label smoothing apply to those that are a mean over pixels."""
    weights, smoothing = recipe.class_weights, recipe.label_smoothing
    match term.name:
        case "ce":
            return cross_entropy(logits, targets, smoothing, weights)
        case "ohem":
            return hard_cross_entropy(logits, targets, smoothing, weights, **term.parameters)
        case "focal":
            return focal(logits, targets, weights, **term.parameters)
        case "dice":
            return dice(logits, targets)
        case "tversky":
            return tversky(logits, targets, **term.parameters)
        case "lovasz":
            return lovasz_softmax(logits, targets)
        case "rmi":
            whole = {name: int(value) for name, value in term.parameters.items()}
            return region_mutual_information(logits, targets, **whole)
        case other:
            raise ValueError(f"no such loss: {other}")
