"""
Run one fuzz target under atheris: ``python fuzz/run.py TARGET [options of libFuzzer]``.

What the fuzzer comes upon on its way is kept in ``build/fuzz``; what it finds, too, as
``build/fuzz/TARGET-crash-...``.  A finding goes into ``fuzz/corpus/TARGET`` when it is mended.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

__all__ = ["main"]

HERE = Path(__file__).resolve().parent
WORK = HERE.parent / "build" / "fuzz"


def main(words: list[str]) -> None:
    """Fuzz the target that the first word names."""
    sys.path.insert(0, str(HERE))
    with atheris.instrument_imports(include=["unionlayers"]):
        from targets import TARGETS
    if len(words) < 2 or words[1] not in TARGETS:
        sys.exit(f"usage: {words[0]} {{{','.join(TARGETS)}}} [options of libFuzzer]")
    name = words[1]
    found = WORK / name
    found.mkdir(parents=True, exist_ok=True)
    words_of = HERE / f"{name}.dict"
    known = [f"-dict={words_of}"] if words_of.exists() else []
    options = [
        *known,
        "-timeout=30",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={found}-",
        *words[2:],
    ]
    atheris.Setup([words[0], *options, str(found), str(HERE / "corpus" / name)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
