"""What is no image, or a broken one, gets an exact error, and the rest stays readable."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unionlayers import (
    AmbiguousImageError,
    BlobNotFoundError,
    CorruptError,
    DigestMismatchError,
    DocumentError,
    Image,
    ImageNotFoundError,
    LayerError,
    LimitError,
    Limits,
    StreamError,
    TarError,
    UnionLayersError,
    UnknownFormatError,
    UnseekableSourceError,
    UnsupportedError,
    list_images,
    open_image,
)
from unionlayers.testing import (
    Damage,
    ImageDescription,
    IndexDescription,
    LayerDescription,
    compress,
    directory,
    docker_archive,
    docker_archive_25,
    entry,
    file,
    layer,
    oci_archive,
    sparse_file,
    symlink,
)

BASE = [directory("etc"), file("etc/base", "base")]
TOP = [directory("opt"), file("opt/top", "top")]
TWO = ImageDescription([BASE, TOP], tags=["app:1"])


def opened(archive: bytes, **options: Any) -> Image:
    return open_image(io.BytesIO(archive), **options)


def same_error_twice(ask: Callable[[], Any], kind: type[UnionLayersError]) -> Any:
    """Ask twice, and give the error, which must be the same each time."""
    errors: list[UnionLayersError] = []
    for _ in range(2):
        with pytest.raises(kind) as caught:
            ask()
        errors.append(caught.value)
    first, second = errors
    assert type(first) is type(second)
    assert str(first) == str(second)
    return first


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


# -- no image at all -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"not an image",
        b"PK\x03\x04" + bytes(600),
        b"\x7fELF" + bytes(5000),
        bytes(range(256)) * 9,
    ],
    ids=["one byte", "text", "zip", "ELF", "noise"],
)
def test_what_is_no_archive_is_named_as_none(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "app.tar"
    path.write_bytes(data)
    error = same_error_twice(lambda: open_image(path), UnknownFormatError)
    assert issubclass(type(error), ValueError)
    assert "not an image" in str(error)
    assert error.member == str(path)
    assert same_error_twice(lambda: list_images(path), UnknownFormatError).message == error.message


def test_an_empty_file_is_named_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "app.tar"
    path.write_bytes(b"")
    error = same_error_twice(lambda: open_image(path), UnknownFormatError)
    assert "empty" in error.message
    assert error.member == str(path)


def test_a_file_that_is_absent_is_a_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_image(tmp_path / "none.tar")


@pytest.mark.parametrize("blocks", [1, 2, 20])
def test_an_archive_without_members_is_no_image(blocks: int) -> None:
    with pytest.raises(UnknownFormatError):
        opened(bytes(512 * blocks))


def test_a_lone_layer_tar_says_to_give_a_list(tmp_path: Path) -> None:
    path = tmp_path / "layer.tar"
    path.write_bytes(layer(*BASE))
    error = same_error_twice(lambda: open_image(path), UnknownFormatError)
    assert "list" in error.hint
    assert "etc" in error.candidates
    with open_image([path]) as image:
        assert image.fs().readtext("/etc/base") == "base"


def test_a_stream_that_cannot_seek_says_how_to_spool_it() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: Any) -> int:
            raise io.UnsupportedOperation("seek")

    error = same_error_twice(lambda: open_image(Pipe(docker_archive(TWO))), UnseekableSourceError)
    assert "spool" in error.hint.lower()


def test_a_real_pipe_is_refused_as_well() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    with os.fdopen(reader, "rb", buffering=0) as pipe, pytest.raises(UnseekableSourceError):
        open_image(pipe)


def test_a_text_file_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "app.tar"
    path.write_bytes(docker_archive(TWO))
    with path.open(encoding="latin-1") as text, pytest.raises(UnknownFormatError, match="text"):
        open_image(text)  # type: ignore[arg-type]


# -- cut off ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [docker_archive, docker_archive_25, oci_archive])
def test_an_archive_cut_anywhere_is_an_error_of_ours_or_reads_what_is_there(make: Any) -> None:
    whole = make(TWO)
    refused = 0
    for cut in [*range(1, len(whole), 457), *range(512, len(whole), 1024)]:
        try:
            with opened(whole[:cut]) as image:
                view = image.fs()
                # What opens is whole: no file is shortened.
                assert view.readtext("/opt/top") == "top"
                assert view.readtext("/etc/base") == "base"
        except (UnknownFormatError, BlobNotFoundError, CorruptError):
            refused += 1
    assert refused > 10


def test_a_member_that_ends_early_says_where() -> None:
    whole = docker_archive(ImageDescription([[file("a", "A" * 5000)]]))
    cut = whole.index(b"A" * 5000) + 700
    error = same_error_twice(lambda: opened(whole[:cut]), TarError)
    assert isinstance(error.offset, int)
    assert error.offset <= cut
    assert issubclass(type(error), OSError)


@pytest.mark.parametrize("keep", [100, 512, 700, 1600])
def test_a_layer_that_ends_early_is_an_error_of_that_layer(keep: int) -> None:
    tar = layer(file("a", "A" * 900), file("b", "B" * 900))
    whole = opened(docker_archive(ImageDescription([TOP, tar[:keep]])))
    with whole as image:
        view = image.fs()
        error = same_error_twice(lambda: view.readtext("/a"), CorruptError)
        assert error.layer == 1
        assert image.layers[0].fs().readtext("/opt/top") == "top"


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("cut", [1, 8, 30, 200])
def test_a_compressed_layer_that_ends_early_is_an_error_of_that_layer(codec: str, cut: int) -> None:
    tar = layer(file("a", os.urandom(2000)))
    stored = compress(tar, codec)[:-cut]
    described = LayerDescription(tar, codec="identity")
    bad = oci_archive(
        ImageDescription([TOP, described]),
        damage=Damage(replace={"layer:1": stored}),
        codec="identity",
    )
    with opened(bad, verify=False) as image:
        error = same_error_twice(lambda: image.fs().readbytes("/a"), StreamError)
        assert error.layer == 1
        assert isinstance(error.offset, int)
        assert image.layers[0].fs().readtext("/opt/top") == "top"


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_a_compressed_layer_with_flipped_bytes_is_an_error(codec: str) -> None:
    tar = layer(file("a", os.urandom(3000)))
    stored = bytearray(compress(tar, codec))
    stored[len(stored) // 2] ^= 0x55
    bad = oci_archive(
        ImageDescription([LayerDescription(tar, codec=codec)]),
        damage=Damage(replace={"layer:0": bytes(stored)}),
    )
    with opened(bad) as image:
        error = same_error_twice(lambda: image.fs().readbytes("/a"), CorruptError)
        assert error.layer == 0


# -- missing and mismatching blobs -----------------------------------------------------------------


@pytest.mark.parametrize("make", [docker_archive, docker_archive_25, oci_archive])
def test_a_missing_layer_is_named_and_the_others_can_be_read(make: Any) -> None:
    archive = make(TWO, damage=Damage(omit=["layer:0"]))
    with opened(archive) as image:
        assert image.fs().readtext("/opt/top") == "top"
        error = same_error_twice(lambda: image.fs().readtext("/etc/base"), BlobNotFoundError)
        assert issubclass(type(error), LookupError)
        assert error.layer == 0
        assert error.expected in (image.layers[0].digest, image.layers[0].diff_id)
        assert "skip" in error.hint
        assert image.layers[1].fs().readtext("/opt/top") == "top"
    with opened(archive, missing="skip") as image:
        assert not image.fs().exists("/etc/base")
        assert image.fs().readtext("/opt/top") == "top"
        assert [(f.code, f.layer) for f in image.findings] == [("LAYER_MISSING", 0)]


def test_a_layer_that_is_absent_is_listed_as_missing() -> None:
    archive = oci_archive(TWO, damage=Damage(omit=["layer:1"]))
    (summary,) = list_images(io.BytesIO(archive))
    with opened(archive) as image:
        digest = image.layers[1].digest
    assert (summary.present, summary.missing) == (False, (digest,))


@pytest.mark.parametrize(
    "role",
    [
        "manifest",
        "config",
    ],
)
def test_a_missing_document_is_named(role: str) -> None:
    archive = oci_archive(TWO, damage=Damage(omit=[role]))
    error = same_error_twice(lambda: opened(archive), UnionLayersError)
    assert isinstance(error, BlobNotFoundError | ImageNotFoundError)
    assert error.expected is not None or error.candidates


def test_a_docker_archive_without_its_config_is_refused() -> None:
    archive = docker_archive(TWO, damage=Damage(omit=["config"]))
    error = same_error_twice(lambda: opened(archive), UnionLayersError)
    assert isinstance(error, BlobNotFoundError | DocumentError)


@pytest.mark.parametrize("make", [docker_archive, docker_archive_25, oci_archive])
def test_a_layer_with_other_bytes_is_refused_with_both_digests(make: Any) -> None:
    forged = layer(file("etc/base", "evil"))
    archive = make(TWO, codec="identity", damage=Damage(replace={"layer:0": forged}))
    with opened(archive) as image:
        error = same_error_twice(lambda: image.fs().readtext("/etc/base"), DigestMismatchError)
        assert error.layer == 0
        assert error.expected != error.actual
        assert issubclass(type(error), OSError)
        assert image.fs().readtext("/opt/top") == "top"
        with pytest.raises(DigestMismatchError):
            image.verify()
    with opened(archive, verify=False) as image:
        assert image.fs().readtext("/etc/base") == "evil"


def test_a_blob_of_the_same_size_and_another_digest_is_refused_with_both() -> None:
    good, forged = layer(file("a", "good")), layer(file("a", "evil"))
    archive = oci_archive(
        ImageDescription([LayerDescription(good, codec="identity")]),
        damage=Damage(replace={"layer:0": forged}),
    )
    with opened(archive) as image:
        error = same_error_twice(lambda: image.fs().readtext("/a"), DigestMismatchError)
        assert (error.expected, error.actual) == (sha256(good), sha256(forged))


@pytest.mark.parametrize("make", [docker_archive, oci_archive])
def test_a_diff_id_that_is_not_that_of_the_layer_is_refused_with_both(make: Any) -> None:
    tar, promised = layer(*BASE), "sha256:" + "5" * 64
    archive = make(ImageDescription([LayerDescription(tar, diff_id=promised), TOP]))
    with opened(archive) as image:
        error = same_error_twice(lambda: image.fs().readtext("/etc/base"), DigestMismatchError)
        assert (error.expected, error.actual) == (promised, sha256(tar))
        assert error.layer == 0
        assert image.fs().readtext("/opt/top") == "top"


def test_a_layer_of_another_size_than_promised_is_refused() -> None:
    archive = oci_archive(ImageDescription([LayerDescription(layer(*BASE), size=99), TOP]))
    with opened(archive) as image:
        error = same_error_twice(lambda: image.fs().readtext("/etc/base"), DigestMismatchError)
        assert error.expected == 99


@pytest.mark.parametrize("make", [docker_archive, docker_archive_25, oci_archive])
def test_a_config_with_other_bytes_is_refused_at_once(make: Any) -> None:
    honest = opened(make(TWO))
    assert honest.raw_config is not None
    forged = honest.raw_config.replace(b"linux", b"LINUX")
    archive = make(TWO, damage=Damage(replace={"config": forged}))
    error = same_error_twice(lambda: opened(archive), DigestMismatchError)
    assert (error.expected, error.actual) == (honest.id, sha256(forged))
    honest.close()


@pytest.mark.parametrize(
    "make",
    [
        docker_archive,
        docker_archive_25,
        oci_archive,
    ],
)
def test_a_config_with_other_bytes_is_read_where_nothing_is_verified(make: Any) -> None:
    with opened(make(TWO)) as honest:
        assert honest.raw_config is not None
        forged = honest.raw_config.replace(b"linux", b"LINUX")
    archive = make(TWO, damage=Damage(replace={"config": forged}))
    with opened(archive, verify=False) as image:
        assert image.fs().readtext("/opt/top") == "top"


def test_a_manifest_with_other_bytes_is_refused_at_once() -> None:
    honest = opened(oci_archive(TWO))
    assert honest.raw_manifest is not None
    forged = honest.raw_manifest.replace(b'"schemaVersion":2', b'"schemaVersion": 2')[:-1] + b"}"
    archive = oci_archive(TWO, damage=Damage(replace={"manifest": forged}))
    error = same_error_twice(lambda: opened(archive), DigestMismatchError)
    assert honest.digest is not None
    assert error.expected != error.actual
    honest.close()


# -- what is not read ------------------------------------------------------------------------------

UNKNOWN = {
    "lz4": b"\x04\x22\x4d\x18" + bytes(600),
    "noise": bytes(range(7, 250)) * 5,
    "zip": b"PK\x03\x04" + bytes(range(200)) * 4,
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_layer_in_a_compression_that_nobody_knows_is_an_error_of_that_layer(name: str) -> None:
    stored = LayerDescription(UNKNOWN[name], codec="identity")
    with opened(oci_archive(ImageDescription([stored, TOP]))) as image:
        error = same_error_twice(lambda: image.fs().readtext("/a"), UnionLayersError)
        assert isinstance(error, TarError | UnsupportedError)
        assert error.layer == 0
        assert image.fs().readtext("/opt/top") == "top"


@pytest.mark.parametrize(
    "media_type",
    ["application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "application/vnd.erofs.layer.v1",
     "application/vnd.wasm.content.layer.v1+wasm"],
)  # fmt: skip
def test_a_layer_that_is_no_tar_says_what_it_is(media_type: str) -> None:
    stored = LayerDescription(layer(*BASE), media_type=media_type)
    with opened(oci_archive(ImageDescription([stored, TOP]))) as image:
        error = same_error_twice(lambda: image.fs().readtext("/etc/base"), UnsupportedError)
        assert error.actual == media_type
        assert error.layer == 0
        assert image.fs().readtext("/opt/top") == "top"


# -- which image -----------------------------------------------------------------------------------

SEVERAL = (
    ImageDescription([BASE], tags=["app:1", "app:one"]),
    ImageDescription([TOP], tags=["app:2"]),
)


@pytest.mark.parametrize("make", [docker_archive, docker_archive_25, oci_archive])
def test_several_images_and_no_reference_lists_the_candidates(make: Any) -> None:
    archive = make(*SEVERAL)
    error = same_error_twice(lambda: opened(archive), AmbiguousImageError)
    assert issubclass(type(error), LookupError)
    assert len(error.candidates) == 2
    assert error.candidates == ("app:1", "app:2")
    assert "reference" in error.hint
    with opened(archive, reference="app:2") as image:
        assert image.fs().listdir("/") == ["opt"]


@pytest.mark.parametrize(
    "reference",
    ["app:3", "app", "other:1", "sha256:" + "0" * 64, "abcdef012345", "", "app:1 ", "../etc"],
)
@pytest.mark.parametrize("make", [docker_archive, oci_archive])
def test_an_unknown_reference_lists_the_candidates(make: Any, reference: str) -> None:
    archive = make(*SEVERAL)
    error = same_error_twice(lambda: opened(archive, reference=reference), ImageNotFoundError)
    assert error.actual == reference
    assert len(error.candidates) == 2
    assert issubclass(type(error), LookupError)


def test_a_prefix_of_two_digests_is_ambiguous() -> None:
    images = [ImageDescription([[file("f", str(n))]], tags=[f"t:{n}"]) for n in range(40)]
    archive = oci_archive(*images)
    digests = [item.digest or "" for item in list_images(io.BytesIO(archive))]
    # Digests of configs count too; one digit is shorter than any prefix that is taken.
    first = digests[0].removeprefix("sha256:")
    with opened(archive, reference=first[:16]) as image:
        assert image.digest == digests[0]
    with pytest.raises(ImageNotFoundError):
        opened(archive, reference=first[:2])


PLATFORMS = IndexDescription(
    [
        ImageDescription([BASE], architecture="amd64"),
        ImageDescription([TOP], architecture="arm64", variant="v8"),
    ],
    tags=["app:1"],
)


def test_several_platforms_and_none_asked_for_lists_them_and_never_takes_the_hosts() -> None:
    error = same_error_twice(lambda: opened(oci_archive(PLATFORMS)), AmbiguousImageError)
    assert "linux/amd64" in error.hint
    assert "linux/arm64" in error.hint


@pytest.mark.parametrize("platform", ["linux/s390x", "windows/amd64", "linux/riscv64"])
def test_a_platform_that_no_image_has_lists_those_there_are(platform: str) -> None:
    archive = oci_archive(PLATFORMS)
    error = same_error_twice(lambda: opened(archive, platform=platform), ImageNotFoundError)
    assert error.actual == platform
    assert len(error.candidates) == 2
    with opened(archive, platform="linux/arm64") as image:
        assert image.fs().listdir("/") == ["opt"]


# -- documents -------------------------------------------------------------------------------------

BROKEN_JSON: dict[str, bytes] = {
    "empty": b"",
    "cut off": b'{"a": [1, 2',
    "no JSON": b"<xml/>",
    "a number": b"7",
    "null": b"null",
    "NaN": b'{"schemaVersion": NaN}',
    "nested too deep": b"[" * 100_000 + b"]" * 100_000,
    "two values": b"{} {}",
    "a huge number": b'{"schemaVersion": 1' + b"0" * 6000 + b"}",
}


@pytest.mark.parametrize("name", BROKEN_JSON)
@pytest.mark.parametrize(
    ("make", "role"),
    [(docker_archive, "manifest.json"), (docker_archive, "config"), (oci_archive, "index.json"),
     (oci_archive, "manifest"), (oci_archive, "config")],
    ids=["docker manifest.json", "docker config", "oci index.json", "oci manifest", "oci config"],
)  # fmt: skip
def test_a_damaged_document_is_named(make: Any, role: str, name: str) -> None:
    archive = make(TWO, damage=Damage(edits={role: lambda _: BROKEN_JSON[name]}))
    error = same_error_twice(lambda: opened(archive), UnionLayersError)
    assert isinstance(error, DocumentError | LimitError | ImageNotFoundError), error
    assert error.member


@pytest.mark.parametrize(
    ("role", "key"), [("manifest", "layers"), ("config", "rootfs"), ("index.json", "manifests")]
)
def test_a_key_that_stands_twice_is_refused_where_it_is_read(role: str, key: str) -> None:
    def twice(document: Any) -> bytes:
        text = json.dumps(document)
        return f'{{"{key}": 1, {text[1:]}'.encode()

    archive = oci_archive(TWO, damage=Damage(edits={role: twice}))
    error = same_error_twice(lambda: opened(archive), DocumentError)
    assert error.member
    assert error.pointer == f"/{key}"
    assert "twice" in str(error)


def test_keys_that_stand_twice_in_the_manifest_of_docker_are_refused() -> None:
    def twice(document: Any) -> bytes:
        return json.dumps(document).replace('{"Config"', '{"Config": "x", "Config"', 1).encode()

    archive = docker_archive(TWO, damage=Damage(edits={"manifest.json": twice}))
    with pytest.raises(DocumentError):
        opened(archive)


WRONG_SHAPES: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "layers is no list": (oci_archive, "manifest", lambda m: {**m, "layers": {}}),
    "a layer is no object": (oci_archive, "manifest", lambda m: {**m, "layers": ["x"]}),
    "a digest is no digest": (
        oci_archive,
        "manifest",
        lambda m: {**m, "config": {**m["config"], "digest": "sha256:../../etc/passwd"}},
    ),
    "a size is negative": (
        oci_archive,
        "manifest",
        lambda m: {**m, "config": {**m["config"], "size": -1}},
    ),
    "a size is text": (
        oci_archive,
        "manifest",
        lambda m: {**m, "config": {**m["config"], "size": "9"}},
    ),
    "diff_ids is text": (
        oci_archive,
        "config",
        lambda c: {**c, "rootfs": {"type": "layers", "diff_ids": "x"}},
    ),
    "manifests is absent": (oci_archive, "index.json", lambda _: {"schemaVersion": 2}),
    "manifest.json is an object": (docker_archive, "manifest.json", lambda m: m[0]),
    "Layers is text": (docker_archive, "manifest.json", lambda m: [{**m[0], "Layers": "x"}]),
    "Config is a number": (docker_archive, "manifest.json", lambda m: [{**m[0], "Config": 7}]),
    "Config climbs out": (
        docker_archive,
        "manifest.json",
        lambda m: [{**m[0], "Config": "../../etc/passwd"}],
    ),
}


@pytest.mark.parametrize("name", WRONG_SHAPES)
def test_a_document_of_another_shape_says_where(name: str) -> None:
    make, role, edit = WRONG_SHAPES[name]
    archive = make(TWO, damage=Damage(edits={role: edit}))
    error = same_error_twice(lambda: opened(archive), UnionLayersError)
    assert isinstance(error, DocumentError | BlobNotFoundError | ImageNotFoundError), error
    assert error.member


def test_layers_and_diff_ids_of_different_number_are_refused() -> None:
    def fewer(config: Any) -> Any:
        return {
            **config,
            "rootfs": {"type": "layers", "diff_ids": config["rootfs"]["diff_ids"][:1]},
        }

    archive = oci_archive(TWO, damage=Damage(edits={"config": fewer}))
    with pytest.raises(DocumentError), opened(archive) as image:
        image.fs().listdir("/")


# -- links between members -------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["../../../../etc/passwd", "/etc/passwd", "none"])
def test_a_layer_that_is_a_link_to_nowhere_is_missing_and_no_host_path_is_read(
    target: str, tmp_path: Path
) -> None:
    name = "a" * 64 + "/layer.tar"

    def linked(manifest: Any) -> Any:
        return [{**manifest[0], "Layers": [name, *manifest[0]["Layers"][1:]]}]

    damage = Damage(edits={"manifest.json": linked}, after=[symlink(name, target)])
    path = tmp_path / "app.tar"
    path.write_bytes(docker_archive(TWO, damage=damage))
    with contextlib.closing(open_image(path)) as image:
        error = same_error_twice(lambda: image.fs().readtext("/etc/base"), UnionLayersError)
        assert isinstance(error, BlobNotFoundError | DocumentError)
        assert image.fs().readtext("/opt/top") == "top"


def test_a_layer_that_is_a_link_to_itself_is_an_error_of_ours() -> None:
    name = "a" * 64 + "/layer.tar"

    def linked(manifest: Any) -> Any:
        return [{**manifest[0], "Layers": [name, *manifest[0]["Layers"][1:]]}]

    damage = Damage(edits={"manifest.json": linked}, after=[symlink(name, "layer.tar")])
    archive = docker_archive(TWO, damage=damage)

    def ask() -> None:
        with opened(archive) as image:
            image.fs().readtext("/etc/base")

    assert name in str(same_error_twice(ask, UnionLayersError))


# -- limits ----------------------------------------------------------------------------------------


def many(count: int) -> list[Any]:
    return [file(f"f{number}") for number in range(count)]


def nested(depth: int) -> IndexDescription:
    inner = IndexDescription([ImageDescription([TOP])])
    for _ in range(depth - 1):
        inner = IndexDescription([inner])
    return inner


LIMITS: dict[str, tuple[Limits, Callable[[], bytes]]] = {
    "entries": (Limits(entries=9), lambda: docker_archive(ImageDescription([many(10)]))),
    "image_entries": (
        Limits(image_entries=10),
        lambda: docker_archive(ImageDescription([many(6), [file("x"), *many(5)]])),
    ),
    "name_bytes": (
        Limits(name_bytes=50),
        lambda: docker_archive(ImageDescription([[file("a" * 30), file("b" * 30)]])),
    ),
    "header_bytes": (
        Limits(header_bytes=600),
        lambda: docker_archive(
            ImageDescription([[file("a", xattrs={"user.x": b"x" * 700})]])
        ),
    ),
    "pax_records": (
        Limits(pax_records=3),
        lambda: docker_archive(
            ImageDescription([[file("a", xattrs={f"user.{n}": b"x" for n in range(4)})]])
        ),
    ),
    "sparse_entries": (
        Limits(sparse_entries=3),
        lambda: docker_archive(
            ImageDescription(
                [[sparse_file("a", [(n * 1024, b"x" * 512) for n in range(6)], 6144)]]
            )
        ),
    ),
    "layer_bytes": (
        Limits(layer_bytes=4096),
        lambda: oci_archive(ImageDescription([[file("a", b"a" * 5000)]]), codec="gzip"),
    ),
    "window_bytes": (
        Limits(window_bytes=1024),
        lambda: oci_archive(ImageDescription([[file("a", os.urandom(9000))]]), codec="zstd"),
    ),
    "document_bytes": (
        Limits(document_bytes=300),
        lambda: docker_archive(ImageDescription([TOP], labels={"x": "y" * 400})),
    ),
    "members": (Limits(members=4), lambda: docker_archive(TWO)),
    "images": (Limits(images=1), lambda: docker_archive(*SEVERAL)),
    "nesting": (Limits(nesting=2), lambda: oci_archive(nested(3))),
    "layers": (Limits(layers=1), lambda: docker_archive(TWO)),
    "depth": (
        Limits(depth=5),
        lambda: docker_archive(ImageDescription([[file("1/2/3/4/5/6")]])),
    ),
    "component_bytes": (
        Limits(component_bytes=20),
        lambda: docker_archive(ImageDescription([[file("d/" + "a" * 21)]])),
    ),
    "index_links": (
        Limits(index_links=3),
        lambda: docker_archive(
            ImageDescription(
                [[*(symlink(f"l{n}", f"l{n + 1}") for n in range(5)), directory("l5"),
                  file("l0/f")]]
            )
        ),
    ),
    "links": (
        Limits(links=3),
        lambda: docker_archive(
            ImageDescription([[*(symlink(f"l{n}", f"l{n + 1}") for n in range(5)), file("l5")]])
        ),
    ),
}  # fmt: skip


def everything(archive: bytes, limits: Limits) -> None:
    with opened(archive, limits=limits) as image:
        for path, _ in image.fs().find(None):
            image.fs().readbytes(path)
        image.prepare()


@pytest.mark.parametrize(
    "name",
    [name for name in LIMITS if name not in ("links", "index_links")],
)
def test_a_limit_names_its_field_bound_and_value_and_how_to_lift_it(name: str) -> None:
    limits, make = LIMITS[name]
    archive = make()
    error = same_error_twice(lambda: everything(archive, limits), LimitError)
    assert error.limit == name
    assert error.expected == getattr(limits, name)
    assert error.actual > error.expected
    assert f"Limits({name}=" in error.hint
    assert issubclass(type(error), OSError)
    if name != "images":
        everything(archive, Limits())


def test_the_limit_of_links_is_a_loop_as_in_the_kernel() -> None:
    limits, make = LIMITS["links"]
    with opened(make(), limits=limits) as image:
        assert image.fs().exists("/l2")
        with pytest.raises(UnionLayersError, match="link"):
            image.fs().readbytes("/l0")


def test_the_limit_of_links_to_an_entry_is_a_layer_that_no_runtime_applies() -> None:
    limits, make = LIMITS["index_links"]
    archive = make()
    error = same_error_twice(lambda: everything(archive, limits), LayerError)
    assert (error.layer, error.path) == (0, "/l0/f")
    everything(archive, Limits())


@pytest.mark.parametrize("name", ["depth", "component_bytes"])
def test_the_limits_of_long_names(name: str) -> None:
    limits = Limits(depth=200, component_bytes=300)
    path = "/".join("d" * 201) if name == "depth" else "d/" + "a" * 301
    archive = docker_archive(ImageDescription([[file(path)], TOP]))
    error = same_error_twice(lambda: everything(archive, limits), LimitError)
    assert error.limit == name
    everything(archive, Limits())


def test_the_limit_of_expansion_stops_a_bomb_and_names_its_field() -> None:
    size = 80 << 20
    tar = layer(file("zeros", bytes(size)))
    archive = oci_archive(ImageDescription([TOP, LayerDescription(tar, codec="gzip")]))
    del tar
    with opened(archive, limits=Limits(expansion=100)) as image:
        error = same_error_twice(lambda: image.fs().getsize("/zeros"), LimitError)
        assert error.limit == "expansion"
        assert error.layer == 1
        assert image.layers[0].fs().readtext("/opt/top") == "top"


@pytest.mark.parametrize("name", ["entries", "layer_bytes", "pax_records"])
def test_a_limit_in_one_layer_leaves_the_others_readable(name: str) -> None:
    limits, _ = LIMITS[name]
    bad: dict[str, list[Any]] = {
        "entries": many(10),
        "layer_bytes": [file("a", b"a" * 5000)],
        "pax_records": [file("a", xattrs={f"user.{n}": b"x" for n in range(4)})],
    }
    with opened(docker_archive(ImageDescription([bad[name], TOP])), limits=limits) as image:
        error = same_error_twice(lambda: image.fs().readtext("/none"), LimitError)
        assert error.layer == 0
        assert image.fs().readtext("/opt/top") == "top"


# -- an open image survives ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        entry("etc/bad", "Q"),
        entry("etc/bad", "0", b"x", checksum=b"0000000\0"),
        entry("etc/bad", "0", fields={"size": b"99999999999\0"}),
        entry("etc/bad", "0", fields={"size": b"zzzzzzzzzzz\0"}),
        entry("etc/bad", "0", pax_body=b"12 path=nolf"),
        entry("etc/bad", "0", pax={"path": b"a\0b"}),
    ],
    ids=["unknown type", "checksum", "size beyond the end", "size is no number", "PAX record",
         "NUL in PAX path"],
)  # fmt: skip
def test_an_image_with_one_bad_layer_answers_everything_that_does_not_need_it(bad: Any) -> None:
    archive = docker_archive(ImageDescription([BASE, [bad], TOP]))
    with opened(archive) as image:
        view = image.fs()
        assert view.readtext("/opt/top") == "top"
        error = same_error_twice(lambda: list(view.scandir("/etc")), CorruptError)
        assert error.layer == 1
        assert error.offset is not None or error.entry is not None
        same_error_twice(lambda: view.readtext("/etc/base"), CorruptError)
        same_error_twice(lambda: image.findings, UnionLayersError)
        assert view.readtext("/opt/top") == "top"
        assert image.fs([0, 2]).readtext("/etc/base") == "base"
        assert image.layers[0].fs().listdir("/etc") == ["base"]


def test_a_hard_link_to_nothing_is_an_error_of_its_name_alone() -> None:
    archive = docker_archive(ImageDescription([BASE, [entry("etc/bad", "1", linkname="none")]]))
    with opened(archive) as image:
        view = image.fs()
        assert view.listdir("/etc") == ["bad", "base"]
        assert view.readtext("/etc/base") == "base"
        asks: list[Callable[[], Any]] = [
            lambda: view.getinfo("/etc/bad"),
            lambda: view.stat("/etc/bad"),
            lambda: view.openbin("/etc/bad"),
            lambda: list(view.scandir("/etc")),
        ]
        errors = [same_error_twice(ask, LayerError) for ask in asks]
        assert {(error.layer, error.entry) for error in errors} == {(1, 0)}
        found = [(item.code, item.layer, item.entry, item.path) for item in view.findings]
        assert found == [("HARDLINK_MISSING", 1, 0, "/etc/bad")]
        assert view.readtext("/etc/base") == "base"
