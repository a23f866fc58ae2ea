"""
Write the seeds of the corpus anew: ``python fuzz/seeds.py``.

They are made by the builders of this library alone, small, and the same every time.  Findings stand
beside them under names of their own, and are left as they are.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from resuming import sound
from targets import mended, stored_record, varied_layer

from unionlayers.testing import (
    ImageDescription,
    compress,
    docker_archive,
    docker_archive_25,
    docker_archive_v1,
    file,
    layer,
    oci_archive,
    pax_record,
    skippable_frame,
    sparse_file,
    whiteout,
    zstd_frame,
)
from unionlayers.testing.header import header_block

__all__ = ["main", "seeds"]

CHOICE = bytes(range(8))


def _sparse(form: str) -> bytes:
    return layer(sparse_file("s", [(512, b"x" * 600), (4096, b"y")], size=8192, form=form))


def seeds() -> dict[str, dict[str, bytes]]:
    """Give the seeds of each target by their names."""
    image = ImageDescription([[file("a", b"1")], [file("b", b"2"), whiteout("a")]], tags=["app:1"])
    words = b"".join(b"%d " % number for number in range(400))
    deflate = zlib.compressobj(9, wbits=-15)
    raw = deflate.compress(words) + deflate.flush()
    index = stored_record()[1]
    old = header_block(
        [("name", b"old"), ("size", b"%011o\0" % 3), ("typeflag", b"\0")], checksum="unsigned"
    )
    records = [
        [("path", "a/b"), ("mtime", "1.5"), ("size", "12")],
        [("GNU.sparse.offset", "0"), ("GNU.sparse.numbytes", "5")],
        [("SCHILY.xattr.user.a", "b\nc"), ("comment", "")],
    ]
    return {
        "header": {
            "varied": b"\0" + varied_layer(),
            "mended": b"\1" + varied_layer()[:2048],
            "old": b"\1" + old + b"abc".ljust(512, b"\0"),
            **{f"sparse-{form}": b"\1" + _sparse(form) for form in ("gnu", "0.0", "0.1", "1.0")},
        },
        "pax": {
            str(number): b"".join(pax_record(key, value) for key, value in pairs)
            for number, pairs in enumerate(records)
        },
        "gzip-resume": {
            "plain": b"p" + CHOICE + compress(words, "gzip"),
            "members": b"p" + CHOICE + compress(words, "gzip") + compress(bytes(300_000), "gzip"),
            "deflate": b"d" + CHOICE + raw,
            "checkpoint": b"c" + CHOICE,
            "window": b"c\0\0\0\0\0\0\0\1window",
        },
        "zstd-resume": {
            "plain": b"p" + CHOICE + zstd_frame(words),
            "frames": b"p" + CHOICE + skippable_frame(b"abc") + zstd_frame(bytes(300_000)),
            "checkpoint": b"c" + CHOICE,
            "head": b"c\0\0\0\0\0\0\0\1\2\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0",
            "sound": b"p" + CHOICE + sound("zstd")[0][:3000],
        },
        "index-file": {
            "whole": b"w" + index,
            "flip": b"f\x40\0\1",
            "facts": b"s\4\0\0\1",
            "names": b"s\x10\0\0/a\0b",
            "checkpoints": b"k" + b"\x93UNIONL\n" + b"ckpt",
        },
        "documents": {
            "index": b'\0{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"sha256:'
            + b"0" * 64 + b'","size":1,"annotations":{"a":"b"},"platform":{"os":"linux"}}]}',
            "manifest": b'\1{"schemaVersion":2,"config":{"digest":"x"},"layers":[{"size":-1}]}',
            "config": b'\2{"os":"linux","rootfs":{"type":"layers","diff_ids":[]},"history":[{}]}',
            "version": b'\3{"imageLayoutVersion":"1.0.0"}',
            "saved": b'\4[{"Config":"c.json","RepoTags":["a:1"],"Layers":["a/layer.tar"]}]',
            "v1": b'\5{"config":{"Env":null},"created":"2020-01-01T00:00:00Z"}',
            "repositories": b'\6{"a":{"1":"x"}}',
        },
        "whole-image": {
            "oci": b"w" + oci_archive(image, codec="gzip"),
            "docker": b"m" + docker_archive(image),
            "docker-25": b"w" + docker_archive_25(image),
            "v1": b"m" + docker_archive_v1(image),
            "gzip": b"w" + compress(docker_archive(image), "gzip"),
            "zstd": b"w" + compress(oci_archive(image, codec="zstd"), "zstd"),
            "layers": b"l\0\4" + mended(varied_layer()),
            "links": b"l\0\2" + layer(whiteout("etc"), file("etc/x", b"1")),
        },
    }  # fmt: skip


def main(folder: Path) -> None:
    """Write all seeds below *folder*."""
    for target, files in seeds().items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / target / f"seed-{name}").write_bytes(data)


if __name__ == "__main__":
    main(Path(__file__).resolve().parent / "corpus")
