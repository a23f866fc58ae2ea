"""Images by URL: what each scheme opens, what each parameter says, and URLs that come back."""

from __future__ import annotations

import importlib.metadata
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import unionlayers
from unionlayers import Profile, UnionFS, open_image
from unionlayers._image.image_url import SCHEMES, ImageURL
from unionlayers._views._pyfilesystem import fs, opener_errors
from unionlayers._views.opener import LayersOpener
from unionlayers.errors import InvalidURLError
from unionlayers.testing import (
    Damage,
    ImageDescription,
    IndexDescription,
    directory,
    docker_archive,
    docker_archive_25,
    docker_archive_v1,
    file,
    oci_archive,
    oci_layout,
    opaque,
    symlink,
    whiteout,
)

ODD = [
    b"a@b", b"bang!bang", b"what?", b"a#b", b"100%", b"%41", b"two words", b" leading", b"a+b",
    b"a&b=c", b"semi;colon", b"\xff\xfe", "naïve".encode(), "\U0001f40b".encode(), b"new\nline",
    b"tab\t", b"back\\slash", b"'quote\"", b"a:b", b"$x", b"~", b"*[?]", b"dot.", b"...", b"a,b",
]  # fmt: skip
LAYERS = [
    [directory("etc"), file("etc/conf", "base"), file("etc/old", "old"), directory("odd"),
     *(directory(b"odd/d" + name) for name in ODD),
     *(file(b"odd/d" + name + b"/" + name, name) for name in ODD),
     symlink("dangling", "nowhere"), symlink("circle", "circle"), symlink("conf", "etc")],
    [file("etc/conf", "middle"), whiteout("etc/old")],
    [file("etc/conf", "top")],
]  # fmt: skip
IMAGE = ImageDescription(LAYERS, tags=["app:1"])


