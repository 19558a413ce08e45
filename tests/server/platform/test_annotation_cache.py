import pytest

from atrous.domain.errors import BadDataset
from atrous.server.platform import annotation_cache
from atrous.server.platform.annotation_cache import AnnotationCache


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were really read."""
    seen: list[str] = []
    read = annotation_cache.read_coco_upload

    def note(text: str, name: str):
        seen.append(name)
        return read(text, name)

    monkeypatch.setattr(annotation_cache, "read_coco_upload", note)
    return seen


def test_one_content_is_read_once(reads: list[str], made) -> None:
    cache, text = AnnotationCache(), made.coco_of({"a.png": made.mask_of(0)})
    assert cache.read(text, "one") is cache.read(text, "two")
    assert reads == ["one"]


def test_the_oldest_leaves(reads: list[str], made) -> None:
    texts = [made.coco_of({f"{number}.png": made.mask_of(0)}) for number in range(3)]
    cache = AnnotationCache(max_text_bytes=2 * len(texts[0]))
    for number in (0, 1, 0, 2, 0, 1):
        cache.read(texts[number], str(number))
    assert reads == ["0", "1", "2", "1"]


def test_one_that_is_larger_than_all_is_kept_for_its_photos(reads: list[str], made) -> None:
    cache, text = AnnotationCache(max_text_bytes=1), made.coco_of({"a.png": made.mask_of(0)})
    cache.read(text, "one")
    cache.read(text, "one")
    assert reads == ["one"]


def test_failures_are_not_kept(reads: list[str]) -> None:
    cache = AnnotationCache()
    for _ in range(2):
        with pytest.raises(BadDataset):
            cache.read("{}", "x")
    assert reads == ["x", "x"]
