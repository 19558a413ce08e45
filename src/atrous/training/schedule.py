"""The learning rate over a training: a linear warm-up, then polynomial or cosine decay to 0."""

import math

from atrous.domain.recipes import TrainingRecipe

# Of a time budget, for training with its validations: the rest is for the end of a run.
TRAINING_SHARE, LEAST_TRAINING_SHARE = 0.94, 0.5


def rate_factor(progress: float, recipe: TrainingRecipe) -> float:
    """The factor on the base learning rate after `progress` (0..1) of the training.

    "Poly" decay as in DeepLab (Chen et al., 1606.00915, section 4.3) or half a cosine (Loshchilov
    and Hutter, 1608.03983, without restarts), after a warm-up that rises linearly over the first
    `recipe.warmup_share` of the training.

    >>> from atrous.domain.geometry import Size
    >>> from atrous.domain.recipes import PreprocessRecipe
    >>> recipe = TrainingRecipe(PreprocessRecipe(Size(8, 8)), Size(8, 8), warmup_share=0.1)
    >>> round(rate_factor(0.05, recipe), 3), rate_factor(1.0, recipe)
    (0.477, 0.0)
    """
    progress = min(max(progress, 0.0), 1.0)
    warmup = min(1.0, progress / recipe.warmup_share) if recipe.warmup_share else 1.0
    if recipe.schedule == "cosine":
        return warmup * 0.5 * (1.0 + math.cos(math.pi * progress))
    decay: float = (1.0 - progress) ** recipe.poly_power
    return warmup * decay


def training_time_s(budget_s: float, ending_s: float) -> float:
    """The part of a time budget for training, where the end of the run takes `ending_s`.

    That is the last validation, export and test: 6 % are left for it, or what it needs, but half
    of the budget at most.

    >>> training_time_s(1000.0, 20.0), training_time_s(100.0, 20.0), training_time_s(10.0, 20.0)
    (940.0, 80.0, 5.0)
    """
    most, least = TRAINING_SHARE * budget_s, LEAST_TRAINING_SHARE * budget_s
    return min(most, max(least, budget_s - ending_s))


def usual_s(before_s: float, took_s: float) -> float:
    """What a thing takes that took `took_s` the last time, and `before_s` by the times before.

    A mean in which the last time counts half: a busy minute is forgotten after a few times.

    >>> usual_s(0.0, 10.0), usual_s(10.0, 60.0), usual_s(35.0, 10.0)
    (10.0, 35.0, 22.5)
    """
    return (before_s + took_s) / 2 if before_s else took_s


def progress_of(
    step: int | float, steps: int | float, elapsed_s: float, training_s: float | None = None
) -> float:
    """How much of the training (0..1) lies behind: by steps or, if that is further, by time.

    training_s: the time that there is for it. The schedule then runs on the clock, so that the
        rate has come down by the time it is spent, however fast the machine is.
    """
    by_time = elapsed_s / training_s if training_s else 0.0
    return min(1.0, max(step / steps, by_time))


def seconds_left(
    fraction: float, elapsed_s: float, recipe: TrainingRecipe, training_s: float | None = None
) -> float:
    """How long the rest of a training takes, of which `fraction` (above 0) lies behind.

    Steps over smaller photos at the beginning say little of the later ones: they are taken to
    cost as much less as the photos have fewer pixels.
    """
    cost = recipe.early_scale**2

    def work(share: float) -> float:
        early = min(share, recipe.early_share)
        return early * cost + share - early

    by_work = elapsed_s * (work(1.0) - work(fraction)) / work(fraction)
    return by_work if training_s is None else max(0.0, min(by_work, training_s - elapsed_s))
