"""Which photo a client means by an `image_id`: from its own names to content ids."""

import hashlib
import logging
import threading
from collections import OrderedDict
from pathlib import Path
from uuid import uuid4

from atrous.sam2.photo_keys import CONTENT_ID

logger = logging.getLogger(__name__)


class ImageIds:
    """Remembers which content a client's `image_id` stands for, within one owner.

    An owner is a text: whose key it is, and which model. What one owner calls a photo says
    nothing to another. With a folder, names are found again after a restart. Safe for threads.
    """

    def __init__(self, max_names: int, folder: Path | None = None) -> None:
        """Keep `max_names`, those used or, in the folder, noted last."""
        self._max_names = max_names
        self._folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._on_disk = len(_names(folder)) if folder is not None else 0
        self._lock = threading.Lock()
        self._content_ids: OrderedDict[tuple[str, str], str] = OrderedDict()  # oldest use first

    def in_memory(self, owner: str, image_id: str) -> str | None:
        """Give the content id without a look at the disk."""
        with self._lock:
            content_id = self._content_ids.get((owner, image_id))
            if content_id is not None:
                self._content_ids.move_to_end((owner, image_id))
            return content_id

    def get(self, owner: str, image_id: str) -> str | None:
        """Give the content id that was noted; content ids themselves are names, too."""
        content_id = self.in_memory(owner, image_id) or self._read(owner, image_id)
        if content_id is None and CONTENT_ID.fullmatch(image_id):
            return image_id
        return content_id

    def note(self, owner: str, image_id: str, content_id: str) -> None:
        """From now on this name means this content."""
        if image_id == content_id or self.in_memory(owner, image_id) == content_id:
            return
        self._keep(owner, image_id, content_id)
        if self._folder is not None:
            try:
                self._write(self._folder, self._path(self._folder, owner, image_id), content_id)
            except OSError as error:  # it is still known until the server ends
                logger.warning("the name of a photo could not be kept: %s", error.strerror)

    def clear(self) -> None:
        """Forget all names, on the disk as well."""
        with self._lock:
            self._content_ids.clear()
            if self._folder is not None:
                for path in self._folder.iterdir():
                    path.unlink(missing_ok=True)
                self._on_disk = 0

    def _keep(self, owner: str, image_id: str, content_id: str) -> None:
        with self._lock:
            self._content_ids[owner, image_id] = content_id
            self._content_ids.move_to_end((owner, image_id))
            while len(self._content_ids) > self._max_names:
                self._content_ids.popitem(last=False)

    def _read(self, owner: str, image_id: str) -> str | None:
        if self._folder is None:
            return None
        try:
            content_id = self._path(self._folder, owner, image_id).read_text("ascii")
        except (OSError, UnicodeDecodeError):  # not there, or no longer a name
            return None
        if not CONTENT_ID.fullmatch(content_id):
            return None
        self._keep(owner, image_id, content_id)
        return content_id

    def _write(self, folder: Path, path: Path, content_id: str) -> None:
        temporary = folder / f".{uuid4().hex}"
        try:
            temporary.write_text(content_id, "ascii")
            with self._lock:
                self._on_disk += not path.exists()
                temporary.replace(path)
                if self._on_disk > self._max_names:
                    paths = sorted(_names(folder), key=lambda each: each.stat().st_mtime_ns)
                    for old in paths[: len(paths) // 2]:  # half at once, so that this is rare
                        old.unlink()
                    self._on_disk = len(paths) - len(paths) // 2
        finally:
            temporary.unlink(missing_ok=True)

    def _path(self, folder: Path, owner: str, image_id: str) -> Path:
        # The name is a client's text: only its digest becomes a file name.
        named = hashlib.sha256(f"{owner}\0{image_id}".encode("utf-8", "surrogatepass"))
        return folder / named.hexdigest()


def _names(folder: Path) -> list[Path]:
    """All but what is being written, or was when a server was killed."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]
