"""The xattr ``security.capability`` as text."""

from __future__ import annotations

import struct

__all__ = ["CAPABILITIES", "capabilities", "capability_text"]

_NAMES = (
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
)
CAPABILITIES = tuple(f"cap_{name}" for name in _NAMES)
"""The names of all capabilities, as libcap spells them, by their number."""

_WORDS = {0x01000000: 1, 0x02000000: 2, 0x03000000: 2}


def capability_text(value: bytes) -> str | None:
    """
    Give file capabilities in the notation of cap_to_text(3), such as ``cap_net_raw=ep``.

    Returns:
        The text, or None where the bytes are no capability of version 1, 2 or 3.

    Source:
        linux/capability.h, ``struct vfs_cap_data``; the spelling of libcap.

    Example:
        >>> capability_text(bytes.fromhex("0100000200200000000000000000000000000000"))
        'cap_net_raw=ep'
    """
    sets = _sets(value)
    if sets is None:
        return None
    permitted, inheritable, effective = sets
    groups: dict[str, list[str]] = {}
    for number in range(64):
        flags = ""
        if permitted >> number & 1 or inheritable >> number & 1:
            flags = "e" if effective else ""
        if inheritable >> number & 1:
            flags += "i"
        if permitted >> number & 1:
            flags += "p"
        if flags:
            name = _NAMES[number] if number < len(_NAMES) else str(number)
            groups.setdefault(flags, []).append(f"cap_{name}")
    text = " ".join(f"{','.join(names)}={flags}" for flags, names in groups.items())
    if len(value) >= 24 and value[3] == 0x03:
        root = int.from_bytes(value[20:24], "little")
        if root:
            text += f" [rootid={root}]"
    return text


def capabilities(value: bytes) -> frozenset[str]:
    """Give the names of what is permitted or inheritable; empty where the bytes say nothing."""
    sets = _sets(value)
    if sets is None:
        return frozenset()
    either = sets[0] | sets[1]
    return frozenset(name for number, name in enumerate(CAPABILITIES) if either >> number & 1)


def _sets(value: bytes) -> tuple[int, int, bool] | None:
    """Give the permitted and inheritable sets and whether they are effective."""
    if len(value) < 4:
        return None
    magic = int.from_bytes(value[:4], "little")
    words = _WORDS.get(magic & 0xFF000000)
    if words is None or len(value) < 4 + 8 * words:
        return None
    numbers = struct.unpack_from(f"<{2 * words}I", value, 4)
    permitted = sum(number << 32 * i for i, number in enumerate(numbers[::2]))
    inheritable = sum(number << 32 * i for i, number in enumerate(numbers[1::2]))
    return permitted, inheritable, bool(magic & 1)
