"""
Digests of the compressed and of the plain bytes, made beside the pass that reads them.

Hashing costs about as much as inflating, and both let go of the interpreter lock, so one worker
thread behind a bounded queue hides it wherever a second core is free.  Small blobs are hashed in
place: they are done before a thread would have started.
"""

from __future__ import annotations

import threading
from queue import Queue

from unionlayers._foundation.digest import Hasher, hasher_for
from unionlayers.errors import ClosedError

__all__ = ["DigestPair"]

_IN_PLACE = 1 << 20
# What is handed over at once: threads wake each other so many times less.
_BATCH = 1 << 20
_QUEUE = 6

_Job = tuple[Hasher, bytes]


class DigestPair:
    """
    The running digests of one pass.

    Args:
        blob: The algorithm for the compressed bytes, or a digest that begins with its name; None
            if their digest is not wanted.
        diff_id: Whether the sha256 of the plain bytes is wanted.
        plain: Whether the blob is not compressed, so that both are digests of the same bytes.

    Attributes:
        blob_digest: The digest of the compressed bytes, once `finish` was called; None if it was
            not wanted.
        diff_id: The same of the plain bytes.
    """

    __slots__ = (
        "_batch",
        "_batched",
        "_blob",
        "_blob_name",
        "_diff",
        "_in_place",
        "_queue",
        "_shared",
        "_thread",
        "blob_digest",
        "diff_id",
    )

    def __init__(self, blob: str | None, *, diff_id: bool, plain: bool) -> None:
        self._blob_name = "" if blob is None else blob.partition(":")[0]
        self._blob: Hasher | None = None if blob is None else hasher_for(blob)
        self._shared = plain and diff_id and self._blob_name == "sha256"
        self._diff: Hasher | None = hasher_for("sha256") if diff_id and not self._shared else None
        self._in_place = _IN_PLACE
        self._batch: list[_Job] = []
        self._batched = 0
        self._queue: Queue[list[_Job] | None] = Queue(_QUEUE)
        self._thread: threading.Thread | None = None
        self.blob_digest: str | None = None
        self.diff_id: str | None = None

    @property
    def wants_blob(self) -> bool:
        """Whether `compressed` must be given every byte."""
        return self._blob is not None

    @property
    def wanted(self) -> bool:
        """Whether there is anything to hash."""
        return self._blob is not None or self._diff is not None

    def compressed(self, data: bytes) -> None:
        """Take the next compressed bytes."""
        if self._blob is not None:
            self._take(self._blob, data)

    def plain(self, data: bytes) -> None:
        """Take the next plain bytes."""
        if self._diff is not None:
            self._take(self._diff, data)

    def finish(self) -> None:
        """Wait for what is under way and set the digests."""
        if self._batch:
            self._queue.put(self._batch)
            self._batch = []
        self.close()
        if self._blob is not None:
            self.blob_digest = f"{self._blob_name}:{self._blob.hexdigest()}"
        if self._diff is not None:
            self.diff_id = f"sha256:{self._diff.hexdigest()}"
        elif self._shared:
            self.diff_id = self.blob_digest

    def close(self) -> None:
        """Stop the thread, if there is one; twice is allowed."""
        thread = self._thread
        if thread is not None:
            self._queue.put(None)
            # One whose start was interrupted cannot be waited for; it ends by itself.
            if thread.ident is not None:
                thread.join()
            self._thread = None

    def _take(self, hasher: Hasher, data: bytes) -> None:
        if self._thread is None:
            if self._in_place > 0:
                self._in_place -= len(data)
                hasher.update(data)
                return
            thread = threading.Thread(
                target=_work, args=(self._queue,), name="unionlayers-digest", daemon=True
            )
            # Before it starts, so that an interrupt in the middle of that leaves none behind.
            self._thread = thread
            thread.start()
        self._batch.append((hasher, data))
        self._batched += len(data)
        if self._batched >= _BATCH:
            batch, self._batch, self._batched = self._batch, [], 0
            if not self._thread.is_alive():
                # Nobody would ever take it out of the queue.
                raise ClosedError("the process was forked in the middle of a pass")
            self._queue.put(batch)


def _work(queue: Queue[list[_Job] | None]) -> None:
    # It holds the queue alone, so that nothing else is kept alive by a thread left behind.
    while (batch := queue.get()) is not None:
        for hasher, data in batch:
            hasher.update(data)