def opened(url: str, **options: Any) -> Any:
    return fs.opener.registry.open_fs(url, **options)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the opener as an installation does; one test asks the installation itself."""
    for scheme in SCHEMES:
        monkeypatch.setitem(fs.opener.registry._protocols, scheme, LayersOpener())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docker.tar").write_bytes(docker_archive(IMAGE))
    (tmp_path / "docker25.tar").write_bytes(docker_archive_25(IMAGE))
    (tmp_path / "v1.tar").write_bytes(docker_archive_v1(IMAGE))
    (tmp_path / "oci.tar").write_bytes(oci_archive(IMAGE))
    oci_layout(tmp_path / "oci", IMAGE)
    return tmp_path


# -- schemes ---------------------------------------------------------------------------------------

FITTING = {
    "docker.tar": {"layers", "docker-archive"},
    "docker25.tar": {"layers", "docker-archive", "oci-archive"},
    "v1.tar": {"layers", "docker-archive"},
    "oci.tar": {"layers", "oci-archive"},
    "oci": {"layers", "oci"},
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", FITTING)
def test_a_scheme_opens_what_it_names_and_nothing_else(
    folder: Path, name: str, scheme: str
) -> None:
    url = f"{scheme}://{folder / name}"
    if scheme in FITTING[name]:
        with opened(url) as view:
            assert view.readtext("/etc/conf") == "top"
            assert not view.exists("/etc/old")
        return
    with pytest.raises(fs.errors.CreateFailed) as caught:
        opened(url)
    error: Any = caught.value
    assert isinstance(error, unionlayers.UnknownFormatError)
    assert error.expected == scheme
    assert error.actual in FITTING[name]
    assert set(error.candidates) <= FITTING[name]
    assert "layers" in error.candidates


def test_an_archive_with_two_layouts_is_read_by_the_one_that_the_scheme_names(
    tmp_path: Path,
) -> None:
    path = tmp_path / "both.tar"
    path.write_bytes(docker_archive_25(IMAGE))
    with opened(f"docker-archive://{path}") as docker, opened(f"oci-archive://{path}") as oci:
        assert docker.image.profile.prefer_layout == "docker"
        assert docker.image.record.layout == "docker"
        assert oci.image.profile.prefer_layout == "oci"
        assert oci.image.record.layout == "oci"


def entry_points() -> dict[str, str]:
    import tomllib

    root = Path(__file__).resolve().parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points: dict[str, str] = project["entry-points"]["fs.opener"]
    return points


def test_the_entry_points_of_the_project_name_the_opener() -> None:
    assert sorted(entry_points()) == sorted(SCHEMES)
    for name, value in entry_points().items():
        point = importlib.metadata.EntryPoint(name, value, "fs.opener")
        assert point.load() is LayersOpener
        assert name in LayersOpener().protocols


@pytest.mark.parametrize(
    "first", ["import fs", "import unionlayers; unionlayers.UnionFS; import fs"]
)
def test_a_program_opens_by_scheme_once_the_project_is_installed(
    folder: Path, tmp_path: Path, first: str
) -> None:
    # What an installation of this very pyproject.toml says, whatever is installed here.
    facts = tmp_path / "site" / "unionlayers-0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: unionlayers\nVersion: 0\n")
    lines = [f"{name} = {value}\n" for name, value in entry_points().items()]
    (facts / "entry_points.txt").write_text("[fs.opener]\n" + "".join(lines))
    program = f"{first}; import sys; print(fs.open_fs(sys.argv[1]).readtext('/etc/conf'))"
    source = Path(unionlayers.__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program, f"oci-archive://{folder / 'oci.tar'}"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(facts.parent), str(source)])},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("top\n", "", 0)


# -- parameters ------------------------------------------------------------------------------------


@pytest.fixture
def many(tmp_path: Path) -> Path:
    path = tmp_path / "many.tar"
    images = [
        ImageDescription([[file("who", name)]], tags=[f"{name}:1"], os="linux", architecture=arch)
        for name, arch in (("one", "amd64"), ("two", "arm64"))
    ]
    path.write_bytes(oci_archive(IndexDescription(images)))
    return path


def test_ref_and_platform_choose_the_image(many: Path) -> None:
    with pytest.raises(fs.errors.CreateFailed) as caught:
        opened(f"layers://{many}")
    error: Any = caught.value
    assert isinstance(error, unionlayers.AmbiguousImageError)
    assert len(error.candidates) == 2
    with opened(f"layers://{many}?platform=linux/arm64") as view:
        assert view.readtext("/who") == "two"
        digest = view.image.digest
    for ref in (digest, digest[7:20], quote(digest, safe="")):
        with opened(f"oci-archive://{many}?ref={ref}") as view:
            assert view.readtext("/who") == "two"
    with pytest.raises(fs.errors.CreateFailed) as caught:
        opened(f"layers://{many}?platform=linux/s390x")
    assert isinstance(caught.value, unionlayers.ImageNotFoundError)


def test_profile_says_how_the_stack_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(docker_archive(ImageDescription([[file("a")], [opaque(""), file("b")]])))
    with opened(f"layers://{path}?profile=overlay") as view:
        assert view.listdir("/") == ["a", "b"]
    with opened(f"layers://{path}") as view:
        assert view.listdir("/") == ["b"]
    with pytest.raises(fs.errors.CreateFailed) as caught:
        opened(f"layers://{path}?profile=nobody")
    error: Any = caught.value
    assert isinstance(caught.value, ValueError)
    assert set(error.candidates) == {"oci", "overlay", "sequential"}


@pytest.mark.parametrize(
    ("layers", "expected"),
    [("0", "base"), ("1", "middle"), ("0,2", "top"), ("2,0", "top"), ("-2", "middle"),
     (":1", "base"), (":2", "middle"), ("1:", "top"), ("-3:-1", "middle"), ("::2", "top"),
     (":", "top"), ("0%2C1", "middle")],
)  # fmt: skip
def test_layers_are_indexes_or_a_slice(folder: Path, layers: str, expected: str) -> None:
    with opened(f"layers://{folder / 'docker.tar'}?layers={layers}") as view:
        assert view.readtext("/etc/conf") == expected


def test_no_layer_is_an_empty_root(folder: Path) -> None:
    with opened(f"layers://{folder / 'docker.tar'}?layers=") as view:
        assert view.listdir("/") == []


@pytest.mark.parametrize(
    "layers", ["9", "0,0", "a", "1;2", "1:2:0", "1:2:3:4", ",", "1,", "\u0661"]
)
def test_layers_that_are_none_are_refused(folder: Path, layers: str) -> None:
    with pytest.raises(fs.errors.CreateFailed):
        opened(f"layers://{folder / 'docker.tar'}?layers={quote(layers)}")


def test_what_is_invalid_or_absent_can_be_let_pass(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    damage = Damage(replace={"layer:0": b"x" * 2048})
    path.write_bytes(docker_archive(ImageDescription([[file("a")], [file("b")]]), damage=damage))
    with opened(f"layers://{path}?layers=1") as view:
        assert view.listdir("/") == ["b"]
    for options in ("on_invalid=warn", "missing=skip", "verify=no", "verify=yes"):
        with opened(f"layers://{path}?layers=1&{options}") as view:
            name, _, value = options.partition("=")
            said = {True: "yes", False: "no"}
            kept = getattr(view.image.options, name)
            assert said.get(kept, kept) == value


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "said"),
    [("reference=x", "reference"), ("Ref=x", "Ref"), ("digest=x", "digest"), ("ref=a&ref=b", "ref"),
     ("ref", "ref"), ("ref=", "ref"), ("&", ""), ("on_invalid=maybe", "maybe"),
     ("verify=1", "1"), ("missing=", "missing")],
)  # fmt: skip
def test_parameters_that_say_nothing_are_named_with_those_there_are(
    folder: Path, query: str, said: str
) -> None:
    with pytest.raises(fs.errors.CreateFailed) as caught:
        opened(f"layers://{folder / 'docker.tar'}?{query}")
    error: Any = caught.value
    assert isinstance(error, InvalidURLError)
    assert isinstance(error, ValueError)
    assert error.actual == said
    if query.startswith(("reference", "Ref", "digest", "&")):
        assert set(error.candidates) == {
            "ref", "platform", "profile", "layers", "on_invalid", "missing", "verify",
        }  # fmt: skip


@pytest.mark.parametrize("options", [{"writeable": True}, {"create": True}])
def test_an_image_is_neither_written_nor_created(folder: Path, options: dict[str, bool]) -> None:
    with pytest.raises(opener_errors.NotWriteable) as caught:
        opened(f"layers://{folder / 'docker.tar'}", **options)
    assert isinstance(caught.value, unionlayers.ReadOnlyError)
    pickle.loads(pickle.dumps(caught.value))


def test_an_image_that_is_absent_is_a_creation_that_failed(tmp_path: Path) -> None:
    with pytest.raises(fs.errors.CreateFailed) as caught:
        opened(f"layers://{tmp_path / 'none.tar'}")
    error: Any = caught.value
    assert isinstance(error.exc, FileNotFoundError)
    with pytest.raises(fs.errors.CreateFailed):
        opened("layers://")


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x1f\x8bbroken"])
def test_what_is_no_image_is_a_creation_that_failed_and_our_error_and_pickles(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(fs.errors.CreateFailed) as caught:
        opened(f"layers://{path}")
    error: Any = caught.value
    assert isinstance(caught.value, unionlayers.UnionLayersError)
    assert type(error.exc) in type(error).__mro__
    again: Any = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_a_view_that_fails_to_open_lets_go_of_the_file(folder: Path) -> None:
    import gc

    def held() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    before = held()
    for url in (
        f"oci-archive://{folder / 'docker.tar'}",
        f"layers://{folder / 'docker.tar'}?layers=77",
        f"layers://{folder / 'docker.tar'}!/none",
    ):
        with pytest.raises(fs.errors.CreateFailed):
            opened(url)
    assert held() == before


# -- paths inside ----------------------------------------------------------------------------------


def test_a_directory_inside_opens_as_a_filesystem_of_its_own(folder: Path) -> None:
    for inner in ("/etc", "etc", "/etc/", "/conf", "/odd/../etc"):
        with opened(f"layers://{folder / 'oci'}!{inner}") as part:
            assert part.listdir("/") == ["conf"]
            image = part.delegate_fs().image
        assert image.closed


def test_a_file_inside_opens_the_image_and_the_registry_has_its_path(folder: Path) -> None:
    url = f"oci://{folder / 'oci'}!/etc/conf"
    view, path = fs.opener.registry.open(url, writeable=False)
    with view:
        assert view.readtext(path) == "top"


@pytest.mark.parametrize(
    ("inner", "ours"),
    [("/none", unionlayers.PathNotFoundError), ("/dangling", unionlayers.PathNotFoundError),
     ("/circle", unionlayers.LinkLoopError), ("/etc/conf/x", unionlayers.PathNotADirectoryError),
     ("/../x", unionlayers.InvalidPathError), ("/%00", InvalidURLError)],
)  # fmt: skip
def test_a_path_inside_that_is_not_there_is_a_creation_that_failed(
    folder: Path, inner: str, ours: type[Exception]
) -> None:
    with pytest.raises(fs.errors.CreateFailed) as caught:
        opened(f"layers://{folder / 'oci.tar'}!{inner}")
    assert isinstance(caught.value, ours)
    pickle.loads(pickle.dumps(caught.value))


# -- where the archive is --------------------------------------------------------------------------


def test_a_relative_path_is_taken_from_the_folder_that_was_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened("layers://docker.tar", cwd=str(folder)) as view:
        assert view.exists("/etc/conf")
    monkeypatch.chdir(folder)
    with opened("layers://docker.tar") as view:
        assert view.exists("/etc/conf")
    monkeypatch.setenv("HOME", str(folder))
    with opened("layers://~/docker.tar") as view:
        assert view.exists("/etc/conf")


@pytest.mark.parametrize("name", ODD, ids=repr)
def test_names_of_archives_and_paths_come_back_whatever_is_in_them(
    tmp_path: Path, name: bytes
) -> None:
    archive = tmp_path / os.fsdecode(b"i" + name)
    archive.write_bytes(docker_archive(IMAGE))
    text = os.fsdecode(name)
    with UnionFS(archive) as view:
        parent = view.geturl(f"/odd/d{text}", purpose="fs")
        whole = view.geturl(f"/odd/d{text}/{text}", purpose="fs")
        assert parent.isascii()
        assert view.hasurl("/", purpose="fs")
        assert view.opendir("/odd").geturl(f"d{text}", purpose="fs") == parent
    with opened(parent) as part:
        assert part.listdir("/") == [text]
        assert part.readbytes(text) == name
        assert part.geturl("/", purpose="fs") == parent
    rest, path = fs.opener.registry.open(whole, writeable=False)
    with rest:
        assert rest.readbytes(unquote(path, errors="surrogateescape")) == name


def test_at_signs_need_no_quoting(tmp_path: Path) -> None:
    path = tmp_path / "user@host.tar"
    path.write_bytes(docker_archive(ImageDescription([[file("a@b/c", "x")]], tags=["app:1"])))
    with opened(f"layers://{path}?ref=app:1!/a@b") as part:
        assert part.readtext("c") == "x"


# -- URLs of views ---------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", ["download", "", "FS", "http"])
def test_there_is_no_url_for_another_purpose(folder: Path, purpose: str) -> None:
    with UnionFS(folder / "oci.tar") as view:
        assert not view.hasurl("/etc", purpose=purpose)
        with pytest.raises(fs.errors.NoURL) as caught:
            view.geturl("/etc", purpose=purpose)
        error: Any = caught.value
        assert unionlayers.PathError in type(error).__mro__
        assert (error.path, error.purpose) == ("/etc", purpose)
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), again.path, again.purpose) == (type(error), "/etc", purpose)


def test_a_url_has_what_the_view_was_opened_by(folder: Path, many: Path) -> None:
    path = folder / "docker.tar"
    plain = f"layers://{path}"
    with UnionFS(path) as view:
        assert view.geturl("/etc", purpose="fs") == f"{plain}!/etc"
    for options, query in (
        ({"layers": [0, 2]}, "layers=0,2"),
        ({"layers": slice(1)}, "layers=0"),
        ({"layers": []}, "layers="),
        ({"layers": slice(None)}, ""),
        ({"reference": "app:1"}, "ref=app:1"),
        ({"profile": "overlay"}, "profile=overlay"),
        ({"profile": Profile()}, ""),
        ({"on_invalid": "warn"}, "on_invalid=warn"),
        ({"missing": "skip"}, "missing=skip"),
        ({"verify": False}, "verify=no"),
    ):
        asked: Any = options
        with UnionFS(path, **asked) as view:
            url = view.geturl("/", purpose="fs")
            assert url == plain + (f"?{query}" if query else "") + "!/"
            names = view.listdir("/")
        with opened(url) as again:
            assert again.listdir("/") == names
    with UnionFS(many, platform="linux/arm64") as view:
        assert view.geturl("/who", purpose="fs") == f"layers://{many}?platform=linux/arm64!/who"
    with open_image(path) as image:
        view = image.fs(slice(2), profile="sequential")
        assert view.geturl("/", purpose="fs") == f"{plain}?profile=sequential&layers=0,1!/"
    with opened(f"docker-archive://{path}!/etc") as part:
        assert part.geturl("/", purpose="fs") == f"docker-archive://{path}!/etc"


def test_what_no_url_can_name_has_none(folder: Path) -> None:
    with UnionFS(io.BytesIO(docker_archive(IMAGE))) as view, pytest.raises(fs.errors.NoURL):
        view.geturl("/etc", purpose="fs")
    own = Profile(root_opaque="ignore")
    with UnionFS(folder / "oci.tar", profile=own) as view, pytest.raises(fs.errors.NoURL):
        view.geturl("/etc", purpose="fs")


# -- the grammar -----------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_characters="\0"), min_size=1)
ENCODABLE = st.binary(min_size=1).filter(lambda raw: b"\0" not in raw).map(os.fsdecode)
INDEXES = st.lists(st.integers(-999, 999), max_size=4).map(tuple)
ENDS = st.none() | st.integers(-99, 99)
STEPS = ENDS.filter(lambda step: step != 0)


@given(
    st.sampled_from(SCHEMES), ENCODABLE, st.none() | ENCODABLE, st.none() | ENCODABLE,
    st.none() | INDEXES | st.builds(slice, ENDS, ENDS, STEPS), st.booleans(),
    st.none() | ENCODABLE,
)  # fmt: skip
def test_whatever_a_url_is_made_of_comes_back(
    scheme: str,
    source: str,
    reference: str | None,
    platform: str | None,
    layers: Any,
    verify: bool,
    inner: str | None,
) -> None:
    url = ImageURL(
        scheme=scheme, source=source, reference=reference, platform=platform, layers=layers,
        verify=verify, inner=inner,
    )  # fmt: skip
    spelled = str(url)
    assert spelled.isascii()
    assert spelled.isprintable()
    assert ImageURL.parsed(spelled) == url
    # PyFilesystem finds the same parts, and takes nothing for a password.
    theirs = fs.opener.parse(spelled)
    assert theirs.username is None
    assert theirs.protocol == scheme
    assert theirs.path == (None if inner is None else spelled.partition("!")[2])


@given(st.text())
def test_any_text_is_a_url_or_an_error_that_says_so(text: str) -> None:
    for url in (text, f"layers://{text}", f"layers://x?{text}"):
        try:
            found = ImageURL.parsed(url)
        except InvalidURLError:
            continue
        assert ImageURL.parsed(str(found)) == found


def test_an_error_of_the_archive_names_no_path_inside(folder: Path) -> None:
    with pytest.raises(fs.errors.CreateFailed) as caught:
        opened(f"docker-archive://{folder / 'oci.tar'}")
    assert "path" not in str(caught.value).replace(str(folder), "")
