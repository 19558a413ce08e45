"""Which photo a request means, whose it is, and how often it is computed."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from atrous.sam2 import embedding_cache

CLICK = {"points": [{"x": 10, "y": 10, "positive": True}]}


def wait_until(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def size_of(answer: Any) -> tuple[int, int]:
    assert answer.status_code == 200, answer.text
    size = answer.json()["image"]
    return size["width"], size["height"]


def test_a_photo_is_known_by_its_content_whatever_its_name(sam2, photo) -> None:
    derived = sam2.embed(image=photo()).json()["image_id"]
    for image_id in ("cat", "other cat", None):
        assert sam2.embed(image=photo(), image_id=image_id).status_code == 200
    assert sam2.segment(image_id="other cat").json()["image_id"] == "other cat"
    assert sam2.segment(image=photo()).json()["image_id"] == derived
    assert len(sam2.segmenter.embedded) == 1
    sam2.embed(image=photo(seed=1))
    assert len(sam2.segmenter.embedded) == 2


def test_an_id_used_again_means_the_first_photo(sam2, photo) -> None:
    sam2.embed(image=photo(), image_id="cat")
    other = photo(seed=1, width=60, height=40)
    assert size_of(sam2.segment(image=other, image_id="cat")) == (200, 100)
    assert size_of(sam2.segment(image={"type": "base64"}, image_id="cat")) == (200, 100)
    assert size_of(sam2.segment(image={"type": "base64", "value": "!"}, image_id="cat")) == (
        200,
        100,
    )


def test_an_id_used_again_is_refused_on_request(sam2, photo, start_sam2) -> None:
    other = photo(seed=1)
    fields = {"image_id": "cat", "refuse_reused_image_id": True}
    assert sam2.embed(image=photo(), **fields).status_code == 200
    assert sam2.embed(image=photo(), **fields).status_code == 200
    for answer in (sam2.embed(image=other, **fields), sam2.segment(image=other, **fields)):
        assert answer.status_code == 409
        assert "image_id 'cat' is that of another photo" in answer.json()["message"]
    assert sam2.segment(**fields).status_code == 200
    strict = start_sam2(sam2_refuse_reused_image_id=True)
    assert strict.segment(image=other, image_id="cat").status_code == 409
    allowed = {"image_id": "cat", "refuse_reused_image_id": False}
    assert strict.segment(image=other, **allowed).status_code == 200


def test_one_workspace_does_not_find_what_another_embedded(sam2, photo, store) -> None:
    derived = sam2.embed(image=photo()).json()["image_id"]
    sam2.embed(image=photo(), image_id="cat")
    sam2.segment(image_id="cat", prompts=CLICK, save_logits_to_cache=True)
    theirs = store.api_keys.create("theirs", store.workspaces.create("theirs")).plain_text
    for image_id in ("cat", derived):
        assert sam2.segment(image_id=image_id, key=theirs).status_code == 400
        assert sam2.embed(image_id=image_id, key=theirs).status_code == 400
    sam2.embed(image=photo(seed=1, width=60, height=40), image_id="cat", key=theirs)
    assert size_of(sam2.segment(image_id="cat", key=theirs)) == (60, 40)
    assert size_of(sam2.segment(image_id="cat")) == (200, 100)


def test_without_keys_it_is_the_default_workspaces(start_sam2, photo) -> None:
    open_server = start_sam2(require_key=False)
    assert open_server.embed(image=photo(), image_id="cat").status_code == 200
    keyed = start_sam2()  # its key is one of the default workspace
    assert keyed.segment(image_id="cat").status_code == 200


def test_other_weights_have_embeddings_of_their_own(sam2, photo) -> None:
    sam2.embed(image=photo(), image_id="cat")
    assert sam2.segment(image_id="cat", sam2_version_id="hiera_small").status_code == 400


def test_found_again_after_a_restart(start_sam2, photo) -> None:
    first = start_sam2()
    derived = first.embed(image=photo()).json()["image_id"]
    first.embed(image=photo(), image_id="cat")
    second = start_sam2()
    for image_id in ("cat", derived):
        assert size_of(second.segment(image_id=image_id)) == (200, 100)
    assert second.segment(image=photo()).status_code == 200
    assert second.segmenter.embedded == []
    assert second.metric('atrous_sam2_embeddings_total{cache="disk"}') == 1
    forgetful = start_sam2(sam2_embedding_disk_bytes=0)
    assert forgetful.segment(image_id="cat").status_code == 400


def test_many_who_ask_at_once_cause_one_computation(sam2, photo) -> None:
    sam2.segmenter.may_embed.clear()
    with ThreadPoolExecutor(10) as clients:
        waiting = [clients.submit(sam2.embed, image=photo()) for _ in range(8)]
        wait_until(lambda: sam2.services.lifecycle.in_flight == 8)
        sam2.segmenter.may_embed.set()
        assert [one.result().status_code for one in waiting] == [200] * 8
    assert len(sam2.segmenter.embedded) == 1
    assert sam2.metric('atrous_sam2_embeddings_total{cache="miss"}') == 1
    assert sam2.metric('atrous_sam2_embeddings_total{cache="memory"}') == 7


def test_a_click_does_not_wait_behind_another_photos_encoding(sam2, photo) -> None:
    sam2.embed(image=photo(), image_id="cat")
    sam2.segmenter.may_embed.clear()
    with ThreadPoolExecutor(10) as clients:
        held = [clients.submit(sam2.embed, image=photo(seed=seed)) for seed in (1, 2, 3)]
        wait_until(lambda: sam2.services.lifecycle.in_flight == 3)
        for _ in range(5):
            assert sam2.segment(image_id="cat", prompts=CLICK).status_code == 200
            assert sam2.segment(image=photo(), prompts=CLICK).status_code == 200
        assert not any(one.done() for one in held)
        sam2.segmenter.may_embed.set()
        assert [one.result().status_code for one in held] == [200] * 3


def test_who_names_a_photo_that_is_encoded_just_now_waits_for_it(sam2, photo) -> None:
    sam2.segmenter.may_embed.clear()
    with ThreadPoolExecutor(2) as clients:
        embedding = clients.submit(sam2.embed, image=photo(), image_id="cat")
        wait_until(lambda: sam2.metric("atrous_queue_depth") == 1)
        clicking = clients.submit(sam2.segment, image_id="cat", prompts=CLICK)
        wait_until(lambda: sam2.metric("atrous_queue_depth") == 2)  # one behind the other
        assert not clicking.done()
        sam2.segmenter.may_embed.set()
        assert embedding.result().status_code == clicking.result().status_code == 200
    assert len(sam2.services.sam2.names_in_work) == 0


def test_of_two_photos_sent_at_once_under_one_id_the_first_has_it(sam2, photo) -> None:
    other = photo(seed=1, width=60, height=40)
    sam2.segmenter.may_embed.clear()
    with ThreadPoolExecutor(4) as clients:
        first = clients.submit(sam2.segment, image=photo(), image_id="cat")
        wait_until(lambda: sam2.metric("atrous_queue_depth") == 1)
        second = clients.submit(sam2.segment, image=other, image_id="cat")
        strict = {"image": other, "image_id": "cat", "refuse_reused_image_id": True}
        refused = clients.submit(sam2.segment, **strict)
        wait_until(lambda: sam2.metric("atrous_queue_depth") == 3)
        sam2.segmenter.may_embed.set()
        assert size_of(first.result()) == size_of(second.result()) == (200, 100)
        assert refused.result().status_code == 409
    assert size_of(sam2.segment(image_id="cat")) == (200, 100)
    assert len(sam2.segmenter.embedded) == 1


def test_a_failed_encoding_leaves_the_id_to_who_waits_for_it(sam2, photo, monkeypatch) -> None:
    started, may_fail = threading.Event(), threading.Event()
    embed = sam2.segmenter.embed

    def fail_once(image: Any) -> Any:
        monkeypatch.setattr(sam2.segmenter, "embed", embed)
        started.set()
        assert may_fail.wait(300)
        raise MemoryError

    monkeypatch.setattr(sam2.segmenter, "embed", fail_once)
    other = photo(seed=1, width=60, height=40)
    with ThreadPoolExecutor(3) as clients:
        failing = clients.submit(sam2.embed, image=photo(), image_id="cat")
        assert started.wait(300)
        waiting = clients.submit(sam2.segment, image=other, image_id="cat")
        wait_until(lambda: sam2.metric("atrous_queue_depth") == 2)
        clicking = clients.submit(sam2.segment, image_id="cat", prompts=CLICK)  # behind both
        wait_until(lambda: sam2.metric("atrous_queue_depth") == 3)
        may_fail.set()
        assert failing.result().status_code >= 500
        assert size_of(waiting.result()) == size_of(clicking.result()) == (60, 40)


def test_an_id_that_looks_like_a_content_id_is_a_name_like_others(sam2, photo) -> None:
    fields = {"image_id": "0123456789" * 4, "refuse_reused_image_id": True}
    assert sam2.embed(image=photo(), **fields).status_code == 200
    assert sam2.embed(image=photo(), **fields).status_code == 200
    assert sam2.embed(image=photo(seed=1), **fields).status_code == 409
    derived = sam2.embed(image=photo()).json()["image_id"]
    taken = {"image_id": derived, "refuse_reused_image_id": True}
    assert sam2.embed(image=photo(seed=1), **taken).status_code == 409


def test_a_broken_photo_leaves_its_id_free(sam2, photo) -> None:
    broken = {"type": "base64", "value": "QUJD"}
    assert sam2.embed(image=broken, image_id="cat").status_code == 400
    fields = {"image_id": "cat", "refuse_reused_image_id": True}
    assert sam2.embed(image=photo(), **fields).status_code == 200


def test_too_many_encodings_are_refused_at_once_and_clicks_are_not(start_sam2, photo) -> None:
    sam2 = start_sam2(max_waiting_requests=1)
    sam2.embed(image=photo(), image_id="cat")
    sam2.segmenter.may_embed.clear()
    with ThreadPoolExecutor(4) as clients:
        held = [clients.submit(sam2.embed, image=photo(seed=seed)) for seed in (1, 2)]
        wait_until(lambda: sam2.metric("atrous_queue_depth") == 2)
        refused = sam2.embed(image=photo(seed=3))
        assert refused.status_code == 429
        assert refused.headers["retry-after"]
        assert sam2.segment(image_id="cat", prompts=CLICK).status_code == 200
        sam2.segmenter.may_embed.set()
        assert [one.result().status_code for one in held] == [200, 200]


def test_no_client_starves_while_others_click(sam2, photo, monkeypatch) -> None:
    """Who sends ten requests at once for one photo lets another photo's click pass."""
    sam2.embed(image=photo(), image_id="busy")
    sam2.embed(image=photo(seed=1, width=60, height=40), image_id="calm")
    begun: list[int] = []  # widths of the photos, in the order of their turns
    may_end = threading.Semaphore(0)  # one at a time: the order of turns must not depend on threads
    segment = sam2.segmenter.segment

    def held(embedding: Any, prompts: Any, *, multimask: bool) -> Any:
        begun.append(embedding.photo_size.width)
        assert may_end.acquire(timeout=300)
        return segment(embedding, prompts, multimask=multimask)

    monkeypatch.setattr(sam2.segmenter, "segment", held)

    def click(image_id: str) -> None:
        assert sam2.segment(image_id=image_id, prompts=CLICK).status_code == 200

    with ThreadPoolExecutor(16) as clients:
        busy = [clients.submit(click, "busy") for _ in range(12)]
        wait_until(lambda: sam2.metric("atrous_queue_depth") == 12)
        calm = clients.submit(click, "calm")
        wait_until(lambda: len(sam2.services.sam2.decoders._waiting) == 2)  # a line for each photo
        for count in range(2, 14):
            wait_until(lambda count=count: len(begun) == count)
            may_end.release()
        may_end.release()
        for one in (*busy, calm):
            one.result()
    assert begun.count(60) == 1
    assert begun.index(60) <= 3  # two were in work, one of each photo waited for its turn


def test_the_disk_keeps_what_is_clicked_from_memory(sam2, photo, store, monkeypatch) -> None:
    monkeypatch.setattr(embedding_cache, "NOTE_S", 0.0)
    sam2.embed(image=photo(), image_id="cat")
    [path] = store.home.sam2_embeddings.glob("*.npz")
    for path_of_use in ("/sam2/segment_image", "/sam2/auto"):
        os.utime(path, (0, 0))
        assert sam2.post(path_of_use, image_id="cat").status_code == 200
        assert path.stat().st_mtime > 0


def test_bytes_and_hits_are_measured(sam2, photo) -> None:
    sam2.embed(image=photo(), image_id="cat")
    sam2.segment(image_id="cat")
    sam2.segment(image_id="dog")
    for cache, count in (("miss", 1), ("memory", 1), ("absent", 1)):
        assert sam2.metric(f'atrous_sam2_embeddings_total{{cache="{cache}"}}') == count
    assert sam2.metric('atrous_sam2_embedding_bytes{tier="memory"}') == 48
    assert sam2.metric('atrous_sam2_embedding_bytes{tier="disk"}') > 48
