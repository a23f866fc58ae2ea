"""One image through every tool, in every form it writes: the same tree, ids and history."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engines import need, privileged, run, skopeo, umoci
from facts import Facts, Tree, differences, disagreements, facts_of, tree_of
from subjects import CAMPAIGN, MAKERS, Subject
from truth import describe
from writers import WRITERS, Writer

from unionlayers import open_image

ARCHIVES = [writer for writer in WRITERS if writer.kind == "archive"]
COMPRESSORS = (("gzip", "-nf"), ("zstd", "-qf"), ("xz", "-f"), ("bzip2", "-f"))


_SECOND = 1_000_000_000


def contained(part: Any, whole: Any) -> bool:
    """Tell whether a document has only what another has, perhaps less."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and contained(value, whole[key]) for key, value in part.items()
        )
    if isinstance(part, list):
        return (
            isinstance(whole, list)
            and len(part) == len(whole)
            and all(itertools.starmap(contained, zip(part, whole, strict=True)))
        )
    return bool(part == whole)


def unpack(image: str, bundle: Path) -> Tree:
    """Have umoci unpack an image, and give what stands there; without root it has no owners."""
    if privileged():
        run("unshare", "--mount", "umoci", "unpack", "--image", image, bundle)
    else:
        umoci("unpack", "--rootless", "--image", image, bundle)
    return {str(fact["path"]): fact for fact in describe(str(bundle / "rootfs"))}


def comparable(shown: Tree, unpacked: Tree) -> tuple[Tree, Tree]:
    """Leave out of two trees what an image does not say, and what this user cannot unpack."""
    shown = {path: dict(fact) for path, fact in shown.items()}
    unpacked = {path: dict(fact) for path, fact in unpacked.items()}
    for path, fact in shown.items():
        if fact.pop("implied"):
            for facts in (fact, unpacked.get(path, {})):
                facts.pop("mtime", None)
                if path == ".":
                    facts.pop("mode", None)
        del fact["layer"]
    if not privileged():
        for facts in (*shown.values(), *unpacked.values()):
            for key in ("uid", "gid", "xattrs"):
                facts.pop(key, None)
        for path in [path for path, fact in shown.items() if fact["type"] in ("char", "block")]:
            del shown[path], unpacked[path]
    return shown, unpacked


def written(subject: Subject) -> dict[str, tuple[Facts, frozenset[str]]]:
    """Give what every tool makes of it and what that changes, but for the tools that are absent."""
    found = {}
    for writer in WRITERS:
        try:
            found[writer.name] = subject.facts(writer), subject.changes(writer)
        except pytest.skip.Exception:
            continue
    return found


def leave_to_campaign(subject: Subject, sample_size: int, number: int | None = None) -> None:
    """Skip in the bounded run but for the rich image, and for one other that has its turn."""
    others = [name for name in MAKERS if name not in CAMPAIGN and name != "rich"]
    turn = None if number is None else others[number % len(others)]
    if sample_size < 1000 and subject.bench.name not in ("rich", turn):
        pytest.skip("campaign: run by `make campaign`")


@pytest.mark.parametrize("writer", WRITERS, ids=str)
def test_what_a_tool_writes_shows_what_it_was_given(
    writer: Writer, subject: Subject, sample_size: int
) -> None:
    leave_to_campaign(subject, sample_size, WRITERS.index(writer))
    given, shown = subject.given(writer), subject.facts(writer)
    assert disagreements(given, shown, frozenset(writer.changes)) == {}
    assert contained(shown.config, given.config)


def test_all_forms_agree_pairwise(subject: Subject, sample_size: int) -> None:
    leave_to_campaign(subject, sample_size)
    found = written(subject)
    if len(found) < 2:
        pytest.skip("no tool is here to write two forms")
    wrong = {}
    for (left, (one, ours)), (right, (other, theirs)) in itertools.combinations(found.items(), 2):
        # What both of them change they change alike.
        if differing := disagreements(one, other, ours ^ theirs):
            wrong[left, right] = differing
    assert wrong == {}


def compressions() -> Iterator[Any]:
    """Give each kind of archive with each compressor, one of them in the bounded run."""
    for number, (writer, compressor) in enumerate(itertools.product(ARCHIVES, COMPRESSORS)):
        often = number % len(COMPRESSORS) == number // len(COMPRESSORS) % len(COMPRESSORS)
        name = f"{writer.name} {compressor[0]}"
        marks = [] if often else [pytest.mark.campaign]
        yield pytest.param(writer, compressor, id=name, marks=marks)


