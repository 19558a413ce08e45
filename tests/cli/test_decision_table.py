from atrous.cli.decision_table import decision_lines
from atrous.domain.geometry import Size
from atrous.domain.recipes import PreprocessRecipe, TrainingRecipe

SIZE = Size(480, 640)


def test_a_line_per_decision() -> None:
    said = ("one shape", "the whole", "given", "usual")
    reasons = dict(zip(("preprocess", "crop", "iterations", "loss"), said, strict=True))
    recipe = TrainingRecipe(PreprocessRecipe(SIZE), crop=SIZE, iterations=12, reasons=reasons)
    assert decision_lines(recipe) == [
        "SETTING     VALUE            WHY",
        "preprocess  640x480 stretch  one shape",
        "crop        640x480          the whole",
        "iterations  12               given",
        "loss        ce               usual",
    ]


def test_a_recipe_of_before_has_none() -> None:
    assert decision_lines(TrainingRecipe(PreprocessRecipe(SIZE), crop=SIZE)) == []
