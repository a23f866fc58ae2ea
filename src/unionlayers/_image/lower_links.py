"""
What an engine would mount a container on, beside what its documents say.

Overlay drivers keep for each layer a short name, ``link``, and for each that stands on others the
names of those, ``lower``, the topmost first.  The engine mounts by these, and nothing else of the
store is needed for it.
"""

from __future__ import annotations

from functools import partial

from unionlayers._bytes.odd_file import PUT_BACK
from unionlayers._image.engine_store import EngineStore
from unionlayers._image.found_layers import FoundLayers
from unionlayers._image.odd_files import attempt
from unionlayers._image.record import DocumentFinding
from unionlayers.errors import StoreError

__all__ = ["lower_findings"]

_NAMED = "l/"
_SHOWN = 200


def lower_findings(
    store: EngineStore, found: FoundLayers, *, certain: bool
) -> tuple[DocumentFinding, ...]:
    """
    Compare the layers beneath a container's own with those that it would be mounted on.

    Where the engine has not kept that, or it cannot be read, nothing is said.

    Args:
        store: The store.
        found: All layers of the container.
        certain: Whether its image's configuration has told that these are the right ones.

    Raises:
        StoreError: They differ, and nothing tells which are right.

    Cost:
        A small file a layer.
    """
    folders = [layer.member or "" for layer in found.layers]
    homes = [folder.removesuffix("/diff") for folder in folders if folder.endswith("/diff")]
    if not homes or len(homes) != len(folders):
        return ()
    member = f"{homes[-1]}/lower"
    lower = _line(store, member)
    links = [_line(store, f"{home}/link") for home in reversed(homes[:-1])]
    if not lower or not all(links):
        return ()
    mounted = lower.split(":")
    expected = [f"{_NAMED}{link}" for link in links]
    if mounted == expected or not all(name.startswith(_NAMED) for name in mounted):
        return ()
    place = f"{store.label}/{member}"
    names, others = ":".join(expected)[:_SHOWN] or "nothing", lower[:_SHOWN]
    if not certain:
        raise StoreError(
            "the engine would mount a container on other layers than its documents name",
            member=place,
            expected=names,
            actual=others,
            hint=PUT_BACK,
        )
    message = (
        f"{place} says that the engine mounts the container on {others}, and the documents and "
        f"the configuration of its image that it stands on {names}, which is shown"
    )
    return (DocumentFinding("LOWER_MISMATCH", len(folders) - 1, message, None),)


def _line(store: EngineStore, name: str) -> str | None:
    """Give a document of one line; None also where it cannot be read, since it is not needed."""
    line, _ = attempt(partial(store.line, name))
    return line
