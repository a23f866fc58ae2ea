"""Explanations and histories of real images, beside what GNU tar lists of their layers."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from attrs import frozen
from listed_layers import Brought, Removed, Replay, layers_of, replayed
from real_images import CASES, Case

from unionlayers import Image, Version, open_image

# One archive of each image; of the larger ones some paths in the normal run, more of which several
# layers speak.
SUBJECTS = {case.truth: case for case in reversed(CASES) if not case.reference}
SAMPLED = {"debian-small": (400, 300), "many-layers": (60, 120)}


def is_gnu_tar() -> bool:
    tar = shutil.which("tar")
    if tar is None:
        return False
    ran = subprocess.run([tar, "--version"], capture_output=True, check=False)
    return b"GNU tar" in ran.stdout


pytestmark = pytest.mark.skipif(not is_gnu_tar(), reason="GNU tar is not installed")


@frozen
class Listed:
    """An image, how many layers it has, and what GNU tar lists of them."""

    case: Case
    source: Path
    layers: int
    replay: Replay


@pytest.fixture(scope="module", params=list(SUBJECTS.values()), ids=list(SUBJECTS))
def listed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Listed:
    """Give each image in turn; listing a large one takes longer than to ask of it."""
    case: Case = request.param
    place = tmp_path_factory.mktemp("listed")
    source = case.source(place)
    layers = layers_of(source, place, case.reference, case.platform)
    return Listed(case, source, len(layers), replayed(layers))


def image_of(listed: Listed) -> Image:
    case = listed.case
    return open_image(listed.source, reference=case.reference, platform=case.platform)


def test_every_path_is_explained_as_the_listings_of_the_layers_say(
    listed: Listed, seed: int, sample_size: int
) -> None:
    replay = listed.replay
    paths = sorted(replay.events)
    if listed.case.truth in SAMPLED and sample_size < 1000:
        some, more = SAMPLED[listed.case.truth]
        eventful = [path for path in paths if len(replay.events[path]) > 1]
        draw = random.Random(seed)
        paths = sorted({*draw.sample(paths, some), *draw.sample(eventful, more)})
    with image_of(listed) as image:
        assert len(image.layers) == listed.layers
        for path in paths:
            check(image, replay, path)


def test_each_hidden_entry_is_hidden_by_what_the_listings_of_the_layers_say(
    listed: Listed,
) -> None:
    replay = listed.replay
    with image_of(listed) as image:
        hidden = image.hidden()
    told = {
        (one.path, one.layer, one.entry): (one.hidden_by, one.reason)
        for one in hidden
        if one.reason != "duplicate"
    }
    expected = {
        (path, one.layer, one.listing.entry): end
        for path, events in replay.events.items()
        for one in events
        if isinstance(one, Brought) and (end := end_of(replay, path, one)) is not None
    }
    assert told == expected
    assert expected or listed.case.truth not in SAMPLED


def end_of(replay: Replay, path: str, brought: Brought) -> tuple[int, str] | None:
    """Give the first layer above that takes an entry away, and how."""
    events = [*replay.events[path], *replay.remade.get(path, ())]
    # What a layer puts in the place counts before what else it does to it.
    events.sort(key=lambda event: (event.layer, isinstance(event, Removed)))
    for event in events:
        if event.layer <= brought.layer:
            continue
        if isinstance(event, Removed):
            return event.layer, event.reason
        kinds = [one.listing.type == "directory" for one in (brought, event)]
        if not all(kinds):
            return event.layer, "type change" if any(kinds) else "replaced"
    return None


def check(image: Image, replay: Replay, path: str) -> None:
    """Compare one path."""
    events = replay.events[path]
    explained = image.explain(path)
    assert explained.real_path == replay.real(path)
    if explained.real_path != path:
        # A link has taken the place of a directory: what is told is of where it leads.
        assert explained.links
        return
    history = image.history_of(path)
    assert explained.present is (path in replay.present), path
    brought = [event for event in events if isinstance(event, Brought)]
    told = [version for version in history if version.entry is not None and version.type]
    assert [(one.layer, one.entry) for one in told] == [
        (event.layer, event.listing.entry) for event in brought
    ], path
    for version, event in zip(told, brought, strict=True):
        check_version(version, event)
    removed = [event for event in events if isinstance(event, Removed)]
    hidden = [version for version in history if version.kind == "hidden"]
    assert [(one.layer, one.cause and one.cause.reason, one.entry) for one in hidden] == [
        (event.layer, event.reason, event.entry) for event in removed
    ], path
    if explained.present:
        assert explained.absence is None
        assert explained.version == history[-1]
        assert explained.shadowed == tuple(
            reversed([one for one in history[:-1] if one.kind != "hidden"])
        )
        if brought:
            assert explained.digest == image.layers[history[-1].layer].digest
    else:
        last = removed[-1]
        absence = explained.absence
        assert absence is not None
        assert (absence.reason, absence.layer, absence.entry) == (
            last.reason,
            last.layer,
            last.entry,
        )


def check_version(version: Version, event: Brought) -> None:
    """Compare what a version and a line of the listing say."""
    listing = event.listing
    if listing.is_link:
        # It has the type and the metadata of what it links to, of whatever type.
        assert version.type != "directory"
    else:
        assert version.type == listing.type
        assert (version.uid, version.gid) == (listing.uid, listing.gid)
        assert version.mtime_ns // 10**9 == listing.mtime
        if listing.type != "symlink":
            assert version.mode == listing.mode
        if listing.type == "file":
            assert version.size == listing.size
        assert version.target == listing.target
