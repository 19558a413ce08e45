import pytest

from atrous.domain.errors import BadImage
from atrous.server.inference.segmentation import Skipped, Wishes, segment


def test_skipped_steps_reach_the_network(start, png, monkeypatch) -> None:
    services = start().app.state.services
    segmenter = services.models.get("colours/1")
    predict, seen = segmenter.predict, []

    def record(image, **wishes):
        seen.append(wishes)
        return predict(image, **wishes)

    monkeypatch.setattr(segmenter, "predict", record)
    wishes = Wishes("best", "id", skipped=Skipped(contrast=True, static_crop=True))
    answer = segment(services, segmenter, png, wishes)
    assert seen == [{"confidence": 0.5, "without": frozenset({"contrast", "static_crop"})}]
    assert answer.overlay is None


def test_pictures_over_the_pixel_limit_are_refused(start, png) -> None:
    services = start(max_image_pixels=60 * 80 - 1).app.state.services
    with pytest.raises(BadImage):
        segment(services, services.models.get("colours/1"), png, Wishes(0.4, "id"))
