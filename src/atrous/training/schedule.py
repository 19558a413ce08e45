"""The learning rate over a training: a linear warm-up, then polynomial or cosine decay to 0."""

import math

from atrous.domain.recipes import TrainingRecipe

TRAINING_SHARE = 0.94  # of a time budget; the rest is for the last validation, export and test


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


def progress_of(step: int | float, steps: int, elapsed_s: float, recipe: TrainingRecipe) -> float:
    """How much of the training (0..1) lies behind: by steps or, if that is further, by time.

    With a time budget the schedule runs on the clock, so that the rate has come down by the time
    the budget is spent, however fast the machine is.
    """
    by_steps = step / steps
    by_time = 0.0
    if recipe.time_budget_s:
        by_time = elapsed_s / (TRAINING_SHARE * recipe.time_budget_s)
    return min(1.0, max(by_steps, by_time))
