"""An image, or some of its layers, as one read-only PyFilesystem."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import Any, Literal, Self

from attrs import frozen

from unionlayers._bytes.spool import SpoolFolder
from unionlayers._codec.forward import Progress
from unionlayers._foundation.limits import Limits
from unionlayers._image.exported import ByteSink, Exported
from unionlayers._image.image import Image, LayerChoice
from unionlayers._image.opening import open_image
from unionlayers._image.sniffing import Source
from unionlayers._image.stored_layers import IndexChoice
from unionlayers._layers.finding import Finding
from unionlayers._layers.profile import Profile
from unionlayers._layers.resolution import Link, resolve
from unionlayers._layers.stack_findings import stack_findings
from unionlayers._layers.status import Stat, stat_of
from unionlayers._views.errors import NoURL, translating
from unionlayers._views.reading import ReadingFS
from unionlayers._views.view_url import url_of

__all__ = ["RealPath", "UnionFS"]


@frozen
class RealPath:
    """
    Where a path led.

    Attributes:
        path: The absolute path without links.
        links: The symbolic links on the way, in the order they were followed.
    """

    path: str
    links: tuple[Link, ...]


class UnionFS(ReadingFS):
    """
    A read-only filesystem over a stack of layers.

    Nothing is extracted and nothing is read before a question needs it.  Paths are normalised
    lexically, as PyFilesystem demands.  Links on the way are followed inside the image; a link at
    the end is followed by what opens or measures (`openbin`, `readbytes`, `isdir`, `isfile`,
    `exists`, `getsize`, `listdir`, `scandir`), not by what describes (`getinfo`, `islink`,
    `gettype`).  Names that are not UTF-8 come as surrogate escapes.

    Args:
        source: What `open_image` takes; closing this filesystem then closes it.
        layers: A slice, distinct indexes or a predicate over `Layer`.
        profile: How the stack is read where runtimes differ.

    The other arguments are those of `open_image`.

    Example:
        >>> from unionlayers import UnionFS
        >>> with UnionFS("examples/demo-image/ledger.oci.tar") as view:
        ...     view.isdir("/etc")
        True
    """

    _shown_as = "Files"

    def __init__(
        self,
        source: Source,
        *,
        layers: LayerChoice = None,
        reference: str | None = None,
        platform: str | None = None,
        profile: Profile | str | None = None,
        on_invalid: Literal["error", "warn"] = "error",
        missing: Literal["error", "skip"] = "error",
        verify: bool = True,
        limits: Limits | None = None,
        index_store: IndexChoice = None,
        progress: Progress | None = None,
        spool: SpoolFolder = None,
    ) -> None:
        image = open_image(
            source,
            reference=reference,
            platform=platform,
            profile="oci" if profile is None else profile,
            on_invalid=on_invalid,
            missing=missing,
            verify=verify,
            limits=limits,
            index_store=index_store,
            progress=progress,
            spool=spool,
        )
        try:
            self._setup(image, layers, None, owns=True)
        except BaseException:
            image.close()
            raise

    @classmethod
    def over(cls, image: Image, layers: LayerChoice, profile: Profile | str | None) -> UnionFS:
        """Give a view over an open image; closing the view leaves the image open."""
        view = cls.__new__(cls)
        view._setup(image, layers, profile, owns=False)
        return view

    def _setup(
        self, image: Image, layers: LayerChoice, profile: Profile | str | None, *, owns: bool
    ) -> None:
        chosen = tuple(layer.index for layer in image.chosen(layers))
        ReadingFS.__init__(self, image, image.union(chosen, profile))
        self._owns = owns
        self._chosen = chosen
        self._profile = profile

    # -- beyond PyFilesystem ----------------------------------------------------------------------

    @property
    def image(self) -> Image:
        """The image that this is a view of."""
        return self._image

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is odd about this stack under its profile; indexes what is missing."""
        self.check()
        with translating("/"):
            return stack_findings(self._union)

    def stat(self, path: str, *, follow: bool = True) -> Stat:
        """
        Give what ``os.stat`` would say, or ``os.lstat`` without *follow*.

        Raises:
            fs.errors.ResourceNotFound: Nothing is there.
        """
        with translating(path):
            node = self._node(path, follow=follow)
            return stat_of(self._union, node, self._union.entry(node))

    def realpath(self, path: str) -> RealPath:
        """
        Give the path without links, and the links that were followed on the way.

        Raises:
            fs.errors.ResourceNotFound: A link dangles.
            fs.errors.ResourceInvalid: Links lead in a circle.
        """
        with translating(path):
            found = resolve(self._union, self._path(path))
            return RealPath(found.node.path, found.links)

    def find(
        self,
        pattern: str | None = None,
        *,
        types: Collection[str] = ("file",),
        namespaces: Collection[str] = (),
        order: Literal["path", "storage"] = "path",
        mode: int | None = None,
        capability: str | bool | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """
        Give (path, Info) of what matches, without following links that are met on the way down.

        A pattern is matched against the whole path, component by component, with upper and lower
        case told apart.  ``*`` is any characters of one component, ``?`` one of them, ``[a-z]``
        and ``[!a-z]`` one that is, or is not, in the set; a name that starts with a dot is like
        any other.  ``**`` as a component is any number of components, none too; as the last one
        it is at least one.  Everything else stands for itself: braces and backslashes too, and
        ``[*]`` is a star.  Slashes at the start and at the end say nothing.  The part before the
        first wildcard is a path like any other, in which links are followed.

        Args:
            pattern: The pattern; None matches everything.
            types: Any of file, directory, symlink, device, fifo.
            namespaces: What each ``Info`` holds beside basic, details and link.
            order: ``"path"``: parents first, byte order; ``"storage"``: as the layers store them,
                so that reading each file as it comes decompresses every layer once.
            mode: Permission bits of which any must be set: ``0o6000`` finds setuid and setgid.
            capability: True: what has file capabilities; False: what has none; a text such as
                ``"cap_net_raw"``: what has that one, permitted or inheritable.

        Raises:
            ValueError: An unknown type, order or capability, a mode without permission bits, or a
                pattern with ``..``.

        Cost:
            Only directories in which a name can match are looked at, and those of which the
            pattern names the next component are not listed.

        Source:
            ``fnmatch`` of the standard library for one component; ``find -perm /mode`` for modes.

        Example:
            >>> from unionlayers import UnionFS
            >>> with UnionFS("examples/demo-image/ledger.oci.tar") as view:
            ...     [path for path, _ in view.find("usr/**", mode=0o6000)]
            ['/usr/bin/su']
        """
        from unionlayers._views.union_find import Wanted, find_in

        wanted = Wanted.of(types=types, mode=mode, capability=capability)
        return find_in(self, pattern, wanted=wanted, namespaces=namespaces, order=order)

    def export(
        self,
        destination: str | os.PathLike[str] | ByteSink,
        *,
        form: Literal["tar", "folder"] | None = None,
        path: str = "/",
        pattern: str | Collection[str] | None = None,
        walker: Any = None,
        links: Literal["inside", "refuse", "skip", "keep"] = "inside",
        owners: bool = False,
        setuid: bool = False,
        xattrs: bool = False,
        devices: bool = False,
        names: bool = False,
        progress: Progress | None = None,
    ) -> Exported:
        """
        Write what the view shows into a tar, or into a folder on the host.

        A **tar** holds all of it: every type, owners, modes, times to the nanosecond, extended
        attributes and file capabilities, hard links, names as bytes.  It is the same for the same
        tree, however its layers are cut and compressed.  Sparse files come with their holes
        written out.

        A **folder** holds what is safe to have: nothing in it leads out of it, is a device, or
        runs with another user's rights, unless that is asked for; nothing is written through a
        link.  What is in it belongs to the user, with permissions and times as in the image.

        Of a choice, everything has its whole path, and comes with the directories on the way.
        After an error nothing is left at a path; a stream has a tar without an end.

        Args:
            destination: A path that ends with ``.tar``, or a binary file object: a tar.  Any other
                path: a folder, which must be empty or not exist.
            form: ``"tar"`` or ``"folder"``, whatever the path ends with.
            path: Only this directory with all that is in it, or only this file.
            pattern: Only what matches one pattern, or one of several, as `find` takes them.
            walker: Only what this walker of PyFilesystem yields below *path*, such as
                ``RegularFiles()``; directories are among it.
            links: What a folder gets of symbolic links.  ``"inside"``: an absolute one becomes a
                relative one that leads to the same place in the folder; one that climbs above the
                root is refused.  ``"refuse"``: both are.  ``"skip"``: both are left out.
                ``"keep"``: all have their text as it is, and may lead anywhere.
            owners: A folder has the owners of the image too, for which it takes root.
            setuid: A folder has the bits setuid and setgid too.
            xattrs: A folder has the extended attributes too, capabilities among them.
            devices: A folder has devices, for which it takes root, and FIFOs too.
            names: A tar has the names of users and groups too, from the view's own
                ``/etc/passwd`` and ``/etc/group``; tools prefer them to the numbers.
            progress: Is told bytes of content done, bytes in all, and ``"export"``.

        Raises:
            DestinationExistsError: The destination exists, or is a folder that is not empty.
            ExportError: A link leads out, or the host cannot have an entry as it should be.
            LimitError: More than ``Limits.layer_bytes`` of content.
            OSError: The destination cannot be written.
            ValueError: Options that exclude each other.

        Cost:
            At a path each layer is decompressed once, as contents are written in storage order;
            a file object gets them in path order.  Memory for each name, and a MiB of content.

        Spec:
            POSIX.1-2017, pax.

        Example:
            >>> import io
            >>> from unionlayers import UnionFS
            >>> tar = io.BytesIO()
            >>> with UnionFS("examples/demo-image/ledger.oci.tar") as view:
            ...     view.export(tar, pattern="etc/*-release").entries
            3
        """
        from unionlayers._views.union_export import Choice, export_of

        choice = Choice.of(path=path, pattern=pattern, walker=walker)
        exported: Exported = export_of(
            self,
            choice,
            destination,
            names=names,
            options={
                "form": form,
                "links": links,
                "owners": owners,
                "setuid": setuid,
                "xattrs": xattrs,
                "devices": devices,
                "progress": progress,
            },
        )
        return exported

    def __enter__(self) -> Self:
        """Give the view itself."""
        return self

    def close(self) -> None:
        """Close the view, and the source if it was opened here; closing twice is allowed."""
        if getattr(self, "_owns", False) and not self.isclosed():
            self._image.close()
        super().close()

    def geturl(self, path: str, purpose: str = "download") -> str:
        """
        Give the URL under which ``fs.open_fs`` finds the path, for the purpose ``"fs"`` only.

        A directory opens as a filesystem of its own.  `Limits` are no part of a URL.

        Raises:
            fs.errors.NoURL: The purpose is another one, or the image was opened from something
                that no URL names: a file object, a list of layer tars, a `Profile` of your own.
        """
        clean = self.validatepath(path)
        if purpose != "fs":
            raise NoURL.of("a view is no place to download from", path, purpose)
        return str(url_of(self._image, self._chosen, self._profile, clean))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as what opens it again; the source must be a path."""
        return _opened_again, (self._image, self._chosen, self._profile)

    def __str__(self) -> str:
        """Show the source."""
        return f"<UnionFS {self._image.label!r}>"

    def __repr__(self) -> str:
        """Show the source and the layers."""
        return f"UnionFS({self._image.label!r}, layers={list(self._chosen)})"


def _opened_again(image: Image, layers: tuple[int, ...], profile: Profile | str | None) -> UnionFS:
    """Open a view again where a pickle is loaded; the image is its own there."""
    view = UnionFS.over(image, layers, profile)
    view._owns = True
    return view
