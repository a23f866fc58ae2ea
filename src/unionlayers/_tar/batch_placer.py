"""
From batches of headers to the columns of a layer: `IndexBuilder` for the ordinary entry.

The columns of a run of ordinary headers are filled at once; then each finds its directory.  What
is not a new file or directory in a directory that is known takes the way of every other entry.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from unionlayers._foundation.names import clean_entry_name
from unionlayers._tar import vector_headers
from unionlayers._tar.header_batch import HeaderBatch, Run
from unionlayers._tar.index_builder import IndexBuilder
from unionlayers._tar.layout import Pick, picker
from unionlayers._tar.plain_headers import DIRECTORY, PlainHeaders, read_plain

__all__ = ["BatchPlacer"]

# What one name of a header without extensions can add to these sums, with the directories that it
# implies: 256 bytes have at most 128 components.
_MOST_NAME_BYTES = 129 * 256
_MOST_ROWS = 129
# Importing NumPy takes as long as it saves on so many headers; one that is there is used at once.
_WORTH_AN_IMPORT = 250_000
_WORTH_VECTORS = 128
_UNCLEAN = frozenset((b"/", b"."))


def _vectors() -> ModuleType | None:
    """Give what reads headers by NumPy, None where the extra ``fast`` is not installed."""
    try:
        import_module("numpy")
    except ImportError:
        return None
    return vector_headers


class BatchPlacer:
    """
    Places batches one after the other.

    Args:
        builder: What they are placed in.
    """

    __slots__ = ("_builder", "_headers", "_next_kind", "_vectors")

    def __init__(self, builder: IndexBuilder) -> None:
        self._builder = builder
        self._headers = 0
        self._next_kind = 0
        self._vectors: ModuleType | None = None

    def place(self, batch: HeaderBatch) -> None:
        """
        Place all entries of a batch, with the outcome that `IndexBuilder.add` has for each.

        Raises:
            TarError: A header is damaged.
            LimitError: As for `IndexBuilder.add`.
        """
        builder = self._builder
        plain = self._read(batch.blocks)
        odd = plain.odd if self._roomy(plain) else list(range(len(batch.blocks)))
        self._next_kind = 0
        for piece in batch.pieces(odd):
            if isinstance(piece, Run):
                self._fill(batch, plain, piece)
                self._settle(batch, plain, piece)
            else:
                builder.add(piece)

    @property
    def pick(self) -> Pick:
        """What the columns are put into order with at the end."""
        return picker if self._vectors is None else self._vectors.picker

    def _read(self, blocks: list[bytes]) -> PlainHeaders:
        """Read headers, by NumPy where that is worth it."""
        if self._vectors is None and self._headers >= 0:
            self._headers += len(blocks)
            if "numpy" in sys.modules or self._headers > _WORTH_AN_IMPORT:
                self._vectors = _vectors()
                self._headers = -1
        if self._vectors is not None and len(blocks) >= _WORTH_VECTORS:
            plain: PlainHeaders = self._vectors.read_plain(blocks)
            if len(plain.odd) * 8 < len(blocks):
                return plain
        return read_plain(blocks)

    def _roomy(self, plain: PlainHeaders) -> bool:
        """Tell whether no limit can be reached that is counted up over the entries."""
        builder = self._builder
        limits = builder.limits
        count = len(plain.names)
        return (
            builder.name_bytes + count * _MOST_NAME_BYTES <= limits.name_bytes
            and len(builder.kind) + count * _MOST_ROWS <= limits.entries
        )

    def _fill(self, batch: HeaderBatch, plain: PlainHeaders, run: Run) -> None:
        """Fill in the rows of a run."""
        builder = self._builder
        start, stop, ordinal = run
        count = stop - start
        builder.ordinal.extend(range(ordinal, ordinal + count))
        builder.block.extend([offset >> 9 for offset in batch.offsets[start:stop]])
        builder.length.extend(batch.sizes[start:stop])
        builder.mtime.extend(plain.mtime[start:stop])
        builder.extension.frombytes(bytes(count * builder.extension.itemsize))
        builder.ref.frombytes(bytes(count * builder.ref.itemsize))
        # Kinds are numbered in the order of the tar, as the runs come.
        at = start
        while at < stop:
            end, kind = plain.kinds[self._next_kind]
            here = min(end, stop)
            if here > at:
                number = builder.numbered.number(kind)
                builder.kind.extend([number] * (here - at))
                at = here
            if end <= stop:
                self._next_kind += 1

    def _settle(self, batch: HeaderBatch, plain: PlainHeaders, run: Run) -> None:
        """Find the place in the tree for each row of a run, which is filled in."""
        builder = self._builder
        start, stop, ordinal = run
        names = plain.names[start:stop]
        builder.name_bytes += sum(map(len, names))
        directories, children, whiteouts = (
            builder.directories, builder.children, builder.whiteouts,
        )  # fmt: skip
        short = builder.short
        # The rows of directories that are implied on the way come behind those of the run.
        row = first = len(builder.kind) - (stop - start)
        above: bytes | None = None
        directory: int | None = None
        siblings = children[0]
        for name, flag in zip(names, plain.flags[start:stop], strict=True):
            if name[:2] == b"./":
                name = name[2:]
            climbed = False
            if b"/." in name or b"//" in name or name[:1] in _UNCLEAN:
                path, climbed = clean_entry_name(name)
            else:
                path = name[:-1] if name[-1:] == b"/" else name
            parent, _, base = path.rpartition(b"/")
            if parent != above:
                above = parent
                directory = directories.get(parent)
                if directory is not None:
                    siblings = children[directory]
            if (
                directory is None
                or climbed
                or not base
                or base in siblings
                or base[:4] == b".wh."
                or path[:8] == b".wh..wh."
                or len(path) > short
                or (whiteouts and (directory, base) in whiteouts)
            ):
                position = start + row - first
                entry = batch.entry_again(position, ordinal + row - first)
                builder.entries = entry.ordinal + 1
                builder.settle(entry, row, path, climbed=climbed)
                above = None
            else:
                siblings[base] = row
                if flag == DIRECTORY:
                    builder.ref[row] = builder.open_directory(path, row)
            row += 1
        builder.entries = ordinal + stop - start
