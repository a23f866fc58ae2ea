"""The strata of the package, read from its imports: what is written down is enforced here."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from attrs import frozen

PACKAGE = "unionlayers"
ROOT = Path(__file__).resolve().parent.parent / "src" / PACKAGE

# From the lowest up; a module may import its own stratum and those before it.
STRATA = ("_foundation", "_bytes", "_codec", "_tar", "_layers", "_image", "_views", "_cli")
FOUNDATION_MODULES = {"errors"}
# The public face: it re-exports, and nothing inside may import it.
FACE = {"", "__main__"}
# Builders for tests, here and elsewhere: they must not lean on the readers they test.
BUILDERS = "testing"

ONLY_IMPORTER_OF_FS = "_views._pyfilesystem"
ONLY_IMPORTER_OF_FSSPEC = "_views.fsspec._fsspec"
LONGEST_MODULE = 450
FORBIDDEN_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "base",
    "manager",
    "core",
    "misc",
}
# What ``Image.fs`` and ``Image.path`` give is named in annotations, for the type checker alone.
TYPES_FROM_ABOVE = {("_image", "_views")}
# What only the command line imports, which is its extra.
ONLY_FOR_THE_COMMAND_LINE = {"click", "platformdirs", "rich"}
# Costly or optional: a module imports them inside the function that needs them, or not at all.
NEVER_AT_IMPORT = {"numpy", "pandas", "pkg_resources", "setuptools", "tarfile"}


def modules(root: Path) -> dict[str, str]:
    """Give the source of each module below *root* by its dotted name inside the package."""
    sources = {}
    for path in sorted(root.rglob("*.py")):
        parts = list(path.relative_to(root).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        sources[".".join(parts)] = path.read_text(encoding="utf-8")
    return sources


def stratum(module: str) -> int | None:
    """Give the rank of a module's stratum, None for the face and the builders."""
    first = module.split(".", maxsplit=1)[0]
    if first in FOUNDATION_MODULES:
        return 0
    return STRATA.index(first) if first in STRATA else None


@frozen
class Import:
    """One import: whether importing the module does it, and whether only a type checker does."""

    name: str
    at_import: bool
    for_types: bool


