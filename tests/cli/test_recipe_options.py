from atrous.cli.recipe_options import read_settings


def test_bounds_are_wrong_usage(atrous, tmp_path) -> None:
    for option, value in (
        ("--epochs", "0"),
        ("--batch-size", "0"),
        ("--size", "16"),
        ("--seed", "-1"),
        ("--precision", "fp64"),
        ("--architecture", "unet"),
        ("--time-budget", "20 minutes"),
        ("--class-weights", "heavy"),
        ("--set", "scale_min"),
        ("--set", "scale_minimum=1"),
        ("--set", "class_weights=1"),
        ("--set", "scale_min=small"),
        ("--set", "separable=yes"),
    ):
        assert atrous("train", tmp_path, "--as", "cats", option, value)[0] == 2, option


def test_settings_have_the_type_of_their_field() -> None:
    assert read_settings(["separable=False", "flip=1", "batch_size=3", "optimizer=sgd"]) == {
        "separable": False,
        "flip": 1.0,
        "batch_size": 3,
        "optimizer": "sgd",
    }
    assert read_settings(["flip=0", "flip=0.5"]) == {"flip": 0.5}
