"""The options and arguments that commands share, and what they read."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from unionlayers._cli.faults import close_to
from unionlayers._cli.layer_choice import LayerChoice
from unionlayers._cli.opening import Opening

__all__ = [
    "IMAGE_PATH",
    "LAYERS",
    "PROFILES",
    "SIZE",
    "cache_options",
    "common_options",
    "image_argument",
    "json_option",
    "opening_options",
    "paths_argument",
]

Command = TypeVar("Command", bound=Callable[..., Any])

if TYPE_CHECKING:
    _Type = click.ParamType[Any]
else:
    # Not generic in every click that is good enough.
    _Type = click.ParamType

PROFILES = ("oci", "overlay", "sequential")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmMgGtT]?)(?:i?[bB])?\Z")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


class _Layers(_Type):
    name = "layers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> LayerChoice:
        """Read a choice of layers."""
        if isinstance(value, LayerChoice):
            return value
        try:
            return LayerChoice.of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Size(_Type):
    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a number of bytes."""
        if isinstance(value, int):
            return value
        found = _SIZE.match(value)
        if found is None:
            self.fail(f"{value!r} is no size; write 512, 64K, 20M or 1.5G", param, ctx)
        return int(float(found[1]) * 1024 ** _POWERS[found[2].lower()])


class _Limit(_Type):
    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Read a limit and its value."""
        if isinstance(value, tuple):
            return value
        name, sign, number = value.partition("=")
        known = _limit_names()
        if not sign:
            self.fail(f"{value!r} is not name=value, such as links=255", param, ctx)
        if name not in known:
            near = close_to(name, known)
            self.fail(f"there is no limit {name!r}; {near or ', '.join(known)}", param, ctx)
        return name, SIZE.convert(number, param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - the signature is click's
        param: click.Parameter,  # noqa: ARG002 - likewise
        incomplete: str,
    ) -> list[Any]:
        """Give the names of the limits."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(f"{one}=") for one in _limit_names() if one.startswith(incomplete)]


class _ImagePath(_Type):
    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take a path as it is; bytes that are not UTF-8 come as surrogate escapes."""
        if "\0" in value:
            self.fail("a path has no NUL byte", param, ctx)
        return value

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002 - the signature is click's
        incomplete: str,
    ) -> list[Any]:
        """Give what is in the directory of the image that is being typed."""
        from unionlayers._cli.completion import paths_in_image

        return paths_in_image(ctx, incomplete)


class _Reference(_Type):
    name = "name"

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002 - the signature is click's
        incomplete: str,
    ) -> list[Any]:
        """Give the references that the source has."""
        from unionlayers._cli.completion import references_in

        return references_in(ctx, incomplete)


LAYERS = _Layers()
SIZE = _Size()
IMAGE_PATH = _ImagePath()


def _limit_names() -> list[str]:
    import attrs

    from unionlayers._foundation.limits import Limits

    return [one.name for one in attrs.fields(Limits)]


def image_argument(name: str = "image") -> Callable[[Command], Command]:
    """Add the argument that names an image: a path, or ``-`` for standard input."""
    path = click.Path(allow_dash=True, readable=False)
    return click.argument(name, type=path, metavar=name.upper())


def paths_argument(*, required: bool) -> Callable[[Command], Command]:
    """Add the argument for paths inside the image; none means the root, unless one is required."""
    return click.argument(
        "paths",
        type=IMAGE_PATH,
        nargs=-1,
        required=required,
        callback=lambda _context, _argument, paths: paths or ("/",),
        metavar="PATH..." if required else "[PATH]...",
    )


def json_option(command: Command) -> Command:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON.")(command)


def cache_options(command: Command) -> Command:
    """Add what says where the cache is."""
    return click.option(
        "--cache", metavar="FOLDER", help="Keep indexes of layers here, not in the usual folder."
    )(command)


_COMMON = (
    click.option("--ref", type=_Reference(), help="Tag, ref name or digest (or its beginning)."),
    click.option("--platform", metavar="OS/ARCH[/VARIANT]", help="Platform of the image."),
    click.option(
        "--profile",
        type=click.Choice(PROFILES),
        default="oci",
        show_default=True,
        help="How layers are read where runtimes differ.",
    ),
    click.option(
        "--layers", type=LAYERS, help="Only these: 3, 0-3, :4, 4:, -1, or several; the base is 0."
    ),
    click.option("--above", metavar="BASE", help="Only the layers that this image does not share."),
    click.option(
        "--on-invalid",
        type=click.Choice(["error", "warn"]),
        default="error",
        show_default=True,
        help="What no runtime could apply: stop, or leave it out.",
    ),
    click.option(
        "--missing",
        type=click.Choice(["error", "skip"]),
        default="error",
        show_default=True,
        help="Layers that the source lacks: stop, or leave them out.",
    ),
    click.option(
        "--limit", "limits", type=_Limit(), multiple=True, help="Lift or lower a bound: links=255."
    ),
    click.option(
        "--verify/--no-verify",
        default=True,
        show_default=True,
        help="Compare digests and sizes of what is read.",
    ),
    cache_options,
    click.option("--no-cache", is_flag=True, help="Neither use nor keep indexes of layers."),
    click.option(
        "--spool", metavar="FOLDER", help="Copy a pipe here, not where temporary files go."
    ),
    click.option("--bare", is_flag=True, help="IMAGE is a layer tar, or a diff directory."),
    click.option(
        "--lower",
        multiple=True,
        metavar="TAR",
        help="A layer tar beneath IMAGE, which is one too; several base first.",
    ),
    click.option("--no-progress", is_flag=True, help="Neither bars nor remarks."),
)


def common_options() -> list[click.Option]:
    """Give the options that every command over an image takes, for the documentation."""

    def none() -> None:
        """Take the options."""

    for option in reversed(_COMMON):
        option(none)
    return [one for one in click.command()(none).params if isinstance(one, click.Option)]


def opening_options(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Add the options that say how an image is opened; the command gets an `Opening`."""

    @functools.wraps(command)
    def packed(
        *,
        ref: str | None,
        platform: str | None,
        profile: str,
        layers: LayerChoice | None,
        above: str | None,
        on_invalid: Any,
        missing: Any,
        limits: tuple[tuple[str, int], ...],
        verify: bool,
        cache: str | None,
        no_cache: bool,
        spool: str | None,
        bare: bool,
        lower: tuple[str, ...],
        no_progress: bool,
        **own: Any,
    ) -> int | None:
        if no_cache and cache is not None:
            raise click.UsageError("--cache and --no-cache exclude each other")
        opening = Opening(
            reference=ref,
            platform=platform,
            profile=profile,
            layers=layers,
            above=above,
            on_invalid=on_invalid,
            missing=missing,
            verify=verify,
            limits=dict(limits),
            cache=False if no_cache else cache,
            spool=spool,
            bare=bare,
            lower=lower,
            quiet=no_progress,
        )
        if above is not None and layers is not None:
            raise click.UsageError("--above and --layers exclude each other")
        return command(opening=opening, **own)

    for option in reversed(_COMMON):
        option(packed)
    return packed
