"""
Unpack a tar with one tool and say what stands there; run as root by ``test_export.py``.

It runs in a mount namespace of its own, on a tmpfs that is gone with it::

    unshare --mount --propagation private python unpacked.py TOOL TAR PLACE FACTS
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from truth import describe

__all__ = ["main"]

WORDS = {
    "tar": ("tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf"),
    "bsdtar": ("bsdtar", "--numeric-owner", "--xattrs", "-xpf"),
}


def main(tool: str, archive: str, place: str, facts: str) -> None:
    """Write the facts of the tree, in the shape of ``truth.py``, as JSON."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755,size=1g", "tmpfs", place], check=True)
    os.umask(0o022)
    root = os.path.join(place, "root")
    os.mkdir(root, 0o755)
    done = subprocess.run(
        [*WORDS[tool], os.path.abspath(archive)],
        cwd=root,
        capture_output=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    tree = describe(root)
    said = (done.stdout + done.stderr).decode(errors="replace")
    Path(facts).write_text(json.dumps({"code": done.returncode, "said": said, "tree": tree}))


if __name__ == "__main__":
    main(*sys.argv[1:])
