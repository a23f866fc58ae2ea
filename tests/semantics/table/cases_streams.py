"""Section K: how the blob of a layer is compressed."""

from __future__ import annotations

from collections.abc import Callable

from row import Row

from unionlayers import Profile, StreamError, UnsupportedError
from unionlayers.testing import (
    ImageDescription,
    LayerDescription,
    compress,
    docker_archive,
    file,
    gzip_members,
    layer,
    oci_archive,
    skippable_frame,
    zstd_frames,
)

__all__ = ["ROWS"]

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
PLAIN = "application/vnd.oci.image.layer.v1.tar"
TAR = layer(file("a", "1"))


def stored(blob: bytes, media_type: str, *, tar: bytes = TAR) -> Callable[[], bytes]:
    return lambda: oci_archive(
        ImageDescription([LayerDescription(tar, stored=blob, media_type=media_type)])
    )


ROWS = [
    Row("K1", "the bytes decide, not the media type", stored(compress(TAR, "gzip"), PLAIN), "a=1",
        finding="MEDIA_TYPE_MISMATCH"),
    Row("K1", "a plain tar that is called gzip", stored(TAR, GZIP), "a=1",
        finding="MEDIA_TYPE_MISMATCH"),
    Row("K1", "zstd that is called gzip", stored(compress(TAR, "zstd"), GZIP), "a=1",
        finding="MEDIA_TYPE_MISMATCH"),
    Row("K2", "gzip members one after the other are one stream",
        stored(gzip_members(TAR[:700], TAR[700:]), GZIP), "a=1"),
    Row("K3", "what follows the stream is ignored",
        stored(compress(TAR, "gzip") + b"garbage", GZIP), "a=1", finding="DATA_AFTER_STREAM"),
    Row("K4", "a stream that is cut off is refused",
        stored(compress(TAR, "gzip")[:-9], GZIP), error=StreamError),
    Row("K4", "a wrong checksum is refused",
        stored(compress(TAR, "gzip")[:-8] + bytes(8), GZIP), error=StreamError),
    Row("K5", "zstd frames, and frames to be skipped at either end and between",
        stored(skippable_frame(b"x") + zstd_frames(TAR[:700]) + skippable_frame(b"y", nibble=5)
               + zstd_frames(TAR[700:]) + skippable_frame(), ZSTD), "a=1"),
    Row("K6", "gzip of nothing, and nothing, are empty layers",
        lambda: docker_archive(ImageDescription([
            TAR, LayerDescription(b"", codec="gzip"), LayerDescription(b"")])), "a=1"),
    Row("K6", "nothing that is called gzip is an empty layer",
        lambda: oci_archive(ImageDescription([
            TAR, LayerDescription(b"", stored=b"", media_type=GZIP)])), "a=1"),
    Row("K7", "an encrypted layer cannot be read", stored(b"secret" * 100, f"{GZIP}+encrypted"),
        error=UnsupportedError),
    Row("K1", "a profile that believes the media type", stored(compress(TAR, "gzip"), PLAIN),
        error=StreamError, options={"profile": Profile(compression="declared")}),
]  # fmt: skip
