"""Random damage to tar archives that gets past their checksums."""

from __future__ import annotations

import random

__all__ = ["mend", "with_damage"]


def mend(data: bytearray) -> None:
    """Give every block that could be a header the checksum it should have."""
    for at in range(0, len(data) - 511, 512):
        if data[at + 148 : at + 155].strip(b"01234567 \0") == b"" and any(data[at : at + 512]):
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])


def with_damage(data: bytes, chance: random.Random) -> bytes:
    """Flip bytes in blocks that look like headers or maps rather than in content."""
    out = bytearray(data)
    blocks = [at for at in range(0, len(out), 512) if out[at + 257 : at + 262] == b"ustar"]
    blocks = blocks or [0]
    for _ in range(chance.randint(1, 5)):
        block = chance.choice(blocks) + chance.choice((0, 0, 0, 512))
        at = min(block + chance.choice((*range(100, 160), chance.randrange(512))), len(out) - 1)
        out[at] = chance.choice((0, 32, 48, 49, 53, 55, 56, 120, 255, chance.randrange(256)))
    if chance.random() < 0.7:
        mend(out)
    if chance.random() < 0.2:
        del out[chance.randrange(len(out)) :]
    return bytes(out)
