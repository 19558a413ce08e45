"""The peer, Roboflow Inference, in its own Python: started by benchmarks/serve.py over a pipe.

It runs the package through `inference_models.AutoModel` as a program of its users would, and
then encodes the answer as its HTTP server does.
"""

import base64
import importlib.metadata
import io
import json
import threading
import time
from pathlib import Path
from typing import Any

from worker_loop import Stopwatch, answer_commands

CONFIDENCE = 0.01  # the lowest of the hosted route: random weights are sure of nothing
FEWEST_ANSWERS = 4  # that a rate can be taken from
PACKAGES = ("inference-models", "onnxruntime", "torch", "torchvision", "numpy", "pillow")


class Peer:
    """The peer with one package loaded."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._model: Any = None

    def load(self, package: str) -> dict[str, Any]:
        """Import the library and load a package folder."""
        start = time.perf_counter()
        from inference_models import AutoModel

        imported = time.perf_counter()
        self._model = AutoModel.from_pretrained(package, allow_direct_local_storage_loading=True)
        return {
            "import_s": imported - start,
            "load_s": time.perf_counter() - imported,
            "versions": {name: _version(name) for name in PACKAGES},
        }

    def predict(self, photo: str, repeats: int, label_map: str | None = None) -> dict[str, Any]:
        """Answer one photo again and again; `label_map` names a file (.npy) for the last answer."""
        import numpy as np

        data = Path(photo).read_bytes()
        watch = Stopwatch()
        for _ in range(repeats):
            ids = self._answer(data, watch)
        if label_map is not None:
            np.save(label_map, ids)
        return {"stages": watch.stages}

    def throughput(self, photo: str, clients: int, seconds: float, finish: bool) -> dict[str, Any]:
        """Let threads share the model for a while, as a program with many users would.

        finish: wait for the photos begun within the time; without, those answered by then (or
        the first few, if it takes longer) are given, and the process is of no use for anything
        after this but to be ended.
        """
        stop = threading.Event()
        data = Path(photo).read_bytes()
        runs: list[tuple[float, float]] = []

        def work() -> None:
            while not stop.is_set():
                start = time.perf_counter()
                self._answer(data, Stopwatch())
                runs.append((start, time.perf_counter()))

        threads = [threading.Thread(target=work, daemon=True) for _ in range(clients)]
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        while len(runs) < FEWEST_ANSWERS and not finish:
            time.sleep(0.01)
        stop.set()
        for thread in threads if finish else ():
            thread.join()
        return {"runs": [[start - begun, end - begun] for start, end in list(runs)]}

    def _answer(self, data: bytes, watch: Stopwatch) -> Any:
        """From a photo's file to the body of its answer; gives the label map."""
        import cv2
        import numpy as np

        watch.start()
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        watch.lap("decode")
        batch, placement = self._model.pre_process(image)
        watch.lap("preprocess")
        logits = self._model.forward(batch)
        watch.lap("network")
        result = self._model.post_process(logits, placement, confidence=CONFIDENCE)[0]
        ids = result.segmentation_map.cpu().numpy().astype(np.uint8)
        confidence = (result.confidence.cpu().numpy() * 255).astype(np.uint8)
        watch.lap("postprocess")
        _body(ids, confidence, list(self._model.class_names))
        watch.lap("encode")
        return ids


def _body(ids: Any, confidence: Any, class_names: list[str]) -> str:
    """Encode the answer with Pillow's PNG and the standard library's base64, as the peer does."""
    import numpy as np

    height, width = ids.shape
    predictions = {
        "segmentation_mask": _png(ids),
        "class_map": {str(index): name for index, name in enumerate(class_names)},
        "confidence_mask": _png(confidence),
        "present_class_ids": np.unique(ids).tolist(),
    }
    return json.dumps({"image": {"width": width, "height": height}, "predictions": predictions})


def _png(pixels: Any) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    peer = Peer()
    answer_commands(
        {"load": peer.load, "predict": peer.predict, "throughput": peer.throughput},
    )
