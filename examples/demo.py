"""
Show a container image as one filesystem: ``python examples/demo.py IMAGE.tar``.

Prints the merged tree to a given depth, the distribution, the layers with the steps that built
them, one file with the layer that supplies it, and one path that an upper layer deletes.
Nothing is unpacked, and no daemon and no root are needed.
"""

from __future__ import annotations

import argparse
import shlex
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fs.info import Info

from unionlayers import Image, Layer, UnionFS, UnionLayersError, open_image

__all__ = ["main"]

MOST_NAMES = 16
MOST_LINES = 8
WIDTH = 100


def shown(text: object) -> str:
    """Give text of a stranger's image so that it cannot speak to the terminal."""
    return str(text) if str(text).isprintable() else ascii(text)


def shortened(text: str, length: int) -> str:
    """Give *text* in at most *length* characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def amount(size: int) -> str:
    """Give a number of bytes for a reader."""
    if size < 1000:
        return f"{size} B"
    for unit, factor in (("kB", 1e3), ("MB", 1e6)):
        if size < factor * 1000:
            return f"{size / factor:.1f} {unit}"
    return f"{size / 1e9:.1f} GB"


def heading(text: str) -> None:
    """Print the title of a section."""
    print(f"\n{text}\n{'─' * len(text)}")


def step_of(layer: Layer) -> str:
    """Give the build step of a layer in one line."""
    return shown(" ".join((layer.created_by or "unknown step").split()))


def show_image(image: Image, view: UnionFS, name: str) -> None:
    """Print what the image is."""
    references = ", ".join(map(shown, image.references)) or shown(name)
    print(f"{references}, {shown(image.platform or 'no platform')}, {len(image.layers)} layers")
    if view.isfile("/etc/os-release"):
        print(f"distribution: {shown(distribution(view))}")
    else:
        print("distribution: none, the image has no /etc/os-release")


def distribution(view: UnionFS) -> str:
    """Give the name that the image's os-release has for people."""
    fields = {}
    for line in view.readbytes("/etc/os-release")[:65536].decode(errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and not key.lstrip().startswith("#"):
            try:
                fields[key.strip()] = " ".join(shlex.split(value))
            except ValueError:
                fields[key.strip()] = value
    return fields.get("PRETTY_NAME") or fields.get("NAME") or fields.get("ID") or "unnamed"


def branches(
    view: UnionFS, folder: str, depth: int, indent: str = ""
) -> Iterator[tuple[str, Info | None]]:
    """Yield the lines of the tree below *folder*, each with its entry; None: names left out."""
    entries = list(view.scandir(folder, ["basic", "link", "stat", "layer"]))
    most = MOST_NAMES if folder != "/" else 2 * MOST_NAMES
    kept = entries if len(entries) <= most + 1 else entries[:most]
    for info in kept:
        last = info is entries[-1]
        target = info.raw["link"]["target"]
        name = shown(info.name) + ("/" if info.is_dir else f" → {shown(target)}" if target else "")
        yield f"{indent}{'└' if last else '├'}── {name}", info
        if info.is_dir and depth > 1:
            below = f"{folder.rstrip('/')}/{info.name}"
            yield from branches(view, below, depth - 1, indent + ("    " if last else "│   "))
    if len(kept) < len(entries):
        yield f"{indent}└── … {len(entries) - len(kept)} more", None


def show_tree(view: UnionFS, depth: int) -> None:
    """Print the merged tree, each path with its mode, owner and the layer that supplies it."""
    heading(f"The merged tree, {depth} deep: mode, owner, and the layer that supplies the path")
    root = view.getinfo("/", ["basic", "link", "stat", "layer"])
    for text, info in [("/", root), *branches(view, "/", depth)]:
        if info is None:
            print(text)
            continue
        facts = info.raw["stat"]
        owner = f"{facts['st_uid']}:{facts['st_gid']}"
        layer = "-" if info.raw["layer"]["implied"] else info.raw["layer"]["index"]
        mode = stat.filemode(facts["st_mode"])
        print(f"{shortened(text, 56):56} {mode} {owner:>11} {layer:>4}")


def entries_of(layer: Layer) -> int:
    """Count what a layer says: the paths it brings and the marks it leaves."""
    with layer.fs() as view:
        brought = sum(
            not info.raw["layer"]["implied"] for _, info in view.walk.info(namespaces=["layer"])
        )
    return brought + len(layer.marks)


def show_layers(image: Image) -> None:
    """Print a line for each layer, base first."""
    heading("The layers, base first")
    print(f"{'#':>3} {'stored':>9} {'entries':>8}  build step")
    for layer in image.layers:
        step = shortened(step_of(layer), WIDTH - 24)
        print(f"{layer.index:>3} {amount(layer.size):>9} {entries_of(layer):>8}  {step}")


def text_of(view: UnionFS, path: str) -> str | None:
    """Give the first lines of a file, None where it is empty or not text."""
    with view.openbin(path) as file:
        head = file.read(4096)
    try:
        lines = head.decode().splitlines()
    except UnicodeDecodeError:
        return None
    return (
        "\n".join(f"    │ {shown(shortened(line, WIDTH))}" for line in lines[:MOST_LINES]) or None
    )


def show_file(image: Image, view: UnionFS) -> None:
    """Print one text file of the layer nearest to the middle that supplies one."""
    heading("One file from the middle of the stack")
    supplied: dict[int, list[str]] = {layer.index: [] for layer in image.layers}
    for path, info in view.walk.info(namespaces=["stat", "layer"]):
        facts: Mapping[str, Mapping[str, Any]] = info.raw
        if stat.S_ISREG(facts["stat"]["st_mode"]):
            supplied[facts["layer"]["index"]].append(path)
    middle = len(image.layers) // 2
    for layer in sorted(image.layers, key=lambda layer: abs(layer.index - middle)):
        for path in supplied[layer.index]:
            if text := text_of(view, path):
                size = amount(view.getsize(path))
                print(f"{shown(path)}, {size}, is supplied by layer {layer.index}")
                print(f"written by: {shortened(step_of(layer), WIDTH)}")
                print(text)
                return
    print("no layer supplies a text file")


def deletions(image: Image, view: UnionFS) -> Iterator[tuple[str, Layer, UnionFS]]:
    """Yield each path that a whiteout deletes for good, its layer, and the view beneath."""
    for layer in image.layers[1:]:
        marks = [mark for mark in layer.marks if mark.kind == "whiteout"]
        if not marks:
            continue
        with image.fs(slice(0, layer.index)) as beneath:
            for mark in marks:
                if present(beneath, mark.path) and not present(view, mark.path):
                    yield mark.path, layer, beneath


def present(view: UnionFS, path: str) -> bool:
    """Tell whether a path is there, a dangling link included."""
    try:
        view.getinfo(path)
    except FileNotFoundError:
        return False
    return True


def show_deletion(image: Image, view: UnionFS) -> None:
    """Print one path that an upper layer deletes, and what still lies beneath."""
    heading("One path that an upper layer deletes")
    for path, layer, beneath in deletions(image, view):
        info = beneath.getinfo(path, ["basic", "details", "layer"])
        source = image.layers[info.raw["layer"]["index"]]
        print(f"{shown(path)}, from layer {source.index}, is deleted by layer {layer.index}")
        print(f"written by: {shortened(step_of(source), WIDTH)}")
        print(f"deleted by: {shortened(step_of(layer), WIDTH)}")
        text = text_of(beneath, path) if beneath.isfile(path) else None
        if text:
            print("its bytes are in the image all the same:")
            print(text)
        return
    print("no layer deletes a path of the layers beneath it")


def main() -> int:
    """Run the demo on the image that the command line names."""
    words = argparse.ArgumentParser(description="Show a container image as one filesystem.")
    words.add_argument("image", type=Path, help="docker save archive or OCI archive")
    words.add_argument("--depth", type=int, default=2, help="levels of the tree (2)")
    words.add_argument("--reference", help="which image, if there are several")
    words.add_argument("--platform", help="which platform, such as linux/arm64/v8")
    asked = words.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        with (
            open_image(asked.image, reference=asked.reference, platform=asked.platform) as image,
            image.fs() as view,
        ):
            show_image(image, view, asked.image.name)
            show_tree(view, asked.depth)
            show_layers(image)
            show_file(image, view)
            show_deletion(image, view)
    except (UnionLayersError, OSError) as error:
        print(f"demo: {shown(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
