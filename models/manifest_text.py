"""A manifest's content as the text of a ``model.toml``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value]"


def render(content: Mapping[str, Value]) -> str:
    """TOML: plain values first, then tables, then lists of tables.

    Raises
    ------
    TypeError
        Where a value has no form in TOML.
    """
    lines = [f"{_key(key)} = {inline(value)}" for key, value in content.items() if not _is_table(value) and not _is_tables(value)]
    for key, value in content.items():
        if isinstance(value, Mapping):
            lines += ["", f"[{_key(key)}]", *(f"{_key(name)} = {inline(one)}" for name, one in value.items())]
    for key, value in content.items():
        if _is_tables(value) and isinstance(value, Sequence):
            for table in value:
                if isinstance(table, Mapping):
                    lines += ["", f"[[{_key(key)}]]", *(f"{_key(name)} = {inline(one)}" for name, one in table.items())]
    return "\n".join(lines) + "\n"


def _is_table(value: Value) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: Value) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and bool(value)
        and all(isinstance(one, Mapping) for one in value)
    )


def _key(name: str) -> str:
    bare = name.replace("_", "").replace("-", "")
    return name if bare.isascii() and bare.isalnum() else json.dumps(name)


def inline(value: Value) -> str:
    """TOML of a value, on one line.

    Raises
    ------
    TypeError
        Where it has no form in TOML.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's too, but for characters above U+FFFF, which stay as they are
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {inline(one)}" for name, one in value.items()) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(inline(one) for one in value) + "]"
    raise TypeError(f"{type(value).__name__} has no form in TOML")
