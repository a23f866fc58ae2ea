"""``python -m unionlayers`` is the command ``unionlayers``."""

from __future__ import annotations

from unionlayers._cli.entry import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
