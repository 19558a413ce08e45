"""Annotation files read a moment ago: clients send one file again with each of its photos."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping

from atrous.datasets.annotation_text import AnnotationFile, read_annotations
from atrous.datasets.yolo_names import labelmap_names

MAX_TEXT_BYTES = 64 * 1024 * 1024  # of all files together; read, they take some times that


class AnnotationCache:
    """The last files, by their content. Threads may share it."""

    def __init__(self, max_text_bytes: int = MAX_TEXT_BYTES) -> None:
        """Keep files of so many bytes of text; the one just used stays whatever its size."""
        self._max_text_bytes = max_text_bytes
        self._files: OrderedDict[bytes, tuple[AnnotationFile, int]] = OrderedDict()
        self._lock = threading.Lock()

    def read(
        self, text: str, name: str, labelmap: Mapping[str, object] | None = None
    ) -> AnnotationFile:
        """Read a file of any format, or take it from the last ones; BadDataset where it is none.

        labelmap: names by class number, for YOLO's format.
        """
        names = labelmap_names(labelmap, name[:100]) if labelmap else {}
        data = text.encode("utf-8", "surrogatepass")
        is_text = name.lower().endswith(".txt")  # what an empty file is, its name alone tells
        beside = repr((sorted(names.items()), is_text)).encode("utf-8", "replace")
        key = hashlib.sha256(data + beside).digest()
        with self._lock:
            if key in self._files:
                self._files.move_to_end(key)
                return self._files[key][0]
        upload = read_annotations(text, name, names)
        with self._lock:
            self._files[key] = (upload, len(data))
            while len(self._files) > 1 and self._text_bytes() > self._max_text_bytes:
                self._files.popitem(last=False)
        return upload

    def _text_bytes(self) -> int:
        return sum(size for _, size in self._files.values())
