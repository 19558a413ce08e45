from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from atrous.cli.check import check_command
from atrous.domain.errors import BadDataset

app = typer.Typer()
app.command()(check_command)


def run(*arguments: object) -> tuple[int, str]:
    outcome = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if outcome.exception and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return outcome.exit_code, outcome.output


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Folders of two splits: half of each mask is 0 (sky), a quarter 1 (road), a quarter 2."""
    ids = np.zeros((4, 8), np.uint8)
    ids[2:, :4], ids[2:, 4:] = 1, 2
    for split, names in (("train", "ab"), ("val", "c"), ("test", "d")):
        for name in names:
            for folder in (split, f"{split}annot"):
                (tmp_path / folder).mkdir(exist_ok=True)
            noise = np.random.default_rng(ord(name)).integers(0, 256, (4, 8, 3)).astype(np.uint8)
            Image.fromarray(noise).save(tmp_path / split / f"{name}.png")
            Image.fromarray(ids).save(tmp_path / f"{split}annot" / f"{name}.png")
    return tmp_path


def test_a_sound_set_is_told_and_exits_with_0(root: Path) -> None:
    code, output = run(root, "--classes", "sky,road", "--ignore-id", 2)
    assert code == 0
    lines = [line.split() for line in output.splitlines()]
    assert ["format:", "folders"] in lines
    assert ["train", "2", "48", "16"] in lines
    assert ["1", "sky", "66.67%", "█" * 16, "2", "1", "1"] in lines
    assert ["2", "road", "33.33%", "█" * 8, "2", "1", "1"] in lines
    assert "unused background" in output
    assert output.endswith("no faults\n")


def test_every_fault_is_listed_with_its_file_and_exits_with_1(root: Path) -> None:
    (root / "testannot/d.png").rename(root / "testannot/[bold]x.png")
    code, output = run(root, "--classes", "sky,road")
    assert code == 1
    for file, said in (
        ("trainannot/a.png (train)", "id outside the class list: mask ids 2 (8 pixels)"),
        ("valannot/c.png (valid)", "id outside the class list"),
        ("test/d.png (test)", "missing partner"),
        ("testannot/[bold]x.png (test)", "missing partner"),
        ("test (test)", "empty split"),
    ):
        assert f"fault: {file}: {said}" in output
    assert output.endswith(
        "6 faults: id outside the class list (3), missing partner (2), empty split (1)\n"
    )


def test_classes_may_come_from_a_file(root: Path) -> None:
    (root / "names.txt").write_text("sky\nroad\n[b]car\n")
    code, output = run(root, "--classes-file", root / "names.txt")
    assert code == 0
    assert "classes: 3 (sky, road, [b]car)" in output


def test_what_is_no_data_set_is_an_error(root: Path) -> None:
    with pytest.raises(BadDataset, match="--classes"):
        run(root)
    with pytest.raises(BadDataset, match="not a folder"):
        run(root / "nothing")


@pytest.mark.parametrize(
    "wrong",
    [["--format", "yolo"], ["--ignore-id", "256"], ["--classes", "a", "--classes-file", "b"]],
)
def test_wrong_usage_exits_with_2(root: Path, wrong: list[str]) -> None:
    assert run(root, *wrong)[0] == 2


def test_a_set_that_can_not_be_trained_on_has_a_note(root: Path) -> None:
    for path in root.glob("*annot/*.png"):
        Image.fromarray(np.zeros((4, 8), np.uint8)).save(path)
    code, output = run(root, "--classes", "background,road")
    assert code == 0
    assert "note: can't be trained on: the training labels of" in output
    assert output.endswith("no faults\n")
