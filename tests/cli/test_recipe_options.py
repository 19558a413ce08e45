def test_bounds_are_wrong_usage(atrous, tmp_path) -> None:
    for option, value in (
        ("--epochs", "0"),
        ("--batch-size", "0"),
        ("--size", "16"),
        ("--seed", "-1"),
        ("--precision", "fp64"),
        ("--architecture", "unet"),
        ("--time-budget", "20 minutes"),
    ):
        assert atrous("train", tmp_path, "--as", "cats", option, value)[0] == 2, option
