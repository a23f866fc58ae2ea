"""The layers of an image as they lie on each other, and what can be asked about that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from unionlayers._codec.forward import Progress
from unionlayers._foundation.limits import Limits
from unionlayers._image.config import Step
from unionlayers._image.index_store import IndexStore
from unionlayers._image.layer import Layer
from unionlayers._image.record import ImageRecord
from unionlayers._image.view_makers import view_maker
from unionlayers._layers.profile import Profile, profile_named
from unionlayers._layers.union import Slot, Union

if TYPE_CHECKING:
    import pandas as pd

    from unionlayers._image.explanation import Explanation
    from unionlayers._image.hidden import Hidden
    from unionlayers._image.path_versions import Version
    from unionlayers._image.sizes import Sizes
    from unionlayers._image.timeline import Timeline
    from unionlayers._image.waste import Waste
    from unionlayers._layers.answer import Agreement
    from unionlayers._views.reading import ReadingFS

__all__ = ["LayerChoice", "LayerStack", "Options"]

LayerChoice = slice | Sequence[int] | Callable[[Layer], bool] | None
"""Which layers a view is over: a slice, indexes, a predicate, or None for all."""


@frozen(kw_only=True)
class Options:
    """How an image was opened."""

    profile: Profile = field(factory=Profile)
    on_invalid: Literal["error", "warn"] = "error"
    missing: Literal["error", "skip"] = "error"
    verify: bool = True
    limits: Limits = field(factory=Limits)
    progress: Progress | None = None
    index_store: IndexStore | None = None


class LayerStack(ABC):
    """
    What an image is below its documents: layers, base first, read under one profile.

    Attributes:
        layers: Base first; one for each layer of the manifest.
        history: One step per history item.
        profile: How the stack is read where runtimes differ.
        options: How the image was opened.
        record: What the documents say.
    """

    layers: tuple[Layer, ...]
    history: tuple[Step, ...]
    profile: Profile
    options: Options
    record: ImageRecord

    @abstractmethod
    def check_open(self) -> None:
        """Raise `ClosedError` if the image was closed."""

    def union(
        self,
        layers: LayerChoice = None,
        profile: Profile | str | None = None,
        *,
        on_invalid: Literal["error", "warn"] | None = None,
    ) -> Union:
        """Give the stack that a view is made over."""
        chosen = self.chosen(layers)
        return Union(
            [Slot(layer.index, layer.load) for layer in chosen],
            self.profile if profile is None else profile_named(profile),
            on_invalid=on_invalid or self.options.on_invalid,
            limits=self.options.limits,
        )

    def chosen(self, layers: LayerChoice) -> tuple[Layer, ...]:
        """Give the layers of a choice, base first; those that the source lacks may be skipped."""
        if layers is None:
            chosen = self.layers
        elif isinstance(layers, slice):
            chosen = self.layers[layers]
            if layers.step is not None and layers.step < 0:
                chosen = chosen[::-1]
        elif callable(layers):
            chosen = tuple(layer for layer in self.layers if layers(layer))
        else:
            count = len(self.layers)
            wanted = [_in_range(index, count) for index in layers]
            if len(set(wanted)) != len(wanted):
                raise ValueError("an index of a layer stands twice")
            chosen = tuple(self.layers[index] for index in sorted(wanted))
        if self.options.missing == "skip":
            chosen = tuple(layer for layer in chosen if not self.lacks(layer.index))
        return chosen

    def lacks(self, index: int) -> bool:
        """Tell whether the source lacks the blob of a layer."""
        record = self.record.layers[index]
        return record.data is None and record.member is None

    def agreement(
        self,
        profiles: Sequence[str] | Mapping[str, Profile | str] = ("oci", "overlay", "sequential"),
        layers: LayerChoice = None,
    ) -> Agreement:
        """
        Find where profiles show different trees: what a scanner sees and a container does not.

        Args:
            profiles: Names of presets; or a mapping from names of one's own to profiles.
            layers: As for `fs`.

        Returns:
            One disagreement for each path whose type, metadata, content or number of links
            differs, with every profile's answer and the cases that decide it.  What a profile
            raises for an entry, or for the whole stack, is its answer.  ``compression`` and
            ``prefer_layout`` of a profile count when an image is opened, and are not compared.

        Raises:
            ValueError: There are fewer than two profiles, or no preset of a name.
            UnionLayersError: A layer cannot be read under any profile.

        Cost:
            Indexes every layer; then what the profiles do not read alike, and no more.

        Example:
            >>> from unionlayers import open_image
            >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
            ...     [(item.path, item.fields, item.cases) for item in image.agreement()]
            [('/', ('mtime',), ('H5',))]
        """
        named = profiles if isinstance(profiles, Mapping) else {name: name for name in profiles}
        if len(named) < 2:
            raise ValueError("an agreement is between two profiles or more")
        from unionlayers._image.content import same_content
        from unionlayers._layers.agreement import compare

        self.check_open()
        unions = {name: self.union(layers, profile) for name, profile in named.items()}
        return compare(
            unions,
            lambda name: self.union(layers, named[name], on_invalid="warn"),
            partial(same_content, self),
        )

    def explain(
        self, path: str, *, layers: LayerChoice = None, profile: Profile | str | None = None
    ) -> Explanation:
        """
        Say why a path is there or is not: which layer and build step decide, and over what.

        Links on the way are followed, one at the end is not.

        Args:
            path: Any path; relative ones start at the root.
            layers: Some of the layers, as `fs` takes them.
            profile: Another one than that of the image.

        Raises:
            UnionLayersError: A layer cannot be read, or an entry of the path cannot be applied.

        Cost:
            Indexes the layers; look-ups on the way to the path, and the content of versions of
            one size, which is compared.

        Example:
            >>> from unionlayers import open_image
            >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
            ...     image.explain("/etc/os-release").present
            True
        """
        from unionlayers._image.explanation import explain_in

        self.check_open()
        return explain_in(self, self.union(layers, profile), path)

    def history_of(
        self, path: str, *, layers: LayerChoice = None, profile: Profile | str | None = None
    ) -> tuple[Version, ...]:
        """
        Give every version of a path through the layers, oldest first.

        What hid it is a version too, of kind ``"hidden"``; those with content open.  Links on the
        way are followed as the whole stack has them.

        Raises:
            UnionLayersError: A layer cannot be read, or an entry of the path cannot be applied.

        Cost:
            As `explain`.

        Example:
            >>> from unionlayers import open_image
            >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
            ...     [version.kind for version in image.history_of("/etc/os-release")]
            ['added']
        """
        from unionlayers._image.path_versions import versions_of
        from unionlayers._layers.path_history import locate

        self.check_open()
        union = self.union(layers, profile)
        return versions_of(self, union, locate(union, path).path)

    def hidden(self, *, layers: LayerChoice = None, profile: Profile | str | None = None) -> Hidden:
        """
        Give what the layers ship and the whole does not show.

        Deleted and replaced files, links and special files, directories that are gone, and entries
        that a later one of the same layer replaces; each with the layer that hides it and why, and
        openable.

        Raises:
            UnionLayersError: A layer cannot be read or applied.

        Cost:
            Indexes the layers; linear in their entries.

        Example:
            >>> from unionlayers import open_image
            >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
            ...     hidden = image.hidden()
            ...     [entry.path for entry in hidden if entry.layer == 3]
            ['/srv/ledger/deploy-token']
        """
        from unionlayers._image.hidden import hidden_of

        self.check_open()
        return hidden_of(self, self.union(layers, profile), self._view_of)

    def base_of(self, other: LayerStack) -> tuple[Layer, ...]:
        """
        Give the leading layers of this image that *other* has too, base first.

        Layers are the same if their ``diff_id`` is, however they are compressed; what a document
        says it is counts.  The images need not be one built upon the other: what both have from a
        common base is given.

        Raises:
            ClosedError: One of the images was closed.
            UnionLayersError: A layer whose diff_id no document names cannot be read.

        Cost:
            Nothing is read where the documents name diff_ids; bare layers are indexed.

        Spec:
            OCI image-spec v1.1, config.md, "Layer DiffID" and "Layer ChainID".

        Example:
            >>> from unionlayers import open_image
            >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
            ...     with open_image("examples/demo-image/ledger.docker.tar") as other:
            ...         len(image.base_of(other)), len(image.layers)
            (7, 7)
        """
        self.check_open()
        other.check_open()
        pairs = zip(self.layers, other.layers, strict=False)
        return tuple(layer for layer, _ in takewhile(_is_same_layer, pairs))

    def own_layers(self, base: LayerStack) -> slice:
        """
        Give the layers above those that this image shares with *base*, as `fs` takes them.

        ``image.fs(layers=image.own_layers(base))`` shows what the image adds, and
        ``diff((image, slice(n)), image)``, with *n* the start of the slice, what that changes.
        The slice is empty if *base* has all layers of this image.

        Raises:
            ClosedError: One of the images was closed.
            UnionLayersError: As `base_of`.
        """
        return slice(len(self.base_of(base)), None)

    def sizes(self, *, layers: LayerChoice = None, profile: Profile | str | None = None) -> Sizes:
        """
        Give how many bytes of content are shown, by layer, directory and build step.

        Raises:
            UnionLayersError: A layer cannot be read, or an entry cannot be applied.

        Cost:
            Indexes the layers; linear in their entries.  Reads no content.

        Example:
            >>> from unionlayers import open_image
            >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
            ...     sizes = image.sizes()
            ...     sizes.total == sizes.by_directory["/"] < sizes.shipped
            True
        """
        from unionlayers._image.sizes import sizes_of

        self.check_open()
        return sizes_of(self, self.union(layers, profile))

    def waste(
        self,
        *,
        layers: LayerChoice = None,
        profile: Profile | str | None = None,
        duplicates: bool = True,
    ) -> Waste:
        """
        Give what the layers ship for nothing: replaced, deleted, rewritten or shown twice.

        Args:
            layers: Some of the layers, as `fs` takes them.
            profile: Another one than that of the image.
            duplicates: Whether files that are shown are compared among themselves, which reads
                those of one size.

        Raises:
            UnionLayersError: A layer cannot be read or applied.

        Cost:
            Indexes the layers; linear in their entries.  Reads the files that have the size of
            another one, each once and in the order of the tar, and keeps a digest of each.

        Example:
            >>> from unionlayers import open_image
            >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
            ...     waste = image.waste()
            >>> waste.total, waste.deleted, waste.share < 0.2
            (26993, 18053, True)
        """
        from unionlayers._image.waste import waste_of

        self.check_open()
        return waste_of(self, self.union(layers, profile), duplicates=duplicates)

    def timeline(
        self, *, layers: LayerChoice = None, profile: Profile | str | None = None
    ) -> Timeline:
        """
        Give every tar entry of every layer by its modification time, oldest first.

        Whiteouts and hidden entries are there too, and marked; times are those of the tar,
        whatever a profile shows of them.  A directory that an upper layer gives other metadata is
        not hidden.

        Raises:
            UnionLayersError: A layer cannot be read or applied.

        Cost:
            Indexes the layers; linear in their entries, and sorts them.

        Example:
            >>> from unionlayers import open_image
            >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
            ...     lines = image.timeline().bodyfile().splitlines()
            >>> [line.split("|")[1:4] for line in lines if "/deploy-token" in line]
            [['/srv/ledger/deploy-token (deleted)', '3-1', 'r/rrw-------']]
        """
        from unionlayers._image.timeline import timeline_of

        self.check_open()
        return timeline_of(self.union(layers, profile))

    def to_frame(
        self, *, layers: LayerChoice = None, profile: Profile | str | None = None
    ) -> pd.DataFrame:
        """
        Give all paths as a table of pandas: those that are shown, and what upper layers hide.

        The columns are ``path`` (absolute; names that are not UTF-8 have surrogate escapes),
        ``type`` (as in `HiddenEntry`), ``size`` (bytes; of a link, of its text), ``mode``
        (permission bits), ``owner`` (the user's name from the image's own ``/etc/passwd``, else
        the number), ``mtime`` (UTC; ``NaT`` where pandas has no such time), ``layer``, ``step``
        (the command of the build step, None where the history does not tell), ``visible``,
        ``hidden_by`` (a layer) and ``reason`` (as in `HiddenEntry`), ``uid`` and ``gid``.  Rows
        are by path, and by layer for one path.

        Raises:
            MissingExtraError: pandas is not installed.
            UnionLayersError: A layer cannot be read, or an entry cannot be applied.

        Cost:
            Indexes the layers; linear in their entries, all of which it holds in memory.

        Example:
            >>> from unionlayers import open_image
            >>> with open_image("examples/demo-image/ledger.oci.tar") as image:
            ...     frame = image.to_frame()
            >>> frame[~frame.visible & (frame.hidden_by == 4)]["path"].tolist()[:2]
            ['/srv/ledger/deploy-token', '/srv/ledger/plugins']
        """
        self.check_open()
        made: pd.DataFrame = view_maker("frame")(self, self.union(layers, profile))
        return made

    @abstractmethod
    def _view_of(self, union: Union) -> ReadingFS:
        """Make a filesystem over a union of the layers."""


def _in_range(index: int, count: int) -> int:
    if not -count <= index < count:
        known = "1 layer" if count == 1 else f"{count} layers"
        raise IndexError(f"there is no layer {index}: the image has {known}, counted from 0")
    return range(count)[index]


def _is_same_layer(pair: tuple[Layer, Layer]) -> bool:
    one, other = (layer.diff_id or layer.load().diff_id for layer in pair)
    return one is not None and one == other