@pytest.mark.parametrize(("writer", "compressor"), list(compressions()))
def test_an_archive_that_a_tool_compressed_as_a_whole_shows_the_same(
    writer: Writer,
    compressor: tuple[str, str],
    subject: Subject,
    tmp_path: Path,
    sample_size: int,
) -> None:
    leave_to_campaign(subject, sample_size)
    tool, options = compressor
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    plain = tmp_path / "archive"
    shutil.copyfile(writer(subject.bench), plain)
    run(tool, options, "-k", plain)
    (packed,) = tmp_path.glob("archive.*")
    assert disagreements(subject.facts(writer), facts_of(packed)) == {}


@pytest.mark.parametrize("subject", ["rich"], indirect=True)
@pytest.mark.parametrize("writer", WRITERS, ids=str)
def test_an_unpacked_archive_and_a_packed_folder_show_the_same(
    writer: Writer, subject: Subject, tmp_path: Path
) -> None:
    source = writer(subject.bench)
    if writer.kind == "archive":
        run("tar", "-C", tmp_path, "-xf", source)
        other = tmp_path
    else:
        other = tmp_path / "packed.tar"
        run("tar", "-C", source.parent, "-cf", other, source.name)
    assert disagreements(subject.facts(writer), facts_of(other)) == {}


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_skopeo_reads_the_ids_and_the_history_that_we_show(form: str, subject: Subject) -> None:
    source = subject.made.oci if form == "oci-archive" else subject.made.docker
    config = skopeo("inspect", "--config", "--raw", f"{form}:{source}")
    manifest = skopeo("inspect", "--raw", f"{form}:{source}")
    steps = json.loads(skopeo("inspect", "--config", f"{form}:{source}"))["history"]
    with open_image(source) as image:
        assert image.id == f"sha256:{hashlib.sha256(config).hexdigest()}"
        assert image.config == json.loads(config)
        assert [step.created_by for step in image.history] == [
            step.get("created_by", "") for step in steps
        ]
        assert [step.empty_layer for step in image.history] == [
            step.get("empty_layer", False) for step in steps
        ]
        if form == "oci-archive":
            assert image.digest == f"sha256:{hashlib.sha256(manifest).hexdigest()}"
            assert [layer.digest for layer in image.layers] == [
                layer["digest"] for layer in json.loads(manifest)["layers"]
            ]


def test_umoci_unpacks_the_tree_that_we_show(subject: Subject, tmp_path: Path) -> None:
    need("umoci", "skopeo")
    # Not from the OCI archive: umoci reads no layers of zstd.
    skopeo("copy", "--quiet", f"docker-archive:{subject.made.docker}", f"oci:{tmp_path}/layout:1")
    unpacked = unpack(f"{tmp_path}/layout:1", tmp_path / "bundle")
    with open_image(subject.made.oci) as image, image.fs() as view:
        shown = tree_of(view)
    assert differences(*comparable(shown, unpacked)) == {}


def test_the_tree_is_what_the_engine_had_mounted(subject: Subject) -> None:
    if subject.made.mounted is None:
        pytest.skip(f"{subject.bench.name} was not built here")
    with open_image(subject.made.docker) as image, image.fs() as view:
        shown, mounted = comparable(tree_of(view), subject.made.mounted)
    if subject.made.whole_seconds:
        for path, fact in mounted.items():
            if "mtime" in fact:
                cut = fact["mtime"] - fact["mtime"] % _SECOND
                rounded = (fact["mtime"] + _SECOND // 2) // _SECOND * _SECOND
                # Go's writer rounds where it is not told the form of the headers.
                fact["mtime"] = rounded if shown.get(path, {}).get("mtime") == rounded else cut
    names = Counter(fact.get("hlgroup") for fact in mounted.values())
    for fact in mounted.values():
        # overlayfs counts a name of the lower layer that an upper one has replaced.
        if names[fact.get("hlgroup")] == 1:
            del fact["hlgroup"], fact["nlink"]
    assert differences(shown, mounted) == {}


def test_the_layers_of_an_unpacked_archive_are_an_image_by_themselves(
    subject: Subject, tmp_path: Path
) -> None:
    run("tar", "-C", tmp_path, "-xf", subject.made.docker)
    (item,) = json.loads((tmp_path / "manifest.json").read_bytes())
    layers = [tmp_path / name for name in item["Layers"]]
    expected = facts_of(subject.made.docker)
    lost = frozenset({"id", "config", "history", "created_by", "platform"})
    assert disagreements(expected, facts_of(layers), lost) == {}
