"""From what was typed to an open image: the source, the cache, the pipe that is copied."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from attrs import field, frozen

from unionlayers._cli.layer_choice import LayerChoice
from unionlayers._cli.output import Output, count
from unionlayers._cli.progress import Bar
from unionlayers._image.loading import load_all
from unionlayers.errors import IndexStoreError, UnionLayersError

if TYPE_CHECKING:
    from unionlayers._foundation.limits import Limits
    from unionlayers._image.image import Image
    from unionlayers._image.index_store import DirectoryIndexStore
    from unionlayers._image.summary import ImageSummary

__all__ = ["ENVIRONMENT", "Opening", "Session", "cache_folder"]

ENVIRONMENT = "UNIONLAYERS_CACHE"


def cache_folder() -> Path | None:
    """Give the folder of the cache: what the environment names, else the user's; None for none."""
    named = os.environ.get(ENVIRONMENT)
    if named is not None:
        return Path(named) if named else None
    import platformdirs

    return platformdirs.user_cache_path("unionlayers", appauthor=False)


@frozen(kw_only=True)
class Opening:
    """
    How images are opened: what the common options say.

    Attributes:
        reference: Tag, ref name or digest.
        platform: ``os/architecture[/variant]``.
        profile: Name of a preset.
        layers: Some of the layers.
        above: A base image, the layers above which are meant.
        on_invalid: ``"error"`` or ``"warn"``.
        missing: ``"error"`` or ``"skip"``.
        verify: Whether digests are compared.
        limits: Bounds that are lifted or lowered, by name.
        cache: Folder of the cache, None for the usual one, False for none.
        spool: Folder for the copy of a pipe.
        bare: Whether the source is a layer tar, or a diff directory.
        lower: Layer tars and diff directories beneath it, base first.
        quiet: Whether bars and remarks are left out.
    """

    reference: str | None = None
    platform: str | None = None
    profile: str = "oci"
    layers: LayerChoice | None = None
    above: str | None = None
    on_invalid: Literal["error", "warn"] = "error"
    missing: Literal["error", "skip"] = "error"
    verify: bool = True
    limits: dict[str, int] = field(factory=dict)
    cache: str | Literal[False] | None = None
    spool: str | None = None
    bare: bool = False
    lower: tuple[str, ...] = ()
    quiet: bool = False

    def bounds(self) -> Limits:
        """Give the limits."""
        from unionlayers._foundation.limits import Limits

        return Limits(**self.limits)

    def refuse(self, *names: str, because: str) -> None:
        """
        Refuse options that a command has no use for.

        Args:
            names: Fields of this class.
            because: What the command is about.

        Raises:
            click.UsageError: One of them was given.
        """
        for name in names:
            if getattr(self, name) not in (None, False, ()):
                option = {"reference": "ref"}.get(name, name)
                raise click.UsageError(f"--{option}: {because}")

    def indexes(self, image: Image) -> list[int] | None:
        """
        Give the layers that were chosen, None for all.

        Raises:
            click.UsageError: There is no such layer.
            UnionLayersError: The base image cannot be opened.
        """
        if self.above is not None:
            from unionlayers._image.opening import open_image

            with open_image(
                self.above, platform=self.platform, limits=self.bounds(), index_store=False
            ) as base:
                return list(range(len(image.layers)))[image.own_layers(base)]
        if self.layers is None:
            return None
        try:
            return self.layers.indexes(len(image.layers))
        except ValueError as error:
            raise click.UsageError(f"--layers {self.layers.text}: {error}") from None


@frozen
class Session:
    """
    One run of a command.

    Attributes:
        opening: How images are opened.
        out: Where it writes.
        bar: Is told of progress.
    """

    opening: Opening
    out: Output
    bar: Bar

    @classmethod
    def of(cls, opening: Opening, *, json: bool = False) -> Session:
        """Make what a command works with."""
        bar = Bar(wanted=not opening.quiet)
        return cls(opening, Output(json=json, before=bar.stop), bar)

    @contextmanager
    def image(
        self, source: str, opening: Opening | None = None, *, index: bool = False
    ) -> Iterator[Image]:
        """
        Open an image for the time of a block.

        Args:
            source: What was typed.
            opening: Other options than those of the session.
            index: Whether the chosen layers are indexed at once, several at a time.
        """
        from unionlayers._image.opening import open_image

        opening = opening or self.opening
        given, spool = self._source(source, opening)
        store = self._store(opening)
        # What cannot be meant is found before anything is read.
        if opening.platform is not None:
            _check_platform(opening.platform)
        try:
            image = open_image(
                given,
                reference=opening.reference,
                platform=opening.platform,
                profile=opening.profile,
                on_invalid=opening.on_invalid,
                missing=opening.missing,
                verify=opening.verify,
                limits=opening.bounds(),
                index_store=store or False,
                progress=self.bar,
                spool=spool,
            )
        finally:
            self.bar.stop()
        try:
            with image:
                if index:
                    # What a profile refuses is for the command's own question to meet.
                    load_all(image.chosen(opening.indexes(image)), image.options.progress)
                    self.bar.stop()
                yield image
        finally:
            self.bar.stop()
            if store is not None and store.failures and opening.cache is not None:
                failure = store.failures[-1]
                self.out.remark(f"the cache was not used: {failure.strerror or failure}")

    def summaries(self, source: str) -> list[ImageSummary]:
        """List what a source holds."""
        from unionlayers._image.summary import list_images

        given, spool = self._source(source, self.opening)
        return list_images(given, limits=self.opening.bounds(), spool=spool)

    # -- inside -----------------------------------------------------------------------------------

    def _source(self, source: str, opening: Opening) -> tuple[Any, str | bool]:
        """Give what `open_image` takes, and where a copy of it may go."""
        spool: str | bool = opening.spool or True
        if source == "-" and not opening.bare and not opening.lower:
            if sys.stdin is None:
                raise click.UsageError(
                    "standard input is closed; give an image to it, as in "
                    "`docker save app | unionlayers ls -`"
                )
            stream = sys.stdin.buffer
            if stream.isatty():
                raise click.UsageError(
                    "standard input is a terminal; give an image to it, as in "
                    "`docker save app | unionlayers ls -`"
                )
            if not stream.seekable():
                self._say_copying("standard input", opening)
            return stream, spool
        paths = [*opening.lower, source]
        for path in paths:
            try:
                mode = Path(path).stat().st_mode
            except OSError:
                continue  # opening it says what is wrong
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISSOCK(mode)):
                self._say_copying(path, opening)
        return (paths if opening.bare or opening.lower else source), spool

    def _say_copying(self, what: str, opening: Opening) -> None:
        if not opening.quiet:
            bound = opening.bounds().spool_bytes
            self.out.remark(
                f"{what} cannot seek and is copied to a temporary file first, "
                f"up to {count(bound >> 20, 'MiB', 'MiB')} (--limit spool_bytes=…)"
            )

    def _store(self, opening: Opening) -> DirectoryIndexStore | None:
        if opening.cache is False:
            return None
        from unionlayers._image.index_store import DirectoryIndexStore

        folder = cache_folder() if opening.cache is None else Path(opening.cache)
        if folder is None:
            return None
        try:
            return DirectoryIndexStore(folder)
        except IndexStoreError as error:
            if opening.cache is not None or os.environ.get(ENVIRONMENT):
                raise
            self.out.remark(f"going on without the cache: {error}")
            return None


def _check_platform(platform: str) -> None:
    from unionlayers._image.platform import wanted

    try:
        wanted(platform)
    except UnionLayersError:
        raise
    except ValueError as error:
        raise click.UsageError(str(error)) from None
