"""
What reads through fsspec reads from an image: pandas, pyarrow, DuckDB, universal-pathlib, Dask.

Each reads tables from an image that is built here, by their path and through links, and a file of
real images.  A package that is not installed is skipped by name.
"""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from unionlayers import open_image
from unionlayers.testing import (
    ImageDescription,
    directory,
    docker_archive,
    file,
    oci_archive,
    symlink,
    whiteout,
)

fsspec: Any = pytest.importorskip("fsspec", reason="fsspec is not installed (the extra fsspec)")
HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent
SHARED = Path(os.environ.get("UNIONLAYERS_IMAGES") or ROOT.parent / "shared" / "images")

CSV = "name,count\nalpha,1\nbeta,22\n"
ROWS = [("alpha", 1), ("beta", 22)]
NAMES = ["/data/table.csv", "/linked/table.csv", "/link.csv", "/up.csv"]


def imported(name: str) -> Any:
    """Give a package, or skip the test; what it warns of when it is imported is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed")


def parquet(first: int, rows: int) -> bytes:
    """Give a table of numbers as Parquet, in row groups of a hundred."""
    arrow = imported("pyarrow")
    written = io.BytesIO()
    table = arrow.table({"number": list(range(first, first + rows))})
    imported("pyarrow.parquet").write_table(table, written, row_group_size=100)
    return written.getvalue()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an image whose tables a second layer replaces in part."""
    lower = [
        directory("data"),
        file("data/table.csv", "name,count\nold,0\n"),
        file("data/numbers/1.parquet", parquet(0, 1000)),
        file("data/numbers/2.parquet", parquet(5000, 10)),
        symlink("linked", "data"),
        symlink("link.csv", "linked/table.csv"),
        symlink("up.csv", "../../../data/table.csv"),
    ]
    upper = [
        file("data/table.csv", CSV, mtime=1000),
        whiteout("data/numbers/2.parquet"),
        file("data/numbers/3.parquet", parquet(1000, 234)),
    ]
    path = tmp_path_factory.mktemp("tables") / "tables.tar"
    path.write_bytes(oci_archive(ImageDescription([lower, upper]), codec="gzip"))
    return path


@pytest.fixture
def fs(archive: Path) -> Any:
    return fsspec.filesystem("layers", fo=archive)


def real_images() -> Iterator[tuple[Path, str]]:
    """Give files of users in real images, one of them through a link with ``..``."""
    yield HERE / "images" / "dup-layers.docker-save.tar", "/etc/passwd"
    yield SHARED / "debian-small.oci-gzip.tar", "/etc/passwd"
    yield SHARED / "debian-small.oci-gzip.tar", "/srv/zoo/l-dotdot"


@pytest.fixture(params=real_images(), ids=lambda case: f"{case[0].name} {case[1]}")
def real(request: pytest.FixtureRequest) -> tuple[Any, str, list[str]]:
    """Give a filesystem over a real image, the path of its users, and their names."""
    source, path = request.param
    if not source.exists():
        pytest.skip(f"{source.name} is not here; UNIONLAYERS_IMAGES names its folder")
    with open_image(source) as image:
        lines = image.path("/etc/passwd").read_text().splitlines()
    assert lines
    return fsspec.filesystem("layers", fo=source), path, [line.split(":")[0] for line in lines]


# -- pandas ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", NAMES)
def test_pandas_reads_a_table_by_its_url(archive: Path, path: str) -> None:
    pandas = imported("pandas")
    chained = pandas.read_csv(f"layers:/{path}::file://{archive}")
    assert list(chained.itertuples(index=False, name=None)) == ROWS
    options = {"fo": str(archive)}
    again = pandas.read_csv(f"layers://{path}", storage_options=options)
    assert again.equals(chained)


def test_pandas_reads_parquet_and_refuses_to_write(archive: Path, fs: Any) -> None:
    pandas = imported("pandas")
    table = pandas.read_parquet("/data/numbers/1.parquet", filesystem=fs)
    assert table["number"].sum() == sum(range(1000))
    with pytest.raises(OSError, match="read-only"):
        table.to_csv("layers://new.csv", storage_options={"fo": str(archive)})


def test_pandas_reads_a_real_image(real: tuple[Any, str, list[str]]) -> None:
    fs, path, users = real
    pandas = imported("pandas")
    with fs.open(path) as opened:
        table = pandas.read_csv(opened, sep=":", header=None)
    assert list(table[0]) == users


# -- pyarrow ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/data/numbers", "/linked/numbers"])
def test_a_dataset_of_pyarrow_has_the_files_of_the_union(fs: Any, path: str) -> None:
    dataset = imported("pyarrow.dataset").dataset(path, filesystem=fs, format="parquet")
    assert [name.rpartition("/")[2] for name in dataset.files] == ["1.parquet", "3.parquet"]
    numbers = dataset.to_table()["number"].to_pylist()
    assert sorted(numbers) == list(range(1234))
    field = imported("pyarrow.compute").field("number")
    assert dataset.count_rows(filter=field >= 990) == 244


