"""What things cost, in counted operations and counted bytes, never in seconds."""

from __future__ import annotations

import io
import random
import tracemalloc
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from counted_calls import calls_of

from unionlayers import Agreement, Limits, Profile, diff, open_image
from unionlayers._codec.page_cache import PAGE_BYTES, PageCache
from unionlayers._codec.paging import next_page
from unionlayers._image import content
from unionlayers._layers import path_history
from unionlayers._layers.changeset import PlainChangeset
from unionlayers._layers.derived import DerivedChangeset
from unionlayers.testing import (
    Entry,
    ImageDescription,
    LayerDescription,
    directory,
    docker_archive,
    file,
    hardlink,
    layer,
    opaque,
    sparse_file,
    symlink,
    whiteout,
)


def node_modules(packages: int) -> list[Entry]:
    """Give a tree like those that npm makes: many small files in many folders."""
    entries = [directory("app"), directory("app/node_modules")]
    for number in range(packages):
        root = f"app/node_modules/package-{number}"
        entries.append(directory(root))
        entries.append(directory(f"{root}/lib"))
        entries.extend(
            file(f"{root}/lib/module-{part}.js", b"x" * part, mtime=1_700_000_000 + number)
            for part in range(12)
        )
        entries.append(file(f"{root}/package.json", b"{}"))
        entries.append(symlink(f"{root}/main.js", "lib/module-0.js"))
    return entries


def opened(*layers: Any, limits: Limits | None = None) -> Any:
    """Give an image of layers that are stored plain."""
    return open_image(io.BytesIO(docker_archive(ImageDescription(layers))), limits=limits)


def test_the_index_takes_at_most_75_bytes_for_an_entry() -> None:
    with opened(node_modules(300)) as image:
        index = image.layers[0].load()
    assert index.entries == 300 * 16 + 2
    assert index.nbytes / index.entries <= 75


def test_times_with_fractions_and_long_names_stay_within_75_bytes() -> None:
    tar = layer(*(file(f"d/{'n' * 20}{n}", mtime_ns=10**18 + n) for n in range(2000)))
    with opened(tar) as image:
        index = image.layers[0].load()
    assert index.nbytes / index.entries <= 75


