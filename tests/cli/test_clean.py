import os
import time
from pathlib import Path

from atrous.store import open_store

DAYS_S = 3 * 86_400


def orphan_in(home: Path) -> Path:
    """A blob of three days ago that no row names."""
    with open_store(home) as store:
        digest = store.blobs.put(b"orphan").digest
    path = home / "blobs" / digest[:2] / digest[2:4] / digest
    then = time.time() - DAYS_S
    os.utime(path, (then, then))
    return path


def test_clean_deletes_what_nothing_refers_to(atrous, home) -> None:
    path = orphan_in(home)
    code, out, _ = atrous("clean", "--dry-run")
    assert (code, out) == (0, "would delete 1 stored files (0.0 MiB) and 0 others\n")
    assert path.exists()
    assert atrous("clean", "--older-than-hours", "80")[1].startswith("deleted 0 ")
    assert atrous("clean")[1] == "deleted 1 stored files (0.0 MiB) and 0 others\n"
    assert not path.exists()


def test_clean_names_unfinished_files(atrous, home) -> None:
    orphan_in(home).unlink()
    left = home / "cache" / "export-left"
    left.mkdir()
    then = time.time() - DAYS_S
    os.utime(left, (then, then))
    assert atrous("clean")[1].splitlines()[0] == str(left)
    assert not left.exists()


def test_a_time_too_short_to_be_safe_is_refused(atrous) -> None:
    assert atrous("clean", "--older-than-hours", "1")[0] == 2
