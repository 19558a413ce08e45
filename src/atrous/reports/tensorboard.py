"""Scalars as a TensorBoard event file, which needs nothing but this to be written.

A file is a row of records, each its length, a checksum of that, an `Event` message (protocol
buffers) and a checksum of the message: tensorflow/core/lib/io/record_writer.h and
tensorflow/core/util/event.proto.
"""

import os
import socket
import struct
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

CASTAGNOLI = 0x82F63B78


class EventFile:
    """Appends scalars to a new file in a folder; what is appended is in the file at once."""

    def __init__(self, folder: Path) -> None:
        """Begin a file of its own, so that the sittings of a run lie beside each other."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self.path = folder / name
        self._append(_field(3, 2, _sized(b"brain.Event:2")))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write scalars by name, all of one step."""
        values = b"".join(
            _field(1, 2, _sized(_field(1, 2, _sized(name.encode())) + _field(2, 5, _float(value))))
            for name, value in scalars.items()
        )
        self._append(_field(2, 0, _varint(step)) + _field(5, 2, _sized(values)))

    def _append(self, fields: bytes) -> None:
        event = _field(1, 1, struct.pack("<d", time.time())) + fields
        length = struct.pack("<Q", len(event))
        record = (length, _checksum(length), event, _checksum(event))
        with self.path.open("ab", buffering=0) as file:
            end, rest = file.tell(), memoryview(b"".join(record))
            try:
                while rest:  # a disk that fills up takes a part first
                    rest = rest[file.write(rest) :]
            except OSError:
                file.truncate(end)  # what comes after a torn record is never read
                raise


def masked_crc32c(data: bytes) -> int:
    """The checksum of a record: CRC-32C, rotated and shifted as the format asks.

    >>> hex(masked_crc32c(b"123456789"))
    '0xc78ab0e5'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _table()[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    entries = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ (CASTAGNOLI if entry & 1 else 0)
        entries.append(entry)
    return tuple(entries)


def _checksum(data: bytes) -> bytes:
    return struct.pack("<I", masked_crc32c(data))


def _field(number: int, wire_type: int, content: bytes) -> bytes:
    return _varint(number << 3 | wire_type) + content


def _sized(content: bytes) -> bytes:
    return _varint(len(content)) + content


def _float(value: float) -> bytes:
    return struct.pack("<f", value)


def _varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
