from functools import partial

import anyio
import pytest

from atrous.domain.errors import BadImage
from atrous.server.image_input import SentImage
from atrous.server.inference.segmentation import Skipped, Wishes, segment
from atrous.server.settings import ServerSettings


def in_thread(*arguments):
    return anyio.run(anyio.to_thread.run_sync, partial(segment, *arguments))


def test_skipped_steps_reach_the_network(start, png, monkeypatch) -> None:
    services = start().app.state.services
    segmenter = services.models.get("colours/1")
    predict, seen = segmenter.predict, []

    def record(image, **wishes):
        seen.append(wishes)
        return predict(image, **wishes)

    monkeypatch.setattr(segmenter, "predict", record)
    wishes = Wishes("best", "id", skipped=Skipped(contrast=True, static_crop=True))
    answer = in_thread(services, segmenter, SentImage(png), wishes)
    assert {"confidence": 0.5, "without": frozenset({"contrast", "static_crop"})}.items() <= seen[
        0
    ].items()
    assert answer.overlay is None


@pytest.mark.parametrize("step", ["auto_orient", "contrast", "grayscale", "static_crop"])
def test_what_the_server_leaves_out_is_left_out_of_every_request(step) -> None:
    settings = ServerSettings(**{f"disable_preproc_{step}": True})
    assert Skipped().or_by(settings) == Skipped(**{step: True})
    everything = Skipped(auto_orient=True, contrast=True, grayscale=True, static_crop=True)
    assert everything.or_by(settings) == everything
    assert Skipped().or_by(ServerSettings()) == Skipped()


def test_pictures_over_the_pixel_limit_are_refused(start, png) -> None:
    services = start(max_image_pixels=60 * 80 - 1).app.state.services
    with pytest.raises(BadImage):
        in_thread(services, services.models.get("colours/1"), SentImage(png), Wishes(0.4, "id"))


def test_nothing_more_is_done_for_one_who_left(start, png, monkeypatch) -> None:
    services = start().app.state.services
    segmenter = services.models.get("colours/1")
    predict, ended = segmenter.predict, []

    async def scenario() -> None:
        with anyio.CancelScope() as scope:

            def leave_and_predict(*arguments, **named):
                anyio.from_thread.run_sync(scope.cancel)
                return predict(*arguments, **named)

            def work() -> None:
                segment(services, segmenter, SentImage(png), Wishes(0.4, "id"))
                ended.append("with an answer")

            await anyio.to_thread.run_sync(work)
            monkeypatch.setattr(segmenter, "predict", leave_and_predict)
            await anyio.to_thread.run_sync(work)
        assert scope.cancelled_caught

    anyio.run(scenario)
    assert ended == ["with an answer"]


def test_what_lies_at_a_url_and_is_no_picture_has_the_words_that_clients_know(start) -> None:
    services = start().app.state.services
    segmenter = services.models.get("colours/1")
    for is_fetched in (True, False):
        sent = SentImage(b"<html>", is_fetched=is_fetched)
        with pytest.raises(BadImage, match="is not a JPEG") as caught:
            in_thread(services, segmenter, sent, Wishes(0.4, "id"))
        words = "Data pointed by URL could not be decoded into image. "
        assert str(caught.value).startswith(words) == is_fetched
