"""Whatever an archive holds, `list_images` names it, and what it names opens by those names."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from unionlayers import (
    AmbiguousImageError,
    BlobNotFoundError,
    ImageSummary,
    UnsupportedError,
    list_images,
    open_image,
)
from unionlayers.testing import (
    Attestation,
    Damage,
    ImageDescription,
    IndexDescription,
    RawDescriptor,
    file,
    image_members,
    layer,
)

TAGS = st.sampled_from(["app:1", "app:2", "example.org/team/app:1", "localhost:5000/x:y", "last"])
SEVERAL = ["docker-archive", "docker-archive-25", "docker-archive-v1", "containerd-save",
           "skopeo-docker-archive", "oci-archive"]  # fmt: skip


@st.composite
def images(draw: st.DrawFn) -> ImageDescription:
    """Draw an image of one or two of few layers, so that many share some."""
    names = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=2))
    return ImageDescription(
        [[file(name, name)] for name in names],
        architecture=draw(st.sampled_from(["amd64", "arm64", "arm"])),
        labels={"n": draw(st.sampled_from("xyz"))},
        tags=draw(st.lists(TAGS, max_size=2, unique=True)),
        absent=draw(st.integers(0, 5)) == 0,
    )


@st.composite
def indexes(draw: st.DrawFn, depth: int = 2) -> Any:
    """Draw an index with images, statements about them, unknown things, and further indexes."""
    inner: list[Any] = draw(st.lists(images(), min_size=1, max_size=3))
    if draw(st.booleans()):
        inner.append(Attestation(inner[0]))
    if draw(st.booleans()):
        blob = draw(st.sampled_from([b"what", None]))
        document: dict[str, Any] = {"mediaType": "application/x-what", "size": 4}
        if blob is None:
            document["digest"] = "sha256:" + "9" * 64
        inner.append(RawDescriptor(document, blob))
    if depth and draw(st.booleans()):
        inner.append(draw(indexes(depth - 1)))
    return IndexDescription(inner, tags=draw(st.lists(TAGS, max_size=1)))


def check_item(archive: bytes, item: ImageSummary, reference: str, clash: bool) -> None:
    """Open one item by one name of it."""
    try:
        with open_image(io.BytesIO(archive), reference=reference, platform=item.platform) as image:
            assert (image.id, image.digest) == (item.id, item.digest) or clash
            if not item.missing and item.kind == "image":
                image.prepare()
    except AmbiguousImageError:
        assert clash
    except BlobNotFoundError:
        assert item.missing or clash
    except UnsupportedError:
        assert item.kind == "artifact"


@given(
    form=st.sampled_from(SEVERAL),
    held=st.lists(images() | indexes(), min_size=1, max_size=4),
    omitted=st.sampled_from([(), ("layer:0",), ("config",)]),
)
def test_what_is_listed_opens_by_its_references_and_digests(
    form: str, held: list[Any], omitted: tuple[str, ...]
) -> None:
    archive = layer(*image_members(*held, form=form, damage=Damage(omit=omitted)))
    if not any(one.tags for one in held) and form == "docker-archive-v1":
        return  # the first format names tagged images only
    items = list_images(io.BytesIO(archive))
    names = Counter(name for item in items for name in (*item.references, item.digest, item.id))
    keys = [(item.digest, item.id, item.references, item.missing) for item in items]
    assert len(set(keys)) == len(keys)
    for item in items:
        assert item.error is None
        assert item.present == (not item.missing)
        assert all(digest for digest in item.missing)
        assert item.kind in ("image", "attestation", "artifact")
        assert item.references or item.digest or item.id or item.missing
        asked = (*item.references, item.digest, item.id)
        for name in filter(None, asked if any(asked) else item.missing):
            check_item(archive, item, name, clash=names[name] > 1)
