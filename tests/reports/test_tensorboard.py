import resource
import struct
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from atrous.reports.tensorboard import EventFile, masked_crc32c


def records(data: bytes) -> list[bytes]:
    """The messages of an event file; every checksum must be right."""
    found = []
    while data:
        [length] = struct.unpack_from("<Q", data)
        event = data[12 : 12 + length]
        for content, place in ((data[:8], 8), (event, 12 + length)):
            assert struct.unpack_from("<I", data, place)[0] == masked_crc32c(content)
        found.append(event)
        data = data[16 + length :]
    return found


def varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value, shift, place = value | (byte & 0x7F) << shift, shift + 7, place + 1
        if byte < 0x80:
            return value, place


def fields(message: bytes) -> list[tuple[int, object]]:
    """Numbers and values of a protocol buffer message."""
    place, found = 0, []
    while place < len(message):
        key, place = varint(message, place)
        if key & 7 == 0:
            value, place = varint(message, place)
        elif key & 7 == 2:
            size, place = varint(message, place)
            value, place = message[place : place + size], place + size
        else:
            kind, size = ("<d", 8) if key & 7 == 1 else ("<f", 4)
            [value], place = struct.unpack_from(kind, message, place), place + size
        found.append((key >> 3, value))
    return found


def test_scalars_can_be_read_back(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "tensorboard")
    file.add(1, {"valid_miou": 0.25, "iou_Straße": 0.5})
    file.add(300, {"valid_miou": 0.75})
    version, first, second = (dict(fields(event)) for event in records(file.path.read_bytes()))
    assert version[3] == b"brain.Event:2"
    assert (first[2], second[2]) == (1, 300)
    values = [dict(fields(value)) for _, value in fields(first[5])]
    assert [(value[1].decode(), value[2]) for value in values] == [
        ("valid_miou", 0.25),
        ("iou_Straße", 0.5),
    ]
    assert abs(first[1] - second[1]) < 60  # seconds since 1970, as TensorBoard shows them


def test_tensorboard_reads_it(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.add(7, {"train_loss": 1.5})
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    [event] = events.Scalars("train_loss")
    assert (event.step, event.value) == (7, 1.5)


def test_each_sitting_has_a_file_of_its_own(tmp_path: Path) -> None:
    assert EventFile(tmp_path).path != EventFile(tmp_path).path
    assert len(list(tmp_path.iterdir())) == 2


def test_what_a_full_disk_cut_off_leaves_the_rest_readable(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.add(1, {"valid_miou": 0.25})
    before = file.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            file.add(2, {"valid_miou": 0.5})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.path.read_bytes() == before
    file.add(3, {"valid_miou": 0.75})
    assert len(records(file.path.read_bytes())) == 3