@pytest.mark.parametrize("path", NAMES)
def test_pyarrow_reads_a_table(fs: Any, path: str) -> None:
    dataset = imported("pyarrow.dataset").dataset(path, filesystem=fs, format="csv")
    assert [tuple(row.values()) for row in dataset.to_table().to_pylist()] == ROWS


def test_pyarrow_reads_a_real_image(real: tuple[Any, str, list[str]]) -> None:
    fs, path, users = real
    csv = imported("pyarrow.csv")
    form = imported("pyarrow.dataset").CsvFileFormat(
        parse_options=csv.ParseOptions(delimiter=":"),
        read_options=csv.ReadOptions(autogenerate_column_names=True),
    )
    dataset = imported("pyarrow.dataset").dataset(path, filesystem=fs, format=form)
    assert dataset.to_table()["f0"].to_pylist() == users


# -- DuckDB ----------------------------------------------------------------------------------------


@pytest.fixture
def duck() -> Iterator[Any]:
    connection = imported("duckdb").connect()
    yield connection
    connection.close()


@pytest.mark.parametrize("path", NAMES)
def test_duckdb_reads_a_table(duck: Any, fs: Any, path: str) -> None:
    duck.register_filesystem(fs)
    assert duck.sql(f"select * from read_csv('layers://{path}')").fetchall() == ROWS


def test_duckdb_reads_parquet_by_pattern(duck: Any, fs: Any) -> None:
    duck.register_filesystem(fs)
    query = "select count(*), sum(number) from read_parquet('layers:///data/numbers/*.parquet')"
    assert duck.sql(query).fetchall() == [(1234, sum(range(1234)))]


def test_duckdb_reads_a_real_image(duck: Any, real: tuple[Any, str, list[str]]) -> None:
    fs, path, users = real
    duck.register_filesystem(fs)
    query = f"select column0 from read_csv('layers://{path}', delim=':', header=false)"
    assert [row[0] for row in duck.sql(query).fetchall()] == users


# -- universal-pathlib -----------------------------------------------------------------------------


@pytest.fixture
def upath() -> Callable[..., Any]:
    """Give the class; that it knows no class of its own for images is what it warns of."""
    kind = imported("upath").UPath

    def made(*args: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="upath")
            return kind(*args, **options)

    return made


@pytest.mark.filterwarnings("ignore:UPath.*:UserWarning")
def test_universal_pathlib_reads_an_image(archive: Path, upath: Callable[..., Any]) -> None:
    root = upath("layers:///", fo=str(archive))
    assert [path.name for path in root.iterdir()] == ["data", "link.csv", "linked", "up.csv"]
    for path in NAMES:
        assert (root / path[1:]).read_text() == CSV
    assert (root / "linked").is_dir()
    assert (root / "link.csv").is_file()
    assert not (root / "none").exists()
    assert sorted(path.name for path in (root / "data").glob("**/*.parquet")) == [
        "1.parquet", "3.parquet",
    ]  # fmt: skip
    assert (root / "data" / "table.csv").stat().st_size == len(CSV)
    with pytest.raises(OSError, match="read-only"):
        (root / "new").write_text("x")
    again = pickle.loads(pickle.dumps(root / "link.csv"))
    assert again.read_text() == CSV


@pytest.mark.filterwarnings("ignore:UPath.*:UserWarning")
def test_universal_pathlib_reads_a_real_image(
    real: tuple[Any, str, list[str]], upath: Callable[..., Any]
) -> None:
    fs, path, users = real
    found = upath(f"layers://{path}", fo=fs.storage_options["fo"])
    assert [line.split(":")[0] for line in found.read_text().splitlines()] == users


# -- Dask ------------------------------------------------------------------------------------------


def test_the_example_maps_a_function_over_many_images_with_one_index_store(tmp_path: Path) -> None:
    imported("distributed")
    images = []
    for number in range(4):
        release = f'NAME="Test {number}"\n'
        layers = [
            [
                file("usr/lib/os-release", release),
                symlink("etc/os-release", "../usr/lib/os-release"),
            ],
            [file(f"srv/{name}", "x" * name) for name in range(number)],
        ]
        path = tmp_path / f"image{number}.tar"
        build = docker_archive if number % 2 else oci_archive
        path.write_bytes(build(ImageDescription(layers), codec="gzip"))
        images.append(path)
    broken = tmp_path / "broken.tar"
    broken.write_bytes(b"")
    store = tmp_path / "store"
    done = subprocess.run(
        [sys.executable, "examples/many_images.py", "--index-store", str(store), *map(str, images),
         str(broken)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines() == [
        *(
            f"{path}: Test {number}, {number + 1} files, {size} bytes, 1 links"
            for number, (path, size) in enumerate(zip(images, (14, 14, 15, 17), strict=True))
        ),
        f"{broken}: UnknownFormatError: {done.stdout.splitlines()[-1].partition('Error: ')[2]}",
    ]
    # One store has the records of all layers of all images.
    assert sum(1 for name in store.rglob("*.index") if name.is_file()) >= len(images)
