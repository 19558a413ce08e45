import pytest

from atrous.domain.errors import BadDataset
from atrous.server.platform import annotation_cache
from atrous.server.platform.annotation_cache import AnnotationCache


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were really read."""
    seen: list[str] = []
    read = annotation_cache.read_annotations

    def note(text: str, name: str, class_names):
        seen.append(name)
        return read(text, name, class_names)

    monkeypatch.setattr(annotation_cache, "read_annotations", note)
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


def test_the_same_text_with_other_names_is_another_file(reads: list[str]) -> None:
    cache, text = AnnotationCache(), "0 0.1 0.1 0.9 0.1 0.9 0.9"
    assert cache.read(text, "a.txt", {"0": "road"}).class_names == ("background", "road")
    assert cache.read(text, "a.txt", {"0": "tree"}).class_names == ("background", "tree")
    assert reads == ["a.txt", "a.txt"]
    with pytest.raises(BadDataset, match="keys that are no numbers"):
        cache.read(text, "a.txt", {"x": "road"})
