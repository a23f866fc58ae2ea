"""``unionlayers images`` and ``unionlayers layers``: what the documents of a source say."""

from __future__ import annotations

from typing import Any

import click

from unionlayers._cli.opening import Opening, Session
from unionlayers._cli.options import image_argument, json_option, opening_options
from unionlayers._cli.output import size_text, step_text
from unionlayers._foundation.names import printable
from unionlayers._image.image import Image
from unionlayers._image.layer import Layer
from unionlayers._image.summary import ImageSummary

__all__ = ["images", "layers"]


@click.command()
@image_argument()
@click.option("--all", "everything", is_flag=True, help="Attestations and the like too.")
@json_option
@opening_options
def images(opening: Opening, image: str, everything: bool, as_json: bool) -> None:
    """
    List the images that IMAGE, an archive, folder or store, holds.

    Each can be named by --ref with its reference, or with the beginning of a digest.
    """
    opening.refuse(
        "reference", "platform", "layers", "above", "bare", "lower", because="all images are listed"
    )
    session = Session.of(opening, json=as_json)
    found = session.summaries(image)
    session.bar.stop()
    if as_json:
        session.out.document("images", {"images": [_summary(one) for one in found]})
        return
    kinds = ("image", "container", "index")
    rows = [
        (
            printable(", ".join(one.references) or "-"),
            printable(one.platform or "-"),
            one.kind,
            _short(one.digest or one.id),
            _state(one),
        )
        for one in found
        if everything or one.kind in kinds
    ]
    session.out.table(("reference", "platform", "kind", "digest", "state"), rows, empty="no images")


@click.command()
@image_argument()
@click.option("-l", "--long", "long", is_flag=True, help="Entries and whiteouts, for which all "
              "layers are read.")  # fmt: skip
@json_option
@opening_options
def layers(opening: Opening, image: str, long: bool, as_json: bool) -> None:
    """List the layers of IMAGE, base first, with the step that made each."""
    session = Session.of(opening, json=as_json)
    with session.image(image, index=long) as opened:
        chosen = opened.chosen(opening.indexes(opened))
        if as_json:
            session.out.document(
                "layers",
                {
                    "image": _identity(opened),
                    "layers": [_layer(opened, one, long=long) for one in chosen],
                },
            )
            return
        rows = []
        for one in chosen:
            facts = _layer(opened, one, long=long)
            more = [str(facts["entries"]), str(facts["whiteouts"])] if long else []
            size = "absent" if facts["size"] is None else size_text(facts["size"])
            made = step_text(one.created_by)
            rows.append((str(one.index), size, *more, _short(one.digest or one.diff_id), made))
        more = ["entries", "whiteouts"] if long else []
        session.out.table(
            ("layer", "size", *more, "digest", "made by"),
            rows,
            right=("layer", "size", *more),
            empty="no layers",
        )


def _short(digest: str | None) -> str:
    """Give as much of a digest as names it here."""
    if digest is None:
        return "-"
    algorithm, _, hexadecimal = digest.partition(":")
    return printable(f"{algorithm}:{hexadecimal[:12]}")


def _state(one: ImageSummary) -> str:
    if one.error is not None:
        return f"damaged: {one.error}"
    return "present" if one.present else f"lacks {len(one.missing)}"


def _summary(one: ImageSummary) -> dict[str, Any]:
    return {
        "references": list(one.references),
        "id": one.id,
        "digest": one.digest,
        "platform": one.platform,
        "os_version": one.os_version,
        "kind": one.kind,
        "present": one.present,
        "missing": list(one.missing),
        "error": None if one.error is None else str(one.error),
    }


def _identity(image: Image) -> dict[str, Any]:
    return {
        "references": list(image.references),
        "id": image.id,
        "digest": image.digest,
        "platform": image.platform,
    }


def _layer(image: Image, layer: Layer, *, long: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "index": layer.index,
        "digest": layer.digest,
        "diff_id": layer.diff_id,
        "chain_id": layer.chain_id,
        "media_type": layer.media_type,
        "size": None if image.lacks(layer.index) else layer.size,
        "created": None if layer.created is None else layer.created.isoformat(),
        "created_by": layer.created_by,
    }
    if long:
        found["entries"] = layer.load().entries
        found["whiteouts"] = len(layer.marks)
    return found
