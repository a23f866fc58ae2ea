"""The filesystem that ``layers://`` names in fsspec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from unionlayers._bytes.spool import SpoolFolder
from unionlayers._codec.forward import Progress
from unionlayers._foundation.limits import Limits
from unionlayers._image.image import Image, LayerChoice
from unionlayers._image.stored_layers import IndexChoice
from unionlayers._layers.profile import Profile
from unionlayers._views.fsspec._fsspec import tokenize
from unionlayers._views.fsspec.reading import ReadingFileSystem
from unionlayers._views.fsspec.target import OPTIONS, located, opened, outdated
from unionlayers.errors import OptionError

__all__ = ["LayersFileSystem"]

_OF_FSSPEC = ("use_listings_cache", "listings_expiry_time", "max_paths", "asynchronous", "loop")


class _Located(type(ReadingFileSystem)):  # type: ignore[misc]
    """
    What makes filesystems, and keeps them, as fsspec does.

    Paths are made absolute before they are compared, or the filesystem of another folder would be
    found; and one whose image was closed, or whose file was replaced, is made anew.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if args and "fo" not in kwargs:
            kwargs["fo"], *rest = args
            args = tuple(rest)
        if "fo" in kwargs:
            kwargs["fo"] = located(kwargs["fo"], kwargs.get("target_protocol"))
            if hasattr(kwargs["fo"], "read"):
                kwargs["skip_instance_cache"] = True
        made = super().__call__(*args, **kwargs)
        if outdated(made._target):
            # Where another thread has made the next one meanwhile, one more is made.
            cls._cache.pop(made._fs_token, None)
            made = super().__call__(*args, **kwargs)
        return made


class LayersFileSystem(ReadingFileSystem, metaclass=_Located):
    r"""
    An image as a read-only filesystem of fsspec; ``fsspec.filesystem("layers", fo=...)``.

    Links are followed inside the image: ``info`` and ``ls`` give type, size and times of what a
    link leads to, with ``islink`` and ``destination`` as fsspec's own ``LocalFileSystem``.  A link
    that dangles or loops is listed as ``"other"`` with size 0, and does not exist.  ``find``,
    ``walk`` and ``get`` never go through a link that they meet.  ``..`` is taken after the link
    before it, and a trailing slash asks for a directory, as the kernel has it.

    Instances are cached and pickled as fsspec does it, and any number of threads may use one.

    Args:
        fo: The image: a path, a URL of fsspec, a seekable binary file object, or a list of layer
            tars, base first.
        layers: Which layers are looked at: a slice, distinct indexes or a predicate.
        target_protocol: The filesystem of fsspec that has ``fo``; fsspec says it for chained URLs.
        target_options: What that filesystem is made with.

    The other options are those of `open_image`.

    Raises:
        OptionError: ``fo`` is lacking, or an option is not known.
        UnionLayersError: As `open_image`.

    Example:
        >>> import fsspec
        >>> fs = fsspec.filesystem("layers", fo="examples/demo-image/ledger.oci.tar")
        >>> fs.cat_file("/etc/os-release", 0, 11)
        b'PRETTY_NAME'
        >>> fs.info("/etc/os-release")["destination"]
        '../usr/lib/os-release'
    """

    protocol = "layers"

    def __init__(
        self,
        fo: Any = "",
        *,
        layers: LayerChoice = None,
        reference: str | None = None,
        platform: str | None = None,
        profile: Profile | str = "oci",
        on_invalid: Literal["error", "warn"] = "error",
        missing: Literal["error", "skip"] = "error",
        verify: bool = True,
        limits: Limits | None = None,
        index_store: IndexChoice = None,
        progress: Progress | None = None,
        spool: SpoolFolder = None,
        target_protocol: str | None = None,
        target_options: Mapping[str, Any] | None = None,
        **of_fsspec: Any,
    ) -> None:
        for name in of_fsspec:
            if name not in _OF_FSSPEC:
                raise OptionError(
                    "no option of layers",
                    actual=name,
                    candidates=("fo", *OPTIONS, "target_protocol", "target_options"),
                )
        super().__init__(**of_fsspec)
        options = {
            "reference": reference,
            "platform": platform,
            "profile": profile,
            "on_invalid": on_invalid,
            "missing": missing,
            "verify": verify,
            "limits": limits,
            "index_store": index_store,
            "progress": progress,
            "spool": spool,
        }
        fo = located(fo, target_protocol)
        self._reopens = not hasattr(fo, "read")
        self._target = opened(
            fo,
            token=tokenize(fo, layers, target_protocol, target_options, **options),
            layers=layers,
            target_protocol=target_protocol,
            target_options=target_options,
            options=options,
        )
        self._image = self._target.image
        self._union = self._target.union
        self._digests = {}

    @property
    def image(self) -> Image:
        """The image; every filesystem of this process with the same options shares it."""
        return self._image

    def close(self) -> None:
        """Close the image; the next filesystem with these options opens it again."""
        self._image.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """
        Pickle as what makes it again, without the callback for progress.

        Raises:
            TypeError: It was made from a file object, or from a copy of a stream.
        """
        if not self._reopens or (self._target.path is not None and not self.image.opened_from):
            raise TypeError("only a filesystem that was opened from a path or URL can be pickled")
        options = dict(self.storage_options)
        options.pop("progress", None)
        return _again, (type(self), options)

    def __repr__(self) -> str:
        """Show the source."""
        return f"<LayersFileSystem {self.image.label!r}>"


def _again(kind: type[LayersFileSystem], options: dict[str, Any]) -> Any:
    return kind(**options)
