"""Our Segmenter in a process of its own, without HTTP: what the peer's worker is compared with."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from worker_loop import Stopwatch, answer_commands

from atrous.images.decode import decode_image
from atrous.packages.directory import read_package
from atrous.runtime.segmenter import Part, Segmenter
from atrous.runtime.session import open_session

CONFIDENCE = 0.01  # the lowest of the hosted route: random weights are sure of nothing
CHOOSABLE = ("fp32", "bf16")  # others are what "auto" gives on their machines
CHANNELS, SIDE, LAYERS = 512, 64, 2  # of the convolution that stands for the machine's limit


class Own:
    """Our side with one package loaded."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._segmenter: Any = None

    def load(self, package: str, precision: str, cache_folder: str) -> dict[str, Any]:
        """Load a package folder; says what engine and precision it got."""
        start = time.perf_counter()
        cache = Path(cache_folder)
        self._segmenter = Segmenter(
            read_package(Path(package)),
            precision=precision,  # type: ignore[arg-type]
            cache_folder=cache,
        )
        return {
            "load_s": time.perf_counter() - start,
            "engine": self._segmenter.engine,
            "precision": self._segmenter.precision,
        }

    def predict(self, photo: str, repeats: int, label_map: str | None = None) -> dict[str, Any]:
        """Answer one photo again and again; `label_map` names a file (.npy) for the last answer."""
        data = Path(photo).read_bytes()
        watch = Stopwatch()

        @contextmanager
        def timed(part: Part) -> Iterator[None]:
            yield
            watch.lap(part)

        for _ in range(repeats):
            watch.start()
            image = decode_image(data)
            watch.lap("decode")
            prediction = self._segmenter.predict(image, confidence=CONFIDENCE, timed=timed)
        if label_map is not None:
            np.save(label_map, prediction.label_map)
        return {"stages": watch.stages}

    def mean_iou(
        self,
        package: str,
        data: str,
        split: str,
        precision: str,
        classes: list[str] | None,
        ignore_id: int | None,
    ) -> dict[str, Any]:
        """Measure a package on a split of a labelled data set, in a precision."""
        from atrous.datasets.detect import DatasetOptions, open_dataset
        from atrous.jobs.evaluate import measure_package

        options = DatasetOptions(classes=tuple(classes) if classes else None, ignore_id=ignore_id)
        evaluation = measure_package(
            read_package(Path(package)),
            open_dataset(Path(data), options),
            split,
            precision=precision,  # type: ignore[arg-type]
        )
        return {
            "miou": evaluation.report["miou"],
            "photos": evaluation.photos,
            "precision": evaluation.precision,
        }

    def convolution(self, repeats: int) -> dict[str, Any]:
        """Time large convolutions in the engine and precision that the network got."""
        with tempfile.TemporaryDirectory(prefix="atrous-convolution-") as folder:
            path = Path(folder) / "convolution.onnx"
            write_convolutions(path)
            segmenter = self._segmenter
            precision = segmenter.precision if segmenter.precision in CHOOSABLE else "auto"
            session = open_session(path, engine=segmenter.engine, precision=precision)
            picture = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
            session.run(picture)
            watch = Stopwatch()
            for _ in range(repeats):
                watch.start()
                session.run(picture)
                watch.lap("network")
            session.close()
        return {
            "seconds": watch.stages["network"],
            "multiply_adds": LAYERS * CHANNELS * CHANNELS * 9 * SIDE * SIDE,
        }


def write_convolutions(path: Path) -> None:
    """Write 3x3 convolutions of 512 channels as ONNX, behind a small layer that takes 3."""
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng(0)
    shapes = [(CHANNELS, 3, 1, 1)] + [(CHANNELS, CHANNELS, 3, 3)] * LAYERS
    weights = [
        numpy_helper.from_array(random.normal(0, 0.02, shape).astype(np.float32), f"weights{index}")
        for index, shape in enumerate(shapes)
    ]
    nodes, before = [], "image"
    for index, (_, _, side, _) in enumerate(shapes):
        pads = [side // 2] * 4
        nodes += [
            helper.make_node("Conv", [before, f"weights{index}"], [f"sum{index}"], pads=pads),
            helper.make_node("Relu", [f"sum{index}"], [f"map{index}"]),
        ]
        before = f"map{index}"
    nodes.append(helper.make_node("GlobalAveragePool", [before], ["logits"]))
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CHANNELS, 1, 1])],
        weights,
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


if __name__ == "__main__":
    own = Own()
    answer_commands(
        {
            "load": own.load,
            "predict": own.predict,
            "convolution": own.convolution,
            "mean_iou": own.mean_iou,
        }
    )
