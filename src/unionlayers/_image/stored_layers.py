"""
What a store knows of layers, and what of that may be believed.

The digest in an archive is a claim.  A record of a store is used for bytes that were hashed: now,
or by an earlier process that has noted which stretch of which file it hashed and in what state the
file was (`SourceIdentity`).  That note is made only where a later write could not go unseen: the
file must have been left alone for a while before its bytes were read, because a file system that
ticks slowly gives two writes within one tick the same time.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal

from attrs import astuple, field, frozen

from unionlayers._bytes.source import ByteSource, SourceIdentity
from unionlayers._codec import checkpoint_file
from unionlayers._codec.checkpoint import MOST_HELD, Checkpoint
from unionlayers._codec.packed import Packer, Unpacker
from unionlayers._codec.section_file import DamagedFileError, SectionFile, pack_sections
from unionlayers._foundation.digest import is_digest
from unionlayers._foundation.limits import Limits
from unionlayers._image.index_store import DirectoryIndexStore, IndexStore
from unionlayers._tar import index_file
from unionlayers._tar.index import LayerIndex
from unionlayers._tar.mapped_index import MappedIndex
from unionlayers.errors import DigestMismatchError

__all__ = ["IndexChoice", "StoredLayers", "is_settled", "store_named"]

IndexChoice = str | os.PathLike[str] | IndexStore | Literal[False] | None
"""Where records are kept: a folder, a store, nowhere, or what the environment says."""

ENVIRONMENT = "UNIONLAYERS_CACHE"
"""The variable that names the folder of the store where none is given."""

_FORMAT = 1
_SOURCE = "srce"
_HINT = "hint"
_ENDS = 4096
# FAT counts in two seconds, the coarsest that anything in use does; clocks of a server and of its
# clients differ by more, and then the file is merely hashed once more.
_SETTLED_NS = 2_500_000_000


def store_named(choice: IndexChoice) -> IndexStore | None:
    """
    Give the store that the argument *index_store* means.

    Args:
        choice: A path, an `IndexStore`, False for none, or None for what the environment says.

    Raises:
        IndexStoreError: Others can write to the folder.
        TypeError: It is none of these.
    """
    if choice is None:
        choice = os.environ.get(ENVIRONMENT) or False
    if choice is False:
        return None
    if isinstance(choice, str | os.PathLike):
        return DirectoryIndexStore(choice)
    if isinstance(choice, IndexStore):
        return choice
    raise TypeError(f"index_store is a path, an IndexStore, False or None, not {choice!r}")


def is_settled(identity: SourceIdentity | None) -> bool:
    """
    Tell whether any write from now on will be seen in the times of a file.

    To be asked before the bytes are read that are vouched for.
    """
    if identity is None or not identity.inode:
        return False
    changed = identity.ctime_ns
    if os.name == "nt":
        # There it is the time at which the file was made.
        changed = max(changed, identity.mtime_ns)
    return time.time_ns() - changed > _SETTLED_NS


@frozen
class StoredLayers:
    """
    Reads and keeps records, checkpoints and notes on sources in a store.

    Args:
        store: Where they are kept.
    """

    store: IndexStore
    # What this process has hashed stays noted where the store could not keep the note, or has
    # given it up since.
    _hashed: dict[tuple[SourceIdentity, str], str] = field(init=False, factory=dict, eq=False)

    # -- records ----------------------------------------------------------------------------------

    def record(
        self, digest: str, limits: Limits, remake: Callable[[], LayerIndex], *, mend: bool
    ) -> MappedIndex | None:
        """
        Give the record of the blob with a digest, if there is one that keeps within the limits.

        Where it proves to be damaged while it is used, *remake* is called, and the digest that it
        computes is compared with *digest*: a `DigestMismatchError` reaches whoever asked.

        Args:
            digest: Computed, or noted by one who computed it.
            limits: What the layer must be known to be within.
            remake: Passes over the bytes of the layer and computes both digests.
            mend: Put what was remade in place of the damaged file; False for those who do not
                verify, who write nothing.
        """
        found = self._opened(digest, lambda: self._remade(digest, limits, remake, mend=mend))
        if found is None or not found.facts.within(limits):
            return None
        return found

    def keep(self, index: LayerIndex, limits: Limits, *, anew: bool) -> None:
        """
        Keep the record of a layer.

        Args:
            index: A record; nothing is done if its digests were not computed.
            limits: What the layer was read within.
            anew: Write also what is there already: it was not used, and may be damaged.
        """
        if index.blob_digest is None or index.diff_id is None:
            return
        bounds: Mapping[str, int] | None = None
        before = self._opened(index.blob_digest, lambda: index)
        if before is not None:
            # It was within other limits, too: it is kept for all who allow either.
            bounds = before.facts.tightened(limits)
            if not anew and bounds == before.facts.bounds:
                return
        self._put(index, limits, bounds)
        if any(point.window for point in index.checkpoints):
            self.keep_checkpoints(index, index.checkpoints)

    def _opened(self, digest: str, remake: Callable[[], LayerIndex]) -> MappedIndex | None:
        data = self.store.get(_record_name(digest))
        if data is None:
            return None
        try:
            found = MappedIndex(data, remake)
        except DamagedFileError:
            return None
        return found if found.blob_digest == digest else None

    def _remade(
        self, digest: str, limits: Limits, remake: Callable[[], LayerIndex], *, mend: bool
    ) -> LayerIndex:
        index = remake()
        _check_same(digest, index.blob_digest)
        if mend:
            self._put(index, limits, None)
        return index

    def _put(self, index: LayerIndex, limits: Limits, bounds: Mapping[str, int] | None) -> None:
        if index.blob_digest is not None:
            pieces = index_file.pack_index(index, limits, bounds=bounds)
            self.store.put(_record_name(index.blob_digest), pieces)

    # -- checkpoints ------------------------------------------------------------------------------

    def checkpoints(
        self, index: LayerIndex, mend: Callable[[str], str] | None = None
    ) -> tuple[Checkpoint, ...]:
        """
        Give all checkpoints that are known of a layer.

        Args:
            index: The record of the layer.
            mend: Computes the digest of the bytes of the layer, by the algorithm of the one that
                it is given.  A damaged file is replaced after that alone; without it the file
                stays, and only what it says is not used.

        Raises:
            DigestMismatchError: The file is damaged, and the bytes are not those that the record
                was made of.
        """
        digest = index.blob_digest
        if digest is None:
            return index.checkpoints
        data = self.store.get(_checkpoints_name(digest))
        if data is None:
            return index.checkpoints
        try:
            found = checkpoint_file.unpack_checkpoints(
                data,
                blob_digest=digest,
                codec=index.codec,
                blob_size=index.blob_size,
                size=index.size,
            )
        except DamagedFileError:
            # What is read next makes them again.
            if mend is not None:
                _check_same(digest, mend(digest))
                self._put_checkpoints(index, digest, index.checkpoints)
            return index.checkpoints
        known = {point.offset: point for point in (*index.checkpoints, *found)}
        return tuple(known[offset] for offset in sorted(known))

    def keep_checkpoints(self, index: LayerIndex, points: Sequence[Checkpoint]) -> None:
        """Keep the checkpoints of a layer, beside those that others have kept since."""
        if index.blob_digest is None:
            return
        known = {point.offset: point for point in (*self.checkpoints(index), *points)}
        if sum(len(point.window) for point in known.values()) > MOST_HELD:
            # Those who read have dropped every second one: what they kept is enough.
            known = {point.offset: point for point in points}
        self._put_checkpoints(index, index.blob_digest, [known[at] for at in sorted(known)])

    def _put_checkpoints(
        self, index: LayerIndex, digest: str, points: Sequence[Checkpoint]
    ) -> None:
        pieces = checkpoint_file.pack_checkpoints(digest, index.codec, index.size, points)
        self.store.put(_checkpoints_name(digest), pieces)

    # -- sources ----------------------------------------------------------------------------------

    def knows(self, source: ByteSource, index: LayerIndex) -> bool:
        """
        Tell whether a record is that of the bytes of a source, and these are surely unchanged.

        They are if their digest was noted: by an earlier process in the store, or by this one,
        whether or not the store could keep it.  Only what is found out from such bytes may be
        kept under their digest.

        Args:
            source: The blob of a layer.
            index: What is taken to be its record.
        """
        digest = index.blob_digest
        if digest is None or index.blob_size != source.size:
            return False
        return self.digest_of(source, digest.partition(":")[0]) == digest

    def digest_of(self, source: ByteSource, algorithm: str) -> str | None:
        """Give the digest that was computed of just these bytes, as far as their file can tell."""
        identity = source.identity
        if identity is None or not identity.inode:
            return None
        noted = self._hashed.get((identity, algorithm))
        return noted or self._noted(_source_name(identity, algorithm), _SOURCE, _numbers(identity))

    def note(self, source: ByteSource, digest: str) -> None:
        """Note the digest of a source that was settled before its bytes were hashed."""
        identity = source.identity
        if identity is not None:
            algorithm = digest.partition(":")[0]
            self._hashed[identity, algorithm] = digest
            name = _source_name(identity, algorithm)
            self.store.put(name, _note(_SOURCE, _numbers(identity), digest))

    def likely(self, source: ByteSource, algorithm: str) -> str | None:
        """Give the digest that a blob with such a beginning and end had; only a guess."""
        return self._noted(_hint_name(source, algorithm), _HINT, [source.size])

    def note_likely(self, source: ByteSource, digest: str) -> None:
        """Note the digest of a blob that no document names, so that it can be guessed later."""
        name = _hint_name(source, digest.partition(":")[0])
        self.store.put(name, _note(_HINT, [source.size], digest))

    def _noted(self, name: str, kind: str, expected: list[int]) -> str | None:
        data = self.store.get(name)
        if data is None:
            return None
        try:
            file = SectionFile(data, kind, _FORMAT)
            if list(file.column("nums", "q")) != expected:
                return None
            taken = Unpacker(file.raw("dige"))
            digest = taken.text()
            taken.end()
        except DamagedFileError:
            return None
        return digest if is_digest(digest) else None


def _check_same(expected: str, actual: str | None) -> None:
    """Raise `DigestMismatchError` unless what was hashed anew is what the store has a file of."""
    if actual != expected:
        raise DigestMismatchError(
            "the layer is not what the record in the index store was made of",
            expected=expected,
            actual=actual,
        )


def _record_name(digest: str) -> str:
    return f"{_spelled(digest)}.{index_file.FORMAT}.index"


def _checkpoints_name(digest: str) -> str:
    return f"{_spelled(digest)}.{checkpoint_file.FORMAT}.checkpoints"


def _source_name(identity: SourceIdentity, algorithm: str) -> str:
    data = f"{algorithm} {_numbers(identity)}".encode("ascii")
    return f"{blake2b(data, digest_size=16).hexdigest()}.{_FORMAT}.source"


def _hint_name(source: ByteSource, algorithm: str) -> str:
    ends = source.pread(0, _ENDS) + source.pread(max(0, source.size - _ENDS), _ENDS)
    data = f"{algorithm} {source.size} ".encode("ascii") + ends
    return f"{blake2b(data, digest_size=16).hexdigest()}.{_FORMAT}.hint"


def _spelled(digest: str) -> str:
    if not is_digest(digest):
        raise ValueError(f"not a digest: {digest!r}")
    return digest.replace(":", "-")


def _numbers(identity: SourceIdentity) -> list[int]:
    # Devices and inodes may have 64 bits without a sign, and on Windows more.
    numbers: Any = astuple(identity)
    return [(number + (1 << 63)) % (1 << 64) - (1 << 63) for number in numbers]


def _note(kind: str, numbers: list[int], digest: str) -> list[bytes]:
    packer = Packer()
    packer.text(digest)
    return pack_sections(
        kind, _FORMAT, [("nums", array("q", numbers)), ("dige", bytes(packer.data))]
    )
