from atrous.reports.model_card import model_card

FACTS = {
    "architecture": "deeplabv3plus",
    "backbone": "lcnet_050",
    "input_size": {"height": 96, "width": 128},
    "recipe": {"preprocess": {"size": {"height": 48, "width": 64}}, "epochs": 3, "seed": 0},
    "metrics": {
        "valid": {
            "miou": 0.7125,
            "miou_interval": [0.7, 0.73],
            "pixel_accuracy": None,
            "classes": [{"name": "a|b", "iou": 0.5, "precision": None, "recall": 1.0, "f1": 0.6}],
        }
    },
    "recommended_parameters": {"confidence": 0.3, "per_class_confidence": {"a|b": 0.45}},
}


def test_a_card_says_what_the_model_is() -> None:
    card = model_card("cats", ("background", "a|b"), FACTS, {"train": 1200, "valid": 30})
    assert card.startswith("# cats\n")
    assert "deeplabv3plus on lcnet\\_050, 2 classes, input 96x128" in card
    assert "1,200 train, 30 valid" in card
    assert "- mIoU: 0.7125 (95 % of resamples: 0.7000, 0.7300)" in card
    assert "- pixel accuracy: -" in card
    assert "| a\\|b | 0.5000 | - | 1 | 0.6000 | - |" in card
    assert "| a\\|b | 0.450 |" in card
    assert "| any other | 0.300 |" in card
    assert "| epochs | 3 |" in card


def test_the_end_of_a_training_is_told_as_it_was_chosen() -> None:
    recipe = {"iterations": None, "epochs": None, "time_budget_s": 5400.0, "loss": "ce + dice"}
    card = model_card("cats", ("a",), {"recipe": recipe, "best_epoch": 37}, {})
    assert "iterations" not in card
    assert "epochs" not in card
    for line in ("| time_budget_s | 5400 |", "| loss | ce + dice |", "| best epoch | 37 |"):
        assert line in card
    recipe = {**recipe, "iterations": 1500}
    assert "| iterations | 1,500 |" in model_card("cats", ("a",), {"recipe": recipe}, {})


def test_tables_have_as_many_cells_as_their_heads() -> None:
    card = model_card("x", ("background", "a|b"), FACTS, {}).replace("\\|", "")
    lines = card.splitlines()
    for index, line in enumerate(lines):
        if line.startswith("|--"):
            cells = line.count("|")
            assert lines[index - 1].count("|") == lines[index + 1].count("|") == cells


def test_nothing_in_a_name_is_markup() -> None:
    card = model_card("<img src=x>", ("background", "[a](b) *c*\n# d"), {}, {})
    assert "<img" not in card.replace("\\<img", "")
    assert "\\[a\\](b) \\*c\\* \\# d" in card
