"""What was found odd in an image: forgiven, or read differently by different runtimes."""

from __future__ import annotations

from attrs import frozen

__all__ = ["Finding"]


@frozen
class Finding:
    """
    One oddity.

    Attributes:
        code: A stable name in capitals, such as ``WHITEOUT_THEN_DIR``.
        layer: Index of the layer in the image, base first from 0; -1 for the image as a whole.
        entry: Ordinal of the tar entry in the layer, or None.
        path: Path inside the image, absolute, or None.
        message: What is odd, and what this library does about it, in one sentence.
        case: Id of the case in the conformance table, or None.
    """

    code: str
    layer: int
    entry: int | None
    path: str | None
    message: str
    case: str | None
