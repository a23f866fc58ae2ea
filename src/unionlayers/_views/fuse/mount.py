"""
A mounted image: the thread that serves it, and its end.

libfuse is a main program at heart.  It answers from threads of its own while one of ours waits for
it; what it does to the process besides is taken back: it changes the working directory, and takes
SIGTERM and SIGHUP for itself, so that they would no longer end the program.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType, ModuleType, TracebackType
from typing import Any, Self

from unionlayers._image.image import Image
from unionlayers._image.layer_stack import LayerChoice
from unionlayers._image.loading import load_all
from unionlayers._layers.profile import Profile
from unionlayers._layers.union import Union
from unionlayers._views.fuse._mfusepy import mfusepy
from unionlayers._views.fuse.mountpoint import Mountpoint
from unionlayers._views.fuse.operations import Operations
from unionlayers._views.fuse.watcher import Watcher
from unionlayers.errors import MountError, UnsupportedError

__all__ = ["Mount", "mount"]

_ERRORS_KEPT = 100
_THREADS = 10
_SECONDS = 30.0
_PATIENCE = 1.0
_HELD = tuple(getattr(signal, name) for name in ("SIGHUP", "SIGTERM") if hasattr(signal, name))
_ENDING = (*_HELD, signal.SIGINT)


def mount(
    image: Image,
    directory: str | os.PathLike[str],
    layers: LayerChoice = None,
    *,
    profile: Profile | str | None = None,
    allow_other: bool = False,
) -> Mount:
    """Mount an image; see `Image.mount`."""
    if sys.platform == "win32":
        raise UnsupportedError("images are mounted where there is FUSE: on Linux and macOS")
    binding = mfusepy()
    mountpoint = Mountpoint(directory)
    union = image.union(layers, profile)
    load_all([image.layers[slot.layer] for slot in union.slots], image.options.progress)
    for slot in range(union.top):
        union.changeset(slot)
    made = Mount(image, union, mountpoint)
    made._begin(binding, allow_other=allow_other)
    return made


class Mount:
    """
    An image that is mounted; made by `Image.mount`, and a context manager that unmounts.

    It stays until it is unmounted, here or by a tool of the host, until the image is closed, or
    until the process ends, in whatever way.

    Attributes:
        path: The directory, absolute and without links.
    """

    def __init__(self, image: Image, union: Union, mountpoint: Mountpoint) -> None:
        self._image = image
        self._union = union
        self._mountpoint = mountpoint
        self._errors: dict[str, BaseException] = {}
        self._watcher: Watcher | None = None
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._begun = threading.Event()
        self._ended = threading.Event()
        self._detached = False
        self._started = False
        self._failure: RuntimeError | None = None
        self.path = str(mountpoint.path)

    @property
    def is_mounted(self) -> bool:
        """Whether the image is there now."""
        return not (self._ended.is_set() or self._detached or self._process != os.getpid())

    @property
    def errors(self) -> tuple[BaseException, ...]:
        """
        What readers have had as ``EIO``, with all that is known of it; the first hundred of them.

        An error that comes again is named once.
        """
        return tuple(self._errors.values())

    def unmount(self, *, lazy: bool = False) -> None:
        """
        Take the mount away; again is allowed.

        Args:
            lazy: Take it off its directory at once also if it is in use; files that are open, and
                processes that stand in it, keep it until they are done, or the image is closed.

        Raises:
            MountError: It is in use (``actual`` is ``"EBUSY"``), and stays; or the host refuses.
        """
        with self._lock:
            if not self.is_mounted:
                return
            try:
                self._mountpoint.release(lazy=lazy)
            except MountError:
                # Somebody else has just done it.
                if self._ended.wait(_PATIENCE):
                    return
                raise
            if lazy:
                self._detached = True
                self._dismiss()
        if not lazy:
            self._ended.wait(_SECONDS)

    def wait(self) -> None:
        """
        Wait until it is unmounted; what a program does that is there to mount.

        In the main thread, Ctrl-C unmounts and is a KeyboardInterrupt as ever; SIGTERM and SIGHUP
        unmount, and then end the process as they would have, unless it handles them itself.
        """
        number = 0
        with _signals_raised():
            try:
                self._ended.wait()
            except _SignalError as error:
                number = error.number
            finally:
                self._end()
        if number:
            os.kill(os.getpid(), number)

    def __enter__(self) -> Self:
        """Give the mount itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Unmount; if it is in use for longer than a second, lazily."""
        self._end()

    def __repr__(self) -> str:
        """Show the directory, and whether the image is there."""
        return f"<Mount {self.path!r}{'' if self.is_mounted else ' (unmounted)'}>"

    # -- inside -----------------------------------------------------------------------------------

    def _begin(self, binding: ModuleType, *, allow_other: bool) -> None:
        undo = _taken_back()
        operations = Operations(self._image, self._union, partial(self._start, undo), self._failed)
        options: dict[str, Any] = {
            "foreground": True,
            "ro": True,
            "use_ino": True,
            "fsname": "unionlayers",
            "subtype": "unionlayers",
        }
        if (binding.fuse_version_major, binding.fuse_version_minor) >= (3, 12):
            # libfuse 3.14 complains of its own defaults.
            options["max_threads"] = options["max_idle_threads"] = _THREADS
        if allow_other:
            options.update(allow_other=True, default_permissions=True)
        # The thread keeps the mount alive, and the mount the image.
        thread = threading.Thread(
            target=self._serve,
            args=(binding, operations, options),
            name="unionlayers-mount",
            daemon=True,
        )
        itself = weakref.ref(self)
        self._image.on_closing(lambda: _end_of(itself))
        try:
            self._watcher = Watcher(self.path)
            thread.start()
            self._begun.wait(_SECONDS)
        finally:
            undo()
            if thread.ident is None:
                self._dismiss()
                self._ended.set()
            elif not self._started:
                self._end()
        if not self._started:
            raise MountError(
                "the image cannot be mounted",
                member=self.path,
                actual=None if self._failure is None else str(self._failure),
                hint="What libfuse has to say of it stands in the error output",
            ) from self._failure

    def _serve(self, binding: ModuleType, operations: Operations, options: dict[str, Any]) -> None:
        try:
            binding.FUSE(operations, self.path, **options)
        except RuntimeError as error:
            if self._started:
                self._failed(error)
            else:
                self._failure = error
        finally:
            self._dismiss()
            self._ended.set()
            self._begun.set()

    def _start(self, undo: Callable[[], None]) -> None:
        """Take back what libfuse has done to the process, as soon as it has: in its own thread."""
        self._started = True
        undo()
        self._begun.set()

    def _dismiss(self) -> None:
        if self._watcher is not None:
            self._watcher.dismiss()

    def _failed(self, error: BaseException) -> None:
        if len(self._errors) < _ERRORS_KEPT:
            self._errors.setdefault(f"{type(error).__name__}: {error}", error)

    def _end(self) -> None:
        """Unmount in any case."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self.unmount()
            except MountError as error:
                if error.actual != "EBUSY":
                    raise
                if time.monotonic() > deadline:
                    break
                time.sleep(_PATIENCE / 10)
            else:
                return
        self.unmount(lazy=True)


