"""
A filesystem that is written in memory and read through `UnionFS`.

PyFilesystem's own suite writes before it reads.  Here what it writes is staged; each read builds
an image from what is staged, of two layers: how things stood at the read before, and what changed
since, whiteouts included.  The read is then asked of a `UnionFS` over that image.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, BinaryIO

from unionlayers import UnionFS
from unionlayers._views._pyfilesystem import fs
from unionlayers.testing import Entry, ImageDescription, directory, file, whiteout

__all__ = ["Staging"]

State = dict[str, tuple[Entry, bytes | None]]
Build = Callable[[ImageDescription], bytes]


class Staging(fs.base.FS):
    """
    The staging filesystem.

    Args:
        build: Makes the archive of an image.
        threads: How many threads ask each question of one cold view, at the same time; all must
            be given the same answer.
    """

    _meta = UnionFS._meta | {"read_only": False}
    walker_class = UnionFS.walker_class

    def __init__(self, build: Build, threads: int = 1) -> None:
        super().__init__()
        self.asked = 0
        # `open_fs` would read the entry points of all that is installed, each time.
        from fs.memoryfs import MemoryFS

        self._memory = MemoryFS()
        self._build = build
        self._threads = threads
        self._before: State = {}
        self._view: UnionFS | None = None

    # -- what is written ---------------------------------------------------------------------------

    def makedir(self, path: str, permissions: Any = None, recreate: bool = False) -> Any:
        self.check()
        self._memory.makedir(path, permissions, recreate)
        self._written()
        return self.opendir(path)

    def remove(self, path: str) -> None:
        self.check()
        self._memory.remove(path)
        self._written()

    def removedir(self, path: str) -> None:
        self.check()
        self._memory.removedir(path)
        self._written()

    def setinfo(self, path: str, info: Any) -> None:
        self.check()
        self._memory.setinfo(path, info)
        self._written()

    def openbin(self, path: str, mode: str = "r", buffering: int = -1, **options: Any) -> BinaryIO:
        asked = fs.mode.Mode(mode)
        asked.validate_bin()
        clean = self.validatepath(path)
        if asked.writing:
            self._written()
            opened: BinaryIO = self._memory.openbin(clean, mode, buffering, **options)
            return opened
        return self._ask(  # type: ignore[no-any-return]
            lambda view: view.openbin(clean, mode, buffering, **options), _content
        )

    # -- what is read ------------------------------------------------------------------------------

    def getinfo(self, path: str, namespaces: Collection[str] | None = None) -> Any:
        clean = self.validatepath(path)
        return self._ask(lambda view: view.getinfo(clean, namespaces), _raw)

    def listdir(self, path: str) -> list[str]:
        clean = self.validatepath(path)
        return self._ask(lambda view: view.listdir(clean))  # type: ignore[no-any-return]

    def scandir(
        self,
        path: str,
        namespaces: Collection[str] | None = None,
        page: tuple[int, int] | None = None,
    ) -> Iterator[Any]:
        clean = self.validatepath(path)
        return iter(self._ask(lambda view: list(view.scandir(clean, namespaces, page)), _raws))

    def exists(self, path: str) -> bool:
        clean = self.validatepath(path)
        return self._ask(lambda view: view.exists(clean))  # type: ignore[no-any-return]

    def isdir(self, path: str) -> bool:
        clean = self.validatepath(path)
        return self._ask(lambda view: view.isdir(clean))  # type: ignore[no-any-return]

    def isfile(self, path: str) -> bool:
        clean = self.validatepath(path)
        return self._ask(lambda view: view.isfile(clean))  # type: ignore[no-any-return]

    def islink(self, path: str) -> bool:
        clean = self.validatepath(path)
        return self._ask(lambda view: view.islink(clean))  # type: ignore[no-any-return]

    def getsize(self, path: str) -> int:
        clean = self.validatepath(path)
        return self._ask(lambda view: view.getsize(clean))  # type: ignore[no-any-return]

    def readbytes(self, path: str) -> bytes:
        clean = self.validatepath(path)
        return self._ask(lambda view: view.readbytes(clean))  # type: ignore[no-any-return]

    def geturl(self, path: str, purpose: str = "download") -> str:
        clean = self.validatepath(path)
        return self._ask(lambda view: view.geturl(clean, purpose))  # type: ignore[no-any-return]

    def getsyspath(self, path: str) -> str:
        clean = self.validatepath(path)
        return self._ask(lambda view: view.getsyspath(clean))  # type: ignore[no-any-return]

    def hash(self, path: str, name: str) -> str:
        clean = self.validatepath(path)
        return self._ask(lambda view: view.hash(clean, name))  # type: ignore[no-any-return]

    def close(self) -> None:
        self._written()
        super().close()

    # -- inside ------------------------------------------------------------------------------------

    def _written(self) -> None:
        self._view = None

    def _current(self) -> UnionFS:
        """Give a view of what is staged now; a cold one if anything was written since."""
        state = dict(_states(self._memory))
        if self._view is None or state != self._before:
            gone = [path for path in self._before if path not in state]
            changed = [entry for path, (entry, _) in state.items()
                       if self._before.get(path) != state[path]]  # fmt: skip
            hidden = [path for path in gone if _is_directory(state, path.rpartition("/")[0])]
            image = ImageDescription(
                [
                    [entry for entry, _ in self._before.values()],
                    [*(whiteout(path) for path in hidden), *changed],
                ]
            )
            self._view = UnionFS(io.BytesIO(self._build(image)))
            self._before = state
        return self._view

    def _ask(
        self, question: Callable[[UnionFS], Any], shown: Callable[[Any], Any] = lambda said: said
    ) -> Any:
        view = self._current()
        self.asked += 1
        if self._threads == 1:
            return question(view)
        start = Barrier(self._threads)

        def run(_: int) -> tuple[Any, Any, Exception | None]:
            start.wait()
            try:
                said = question(view)
            except Exception as error:  # noqa: BLE001 - whatever it is, all must be told the same
                return None, (type(error), str(error)), error
            return said, shown(said), None

        with ThreadPoolExecutor(self._threads) as pool:
            told = list(pool.map(run, range(self._threads)))
        for said, compared, _ in told[1:]:
            assert compared == told[0][1]
            if hasattr(said, "close"):
                said.close()
        if told[0][2] is not None:
            raise told[0][2]
        return told[0][0]


def _is_directory(state: State, path: str) -> bool:
    return not path or (path in state and state[path][1] is None)


def _states(memory: Any) -> Iterator[tuple[str, tuple[Entry, bytes | None]]]:
    """Yield what is staged by its path, parents first."""
    for path, info in sorted(memory.walk.info(namespaces=["details"])):
        times = {"mtime_ns": round(info.raw["details"]["modified"] * 1_000_000_000)}
        name = path.lstrip("/")
        if info.is_dir:
            yield name, (directory(name, **times), None)
            continue
        content = _staged(memory, path)
        yield name, (file(name, content, **times), content)


def _staged(memory: Any, path: str) -> bytes:
    """Give what a file holds, files that are still open for writing too."""
    entry = memory._get_dir_entry(path)
    content: bytes = entry.bytes_file.getvalue()
    return content


def _raw(info: Any) -> Any:
    return info.raw


def _raws(infos: list[Any]) -> Any:
    return [info.raw for info in infos]


def _content(opened: BinaryIO) -> bytes:
    content = opened.read()
    opened.seek(0)
    return content
