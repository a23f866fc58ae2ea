"""Demands on an image: each holds, or an AssertionError says which layer and step is why not."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from unionlayers._foundation.names import printable
from unionlayers._image.image import Image
from unionlayers._layers.path_pattern import PathPattern
from unionlayers.errors import PathError

if TYPE_CHECKING:
    from unionlayers._image.hidden import HiddenEntry

__all__ = ["ImageCheck"]

_TYPES = ("file", "directory", "symlink", "device", "fifo")
_FORMS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFIFO: "fifo",
}
_EXPLAINED = 5
_SHOWN = 200


@frozen
class ImageCheck:
    """
    What an image must have and must not have.

    Each method returns if its demand holds, and raises AssertionError with an explanation if not;
    pytest hides its frames.  Links are followed, inside the image, as the processes of a container
    follow them.  A pattern is what `UnionFS.find` takes; a path is one too.

    Args:
        image: The image; it stays open.

    Example:
        >>> from unionlayers import ImageCheck, open_image
        >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
        ...     check = ImageCheck(image)
        ...     check.exists("/usr/bin/su", type="file")
        ...     check.mode("/usr/bin/su", 0o755)
        Traceback (most recent call last):
        AssertionError: /usr/bin/su has mode 4755, not 0755
          /usr/bin/su: file 4755 0:0, 66 bytes
            added by layer 0 (sha256:...): COPY pocket-linux/ /, 2026-03-02
    """

    image: Image

    def exists(self, path: str, *, type: str | None = None) -> None:
        """
        Demand that something is at a path, and of a type.

        Args:
            path: The path.
            type: ``"file"``, ``"directory"``, ``"device"`` or ``"fifo"``; ``"symlink"`` looks at
                the path itself and not where it leads.
        """
        __tracebackhide__ = True
        if type is not None and type not in _TYPES:
            raise ValueError(f"a type is one of {', '.join(_TYPES)}, not {type!r}")
        found = self._form(path, follow=type != "symlink")
        if found is None:
            self._fail(f"{printable(path)} is not there", path)
        if type is not None and found != type:
            self._fail(f"{printable(path)} is a {found}, not a {type}", path)

    def mode(self, path: str, mode: int) -> None:
        """Demand all permission bits of what is at a path, setuid and its like among them."""
        __tracebackhide__ = True
        self.exists(path)
        found = stat.S_IMODE(self.image.path(path).stat().st_mode)
        if found != mode:
            self._fail(f"{printable(path)} has mode {found:04o}, not {mode:04o}", path)

    def owner(self, path: str, user: str | int, group: str | int | None = None) -> None:
        """
        Demand the owner of what is at a path, and its group.

        Args:
            path: The path.
            user: A number, or a name that the image's own ``/etc/passwd`` has.
            group: Likewise, of ``/etc/group``; None for any.
        """
        __tracebackhide__ = True
        self.exists(path)
        at = self.image.path(path)
        facts = at.stat()
        for what, wanted, number, name in (
            ("user", user, facts.st_uid, at.owner()),
            ("group", group, facts.st_gid, at.group()),
        ):
            if wanted is not None and wanted != (number if isinstance(wanted, int) else name):
                told = f"{number}" if name is None else f"{number} ({printable(name)})"
                self._fail(f"{printable(path)} has the {what} {told}, not {wanted!r}", path)

    def content(
        self,
        path: str,
        *,
        equals: str | bytes | None = None,
        contains: str | bytes | None = None,
        matches: str | None = None,
    ) -> None:
        """
        Demand what a file holds.

        Args:
            path: The path.
            equals: All of it; text is UTF-8.
            contains: A part of it.
            matches: A regular expression that is found in it, ``^`` and ``$`` at lines.
        """
        __tracebackhide__ = True
        if equals is contains is matches is None:
            raise TypeError("content takes equals, contains or matches")
        self.exists(path, type="file")
        data = self.image.path(path).read_bytes()
        name = printable(path)
        if equals is not None and data != _bytes(equals):
            self._fail(f"{name} holds {_excerpt(data)}, not {_excerpt(_bytes(equals))}", path)
        if contains is not None and _bytes(contains) not in data:
            self._fail(f"{name} holds {_excerpt(data)}, without {_excerpt(_bytes(contains))}", path)
        if matches is not None:
            text = data.decode("utf-8", "surrogateescape")
            if re.search(matches, text, re.MULTILINE) is None:
                self._fail(f"{name} holds {_excerpt(data)}, which {matches!r} does not match", path)

    def absent(self, pattern: str) -> None:
        """Demand that a container sees nothing there; lower layers may still ship it."""
        __tracebackhide__ = True
        found = self._shown(pattern)
        if found:
            self._fail(f"{_paths(found)} there that must not be ({pattern!r})", *found)

    def never_shipped(self, pattern: str) -> None:
        """
        Demand that no layer ships anything there, not even something that a later one deletes.

        Whoever has the image has every layer of it: a secret is not taken away by deleting it.

        Cost:
            Indexes all layers.
        """
        __tracebackhide__ = True
        wanted = PathPattern(pattern)
        shown = self._shown(pattern)
        hidden = [entry for entry in self.image.hidden() if wanted.matches(entry.path)]
        paths = list(dict.fromkeys([*shown, *(entry.path for entry in hidden)]))
        if paths:
            told = [line for entry in hidden[:_EXPLAINED] for line in self._hidden_lines(entry)]
            self._fail(
                f"{_paths(paths)} shipped that must never be ({pattern!r})",
                *paths,
                before=told,
            )

    def no_setuid(self, *, but: Iterable[str] = ()) -> None:
        """
        Demand that no file has the setuid or setgid bit.

        Args:
            but: Patterns of those that may.
        """
        __tracebackhide__ = True
        allowed = [PathPattern(pattern) for pattern in but]
        with self.image.fs() as view:
            paths = [path for path, _ in view.find(mode=stat.S_ISUID | stat.S_ISGID)]
        found = [path for path in paths if not any(one.matches(path) for one in allowed)]
        if found:
            self._fail(f"{_paths(found)} setuid or setgid that must not be", *found)

    def waste_below(self, *, share: float | None = None, size: int | None = None) -> None:
        """
        Demand that the layers ship little for nothing, as `Image.waste` counts it.

        Args:
            share: Less than this part of what is shipped, such as 0.1.
            size: Fewer bytes than this.
        """
        __tracebackhide__ = True
        if share is None and size is None:
            raise TypeError("waste_below takes a share or a size")
        waste = self.image.waste()
        told = []
        if share is not None and not waste.share < share:
            told.append(
                f"{waste.share:.1%} of what is shipped is waste, and {share:.1%} is too much"
            )
        if size is not None and not waste.total < size:
            told.append(f"{waste.total} bytes are waste, and {size} is too much")
        if told:
            steps = [
                f"  {count} bytes by layer {step.layer}: {printable(step.created_by or '')}"
                for step, count in list(waste.by_step.items())[:_EXPLAINED]
                if step is not None
            ]
            raise AssertionError("\n".join([*told, *steps, *_indented(str(waste))]))

    # -- inside -----------------------------------------------------------------------------------

    def _form(self, path: str, *, follow: bool) -> str | None:
        try:
            found = self.image.path(path).stat(follow_symlinks=follow)
        except PathError:
            return None
        return _FORMS[stat.S_IFMT(found.st_mode)]

    def _shown(self, pattern: str) -> list[str]:
        with self.image.fs() as view:
            return [path for path, _ in view.find(pattern, types=_TYPES)]

    def _fail(self, message: str, *paths: str, before: Iterable[str] = ()) -> None:
        __tracebackhide__ = True
        lines = [message, *before]
        for path in paths[:_EXPLAINED]:
            lines.extend(self._explained(path))
        if len(paths) > _EXPLAINED:
            lines.append(f"  and {len(paths) - _EXPLAINED} more")
        raise AssertionError("\n".join(lines))

    def _explained(self, path: str) -> Iterator[str]:
        """Say which layer and step is why, of a link also where it leads; without other news."""
        told = self.image.explain(path)
        own = tuple(one for one in told.findings if one.path == told.real_path != "/")
        yield from _indented(str(evolve(told, findings=own)))
        if told.leads_to is not None and told.leads_to != told.real_path:
            yield from self._explained(told.leads_to)

    def _hidden_lines(self, entry: HiddenEntry) -> Iterator[str]:
        step = {each.layer: each for each in self.image.history}.get(entry.layer)
        told = "" if step is None or not step.created_by else f": {printable(step.created_by)}"
        yield (
            f"  layer {entry.layer} ships {printable(entry.path)}, {entry.size} bytes{told}; "
            f"layer {entry.hidden_by} only hides it"
        )


def _paths(found: list[str]) -> str:
    return "1 path is" if len(found) == 1 else f"{len(found)} paths are"


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _excerpt(data: bytes) -> str:
    """Spell the beginning of what somebody wrote so that no terminal obeys it."""
    shown = data[:_SHOWN].decode("utf-8", "backslashreplace")
    more = f" and {len(data) - _SHOWN} bytes more" if len(data) > _SHOWN else ""
    return f"{shown!a}{more}"


def _indented(text: str) -> Iterator[str]:
    return (f"  {line}" for line in text.split("\n"))
