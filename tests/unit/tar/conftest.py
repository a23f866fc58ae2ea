"""A tar in memory as the reader wants it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from unionlayers._foundation.limits import Limits
from unionlayers._tar.entry import TarEntry
from unionlayers._tar.reader import TarReader


class Stream:
    """The bytes of a tar, once; counts what is taken of them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0
        self.taken = 0

    def take(self, length: int, /) -> bytes:
        part = self._data[self.position : self.position + length]
        self.position += len(part)
        self.taken += len(part)
        return part

    def skip(self, length: int, /) -> int:
        skipped = min(length, len(self._data) - self.position)
        self.position += skipped
        return skipped


@pytest.fixture(scope="session")
def stream() -> type[Stream]:
    return Stream


@pytest.fixture
def reader() -> Callable[..., TarReader]:
    def make(data: bytes, **limits: int) -> TarReader:
        return TarReader(Stream(data), Limits(**limits))

    return make


@pytest.fixture
def read(reader: Callable[..., TarReader]) -> Callable[..., list[TarEntry]]:
    def entries(data: bytes, **limits: int) -> list[TarEntry]:
        return list(reader(data, **limits))

    return entries
