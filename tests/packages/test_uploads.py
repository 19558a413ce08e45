import pytest

from atrous.domain.errors import BadInput
from atrous.packages.uploads import package_files


def test_the_folder_with_the_network_is_the_package() -> None:
    names = ["package/weights.onnx", "package/class_names.txt", "package/notes.pdf", "checkpoint/a"]
    assert package_files(names) == {
        "class_names.txt": "package/class_names.txt",
        "weights.onnx": "package/weights.onnx",
    }
    assert package_files(["weights.onnx"]) == {"weights.onnx": "weights.onnx"}


@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        (["weights.pt", "model_artifacts.json"], "atrous convert"),
        (["a/best.pth"], "atrous convert"),
        (["checkpoint/best.safetensors"], "atrous export"),
        (["model.onnx"], "called weights.onnx"),
        (["photo.jpg"], "zip the folder of a package"),
        (["a/weights.onnx", "b/weights.onnx"], "2 files weights.onnx"),
    ],
)
def test_other_weights_are_refused_with_what_to_do(names: list[str], remedy: str) -> None:
    with pytest.raises(BadInput, match=remedy):
        package_files(names)
