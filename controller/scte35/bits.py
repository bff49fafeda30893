"""Fields of some bits each, most significant bit first, and the CRC that ends a section."""

from __future__ import annotations

from typing import Final

__all__ = ["BitReader", "TooShort", "crc32_mpeg2"]

_POLYNOMIAL: Final = 0x04C11DB7


class TooShort(ValueError):
    """The data ends before a field does."""


class BitReader:
    """Reads fields from the front.

    Args:
        data: What is read.
    """

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bits that were not read."""
        return 8 * len(self._data) - self._at

    def take(self, bits: int) -> int:
        """Read an unsigned number.

        Raises:
            TooShort: There are fewer bits.
        """
        begin, end = self._at, self._at + bits
        first, last = begin // 8, (end + 7) // 8
        if last > len(self._data):
            msg = f"{bits} bits wanted, {self.left} left"
            raise TooShort(msg)
        self._at = end
        whole = int.from_bytes(self._data[first:last], "big")
        return (whole >> (8 * last - end)) & ((1 << bits) - 1)

    def flag(self) -> bool:
        """Read a bit."""
        return bool(self.take(1))

    def take_bytes(self, count: int) -> bytes:
        """Read whole bytes.

        Raises:
            TooShort: There are fewer.
        """
        return self.take(8 * count).to_bytes(count, "big") if count else b""


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (_POLYNOMIAL if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return tuple(table)


_TABLE: Final = _table()


def crc32_mpeg2(data: bytes) -> int:
    """CRC-32/MPEG-2; 0 over a section that ends in its own (ISO/IEC 13818-1, Annex A)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = ((value << 8) & 0xFFFFFFFF) ^ _TABLE[(value >> 24) ^ byte]
    return value
