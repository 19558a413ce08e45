"""What was decided for a training, and why, as a table."""

from typing import Any

from atrous.cli.tables import table_lines
from atrous.domain.recipes import PreprocessRecipe, TrainingRecipe


def decision_lines(recipe: TrainingRecipe) -> list[str]:
    """A line per field that was decided or given; the others have their default."""
    rows = [(name, _spoken(getattr(recipe, name)), why) for name, why in recipe.reasons.items()]
    return table_lines(["SETTING", "VALUE", "WHY"], rows) if rows else []


def _spoken(value: Any) -> str:
    """A value as people say it.

    >>> _spoken((0.5, 1.25)), _spoken(True), _spoken(None), _spoken(0.001)
    ('0.5 1.25', 'true', 'none', '0.001')
    """
    if isinstance(value, PreprocessRecipe):
        return f"{value.size} {value.resize_mode}"
    if isinstance(value, bool) or value is None:
        return "none" if value is None else str(value).lower()
    if isinstance(value, tuple):
        return " ".join(f"{number:.3g}" for number in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
