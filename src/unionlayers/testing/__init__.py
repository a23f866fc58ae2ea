"""
Builders of layers and images, for tests of whatever reads them.

Layers are made from short descriptions of their entries, images from layers, and archives from
images, in every form that tools write and every codec, whole or broken on purpose.  Everything is
deterministic, and nothing here uses the readers of this library: they can be tested with it, and
so can those of others.

Example:
    >>> from unionlayers.testing import ImageDescription, docker_archive, file, whiteout
    >>> image = ImageDescription([[file("a", "1"), file("b", "2")], [whiteout("a")]])
    >>> len(docker_archive(image)) % 512
    0
"""

from unionlayers.testing.compression import (
    CODECS,
    SHAPES,
    Shape,
    chunks,
    compress,
    gzip_member,
    gzip_members,
    skippable_frame,
    zstd_frame,
    zstd_frames,
)
from unionlayers.testing.damage import Damage
from unionlayers.testing.description import (
    Attestation,
    HistoryStep,
    ImageDescription,
    IndexDescription,
    LayerDescription,
    RawDescriptor,
    foreign_layer,
    stored_layer,
)
from unionlayers.testing.entries import (
    block_device,
    char_device,
    directory,
    entry,
    fifo,
    file,
    global_header,
    hardlink,
    opaque,
    raw,
    raw_block,
    sparse_file,
    symlink,
    whiteout,
)
from unionlayers.testing.entry import Entry, Sparse
from unionlayers.testing.form import (
    FORMS,
    Form,
    containerd_save,
    docker_archive,
    docker_archive_25,
    docker_archive_v1,
    image_members,
    layer_tars,
    oci_archive,
    oci_layout,
    skopeo_dir,
    skopeo_docker_archive,
    write_directory,
    write_image,
)
from unionlayers.testing.header import base256, octal, pax_record
from unionlayers.testing.layer import layer, windows_layer

__all__ = [
    "CODECS",
    "FORMS",
    "SHAPES",
    "Attestation",
    "Damage",
    "Entry",
    "Form",
    "HistoryStep",
    "ImageDescription",
    "IndexDescription",
    "LayerDescription",
    "RawDescriptor",
    "Shape",
    "Sparse",
    "base256",
    "block_device",
    "char_device",
    "chunks",
    "compress",
    "containerd_save",
    "directory",
    "docker_archive",
    "docker_archive_25",
    "docker_archive_v1",
    "entry",
    "fifo",
    "file",
    "foreign_layer",
    "global_header",
    "gzip_member",
    "gzip_members",
    "hardlink",
    "image_members",
    "layer",
    "layer_tars",
    "oci_archive",
    "oci_layout",
    "octal",
    "opaque",
    "pax_record",
    "raw",
    "raw_block",
    "skippable_frame",
    "skopeo_dir",
    "skopeo_docker_archive",
    "sparse_file",
    "stored_layer",
    "symlink",
    "whiteout",
    "windows_layer",
    "write_directory",
    "write_image",
    "zstd_frame",
    "zstd_frames",
]
