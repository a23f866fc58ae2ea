"""A treemap of size by directory, in plain boxes; the same as a table beside it."""

from __future__ import annotations

from heapq import nlargest

from attrs import define

from unionlayers._image.layer_stack import LayerStack
from unionlayers._views.display.census import Census, Folder
from unionlayers._views.display.markup import amount, block, counted, foldable, text
from unionlayers._views.display.palette import chip, fill
from unionlayers._views.display.squarified import Box, squarified

__all__ = ["treemap"]

_MOST_BOXES = 150
_MOST_IN_ONE = 24
_MOST_ROWS = 40
_DEEPEST = 4
_MOST_JOINED = 8
# The shape that the layout is made for, in pixels: the boxes themselves are in percent.
_WIDTH, _HEIGHT = 900.0, 300.0
_HEADING = 18.0
_SMALLEST = 60.0, 42.0


def treemap(census: Census, image: LayerStack) -> str:
    """
    Give the treemap and its table; nothing for a tree without content.

    A directory has the colour of the layer with most of its bytes.  What is too small to be seen
    is one box, and says how many directories it stands for.
    """
    if not census.root.size:
        return ""
    drawing = _Drawing(census, image)
    inside = drawing.inside(census.root, "", Box(0, 0, _WIDTH, _HEIGHT), 0)
    top = sorted(
        ((name, folder.size) for name, folder in census.root.inner.items()),
        key=lambda pair: (-pair[1], pair[0]),
    )
    said = ", ".join(f"/{text(name, 40)} {amount(size)}" for name, size in top[:6] if size)
    return (
        f'<div class="map" role="img" aria-label="Size by directory: {said}">{inside}</div>\n'
        + foldable("The same as a table", _table(census, image))
    )


@define
class _Drawing:
    """One treemap; counts its boxes."""

    census: Census
    image: LayerStack
    boxes: int = 0

    def inside(self, here: Folder, path: str, whole: Box, depth: int) -> str:
        """Give what is in a directory, as boxes in percent of the place for it."""
        parts = _parts(here)
        self.boxes += len(parts)
        boxes = squarified([size for _, size, _ in parts], whole)
        return "".join(
            self._box(here, path, name, size, folder, box, whole, depth)
            for (name, size, folder), box in zip(parts, boxes, strict=True)
        )

    def _box(
        self,
        here: Folder,
        path: str,
        name: str,
        size: int,
        folder: Folder | None,
        box: Box,
        whole: Box,
        depth: int,
    ) -> str:
        place = (
            f"left:{100 * (box.left - whole.left) / whole.width:.2f}%;"
            f"top:{100 * (box.top - whole.top) / whole.height:.2f}%;"
            f"width:{100 * box.width / whole.width:.2f}%;"
            f"height:{100 * box.height / whole.height:.2f}%"
        )
        if folder is None:
            # Files of the directory itself, or many small directories.
            layer = here.main_layer if name == _FILES else None
            look = "f7" if layer is None else fill(layer)
            told = f"{text(path or '/')}: {text(name)}, {amount(size)}"
            label = f"<b>{text(name)}</b>"
            return f'<div class="box {look}" style="{place}" title="{told}">{label}</div>'
        at = f"{path}/{name}"
        # A directory with nothing but one other is drawn as one with it.
        for _ in range(_MOST_JOINED):
            only = _only(folder)
            if only is None:
                break
            at, name, folder = f"{at}/{only.name}", f"{name}/{only.name}", only
        layer = folder.main_layer
        told = f"{text(at)}: {amount(size)} in {counted(folder.names, 'name')}"
        if layer is not None:
            told += f", most of it from layer {layer}"
        inside = ""
        room = Box(0, 0, box.width, box.height - _HEADING)
        wide, high = _SMALLEST
        if (
            depth < _DEEPEST
            and self.boxes < _MOST_BOXES
            and folder.inner
            and room.width > wide
            and room.height > high
        ):
            inside = f'<div class="in">{self.inside(folder, at, room, depth + 1)}</div>'
        look = "f7" if layer is None else fill(layer)
        return (
            f'<div class="box {look}" style="{place}" title="{told}">'
            f"<b>{text(name, 40)} {amount(size)}</b>{inside}</div>"
        )


_FILES = "files here"


def _only(folder: Folder) -> Folder | None:
    """Give the one directory that all bytes of a directory are in, if there is one."""
    inner = [one for one in folder.inner.values() if one.size]
    return inner[0] if len(inner) == 1 and not folder.own else None


def _parts(here: Folder) -> list[tuple[str, int, Folder | None]]:
    """Give what a directory is cut into, the largest first, a few of them."""
    found: list[tuple[str, int, Folder | None]] = [
        (name, inner.size, inner) for name, inner in here.inner.items() if inner.size
    ]
    if here.own:
        found.append((_FILES, here.own, None))
    found.sort(key=lambda part: (-part[1], part[0]))
    if len(found) > _MOST_IN_ONE:
        small = found[_MOST_IN_ONE - 1 :]
        del found[_MOST_IN_ONE - 1 :]
        size = sum(part[1] for part in small)
        found.append((f"{len(small):,} smaller ones", size, None))
        found.sort(key=lambda part: -part[1])
    return found


def _table(census: Census, image: LayerStack) -> str:
    folders = [folder for folder in census.folders if folder.size]
    rows = [
        (
            f"<code>{text(folder.path or '/')}</code>",
            amount(folder.size),
            f"{folder.size / census.root.size:.1%}",
            f"{folder.names:,}",
            _chip(image, folder),
        )
        for folder in nlargest(_MOST_ROWS, folders, key=lambda folder: folder.size)
    ]
    left = len(folders) - len(rows)
    more = f"<p>… {left:,} more: <code>image.sizes().by_directory</code> has all.</p>\n"
    return block(
        ("directory", "bytes", "share", "names", "layer"),
        rows,
        "Size by directory",
        numeric=(1, 2, 3),
    ) + (more if left else "")


def _chip(image: LayerStack, folder: Folder) -> str:
    layer = folder.main_layer
    return "" if layer is None else chip(layer, image.layers[layer].created_by)
