"""Sections M, N and O: indexes and platforms, Windows layers, and formats that can be sought in."""

from __future__ import annotations

from attrs import evolve
from row import Row

from unionlayers import (
    AmbiguousImageError,
    DocumentError,
    ImageNotFoundError,
    Profile,
    UnsupportedError,
)
from unionlayers.testing import (
    Attestation,
    ImageDescription,
    IndexDescription,
    LayerDescription,
    RawDescriptor,
    directory,
    docker_archive,
    file,
    gzip_members,
    hardlink,
    layer,
    oci_archive,
    skippable_frame,
    whiteout,
    windows_layer,
    zstd_frames,
)

__all__ = ["ROWS"]

ONE = ImageDescription([[file("a", "1")]], tags=("one",))
TWO = ImageDescription([[file("a", "2")]], tags=("two",))
ARM = ImageDescription([[file("a", "arm")]], architecture="arm", variant="v6")
AMD = ImageDescription([[file("a", "amd")]], architecture="amd64")
INDEX = IndexDescription([AMD, ARM], tags=("app",))
FILES = Profile(windows="files")


LOWER = windows_layer(directory("Users"), file("Users/a.txt", "1"), hardlink("b", "Users/a.txt"))
UPPER = windows_layer(whiteout("Users/a.txt"), file("c", "3"))
ESTARGZ = layer(file(".no.prefetch.landmark", "x"), file("a", "1"), file("stargz.index.json", "{}"))

ROWS = [
    Row("M1", "of several images one is asked for by its name", lambda: oci_archive(ONE, TWO),
        "a=2", options={"reference": "two"}),
    Row("M1", "of several images none is the default", lambda: oci_archive(ONE, TWO),
        error=AmbiguousImageError),
    Row("M2", "an index inside an index",
        lambda: oci_archive(IndexDescription([IndexDescription([AMD])], tags=("app",))), "a=amd"),
    Row("M3", "a descriptor of an unknown kind is passed over",
        lambda: oci_archive(IndexDescription([
            RawDescriptor({"mediaType": "application/vnd.example.thing"}, b"{}"), AMD])), "a=amd"),
    Row("M4", "a statement about an image is no image",
        lambda: oci_archive(IndexDescription([AMD, Attestation(AMD)])), "a=amd"),
    Row("M5", "what refers to an image is no image",
        lambda: oci_archive(IndexDescription([AMD, RawDescriptor(
            {"mediaType": "application/vnd.oci.image.manifest.v1+json",
             "artifactType": "application/vnd.example.sbom"},
            b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",'
            b'"artifactType":"application/vnd.example.sbom","config":{"mediaType":'
            b'"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8'
            b'649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"data":"e30="},"layers":[]}')])),
        "a=amd"),
    Row("M6", "a platform that only the config has",
        lambda: oci_archive(IndexDescription([evolve(AMD, platform={}), evolve(ARM, platform={})])),
        "a=arm", options={"platform": "linux/arm/v6"}),
    Row("M7", "a CPU runs what was made for an older one of its line", lambda: oci_archive(INDEX),
        "a=arm", options={"platform": "linux/arm/v7"}),
    Row("M7", "and not for another", lambda: oci_archive(INDEX), error=ImageNotFoundError,
        options={"platform": "linux/s390x"}),
    Row("M8", "a digest that is a path is refused",
        lambda: oci_archive(ImageDescription([LayerDescription(
            layer(file("a")), digest="sha256:../../etc/passwd", absent=True)])),
        error=DocumentError),
    Row("N", "a Windows layer as it is",
        lambda: docker_archive(ImageDescription([LOWER, UPPER], os="windows")),
        "Files/ Files/Users/ Files/b=1 Files/c=3 Hives/"),
    Row("N", "a Windows layer as a container sees it",
        lambda: docker_archive(ImageDescription([LOWER, UPPER], os="windows")), "Users/ b=1 c=3",
        options={"profile": FILES}),
    Row("O1", "a runtime shows the landmarks and the table of eStargz",
        lambda: oci_archive(ImageDescription([LayerDescription(
            ESTARGZ, stored=gzip_members(ESTARGZ[:1024], ESTARGZ[1024:]),
            media_type="application/vnd.oci.image.layer.v1.tar+gzip")])),
        ".no.prefetch.landmark=x a=1 stargz.index.json={}"),
    Row("O2", "the tables of zstd:chunked lie in frames to be skipped, and the tar is the truth",
        lambda: oci_archive(ImageDescription([LayerDescription(
            layer(file("a", "1")),
            stored=zstd_frames(layer(file("a", "1"))) + skippable_frame(b'{"version":1}'),
            media_type="application/vnd.oci.image.layer.v1.tar+zstd")])), "a=1"),
    Row("O3", "a table beside the image changes nothing",
        lambda: oci_archive(IndexDescription([AMD, RawDescriptor(
            {"mediaType": "application/vnd.amazon.soci.index.v1+json"}, b"{}")])), "a=amd"),
    Row("O4", "a layer that is no tar is refused",
        lambda: oci_archive(ImageDescription([LayerDescription(
            b"\xe2\xe1\xf5\xe0" * 64, media_type="application/vnd.erofs.layer.v1")])),
        error=UnsupportedError),
    Row("N", "of names that differ only by case the last counts, spelled as the first",
        lambda: docker_archive(ImageDescription(
            [windows_layer(file("A", "1"), file("a", "2"))], os="windows")), "A=2",
        options={"profile": FILES}),
    Row("N", "so it is from layer to layer, for whiteouts and folders too",
        lambda: docker_archive(ImageDescription(
            [windows_layer(directory("Users"), file("Users/One", "1"), file("Users/two", "2")),
             windows_layer(
                 file("users/ONE", "3"), whiteout("USERS/TWO"), hardlink("x", "USERS/one"))],
            os="windows")), "Users/ Users/One=3 x=3",
        options={"profile": FILES}),
]  # fmt: skip
