"""The page cache is bounded, forgets what was used least recently, and shares no decoder."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from unionlayers._codec.page_cache import PageCache, shared_pages


def decoder(offset: int, weight: int = 10) -> Any:
    return SimpleNamespace(offset=offset, weight=weight)


def test_the_page_used_least_recently_goes_first() -> None:
    cache = PageCache(max_bytes=30)
    stream = cache.register()
    for number in range(3):
        cache.add_page(stream, number, bytes(10))
    assert cache.page(stream, 0) == bytes(10)
    cache.add_page(stream, 3, bytes(10))
    assert [cache.page(stream, number) is not None for number in range(4)] == [
        True,
        False,
        True,
        True,
    ]
    assert cache.held_bytes == 30


def test_a_page_larger_than_the_bound_is_not_kept() -> None:
    cache = PageCache(max_bytes=5)
    stream = cache.register()
    cache.add_page(stream, 0, bytes(10))
    assert cache.page(stream, 0) is None
    assert cache.held_bytes == 0


def test_streams_do_not_see_each_other_and_share_the_bound() -> None:
    cache = PageCache(max_bytes=20)
    one, two = cache.register(), cache.register()
    cache.add_page(one, 0, b"1" * 10)
    cache.add_page(two, 0, b"2" * 10)
    assert (cache.page(one, 0), cache.page(two, 0)) == (b"1" * 10, b"2" * 10)
    cache.add_page(two, 1, b"3" * 10)
    assert cache.page(one, 0) is None


def test_the_decoder_that_stands_furthest_on_is_taken_out() -> None:
    cache = PageCache()
    stream = cache.register()
    near, far, beyond = decoder(100), decoder(50), decoder(201)
    for item in (near, far, beyond):
        cache.park_decoder(stream, item)
    assert cache.take_decoder(stream, 60, 200) is near
    assert cache.take_decoder(stream, 60, 200) is None
    assert cache.take_decoder(stream, 0, 200) is far
    assert cache.take_decoder(cache.register(), 0, 1000) is None
    assert cache.held_bytes == 10


@pytest.mark.parametrize(
    ("max_bytes", "max_decoders", "left"),
    [(1000, 3, 3), (50, 99, 2), (1, 99, 1)],
    ids=["by number", "by weight", "one in any case"],
)
def test_parked_decoders_are_bounded(max_bytes: int, max_decoders: int, left: int) -> None:
    cache = PageCache(max_bytes, max_decoders)
    stream = cache.register()
    for offset in range(8):
        cache.park_decoder(stream, decoder(offset))
    assert cache.held_bytes == left * 10
    assert cache.take_decoder(stream, 7, 7) is not None
    assert cache.take_decoder(stream, 0, 0) is None


def test_a_dropped_stream_leaves_nothing_and_takes_nothing_more() -> None:
    cache = PageCache()
    one, two = cache.register(), cache.register()
    for stream in (one, two):
        cache.add_page(stream, 0, b"page")
        cache.park_decoder(stream, decoder(0))
    cache.drop(one)
    cache.drop(one)
    cache.add_page(one, 1, b"late")
    cache.park_decoder(one, decoder(1))
    assert cache.page(one, 0) is None
    assert cache.page(one, 1) is None
    assert cache.page(two, 0) == b"page"
    assert cache.held_bytes == 14


def test_a_process_has_one_cache_and_a_child_another() -> None:
    assert shared_pages() is shared_pages()
    assert shared_pages().max_bytes == 64 << 20


def test_an_abandoned_stream_is_dropped_with_the_next_use() -> None:
    cache = PageCache()
    stream, other = cache.register(), cache.register()
    cache.add_page(stream, 0, b"a")
    cache.abandon(stream)
    cache.add_page(other, 0, b"b")
    assert cache.page(stream, 0) is None
    assert cache.page(other, 0) == b"b"
    assert cache.held_bytes == 1
