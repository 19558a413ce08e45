"""Which files of a zip that somebody sends are a model package; what to do with other weights."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from atrous.domain.errors import BadInput
from atrous.packages.directory import KNOWN_FILES, WEIGHTS

# By their ending: pickles are never opened, and other weights are no graph that can be served.
REMEDIES = {
    ".pt": "PyTorch weights can hold programs and are not opened here: run `atrous convert` on "
    "your machine and send the package that it writes",
    ".safetensors": "a checkpoint is no network that can be served: run `atrous export` on its run "
    "and send the package that it writes",
    ".onnx": f"the network has to be called {WEIGHTS}, with class_names.txt and "
    "inference_config.json (or environment.json) beside it",
}
SAME_AS_PT = (".pth", ".ckpt", ".bin", ".pkl")


def package_files(names: Iterable[str]) -> dict[str, str]:
    """The files of a package by name, with their paths in the zip.

    The package is the folder with the network, at the top or below. BadInput where there is
    none, or more than one, says what to send instead.

    >>> package_files(["a/weights.onnx", "a/class_names.txt", "b/photo.jpg"])
    {'class_names.txt': 'a/class_names.txt', 'weights.onnx': 'a/weights.onnx'}
    """
    there = [PurePosixPath(name) for name in names]
    folders = {path.parent for path in there if path.name == WEIGHTS}
    if len(folders) != 1:
        raise BadInput(_remedy(there, len(folders)))
    (folder,) = folders
    known = [path for path in there if path.parent == folder and path.name in KNOWN_FILES]
    return {path.name: str(path) for path in sorted(known)}


def _remedy(there: list[PurePosixPath], packages: int) -> str:
    if packages:
        return f"the zip holds {packages} files {WEIGHTS}; send one model package at once"
    found = {path.suffix.lower() for path in there}
    if found & set(SAME_AS_PT):
        found.add(".pt")
    told = [remedy for ending, remedy in REMEDIES.items() if ending in found]
    return (
        f"the zip holds no model package, as it has no {WEIGHTS}; "
        f"{told[0] if told else 'zip the folder of a package'}"
    )
