"""The unified diff of one file in two trees, bounded."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from unionlayers._bytes.source import ByteSource
from unionlayers._foundation.edit_script import Edit, edit_script
from unionlayers._foundation.names import printable
from unionlayers._image.content import content_of
from unionlayers._image.state import State
from unionlayers._layers.resolution import resolve
from unionlayers.errors import PathNotADirectoryError, PathNotFoundError

__all__ = ["text_diff_of"]

_PIECE = 1 << 20


def text_diff_of(left: State, right: State, path: str, *, context: int, limit: int) -> str:
    """
    Give the unified diff of one file, empty if its content is the same.

    Raises:
        PathNotFoundError: Neither side has it.
        PathIsADirectoryError: A directory is there.
        NotARegularFileError: A device or FIFO is there.
    """
    one, other = _content(left, path), _content(right, path)
    if one is None and other is None:
        raise PathNotFoundError("neither side has it", path=path)
    if _same(one, other):
        return ""
    name = printable("/" + path.lstrip("/"))
    labels = (
        "/dev/null" if one is None else f"a{name}",
        "/dev/null" if other is None else f"b{name}",
    )
    sizes = tuple(0 if source is None else source.size for source in (one, other))
    if max(sizes) > limit:
        return (
            f"Files {labels[0]} and {labels[1]} differ: {sizes[0]} and {sizes[1]} bytes, and only "
            f"files of {limit} bytes are compared by lines\n"
        )
    data = tuple(b"" if source is None else source.pread(0, source.size) for source in (one, other))
    if any(b"\0" in text for text in data):
        return f"Binary files {labels[0]} and {labels[1]} differ: {sizes[0]} and {sizes[1]} bytes\n"
    lines = _Lines(_lines(data[0]), _lines(data[1]))
    return "".join((f"--- {labels[0]}\n", f"+++ {labels[1]}\n", *_hunks(lines, max(0, context))))


def _content(state: State, path: str) -> ByteSource | None:
    state.image.check_open()
    try:
        found = resolve(state.union, path)
    except (PathNotFoundError, PathNotADirectoryError):
        return None
    return content_of(state.image, state.union, found.node, path)


def _same(one: ByteSource | None, other: ByteSource | None) -> bool:
    if one is None or other is None:
        return False
    return one.size == other.size and all(
        one.pread(offset, _PIECE) == other.pread(offset, _PIECE)
        for offset in range(0, one.size, _PIECE)
    )


def _lines(data: bytes) -> list[bytes]:
    """Give the lines with their ends; a carriage return ends none."""
    *whole, rest = data.split(b"\n")
    return [*(line + b"\n" for line in whole), *((rest,) if rest else ())]


@frozen
class _Lines:
    """The lines of both sides, with their ends."""

    left: list[bytes]
    right: list[bytes]


def _hunks(lines: _Lines, context: int) -> Iterator[str]:
    for hunk in _grouped(edit_script(lines.left, lines.right), context):
        _, first, _, other_first, _ = hunk[0]
        _, _, last, _, other_last = hunk[-1]
        yield f"@@ -{_range(first, last)} +{_range(other_first, other_last)} @@\n"
        for kind, start, end, to, stop in hunk:
            if kind == "same":
                yield from (_line(" ", line) for line in lines.left[start:end])
            else:
                yield from (_line("-", line) for line in lines.left[start:end])
                yield from (_line("+", line) for line in lines.right[to:stop])


def _grouped(edits: list[Edit], context: int) -> Iterator[list[Edit]]:
    """Give the edits with so many lines around them, those that are near each other together."""
    hunk: list[Edit] = []
    for number, (kind, start, end, to, stop) in enumerate(edits):
        if kind != "same":
            hunk.append((kind, start, end, to, stop))
            continue
        length = end - start
        first, last = number == 0, number == len(edits) - 1
        if first:
            kept = min(context, length)
            hunk = [(kind, end - kept, end, stop - kept, stop)] if kept else []
        elif last or length > 2 * context:
            kept = min(context, length)
            if kept:
                hunk.append((kind, start, start + kept, to, to + kept))
            yield hunk
            kept = min(context, length)
            hunk = [] if last or not kept else [(kind, end - kept, end, stop - kept, stop)]
        else:
            hunk.append((kind, start, end, to, stop))
    if any(kind != "same" for kind, *_ in hunk):
        yield hunk


def _range(start: int, end: int) -> str:
    """Give a range as diff does: of nothing, the line before it counts."""
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def _line(mark: str, raw: bytes) -> str:
    text = raw.decode("utf-8", "backslashreplace")
    if raw.endswith(b"\n"):
        return mark + text
    return f"{mark}{text}\n\\ No newline at end of file\n"
