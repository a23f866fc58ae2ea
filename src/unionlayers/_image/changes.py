"""What differs between two trees: images, states of one image, layers or views."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from unionlayers._foundation.names import printable
from unionlayers._image.change import Change, Sides
from unionlayers._image.change_document import changes_json
from unionlayers._image.change_tables import html_page, markdown_table, text_table
from unionlayers._image.content import content_at
from unionlayers._image.state import Comparable, State, state_of
from unionlayers._image.text_diff import text_diff_of
from unionlayers._image.view_makers import view_maker
from unionlayers._layers.comparison import FIELDS
from unionlayers._layers.difference import Difference, differences
from unionlayers._layers.ignored_paths import IgnoredPaths
from unionlayers._layers.union import Inode

__all__ = ["Changes", "diff"]

_PIECE = 1 << 20


def diff(
    a: Comparable, b: Comparable, *, ignore: Iterable[str] = (), ignore_fields: Iterable[str] = ()
) -> Changes:
    """
    Compare two trees: what is added, removed or changed from *a* to *b*, and by which layer.

    Each side is an `Image`, a `Layer` alone, a `UnionFS` such as ``image.fs(layers=slice(3))``, or
    a pair of an image and what ``Image.fs`` takes as its layers.  Both may be of one image, of two,
    and of different platforms.  Links are compared, not followed.

    Args:
        a: The left side.
        b: The right side.
        ignore: Patterns as `UnionFS.find` takes them, against the whole path.  What matches is
            left out with all that is beneath it: ``var/cache`` leaves that directory out, and
            ``var/cache/**`` only what is in it.
        ignore_fields: Fields that do not count, such as ``"mtime"``; see `Change`.

    Returns:
        The changes; nothing is compared before they are asked for.

    Raises:
        TypeError: A side is none of these, or *ignore* is one text.
        ValueError: There is no field of that name, or a pattern has ``..``.
        ClosedError: An image was closed.

    Cost:
        Indexes the layers of both sides when the changes are asked for.  Directories that both
        have from the same layers are not looked at; of the rest, bytes of files are read where
        two layers have one of the same size, with less than 3 MiB in memory.

    Example:
        >>> from unionlayers import diff, open_image
        >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
        ...     for change in diff((image, slice(4)), (image, slice(5)), ignore_fields=["mtime"]):
        ...         print(change.kind, change.path, change.right.layer)
        removed /srv/ledger/deploy-token 4
        changed /srv/ledger/plugins 4
        added /srv/ledger/plugins/monthly.py 4
        removed /var/cache/index 4
        removed /var/cache/index/extra.list 4
        removed /var/cache/index/main.list 4
    """
    return Changes(
        state_of(a),
        state_of(b),
        ignored=IgnoredPaths(ignore),
        ignored_fields=_checked(ignore_fields),
    )


def _checked(fields: Iterable[str]) -> tuple[str, ...]:
    if isinstance(fields, str):
        raise TypeError("fields to ignore are a sequence of names, and not one text")
    wanted = tuple(fields)
    for name in wanted:
        if name not in FIELDS:
            raise ValueError(f"there is no field {name!r}; there are {', '.join(FIELDS)}")
    return wanted


class Changes:
    """
    What differs between two trees, by path; made by `diff`.

    Iterate over it for `Change` values, a directory before what is in it and names in byte order.
    They are found as they are asked for, once, and kept; ``len()`` finds all, ``bool()`` the first.
    Safe from any thread.

    Attributes:
        left: What the left side is, for people.
        right: What the right side is.
        notes: What should be known of the comparison: different platforms or profiles, layers
            that an image lacks.
        ignored_fields: Fields that do not count.
    """

    def __init__(
        self,
        left: State,
        right: State,
        *,
        ignored: IgnoredPaths,
        ignored_fields: tuple[str, ...],
    ) -> None:
        self._left = left
        self._right = right
        self._ignored = ignored
        self.left = left.label
        self.right = right.label
        self.ignored_fields = ignored_fields
        self.notes = tuple(_notes(left, right))
        self._found: list[Change] = []
        self._lock = threading.RLock()
        self._sides = Sides(left), Sides(right)
        self._coming: Iterator[Difference] | None = None
        self._done = False

    def __iter__(self) -> Iterator[Change]:
        """
        Give the changes.

        Raises:
            UnionLayersError: A layer cannot be read, or an entry cannot be applied; asking again
                starts over.
            ClosedError: An image was closed.
        """
        position = 0
        while (change := self._at(position)) is not None:
            yield change
            position += 1

    def __len__(self) -> int:
        """Count the changes."""
        while not self._done:
            self._at(len(self._found))
        return len(self._found)

    def __bool__(self) -> bool:
        """Tell whether anything differs, without looking further than to the first change."""
        return self._at(0) is not None

    def __repr__(self) -> str:
        """Show what is compared, escaped."""
        return printable(f"<Changes from {self.left} to {self.right}>")

    def _repr_html_(self) -> str:
        """Show the first of them in a notebook."""
        shown: str = view_maker("html")(self)
        return shown

    @property
    def unused_ignores(self) -> tuple[str, ...]:
        """
        The patterns to ignore that match nothing on either side: most likely misspelt.

        Raises:
            UnionLayersError: A layer cannot be read.

        Cost:
            Finds all changes; then, for a pattern that has not matched on the way, looks at the
            directories in which it can.
        """
        len(self)
        return self._ignored.unused((self._left.union, self._right.union))

    @property
    def ignored(self) -> tuple[str, ...]:
        """The patterns of what is left out."""
        return self._ignored.patterns

    def to_json(self, *, indent: int | None = None) -> str:
        """
        Give all changes as one JSON object.

        Values of extended attributes are base64; names that are not UTF-8 have lone surrogates,
        escaped, as Python's ``surrogateescape`` gives them.  The names of an inode that has more
        than 16 stand in full at the first change that is of it; the side of each other has null
        and, as ``names_at``, the path of that first one.

        Args:
            indent: As for ``json.dumps``.
        """
        return changes_json(self, indent)

    def to_table(self, *, limit: int | None = None) -> str:
        """
        Give the changes as lines of text for a terminal, names escaped.

        Args:
            limit: How many changes at most; the last line tells how many more there are.
        """
        return text_table(self, limit)

    def to_markdown(self, *, limit: int | None = 1000) -> str:
        """Give the changes as a table in Markdown, names escaped; *limit* as for `to_table`."""
        return markdown_table(self, limit)

    def to_html(self, *, limit: int | None = 10_000) -> str:
        """
        Give the changes as a page of HTML that needs nothing else and runs nothing.

        Everything from an image is escaped; *limit* as for `to_table`.
        """
        return html_page(self, limit)

    def text_diff(self, path: str, *, context: int = 3, limit: int = 1 << 20) -> str:
        r"""
        Give the unified diff of one file, empty if its content is the same.

        Links are followed on each side; where one has nothing there, its content counts as
        empty.  Only this file is looked at.  Files with a zero byte are binary, and nothing but
        that is said of them, and likewise of those that are larger than *limit*.  Bytes that are
        not UTF-8 are shown as ``\xff``; what else is in the lines is given as it is.

        Args:
            path: A path.
            context: Lines around each change.
            limit: Bytes of a file that are read at most.

        Raises:
            PathNotFoundError: Neither side has it.
            PathIsADirectoryError: A directory is there.
            NotARegularFileError: A device or FIFO is there.

        Cost:
            Bounded by *limit*: past a thousand lines that differ, what lies between the first and
            the last is given as replaced.
        """
        return text_diff_of(self._left, self._right, path, context=context, limit=limit)

    def _at(self, position: int) -> Change | None:
        with self._lock:
            if position >= len(self._found) and not self._done:
                self._go_on()
            return self._found[position] if position < len(self._found) else None

    def _go_on(self) -> None:
        """Find the next change; after an error the walk starts over, past what is known."""
        self._left.image.check_open()
        self._right.image.check_open()
        if self._coming is None:
            self._coming = differences(
                self._sides[0].names,
                self._sides[1].names,
                self._same_content,
                ignored=self._ignored,
                ignored_fields=self.ignored_fields,
            )
            for _ in range(len(self._found)):
                next(self._coming, None)
        try:
            found = next(self._coming, None)
            made = None if found is None else self._change(found)
        except BaseException:
            self._coming = None
            raise
        if made is None:
            self._done = True
            self._coming = None
        else:
            self._found.append(made)

    def _change(self, found: Difference) -> Change:
        return Change(
            kind="added" if found.left is None else "removed" if found.right is None else "changed",
            path=found.path,
            fields=found.fields,
            left=self._sides[0].of(found, found.left),
            right=self._sides[1].of(found, found.right),
        )

    def _same_content(self, left: Inode, right: Inode, path: str) -> bool:
        one = content_at(self._left.image, self._left.union, left, path)
        other = content_at(self._right.image, self._right.union, right, path)
        return one.size == other.size and all(
            one.pread(offset, _PIECE) == other.pread(offset, _PIECE)
            for offset in range(0, one.size, _PIECE)
        )


def _notes(left: State, right: State) -> Iterator[str]:
    one, other = left.image, right.image
    if one.platform != other.platform:
        yield (
            f"the platforms differ: {one.platform or 'none said'} "
            f"and {other.platform or 'none said'}"
        )
    if left.union.profile != right.union.profile:
        yield "the sides are read by different profiles"
    for side, image in (("left", one), ("right", other)) if one is not other else (("", one),):
        lacking = [layer.index for layer in image.layers if image.lacks(layer.index)]
        if lacking and image.options.missing == "skip":
            where = f"the {side} image" if side else "the image"
            yield f"{where} lacks layers that are left out: {', '.join(map(str, lacking))}"
