import numpy as np

from atrous.domain.prompts import Point, Prompt, PromptBox
from atrous.server.metrics import Metrics
from atrous.server.sam2_logits import LogitsCache

A, B, C, D = (Point(float(i), 2.0, positive=i % 2 == 0) for i in range(4))
BOX = PromptBox(1.0, 2.0, 3.0, 4.0)


def mask(value: float) -> np.ndarray:
    return np.full((256, 256), value, np.float32)


def value_of(cache: LogitsCache, photo: str, prompt: Prompt) -> float | None:
    found = cache.load(photo, prompt)
    return None if found is None else float(found[0, 0])


def test_a_prompt_that_says_more_goes_on_from_one_that_said_less() -> None:
    cache = LogitsCache(10, Metrics())
    cache.save("photo", Prompt((A,)), mask(1))
    assert value_of(cache, "photo", Prompt((B, A))) == 1
    assert value_of(cache, "photo", Prompt((A,))) is None  # the same is not less
    assert value_of(cache, "photo", Prompt((B, C))) is None
    assert value_of(cache, "photo", Prompt((A, B), BOX)) is None  # another box
    assert value_of(cache, "other", Prompt((A, B))) is None


def test_a_changed_sign_is_another_point() -> None:
    cache = LogitsCache(10, Metrics())
    cache.save("photo", Prompt((Point(1.0, 2.0, True),)), mask(1))
    assert value_of(cache, "photo", Prompt((Point(1.0, 2.0, False), B))) is None


def test_the_most_points_count_then_the_newest() -> None:
    cache = LogitsCache(10, Metrics())
    cache.save("photo", Prompt((A, B)), mask(2))
    cache.save("photo", Prompt((A, C)), mask(3))
    cache.save("photo", Prompt((A,)), mask(1))
    assert value_of(cache, "photo", Prompt((A, B, C))) == 3
    assert value_of(cache, "photo", Prompt((A, B, C, D))) == 3
    assert value_of(cache, "photo", Prompt((A, D))) == 1
    cache.save("photo", Prompt((B, A)), mask(4))  # the same prompt again
    assert value_of(cache, "photo", Prompt((A, B, C))) == 4


def test_a_box_alone_is_less_than_the_box_and_a_point() -> None:
    cache = LogitsCache(10, Metrics())
    cache.save("photo", Prompt((), BOX), mask(1))
    assert value_of(cache, "photo", Prompt((A,), BOX)) == 1


def test_an_answer_to_nothing_is_nobodys_object() -> None:
    cache = LogitsCache(10, Metrics())
    cache.save("photo", Prompt(), mask(1))
    assert value_of(cache, "photo", Prompt((A,))) is None


def test_the_number_is_bounded_and_nothing_else_is_held() -> None:
    cache = LogitsCache(2, Metrics())
    three = np.stack([mask(1), mask(2), mask(3)])
    for photo in ("a", "b", "c"):
        cache.save(photo, Prompt((A,)), three[1])
    assert value_of(cache, "a", Prompt((A, B))) is None
    kept = cache.load("c", Prompt((A, B)))
    assert kept is not None
    assert kept.base is None
    cache.clear()
    assert value_of(cache, "c", Prompt((A, B))) is None


def test_none_are_kept_where_none_are_wanted() -> None:
    cache = LogitsCache(0, Metrics())
    cache.save("a", Prompt((A,)), mask(1))
    assert value_of(cache, "a", Prompt((A, B))) is None


def test_hits_misses_and_entries_are_counted() -> None:
    metrics = Metrics()
    cache = LogitsCache(2, metrics)
    for photo in ("a", "b", "c"):
        cache.save(photo, Prompt((A,)), mask(1))
    assert "atrous_sam2_logits_entries 2.0" in metrics.as_text().decode()
    cache.load("a", Prompt((A, B)))
    cache.load("b", Prompt((A, B)))
    cache.load("c", Prompt((A, B)))
    text = metrics.as_text().decode()
    assert 'atrous_sam2_logits_total{cache="hit"} 2.0' in text
    assert 'atrous_sam2_logits_total{cache="miss"} 1.0' in text
    cache.clear()
    assert "atrous_sam2_logits_entries 0.0" in metrics.as_text().decode()