def imports(module: str, tree: ast.Module, names: Mapping[str, str]) -> Iterator[Import]:
    """Yield each import of a module."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    in_function = {id(n) for o in ast.walk(tree) if isinstance(o, functions) for n in ast.walk(o)}
    for_types = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.If)
        and isinstance(outer.test, ast.Name)
        and outer.test.id == "TYPE_CHECKING"
        for statement in outer.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        typed = id(node) in for_types
        at_import = id(node) not in in_function and not typed
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, at_import, typed)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import in line {node.lineno}"
            origin = node.module or ""
            for alias in node.names:
                inside = f"{origin}.{alias.name}".removeprefix(f"{PACKAGE}.")
                name = f"{PACKAGE}.{inside}" if inside in names else origin
                yield Import(name, at_import, typed)


def view_of(module: str) -> str:
    """Give the view that a module of the views belongs to: its first part inside the stratum."""
    return module.split(".")[1] if "." in module else ""


def breaches(sources: Mapping[str, str]) -> list[str]:
    """Name each breach of the rules in the modules *sources*."""
    found = []
    for module, text in sources.items():
        tree = ast.parse(text)
        shown = module or PACKAGE
        if ast.get_docstring(tree) is None:
            found.append(f"{shown}: no docstring")
        holds_code = any(
            not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            for node in tree.body
        )
        if holds_code and not any(
            isinstance(target, ast.Name) and target.id == "__all__"
            for node in tree.body
            for target in (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else []
            )
        ):
            found.append(f"{shown}: no __all__")
        if (lines := text.count("\n")) > LONGEST_MODULE:
            found.append(f"{shown}: {lines} lines")
        if FORBIDDEN_NAMES & {part.strip("_") for part in module.split(".")}:
            found.append(f"{shown}: a name that says nothing")
        for imported in imports(module, tree, sources):
            found.extend(f"{shown}: {fault}" for fault in faults(module, imported))
    return found


def faults(module: str, imported: Import) -> Iterator[str]:
    """Yield what is wrong with one import."""
    top = imported.name.split(".", maxsplit=1)[0]
    if top == "fs" and module != ONLY_IMPORTER_OF_FS:
        yield "imports fs"
    if top == "fsspec" and module != ONLY_IMPORTER_OF_FSSPEC:
        yield "imports fsspec"
    if top in ONLY_FOR_THE_COMMAND_LINE and module.split(".", maxsplit=1)[0] != "_cli":
        yield f"imports {top}"
    if top == "rich" and imported.at_import:
        yield "imports rich at import"
    if top in NEVER_AT_IMPORT and imported.at_import:
        yield f"imports {top} at import"
    if top != PACKAGE:
        return
    target = imported.name.removeprefix(PACKAGE).removeprefix(".")
    own, other = stratum(module), stratum(target)
    if module in FACE:
        return
    if target in FACE:
        yield "imports the public face"
    elif target.split(".")[0] == BUILDERS:
        if module.split(".", maxsplit=1)[0] != BUILDERS:
            yield "imports the builders"
    elif module.split(".", maxsplit=1)[0] == BUILDERS:
        if other != 0:
            yield f"imports {target}, which the builders are to test"
    elif own is None or other is None:
        yield f"imports {target}, and one of the two is in no stratum"
    elif other > own:
        rooms = (module.split(".", maxsplit=1)[0], target.split(".", maxsplit=1)[0])
        if not (imported.for_types and rooms in TYPES_FROM_ABOVE):
            yield f"imports {target} from a stratum above"
    elif (
        own == other == STRATA.index("_views")
        and view_of(module) != view_of(target)
        and target != ONLY_IMPORTER_OF_FS
        and not shared_stand_in(module, target)
    ):
        yield f"imports {target}, another view"


def shared_stand_in(module: str, target: str) -> bool:
    """Tell whether *target* is the part of the PyFilesystem view that its own modules share."""
    return {view_of(module), view_of(target)} <= PYFILESYSTEM_VIEW


# The one view that has several modules beside each other.
PYFILESYSTEM_VIEW = {
    "_pyfilesystem",
    "errors",
    "info",
    "opener",
    "read_only",
    "reading",
    "union_export",
    "union_find",
    "union_fs",
    "view_url",
    "walker",
}


def test_the_package_keeps_its_own_rules() -> None:
    sources = modules(ROOT)
    assert len(sources) > 10
    assert breaches(sources) == []


def test_every_name_in_an_all_exists_and_is_listed_once() -> None:
    wrong = []
    for module, text in modules(ROOT).items():
        for node in ast.parse(text).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if module in FACE:
                continue  # it takes the error tree's names over; test_import.py looks at it
            if any(isinstance(name, ast.Name) and name.id == "__all__" for name in targets):
                names = list(ast.literal_eval(node.value))
                if len(names) != len(set(names)):
                    wrong.append(f"{module}: a name stands twice in __all__")
    assert wrong == []


HEADER = '"""Says what it is for."""\n\n__all__ = ["x"]\n'

PLANTED = {
    "codec imports tar": {
        "_codec.gzip": HEADER + "from unionlayers._tar.reader import x\n",
        "_tar.reader": HEADER,
    },
    "codec imports tar inside a function": {
        "_codec.gzip": HEADER + "def f():\n    import unionlayers._tar.reader\n",
        "_tar.reader": HEADER,
    },
    "tar imports a module of layers by name": {
        "_tar.reader": HEADER + "from unionlayers._layers import union\n",
        "_layers": '"""Layers."""\n',
        "_layers.union": HEADER,
    },
    "foundation imports bytes": {
        "_foundation.names": HEADER + "import unionlayers._bytes.file\n",
    },
    "errors import the layers": {"errors": HEADER + "import unionlayers._layers.union\n"},
    "a module imports the public face": {"_tar.reader": HEADER + "import unionlayers\n"},
    "a module imports the builders": {
        "_tar.reader": HEADER + "from unionlayers.testing.layer import x\n",
    },
    "the builders import a reader": {
        "testing.layer": HEADER + "from unionlayers._tar.reader import x\n",
    },
    "a second module imports fs": {"_views.fuse": HEADER + "from fs.base import FS\n"},
    "a module imports fs inside a function": {"_image.image": HEADER + "def f():\n    import fs\n"},
    "a second module imports fsspec": {"_views.fsspec.tree": HEADER + "import fsspec\n"},
    "a view imports the command line": {
        "_views.mount": HEADER + "import unionlayers._cli.entry\n",
        "_cli.entry": HEADER,
    },
    "a view imports click": {"_views.mount": HEADER + "def f():\n    import click\n"},
    "the command line imports rich at import": {"_cli.tree": HEADER + "import rich.table\n"},
    "one view imports another": {
        "_views.fuse": HEADER + "from unionlayers._views.path import x\n",
        "_views.path": HEADER,
    },
    "tar takes a type from the layers": {
        "_tar.reader": HEADER + "if TYPE_CHECKING:\n    import unionlayers._layers.union\n",
    },
    "image imports a view for more than its type": {
        "_image.image": HEADER + "from unionlayers._views.path import x\n",
    },
    "tarfile at import": {"_tar.reader": HEADER + "import tarfile\n"},
    "numpy at import": {"_tar.index": HEADER + "import numpy as np\n"},
    "a module in no stratum": {"extra": HEADER + "import unionlayers._tar.reader\n"},
    "a module of 451 lines": {"_tar.reader": HEADER + "x = 1\n" * 448},
    "no docstring": {"_tar.reader": '__all__ = ["x"]\n'},
    "no __all__": {"_tar.reader": '"""Reads."""\nx = 1\n'},
    "a name that says nothing": {"_tar.utils": HEADER},
    "a private name that says nothing": {"_tar._helpers": HEADER},
}


@pytest.mark.parametrize("sources", PLANTED.values(), ids=PLANTED)
def test_the_check_goes_red_when(sources: dict[str, str]) -> None:
    assert len(breaches(sources)) == 1


def test_the_check_lets_what_is_right_pass() -> None:
    sources = {
        "": HEADER + "from unionlayers._tar.reader import x\n",
        "_tar": '"""Reads tar."""\n',
        "_tar.reader": HEADER + "import os\nfrom unionlayers._tar import header\n",
        "_tar.header": HEADER + "from unionlayers.errors import x\n",
        "_tar.times": '"""Annotated."""\n__all__: list[str] = []\ndef f():\n    import numpy\n',
        "_views._pyfilesystem": HEADER + "import fs.base\n",
        "_views.mount": HEADER + "from unionlayers._views._pyfilesystem import x\n",
        "_image.image": HEADER + "if TYPE_CHECKING:\n    from unionlayers._views.path import x\n",
        "errors": HEADER,
        "testing.layer": HEADER + "from unionlayers._foundation.digest import x\n",
    }
    assert breaches(sources) == []


def test_relative_imports_are_refused() -> None:
    with pytest.raises(AssertionError, match="relative import"):
        breaches({"_tar.reader": HEADER + "from . import header\n"})