def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the directories of layers that are looked at."""
    counted: list[int] = []
    original = PlainChangeset.children

    def children(self: PlainChangeset, number: int) -> Any:
        counted.append(number)
        return original(self, number)

    monkeypatch.setattr(PlainChangeset, "children", children)
    return counted


@pytest.mark.parametrize("others", [10, 100])
def test_a_path_costs_no_more_in_a_tall_stack_of_layers_that_do_not_hold_it(
    others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [[file("deep/er/still/x", b"1")], *([file(f"other{n}")] for n in range(others))]
    with opened(*layers) as image:
        view = image.fs()
        assert view.readbytes("/deep/er/still/x") == b"1"
        counted = looked_at(monkeypatch)
        assert view.readbytes("/deep/er/still/x") == b"1"
        # Each component below the first is asked of the one layer that has it.
        assert len(counted) <= others + 5


def test_a_tree_of_four_thousand_levels_is_walked_without_recursion() -> None:
    deep = "/".join(["d"] * 4000)
    with opened([file(f"{deep}/x", b"1")], [file("top")]) as image:
        view = image.fs()
        assert [path for path, _ in view.find()] == [f"/{deep}/x", "/top"]
        assert view.readbytes(f"/{deep}/x") == b"1"
        assert view.stat(f"/{deep}").st_mode == 0o040755


@pytest.mark.parametrize("codec", ["identity", "gzip"])
def test_reading_a_large_layer_holds_a_bounded_part_of_it(codec: str) -> None:
    size = 160 << 20
    big = LayerDescription(layer(file("big", bytes(size)), file("z", b"end")), codec=codec)
    archive = docker_archive(ImageDescription([big]))
    del big
    tracemalloc.start()
    try:
        with open_image(io.BytesIO(archive)) as image:
            view = image.fs()
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            total = 0
            with view.openbin("/big") as stream:
                while piece := stream.read(1 << 20):
                    total += len(piece)
            peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert total == size
    # The 64 MiB of pages that all images share, and what decoders hold, whatever the layer is.
    assert peak < 80 << 20, peak


def test_an_export_to_a_path_decompresses_each_layer_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    # The layer stores its files in the reverse of path order, and one page at most is kept.
    names = [f"f{number:03}" for number in range(40)]
    noise = random.Random(7)
    stored = [file(name, noise.randbytes(PAGE_BYTES // 2)) for name in reversed(names)]
    archive = docker_archive(ImageDescription([LayerDescription(layer(*stored), codec="gzip")]))
    monkeypatch.setattr("unionlayers._image.image.shared_pages", lambda: PageCache(PAGE_BYTES))
    decoded: list[int] = []

    def counted(decoder: Any, size: int) -> bytes:
        decoded.append(decoder.offset)
        return next_page(decoder, size)

    with open_image(io.BytesIO(archive)) as image:
        view = image.fs()
        view.listdir("/")
        monkeypatch.setattr("unionlayers._codec.random_access.next_page", counted)
        view.export(tmp_path / "a.tar")
        pages = -(-image.layers[0].load().size // PAGE_BYTES)
        assert pages - 1 <= len(decoded) <= pages
        decoded.clear()
        view.export(tmp_path / "folder")
        assert pages - 1 <= len(decoded) <= pages
        stream = io.BytesIO()
        view.export(stream)
    assert stream.getvalue() == (tmp_path / "a.tar").read_bytes()


@pytest.mark.parametrize("name", ["a.tar", "folder"])
def test_an_export_holds_a_bounded_part_of_a_file(name: str, tmp_path: Any) -> None:
    size = 40 << 20
    archive = docker_archive(ImageDescription([[sparse_file("big", [(0, b"x")], size)]]))
    with open_image(io.BytesIO(archive)) as image:
        view = image.fs()
        view.listdir("/")
        tracemalloc.start()
        try:
            assert view.export(tmp_path / name).bytes == size
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 8 << 20, peak


@pytest.mark.parametrize("packages", [50, 400])
@pytest.mark.parametrize("ask", ["explain", "history_of"])
def test_why_a_path_is_there_looks_only_at_the_directories_on_the_way(
    ask: str, packages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "app/node_modules/package-7/lib/module-3.js"
    layers = [
        node_modules(packages),
        [file(path, b"new")],
        [file("etc/x")],
        [whiteout(path)],
        node_modules(packages // 2),
    ]
    with opened(*layers) as image:
        image.prepare()
        counted = looked_at(monkeypatch)
        for asked in (f"/{path}", "/app/none/at/all", "/etc/x/y"):
            getattr(image, ask)(asked)
        # Five directories to each path, in five layers, and the state before and after each.
        assert 0 < len(counted) < 600, len(counted)


def test_why_a_deep_path_is_not_there_is_found_by_one_look_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def locate(union: Any, path: str) -> Any:
        asked.append(path)
        return path_history.locate(union, path)

    monkeypatch.setattr("unionlayers._image.explanation.locate", locate)
    with opened([file("a/b")]) as image:
        absence = image.explain("/a" + "/none" * 400).absence
    assert absence is not None
    assert (absence.reason, absence.path) == ("missing parent", "/a")
    assert len(asked) == 1


@pytest.mark.parametrize("others", [10, 100])
def test_a_history_costs_no_more_for_layers_that_say_nothing_of_the_path(
    others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [[file("deep/er/f", b"1")], *([file(f"other{n}")] for n in range(others))]
    with opened(*layers) as image:
        image.prepare()
        counted = looked_at(monkeypatch)
        assert len(image.history_of("/deep/er/f")) == 1
    # One look at the root of each layer that does not hold it, by the way and by the history.
    assert len(counted) <= 2 * others + 30, len(counted)


def test_a_question_goes_through_no_directories_of_a_layer_but_those_on_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone_through: list[object] = []
    implied = PlainChangeset.implied

    def counted(changeset: PlainChangeset) -> Any:
        gone_through.append(changeset)
        return implied(changeset)

    monkeypatch.setattr(PlainChangeset, "implied", counted)
    with opened(node_modules(20), [file("app/node_modules/package-7/lib/new.js")]) as image:
        assert image.fs().exists("/app/node_modules/package-7/lib/new.js")
        assert image.fs().exists("/app/node_modules/package-9")
    assert gone_through == []


@pytest.mark.parametrize("packages", [50, 400])
def test_a_diff_looks_at_nothing_that_both_images_have_from_the_same_layers(
    packages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = layer(*node_modules(packages))
    with (
        opened(base, [file("app/node_modules/package-7/lib/new.js")]) as one,
        opened(base, [file("etc/x"), whiteout("app/node_modules/package-9")]) as other,
    ):
        for image in (one, other):
            image.prepare()
        counted = looked_at(monkeypatch)
        changes = diff(one, other, ignore_fields=["mtime"])
        first = next(iter(changes))
        assert (len(changes), first.path) == (19, "/app/node_modules/package-7/lib/new.js")
        # The directories on the way to what differs, and all of package-9; not the others.
        assert len(counted) < 250, len(counted)
        counted.clear()
        assert list(diff(one, (one, [0, 1]))) == []
        assert counted == []


def test_equal_entries_of_one_layer_are_not_read_and_a_diff_holds_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = 24 << 20
    big = layer(file("d/big", bytes(size)))
    last = layer(file("d/big", bytes(size - 1) + b"1"))
    with opened(big, [file("d/x")]) as one, opened(big) as two, opened(last) as three:
        read: list[int] = []

        def content_at(*args: Any) -> Any:
            read.append(1)
            return content.content_at(*args)

        monkeypatch.setattr("unionlayers._image.changes.content_at", content_at)
        assert [change.path for change in diff(one, two)] == ["/d/x"]
        assert read == []
        tracemalloc.start()
        try:
            differing = diff(two, three)
            assert [change.fields for change in differing] == [("content",)]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(read) == 2
        assert peak < 16 << 20, peak


def plain_files(count: int) -> list[Entry]:
    return node_modules(count // 16)


def files_with_records(count: int) -> list[Entry]:
    return [file(f"d{n % 50}/f{n}", mtime_ns=10**18 + n) for n in range(count)]


def links(count: int) -> list[Entry]:
    return [
        file("a"),
        *(hardlink(f"d{n % 50}/h{n}", "a" if n % 2 else f"d{(n - 1) % 50}/h{n - 1}") for n in
          range(1, count)),
    ]  # fmt: skip


def whiteouts(count: int) -> list[Entry]:
    return [whiteout(f"d{n % 50}/f{n}") for n in range(count)]


def spread_folders(count: int) -> list[Entry]:
    return [file(f"a{n}/b{n}/c{n}") for n in range(count // 4)]


def one_folder(count: int) -> list[Entry]:
    return [file(f"d/f{(n * 7919) % count}") for n in range(count)]


def twice_each(count: int) -> list[Entry]:
    return [file(f"d/f{n % (count // 2)}") for n in range(count)]


SHAPES = [
    plain_files, files_with_records, links, whiteouts, spread_folders, one_folder, twice_each,
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_indexing_costs_as_much_again_for_as_many_entries_again(
    shape: Callable[[int], list[Entry]],
) -> None:
    costs = []
    # The first one loads what is loaded late.
    for count in (100, 600, 1200, 2400):
        with opened(shape(count)) as image:
            costs.append(calls_of(image.prepare))
    first, second = costs[2] - costs[1], costs[3] - costs[2]
    # Twice as many more; what grew with the square would cost four times as much.
    assert second <= 3 * first, costs


@pytest.mark.parametrize("depth", [1, 10])
@pytest.mark.parametrize("ask", ["find", "walk", "scandir"])
def test_a_walk_costs_as_much_again_for_as_many_entries_again(ask: str, depth: int) -> None:
    costs = []
    for packages in (2, 20, 40, 80):
        entries = node_modules(packages)
        share = -(-len(entries) // depth)
        stack = [entries[at : at + share] for at in range(0, len(entries), share)]
        with opened(*stack) as image:
            view = image.fs()
            image.prepare()
            view.exists("/etc/passwd")
            work = {
                "find": lambda view=view: sum(1 for _ in view.find()),
                "walk": lambda view=view: sum(1 for _ in view.walk.files()),
                "scandir": lambda view=view: [
                    list(view.scandir(f"/app/node_modules/{name}", ["details"]))
                    for name in view.listdir("/app/node_modules")
                ],
            }[ask]
            costs.append(calls_of(work))
    first, second = costs[2] - costs[1], costs[3] - costs[2]
    # Twice as many more; what grew with the square would cost four times as much.
    assert second <= 3 * first, costs


def test_content_costs_the_index_no_more_than_its_decompression() -> None:
    costs = []
    for size in (10, 1 << 10, 1 << 17):
        noise = random.Random(1).randbytes(size)
        tar = layer(*(file(f"f{n}", noise) for n in range(32)))
        with opened(LayerDescription(tar, codec="gzip")) as image:
            costs.append(calls_of(image.prepare))
    # 4 MiB more: a few calls for each 64 KiB of input.
    assert costs[2] - costs[1] <= 64 * 60, costs


@cache
def many_pages(codec: str) -> tuple[bytes, list[str]]:
    """Give an archive of one layer of 12 MiB, whose order of storage is not that of paths."""
    noise = random.Random(7)
    words = [noise.randbytes(9) for _ in range(500)]
    names = [f"f{number:03}" for number in range(96)]
    noise.shuffle(names)
    stored = [file(name, b"".join(noise.choices(words, k=14_500))) for name in names]
    described = ImageDescription([LayerDescription(layer(*stored), codec=codec)])
    return docker_archive(described), names


def counting_pages(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the pages that are decoded for content."""
    decoded: list[int] = []

    def counted(decoder: Any, size: int) -> bytes:
        decoded.append(decoder.offset)
        return next_page(decoder, size)

    monkeypatch.setattr("unionlayers._codec.random_access.next_page", counted)
    return decoded


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_reading_in_the_order_of_storage_decompresses_a_layer_once(
    codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, names = many_pages(codec)
    monkeypatch.setattr("unionlayers._image.image.shared_pages", lambda: PageCache(PAGE_BYTES))
    decoded = counting_pages(monkeypatch)
    with open_image(io.BytesIO(archive)) as image:
        view = image.fs()
        found = [path for path, _ in view.find(order="storage") if view.readbytes(path)]
        assert found == [f"/{name}" for name in names]
        pages = -(-image.layers[0].load().size // PAGE_BYTES)
    assert pages - 1 <= len(decoded) <= pages


def test_a_read_in_the_middle_decodes_at_most_from_the_checkpoint_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive, names = many_pages("gzip")
    monkeypatch.setattr(
        "unionlayers._image.image.shared_pages", lambda: PageCache(PAGE_BYTES, max_decoders=1)
    )
    decoded = counting_pages(monkeypatch)
    with open_image(io.BytesIO(archive)) as image:
        view = image.fs()
        whole = {name: view.readbytes(name) for name in names}
        size = image.layers[0].load().size
        for name in random.Random(3).sample(names, 30):
            decoded.clear()
            assert view.readbytes(name) == whole[name]
            # Checkpoints lie 4 MiB apart, and a little more; a file lies in one page or two.
            assert len(decoded) <= (5 << 20) // PAGE_BYTES + 2 < size // PAGE_BYTES // 2


def steps_of(layer_of: Any, size: int, profile: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Count the directories that replaying a layer looks up."""
    counted: list[int] = []
    original = DerivedChangeset.place

    def place(self: DerivedChangeset, row: int) -> Any:
        counted.append(row)
        return original(self, row)

    entries = layer_of(size)
    archive = docker_archive(ImageDescription([[directory("d"), file("d/old")], entries]))
    with monkeypatch.context() as patched:
        patched.setattr(DerivedChangeset, "place", place)
        with open_image(io.BytesIO(archive), profile=profile, on_invalid="warn") as image:
            image.fs().listdir("/")
    return len(counted)


def opaque_again(size: int) -> list[Entry]:
    """Give a directory of many, and an opaque whiteout of it again and again."""
    return [
        *(directory(f"d/e{n}") for n in range(size)),
        *(file(f"d/i{n}/x") for n in range(size)),
        *(opaque("d") for _ in range(size)),
    ]


def whiteout_again(size: int) -> list[Entry]:
    """Give a directory of many, and its whiteout again and again."""
    return [*(directory(f"d/e{n}") for n in range(size)), *(whiteout("d") for _ in range(size))]


def marks_and_their_own(size: int) -> list[Entry]:
    """Give a chain of directories that only whiteouts imply, and a whiteout of each."""
    deep = ["/".join(["d", "e", *["f"] * n]) for n in range(size)]
    return [*(whiteout(f"{path}/gone") for path in deep), *(whiteout("d/e") for _ in deep)]


def opaque_on_the_way(size: int) -> list[Entry]:
    """Give directories in turn with opaque whiteouts of what they are in."""
    return [entry for n in range(size) for entry in (directory(f"d/e{n}"), opaque("d"))]


@pytest.mark.parametrize("profile", ["oci", "overlay", "sequential"])
@pytest.mark.parametrize(
    "layer_of", [opaque_again, whiteout_again, marks_and_their_own, opaque_on_the_way]
)
def test_marks_that_repeat_cost_no_more_than_the_entries_of_the_layer(
    layer_of: Any, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = steps_of(layer_of, 40, profile, monkeypatch)
    large = steps_of(layer_of, 160, profile, monkeypatch)
    deep = layer_of is marks_and_their_own
    # Names are as deep as there are entries in one of the cases: they are walked as always.
    assert large <= (17 if deep else 4.2) * small + 100, (small, large)


def names_of_an_old_file(count: int) -> list[list[Entry]]:
    """Give one inode of many names, its time out of range."""
    links = [hardlink(f"n{n}", "a", mtime=-5) for n in range(count)]
    return [[file("a", "1", mtime=-5), *links]]


def names_that_one_link_changes(count: int) -> list[list[Entry]]:
    """Give one inode of many names, the last of which has another owner."""
    links = [hardlink(f"n{n}", "a", uid=1) for n in range(count)]
    return [[file("a", "1", uid=1), *links, hardlink("z", "a", uid=2)]]


def names_that_each_link_changes(count: int) -> list[list[Entry]]:
    """Give one inode of many names, each with another owner."""
    return [[file("a", "1"), *(hardlink(f"n{n}", "a", uid=n) for n in range(count))]]


def links_from_above(count: int) -> list[list[Entry]]:
    """Give one inode of many names in two layers."""
    return [
        [file("a", "1"), *(hardlink(f"n{n}", "a") for n in range(count))],
        [hardlink(f"m{n}", "a") for n in range(count)],
    ]


def links_that_are_hidden(count: int) -> list[list[Entry]]:
    """Give hard links without a target that a layer above hides, in a folder that it replaces."""
    return [
        [file("a", "1")],
        [hardlink(f"d/e{n}/m", "none" if n % 2 else "a") for n in range(count)],
        [whiteout(f"d/e{n}") for n in range(count)],
    ]


@pytest.mark.parametrize(
    "stack_of",
    [
        names_of_an_old_file,
        names_that_one_link_changes,
        names_that_each_link_changes,
        links_from_above,
        links_that_are_hidden,
    ],
)
def test_an_agreement_costs_as_much_again_for_as_many_names_again(
    stack_of: Callable[[int], list[list[Entry]]],
) -> None:
    profiles = {
        "oci": Profile(),
        "overlay": Profile(hardlink_to_lower="error"),
        "umoci": Profile(mtime_range="raw", hardlink_meta="keep"),
    }
    costs = []
    told = []
    # The first one loads what is loaded late.
    for count in (5, 20, 40, 80):
        with opened(*stack_of(count)) as image:
            found: list[Agreement] = []
            costs.append(calls_of(lambda: found.append(image.agreement(profiles))))  # noqa: B023
            told.append(sum(len(item.findings) for item in found[0]))
    first, second = costs[2] - costs[1], costs[3] - costs[2]
    # Twice as many more; what grew with the square would cost four times as much.
    assert second <= 3 * first, costs
    assert told[3] <= 2.1 * told[2] + 10, told


def test_an_agreement_on_deep_names_holds_less_than_the_paths_of_what_they_imply() -> None:
    depth = 4000
    path = "/".join("d" * depth)
    stack = [file(f"{path}/low")], [file(f"{path}/high")]
    with opened(*stack, limits=Limits(depth=depth + 1, name_bytes=1 << 30)) as image:
        image.prepare()
        tracemalloc.start()
        try:
            assert not image.agreement()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    # All their paths take up sixteen million bytes.
    assert peak < depth * depth, peak


def names_that_go(count: int) -> list[list[Entry]]:
    """Give one inode of many names, half of which a layer above hides."""
    links = [hardlink(f"n{n}", "a") for n in range(count)]
    return [[file("a", "1"), *links], [whiteout(f"n{n}") for n in range(0, count, 2)]]


def names_that_each_link_changes_and_that_go(count: int) -> list[list[Entry]]:
    """Give one inode of many names, each with another owner, all of which a layer above hides."""
    return [*names_that_each_link_changes(count), [whiteout(f"n{n}") for n in range(count)]]


def links_from_above_that_go(count: int) -> list[list[Entry]]:
    """Give one inode of many names in two layers, those of the upper one hidden by a third."""
    return [*links_from_above(count), [whiteout(f"m{n}") for n in range(count)]]


def files_that_go_before_their_folders(count: int) -> list[list[Entry]]:
    """Give folders of files that are replaced, then hidden, then hidden with their folders."""
    paths = [f"d/e{n % 9}/f{n}" for n in range(count)]
    return [
        [file(path, "1") for path in paths],
        [file(path, "22") for path in paths[::2]],
        [whiteout(path) for path in paths[::3]],
        [whiteout(f"d/e{n}") for n in range(9)],
        [whiteout("d")],
    ]


@pytest.mark.parametrize(
    "stack_of",
    [
        names_that_go,
        names_that_each_link_changes_and_that_go,
        links_from_above_that_go,
        files_that_go_before_their_folders,
    ],
)
def test_what_is_hidden_costs_as_much_again_for_as_many_names_again(
    stack_of: Callable[[int], list[list[Entry]]],
) -> None:
    costs = []
    # The first one loads what is loaded late.
    for count in (5, 50, 100, 200):
        with opened(*stack_of(count)) as image:
            image.prepare()
            costs.append(calls_of(lambda: (image.hidden().fs.listdir("/"), image.waste())))
    first, second = costs[2] - costs[1], costs[3] - costs[2]
    # Twice as many more; what grew with the square would cost four times as much.
    assert second <= 3 * first, costs


def other_content(count: int) -> tuple[list[list[Entry]], list[list[Entry]]]:
    """Give one inode of many names with another content on the other side."""
    links = [hardlink(f"n{n:03}", "a") for n in range(count)]
    return [[file("a", "1"), *links]], [[file("a", "2"), *links]]


def one_name_less(count: int) -> tuple[list[list[Entry]], list[list[Entry]]]:
    """Give one inode of many names, one of which the other side hides."""
    (left,), _ = other_content(count)
    return [left], [left, [whiteout("n000")]]


def one_link_less(count: int) -> tuple[list[list[Entry]], list[list[Entry]]]:
    """Give one inode of many names in two layers, one of which the other side lacks."""
    below, above = links_from_above(count)
    return [below, above], [below, above[1:]]


def one_name_each(count: int) -> tuple[list[list[Entry]], list[list[Entry]]]:
    """Give one inode of many names, and as many files of one name each."""
    left, _ = other_content(count)
    return left, [[file(f"n{n:03}", "1") for n in range(count)]]


@pytest.mark.parametrize("stacks_of", [other_content, one_name_less, one_link_less, one_name_each])
def test_a_diff_costs_and_says_as_much_again_for_as_many_names_of_an_inode_again(
    stacks_of: Callable[[int], tuple[list[list[Entry]], list[list[Entry]]]],
) -> None:
    costs, lengths = [], []
    # The first one loads what is loaded late.
    for count in (5, 50, 100, 200):
        one, other = stacks_of(count)
        with opened(*one) as left, opened(*other) as right:
            for image in (left, right):
                image.prepare()
            changes = diff(left, right)
            costs.append(calls_of(lambda: len(changes)))  # noqa: B023
            lengths.append(len(changes.to_json()) + len(changes.to_html()))
            sides = [side for change in changes for side in (change.left, change.right)]
            assert len({id(side.names) for side in sides if len(side.names) > 1}) <= 2
    # Twice as many more; what grew with the square would cost four times as much.
    assert costs[3] - costs[2] <= 3 * (costs[2] - costs[1]), costs
    assert lengths[3] - lengths[2] <= 2.2 * (lengths[2] - lengths[1]), lengths


def test_content_of_many_names_is_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def content_at(*args: Any) -> Any:
        read.append(1)
        return content.content_at(*args)

    monkeypatch.setattr("unionlayers._image.changes.content_at", content_at)
    one, other = other_content(30)
    with opened(*one) as left, opened(*other) as right:
        assert len(diff(left, right)) == 31
    assert len(read) == 2


def test_a_deep_agreement_costs_what_its_paths_have_components() -> None:
    costs = []
    components = []
    for depth in (5, 20, 40, 80):
        inner = "/".join(["l", *["a"] * depth, "x"])
        with opened([directory("t"), symlink("l", "t")], [file(inner)]) as image:
            found: list[Agreement] = []
            costs.append(calls_of(lambda: found.append(image.agreement())))  # noqa: B023
            components.append(sum(path.count("/") for path in found[0].paths))
    by_component = [
        (costs[at + 1] - costs[at]) / (components[at + 1] - components[at]) for at in (1, 2)
    ]
    assert by_component[1] <= 1.5 * by_component[0], (costs, components)
