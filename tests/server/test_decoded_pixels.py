"""Alone, and through the server: large pictures wait for one another, small ones pass beside."""

import base64
import io
import threading

import pytest
from PIL import Image

from atrous.domain.errors import BadImage
from atrous.server.decoded_pixels import DecodedPixels


class Holder:
    """A thread that takes pixels and holds them until it is told to go."""

    def __init__(self, pixels: DecodedPixels, count: int) -> None:
        self.has, self.may_go = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.hold, args=(pixels, count))
        self.thread.start()

    def hold(self, pixels: DecodedPixels, count: int) -> None:
        with pixels.take(count, lambda: None):
            self.has.set()
            assert self.may_go.wait(300)

    def go(self) -> None:
        self.may_go.set()
        self.thread.join(300)


def wait_in_line(pixels: DecodedPixels, count: int) -> None:
    while len(pixels._line) != count:
        threading.Event().wait(0.001)


def test_pixels_are_never_more_than_the_limit_and_come_in_turn() -> None:
    pixels = DecodedPixels(100, 100)
    first = Holder(pixels, 60)
    assert first.has.wait(300)
    second = Holder(pixels, 50)
    wait_in_line(pixels, 1)
    third = Holder(pixels, 10)  # there is room, but it is not its turn
    wait_in_line(pixels, 2)
    assert not second.has.is_set()
    assert not third.has.is_set()
    first.go()
    assert second.has.wait(300)
    assert third.has.wait(300)
    assert pixels._free == 40
    second.go()
    third.go()
    assert pixels._free == 100


def test_one_that_is_larger_than_all_is_alone() -> None:
    pixels = DecodedPixels(100, 1000)
    with pixels.take(1000):
        assert pixels._free == 0
    assert pixels._free == 100


def test_who_is_not_waited_for_leaves_the_line() -> None:
    pixels = DecodedPixels(100, 100)

    def left() -> None:
        raise InterruptedError

    with pixels.take(100):
        with pytest.raises(InterruptedError), pixels.take(1, left):
            pass
        assert not pixels._line
    assert pixels._free == 100


def test_a_picture_counts_by_its_header() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10)).save(buffer, "PNG")
    pixels = DecodedPixels(1000, 200)
    with pixels.of_picture(buffer.getvalue()):
        assert pixels._free == 800
    with DecodedPixels(1000, 199).of_picture(buffer.getvalue()):
        pass  # who decodes it refuses it
    with pytest.raises(BadImage), pixels.of_picture(b"no picture"):
        pass
    assert pixels._free == 1000


def test_pictures_in_work_are_counted(start, key, png, monkeypatch) -> None:
    client, whole = start(max_decoded_pixels=10_000_000), 10_000_000
    services = client.app.state.services
    width, height = Image.open(io.BytesIO(png)).size
    segmenter, free = services.models.get("colours/1"), []
    predict = segmenter.predict

    def look_and_predict(*arguments, **named):
        free.append(services.decoded_pixels._free)
        return predict(*arguments, **named)

    monkeypatch.setattr(segmenter, "predict", look_and_predict)
    params = {"api_key": key}
    assert client.post("/colours/1", params=params, content=png).status_code == 200
    text = base64.b64encode(png)
    assert client.post("/colours/1", params=params, content=text).status_code == 200
    assert client.post("/colours/1", params=params, content=png[:60]).status_code == 400
    assert free == [whole - width * height] * 2
    assert services.decoded_pixels._free == whole
