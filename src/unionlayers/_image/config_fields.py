"""
Every field of an image's configuration, as one line each, for people and for comparing.

Source:
    container-diff, "metadata": its 24 fields come first, in its order and spelling; what a
    configuration has beyond them follows, and then what stands beside ``config`` in the document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["config_fields", "field_text"]

# container-diff's name of a field, and the name that the configuration has for it.
_FIELDS: dict[str, str] = {
    "Hostname": "Hostname",
    "Domainname": "Domainname",
    "User": "User",
    "AttachStdin": "AttachStdin",
    "AttachStdout": "AttachStdout",
    "AttachStderr": "AttachStderr",
    "ExposedPorts": "ExposedPorts",
    "Tty": "Tty",
    "OpenStdin": "OpenStdin",
    "StdinOnce": "StdinOnce",
    "Env": "Env",
    "Cmd": "Cmd",
    "ArgsEscaped": "ArgsEscaped",
    "Image": "Image",
    "Volumes": "Volumes",
    "Workdir": "WorkingDir",
    "Entrypoint": "Entrypoint",
    "NetworkDisabled": "NetworkDisabled",
    "MacAddress": "MacAddress",
    "OnBuild": "OnBuild",
    "Labels": "Labels",
    "StopSignal": "StopSignal",
    "StopTimeout": "StopTimeout",
    "Shell": "Shell",
}
_FLAGS = frozenset(
    {
        *("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"),
        *("ArgsEscaped", "NetworkDisabled"),
    }
)
_SETS = frozenset({"ExposedPorts", "Volumes"})
_BESIDE = frozenset({"config", "container_config", "history", "rootfs"})


def config_fields(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """
    Give the fields of a configuration with their values; None for what is absent or empty.

    What stands beside ``config`` in the document follows, with a slash where the name is taken,
    but for the history, the layers, and what Docker noted of the container that it was made from.

    Example:
        >>> fields = dict(config_fields({"os": "linux", "config": {"User": "app", "Tty": False}}))
        >>> fields["User"], fields["Tty"], fields["os"], len(fields)
        ('app', None, 'linux', 25)
    """
    found = document.get("config")
    config = found if isinstance(found, dict) else {}
    for name, key in _FIELDS.items():
        yield name, config.get(key) or None
    for key in sorted(config.keys() - set(_FIELDS.values())):
        yield key, config[key] or None
    for key in sorted(document.keys() - _BESIDE):
        taken = key in _FIELDS or key in config
        yield f"/{key}" if taken else key, document[key] or None


def field_text(name: str, value: Any) -> str:
    """
    Give a field as a line, absent ones as container-diff does.

    Example:
        >>> field_text("Env", ["A=1", "B=2"]), field_text("Tty", None)
        ('Env: A=1,B=2', 'Tty: false')
    """
    if name in _FLAGS and (value is None or value is True):
        return f"{name}: {str(value is True).lower()}"
    if name in _SETS and (value is None or isinstance(value, dict)):
        return f"{name}: [{' '.join(sorted(value or ()))}]"
    if name == "Labels" and (value is None or isinstance(value, dict)):
        pairs = sorted((value or {}).items())
        return f"{name}: [{' '.join(f'{key}:{_plain(text)}' for key, text in pairs)}]"
    if isinstance(value, list):
        return f"{name}: {','.join(map(_plain, value))}"
    return f"{name}: {'' if value is None else _plain(value)}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
