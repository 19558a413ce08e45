"""Annotation files read a moment ago: clients send one file again with each of its photos."""

import hashlib
import threading
from collections import OrderedDict

from atrous.datasets.coco_upload import CocoUpload, read_coco_upload

MAX_TEXT_BYTES = 64 * 1024 * 1024  # of all files together; read, they take some times that


class AnnotationCache:
    """The last files, by their content. Threads may share it."""

    def __init__(self, max_text_bytes: int = MAX_TEXT_BYTES) -> None:
        """Keep files of so many bytes of text; the one just used stays whatever its size."""
        self._max_text_bytes = max_text_bytes
        self._files: OrderedDict[bytes, tuple[CocoUpload, int]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, text: str, name: str) -> CocoUpload:
        """Read a COCO file, or take it from the last ones; BadDataset where it is none."""
        data = text.encode("utf-8", "surrogatepass")
        key = hashlib.sha256(data).digest()
        with self._lock:
            if key in self._files:
                self._files.move_to_end(key)
                return self._files[key][0]
        upload = read_coco_upload(text, name)
        with self._lock:
            self._files[key] = (upload, len(data))
            while len(self._files) > 1 and self._text_bytes() > self._max_text_bytes:
                self._files.popitem(last=False)
        return upload

    def _text_bytes(self) -> int:
        return sum(size for _, size in self._files.values())
