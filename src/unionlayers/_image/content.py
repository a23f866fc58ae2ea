"""The bytes of a node: from the layer that has its inode, at the place that the record says."""

from __future__ import annotations

import stat

from unionlayers._bytes.source import ByteSource
from unionlayers._bytes.window import WindowSource
from unionlayers._image.layer_stack import LayerStack
from unionlayers._layers.directory import Node
from unionlayers._layers.union import Inode, Union
from unionlayers._tar.content import SparseSource
from unionlayers.errors import NotARegularFileError, PathIsADirectoryError

__all__ = ["content_at", "content_of", "read_content", "same_content"]

_COMPARED_BYTES = 1 << 20


def content_of(image: LayerStack, union: Union, node: Node, path: str) -> ByteSource:
    """
    Give the content of a regular file as a source of bytes.

    Raises:
        PathIsADirectoryError: The node is a directory.
        NotARegularFileError: It is a device or FIFO.
        LayerError: It is a hard link whose target no layer beneath has.
    """
    if node.directory is not None:
        raise PathIsADirectoryError("is a directory", path=path)
    return content_at(image, union, union.inode(node), path)


def content_at(image: LayerStack, union: Union, inode: Inode, path: str) -> ByteSource:
    """
    Give the content of an inode, which is (slot, row) in a stack.

    Raises:
        NotARegularFileError: It is no regular file.
    """
    slot, row = inode
    index = union.changeset(slot).index
    form = stat.S_IFMT(index.kinds[index.kind[row]][0])
    if form != stat.S_IFREG:
        raise NotARegularFileError("is a device or FIFO, which has no bytes in an image", path=path)
    content = image.layers[union.slots[slot].layer].content()
    extra = index.extras.get(row)
    if extra is not None and extra.sparse is not None:
        return SparseSource(content, index.data_offset(row), extra.sparse, index.length[row])
    return WindowSource(content, index.data_offset(row), index.length[row])


def read_content(image: LayerStack, union: Union, node: Node, path: str) -> bytes:
    """
    Read the whole content of a regular file; what `content_of` gives, read from end to end.

    Raises:
        PathIsADirectoryError: The node is a directory.
        NotARegularFileError: It is a device or FIFO.
        LayerError: It is a hard link whose target no layer beneath has.
    """
    if node.directory is None:
        slot, row = union.inode(node)
        index = union.changeset(slot).index
        if row not in index.extras and stat.S_ISREG(index.kinds[index.kind[row]][0]):
            content = image.layers[union.slots[slot].layer].content()
            return content.pread(index.data_offset(row), index.length[row])
    source = content_of(image, union, node, path)
    return source.pread(0, source.size)


def same_content(image: LayerStack, one: Union, node: Node, other: Union, twin: Node) -> bool:
    """
    Tell whether two regular files, each of its own union over the image, have the same bytes.

    Cost:
        Reads both, as far as they are the same.
    """
    first = content_of(image, one, node, node.path)
    second = content_of(image, other, twin, twin.path)
    return first.size == second.size and all(
        first.pread(offset, _COMPARED_BYTES) == second.pread(offset, _COMPARED_BYTES)
        for offset in range(0, first.size, _COMPARED_BYTES)
    )