def _end_of(itself: weakref.ref[Mount]) -> None:
    found = itself()
    if found is not None:
        found._end()


def _taken_back() -> Callable[[], None]:
    """
    Give what restores the working directory and the signals of the process, once.

    Python itself lets only the main thread set what a signal does, and libfuse sets it from any.
    """
    here = os.open(os.curdir, getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC)
    get, set_ = ctypes.pythonapi.PyOS_getsig, ctypes.pythonapi.PyOS_setsig
    get.argtypes, get.restype = [ctypes.c_int], ctypes.c_void_p
    set_.argtypes, set_.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    before = {number: get(number) for number in _ENDING}
    lock = threading.Lock()
    descriptors = [here]

    def undo() -> None:
        with lock:
            if descriptors:
                os.fchdir(descriptors[0])
                for number, handler in before.items():
                    set_(number, handler)
                os.close(descriptors.pop())

    return undo


class _SignalError(BaseException):
    """A signal that ends the process, held up until the mount is taken away."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _raise_signal(number: int, _frame: FrameType | None) -> None:
    raise _SignalError(number)


@contextmanager
def _signals_raised() -> Iterator[None]:
    """Have signals that would end the process raised, where the caller may say so."""
    held: list[int] = []
    if threading.current_thread() is threading.main_thread():
        held = [each for each in _HELD if signal.getsignal(each) is signal.SIG_DFL]
    try:
        for each in held:
            signal.signal(each, _raise_signal)
        yield
    finally:
        for each in held:
            signal.signal(each, signal.SIG_DFL)
