from functools import partial

import anyio
import pytest

from atrous.domain.errors import BadImage
from atrous.server.image_input import SentImage
from atrous.server.inference.segmentation import Skipped, Wishes, segment


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
