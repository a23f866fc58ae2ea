"""The bytes of a node: from the layer that has its inode, at the place that the record says."""

from __future__ import annotations

import stat

from unionlayers._bytes.source import ByteSource
from unionlayers._bytes.window import WindowSource
from unionlayers._image.image import Image
from unionlayers._layers.directory import Node
from unionlayers._layers.union import Union
from unionlayers._tar.content import SparseSource
from unionlayers.errors import NotARegularFileError, PathIsADirectoryError

__all__ = ["content_of"]


def content_of(image: Image, union: Union, node: Node, path: str) -> ByteSource:
    """
    Give the content of a regular file as a source of bytes.

    Raises:
        PathIsADirectoryError: The node is a directory.
        NotARegularFileError: It is a device or FIFO.
        LayerError: It is a hard link whose target no layer beneath has.
    """
    if node.directory is not None:
        raise PathIsADirectoryError("is a directory", path=path)
    slot, row = union.inode(node)
    index = union.changeset(slot).index
    form = stat.S_IFMT(index.kinds[index.kind[row]][0])
    if form != stat.S_IFREG:
        raise NotARegularFileError("is a device or FIFO, which has no bytes in an image", path=path)
    content = image.layers[union.slots[slot].layer].content()
    extra = index.extras.get(row)
    if extra is not None and extra.sparse is not None:
        return SparseSource(content, index.data_offset(row), extra.sparse, index.length[row])
    return WindowSource(content, index.data_offset(row), index.length[row])
