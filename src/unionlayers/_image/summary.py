"""What a source holds, as a list: one summary for each image, attestation and artifact."""

from __future__ import annotations

from attrs import frozen

from unionlayers._bytes.spool import SpoolFolder
from unionlayers._foundation.limits import Limits, limits_named
from unionlayers._image.sniffing import Source, read_source
from unionlayers._image.view_makers import view_maker
from unionlayers._layers.profile import Profile
from unionlayers.errors import UnionLayersError

__all__ = ["ImageSummary", "list_images"]


@frozen(kw_only=True)
class ImageSummary:
    """
    One image of a source, as `list_images` gives it.

    Attributes:
        references: Tags and ref names; of a container its names and its id.
        id: Digest of the config, None where the config is absent.
        digest: Digest of the manifest, None where there is none.
        platform: ``os/architecture[/variant]``, or None.
        platforms: Every platform that the source lists it for; one manifest may serve several.
        os_version: Of Windows images: the version that they are for, else None.
        kind: ``"image"``; ``"attestation"`` (what BuildKit says about one), ``"artifact"``
            (signatures, charts and whatever else), ``"container"`` (in the store of an
            engine) or ``"index"`` (one that is absent or damaged, or a list in the store of an
            engine that cannot be read).
        present: Whether the config and all layers are there, and the documents can be read.
        missing: Digests that the documents name and the source lacks.
        error: What `open_image` raises for it because of its documents, or None.
    """

    references: tuple[str, ...]
    id: str | None
    digest: str | None
    platform: str | None
    kind: str
    present: bool
    missing: tuple[str, ...]
    os_version: str | None = None
    error: UnionLayersError | None = None
    platforms: tuple[str, ...] = ()


class _Summaries(list[ImageSummary]):
    """A list that shows itself as a table in a notebook."""

    def _repr_html_(self) -> str:
        """Show the items in a notebook."""
        shown: str = view_maker("html")(self)
        return shown


def list_images(
    source: Source, *, limits: Limits | None = None, spool: SpoolFolder = None
) -> list[ImageSummary]:
    """
    Give what a source holds: one item per manifest, or image of manifest.json.

    What can be opened is opened by one of its references, or by its digest or id, as
    ``reference`` of `open_image`; one image that is damaged does not keep the others from being
    listed.

    Args:
        source: What `open_image` takes.
        limits: Bounds, `Limits` by default.
        spool: As for `open_image`; the copy is gone when this returns.

    Raises:
        UnknownFormatError: The source is no image.
        UnseekableSourceError: The source cannot seek, and *spool* was not given.
        UnionLayersError: The document that names the images cannot be read.

    Example:
        >>> from unionlayers import list_images
        >>> [image.kind for image in list_images("examples/demo-image/ledger.oci.tar")]
        ['image']
    """
    contents = read_source(
        source, verify=True, limits=limits_named(limits), profile=Profile(), spool=spool
    )
    contents.store.close()
    return _Summaries(
        ImageSummary(
            references=record.references,
            id=record.id,
            digest=record.digest,
            platform=record.platform,
            kind=record.kind,
            present=record.present,
            missing=record.missing,
            os_version=record.os_version,
            platforms=tuple(name for name, _ in record.served if name is not None),
            # Without the frames it came through, which would keep the whole archive in memory.
            error=record.error and record.error.with_traceback(None),
        )
        for record in contents.images
    )
