"""
Whether layers of an engine's store stand on each other as they must.

A document of a store that names the layer beneath can be gone or wrong, and nothing of it would
show: a container would only have lost its base, or have that of another image.  What an image's
config says, and names that are made of digests, tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from attrs import frozen

from unionlayers._bytes.odd_file import PUT_BACK
from unionlayers._foundation.digest import chain_id, digest_of
from unionlayers._image.document import Document
from unionlayers.errors import StoreError

__all__ = [
    "NOTHING",
    "OWN",
    "LayerChain",
    "NameSearch",
    "require_base",
    "require_chain_id",
    "require_top",
]

NOTHING = "nothing"
"""What a value is called where there is none."""

OWN = "a layer of its own"
"""What a container must name."""

_ORPHAN = "what a container stands on is not said, and the configuration of its image is not there"
_OTHER = "a container does not stand on the layers of its image"


_MOST_DIGESTS = 1_000_000


class NameSearch:
    """
    Looks for the layer with which the name of another one is made, among all layers of a store.

    A name that is made with none of them costs a digest for each, so that many such names would
    cost the square of their number: they are looked for up to a million digests.

    Args:
        known: Gives the names of all layers there are; called once, if at all.
    """

    def __init__(self, known: Callable[[], Iterable[str]]) -> None:
        self._list = known
        self._names: tuple[str, ...] | None = None
        self._found: dict[str, str | None] = {}
        self._left = _MOST_DIGESTS

    def fitting(self, name: str, made_with: Callable[[str], str]) -> str | None:
        """Give the layer for which *made_with* gives *name*, None where it is not found."""
        if name in self._found:
            return self._found[name]
        if self._names is None:
            self._names = tuple(self._list())
        if len(self._names) > self._left:
            return None
        self._left -= len(self._names)
        found = next((one for one in self._names if made_with(one) == name), None)
        self._found[name] = found
        return found

    def knows(self, name: str) -> bool:
        """Tell whether a name was looked for to the end."""
        return name in self._found


def require_chain_id(
    chain: str, parent: str | None, diff_id: str, search: NameSearch, member: str
) -> None:
    """
    Check the parent of a layer in Docker's database, whose folders are called by their chains.

    Args:
        chain: The name of its folder.
        parent: The chain that is written down for what is beneath it, None where none is.
        diff_id: Its own.
        search: Knows the chains of all layers there are.
        member: The document of the parent.

    Raises:
        StoreError: The name is not what comes of the two.

    Cost:
        A digest; where it differs, one for each layer there is, as far as *search* goes.

    Spec:
        OCI image-spec v1.1, config.md, "Layer ChainID".
    """
    made = chain_id(parent, diff_id)
    if made == chain:
        return
    hint = PUT_BACK
    if chain == diff_id:
        hint = "Remove the document: the layer stands on nothing"
    else:
        fitting = search.fitting(chain, lambda one: chain_id(one, diff_id))
        if fitting is not None:
            hint = f"Write {fitting} there: of this the name of the folder comes"
    raise StoreError(
        "the parent of a layer is gone or another one, or its diff_id is: the chain of the two is "
        "not what its folder is called",
        member=member,
        expected=chain,
        actual=made,
        hint=hint,
    )


def require_base(parent: str | None, member: str) -> None:
    """
    Check that a container of Docker stands on something, where its image is not known.

    Args:
        parent: The chain that it is said to stand on, None where none is.
        member: The document that says what it stands on.

    Raises:
        StoreError: Nothing tells what it stands on.
    """
    if parent is None:
        raise StoreError(_ORPHAN, member=member, actual=NOTHING, hint=PUT_BACK)


def require_top(parent: str | None, chain: str | None, member: str) -> None:
    """
    Check that a container of Docker stands on the layers of its image.

    Args:
        parent: The chain that it is said to stand on, None where none is.
        chain: That of its image's layers, None where the image has none.
        member: The document that says what it stands on.

    Raises:
        StoreError: It does not.
    """
    if chain != parent:
        raise StoreError(
            _OTHER,
            member=member,
            expected=chain or NOTHING,
            actual=parent or NOTHING,
            hint=f"{PUT_BACK}; or the container's document names another image than its own",
        )


@frozen(kw_only=True)
class LayerChain:
    """
    Layers of containers/storage, as each names the one beneath it.

    Attributes:
        store: What errors call the store.
        items: Id and document of each, base first.
        links: What names each of them, in the same order.
        end: What would name the one beneath the lowest.
        lost: The id that it names, if there is no such layer.
    """

    store: str
    items: tuple[tuple[str, Document], ...]
    links: tuple[Document, ...]
    end: Document
    lost: str | None

    def require(self, diff_ids: Sequence[str], *, own: int = 0) -> None:
        """
        Check that these are the layers of an image.

        Args:
            diff_ids: Those of the image.
            own: How many on top are not of the image: a container has one.

        Raises:
            StoreError: One of them is another, there are too many, or too few.
        """
        below = self.items[: len(self.items) - own]
        for ident, item in self.items[len(below) :]:
            if _diff_id(item) in diff_ids:
                raise self._wrong(self.links[-1], OWN, ident)
        for position in range(1, min(len(below), len(diff_ids)) + 1):
            found = _diff_id(below[-position][1])
            if found is not None and found != diff_ids[-position]:
                raise self._wrong(self.links[len(below) - position], diff_ids[-position], found)
        more = len(below) - len(diff_ids)
        if more > 0:
            ident, item = below[more - 1]
            raise self._wrong(self.links[more - 1], NOTHING, _diff_id(item) or ident)
        if more < 0 and self.lost is None:
            raise self._wrong(self.end, diff_ids[-more - 1], NOTHING)

    def require_base(self, image: str) -> None:
        """
        Check that a container stands on something, where all that is known is its image's id.

        Raises:
            StoreError: It stands on nothing.
        """
        if image and len(self.items) == 1 and self.lost is None:
            raise StoreError(
                _ORPHAN,
                member=f"{self.store}/{self.end.member}",
                pointer=self.end.pointer,
                actual=NOTHING,
                hint=PUT_BACK,
            )

    def require_names(self, search: NameSearch) -> bool:
        """
        Check what each layer stands on by its id, as far as that is made of digests.

        What is pulled or built gets an id that is made of its diff_id and the id beneath; of
        other ids nothing can be told.

        Args:
            search: Knows the ids of all layers there are.

        Returns:
            Whether *search* went to the end for each of them.

        Raises:
            StoreError: The id of a layer is that which it has on another layer, or on none.

        Cost:
            A digest a layer; where it differs, one for each layer there is, as far as *search*
            goes.

        Source:
            github.com/containers/image, ``storage/storage_dest.go``.
        """
        complete = True
        for position, (ident, item) in enumerate(self.items):
            digest = _diff_id(item)
            if digest is None:
                continue
            beneath = self.items[position - 1][0] if position else self.lost
            if ident == _layer_id(beneath, digest):
                continue
            alone = ident == _layer_id(None, digest)
            wanted = None if alone else search.fitting(ident, partial(_layer_id, diff_id=digest))
            if alone or wanted is not None:
                link = self.links[position - 1] if position else self.end
                raise self._wrong(link, wanted or NOTHING, beneath or NOTHING)
            complete = complete and search.knows(ident)
        return complete

    def _wrong(self, link: Document, expected: str, actual: str) -> StoreError:
        return StoreError(
            "layers do not stand on each other as those of the image do",
            member=f"{self.store}/{link.member}",
            pointer=link.pointer,
            expected=expected,
            actual=actual,
            hint=PUT_BACK,
        )


def _diff_id(item: Document) -> str | None:
    """Give the digest of a layer's tar, None where the list does not have it."""
    return item.at("diff-digest").digest() if item.at("diff-digest").text() else None


def _layer_id(parent: str | None, diff_id: str) -> str:
    """Give the id of a layer that was pulled onto another."""
    encoded = diff_id.partition(":")[2]
    return encoded if parent is None else digest_of(f"{parent}+{encoded}".encode())[7:]
