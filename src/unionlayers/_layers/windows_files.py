"""
What a container on Windows sees of a layer: its folder ``Files``, in which case does not count.

Names are taken out of that folder before the layer is replayed, and spelled as they are already
known: as the layers beneath have them, else as the layer itself does.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from unionlayers._layers.directory import Node
from unionlayers._layers.profile import Profile

__all__ = ["WindowsFiles", "windows_files"]

_FOLDER = "files"
_PREFIX = ".wh."


@define
class WindowsFiles:
    """
    The names of one layer.

    Args:
        beneath: Gives the node of a path in the layers beneath, None where there is none.

    Source:
        BuildKit on Linux drops the folder from names and from targets of hard links; NTFS keeps
        the spelling that a name was made with (case N).
    """

    beneath: Callable[[str], Node | None]
    _spelled: dict[str, str] = field(factory=dict)
    _listed: dict[str, dict[str, str]] = field(factory=dict)

    def inside(self, path: str) -> str | None:
        """Give a path of the tar as a container names it, None where it is outside the folder."""
        folder, _, rest = path.partition("/")
        return self._known(rest) if folder.lower() == _FOLDER else None

    def target(self, path: str) -> str:
        """Give the target of a hard link likewise; one outside the folder stays as it is."""
        inside = self.inside(path)
        return path if inside is None else inside

    def _known(self, path: str) -> str:
        done = ""
        for name in path.split("/") if path else ():
            mark = _PREFIX if name.startswith(_PREFIX) else ""
            name = name.removeprefix(mark)
            key = f"{done}/{name}".lower()
            known = self._spelled.get(key)
            if known is None:
                known = self._below(done).get(name.lower(), name)
                if not mark:
                    self._spelled[key] = known
            done = f"{done}/{mark}{known}" if done else mark + known
        return done

    def _below(self, directory: str) -> dict[str, str]:
        names = self._listed.get(directory)
        if names is None:
            node = self.beneath(directory)
            inner = None if node is None else node.directory
            listed = inner.names() if inner is not None else []
            names = self._listed[directory] = {name.lower(): name for name in listed}
        return names


def windows_files(profile: Profile, beneath: Callable[[str], Node | None]) -> WindowsFiles | None:
    """Give the names of one layer as the profile wants them; None for those of the tar."""
    return WindowsFiles(beneath) if profile.windows == "files" else None
