"""The inference config of a MONAI bundle, read as data: classes by an allow-list, expressions by a tiny grammar, no imports.

MONAI itself builds whatever ``_target_`` names and evaluates whatever follows a ``$``. Here any name outside the lists and any
expression beyond numbers, texts, lists and arithmetic on them is a reason to refuse the whole bundle.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from models.runtimes.bundle import NETWORKS
from node.store.errors import ConfigurationError

STEPS: Final = frozenset(
    {"Orientationd", "Spacingd", "ScaleIntensityRanged", "ScaleIntensityd", "NormalizeIntensityd"}
    | {"Activationsd", "AsDiscreted"}
)
"""Transforms that are read and done here."""
IGNORED: Final = frozenset(
    {"Compose", "LoadImaged", "EnsureChannelFirstd", "EnsureTyped", "ToTensord", "ToDeviced", "Invertd", "SaveImaged"}
    | {"Dataset", "CacheDataset", "DataLoader", "CheckpointLoader", "StatsHandler", "SupervisedEvaluator"}
)
"""Known, and not needed: never built."""
INFERERS: Final = frozenset({"SlidingWindowInferer", "SimpleInferer"})
_ALLOWED: Final = frozenset(NETWORKS) | STEPS | IGNORED | INFERERS
_REFERENCE: Final = re.compile(r"@([A-Za-z_][A-Za-z0-9_]*(?:(?:::|#)[A-Za-z0-9_]+)*)")
_ARITHMETIC: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
}
_DEPTH: Final = 20


class BundleConfig:
    """A config that has been checked from end to end.

    Parameters
    ----------
    content
        Parsed JSON.

    Raises
    ------
    ConfigurationError
        Where it names a class that is not on the lists, or holds an expression beyond the grammar; the message says where.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content
        self._check(content, "")

    def get(self, key: str) -> Any:
        """The value of a key of the top level with references and expressions worked out; None where there is none.

        Raises
        ------
        ConfigurationError
            Where a reference leads nowhere or round in a circle.
        """
        return self._resolve(self._content.get(key), 0)

    def _check(self, node: Any, place: str) -> None:
        if isinstance(node, Mapping):
            if "_target_" in node:
                class_of(node, place)
            for key, value in node.items():
                self._check(value, f"{place}::{key}" if place else str(key))
        elif isinstance(node, list):
            for index, value in enumerate(node):
                self._check(value, f"{place}::{index}")
        elif isinstance(node, str) and node.startswith("$"):
            _parse(node, place)
        elif isinstance(node, str) and node.startswith("%"):
            raise ConfigurationError(f"{place}: {node!r} is a macro, which is not read")

    def _resolve(self, node: Any, depth: int) -> Any:
        if depth > _DEPTH:
            raise ConfigurationError("references of the bundle's config lead round in a circle, or too deep")
        if isinstance(node, Mapping):
            return {key: self._resolve(value, depth + 1) for key, value in node.items()}
        if isinstance(node, list):
            return [self._resolve(value, depth + 1) for value in node]
        if isinstance(node, str) and node.startswith("@"):
            return self._refer(node[1:], depth)
        if isinstance(node, str) and node.startswith("$"):
            tree, names = _parse(node, node)
            return _evaluate(tree, {name: self._refer(path, depth) for name, path in names.items()})
        return node

    def _refer(self, path: str, depth: int) -> Any:
        node: Any = self._content
        for part in re.split("::|#", path):
            node = self._resolve(node, depth + 1) if isinstance(node, str) else node
            try:
                node = node[int(part)] if isinstance(node, list) else node[part]
            except (KeyError, IndexError, ValueError, TypeError) as missing:
                raise ConfigurationError(f"the bundle's config refers to {path}, which is not in it") from missing
        return self._resolve(node, depth + 1)


def class_of(node: Mapping[str, Any], place: str) -> str:
    """The class that ``_target_`` names, without its module.

    Raises
    ------
    ConfigurationError
        Where it is not on the lists.
    """
    target = node["_target_"]
    module, _, name = str(target).rpartition(".")
    if not isinstance(target, str) or name not in _ALLOWED or (module and module.split(".")[0] != "monai"):
        raise ConfigurationError(f"{place}: class {target} is not one that a bundle may name here; refused, nothing was run")
    return name


def _parse(text: str, place: str) -> tuple[ast.expr, dict[str, str]]:
    """The expression, and what its names refer to."""
    names: dict[str, str] = {}

    def put(match: re.Match[str]) -> str:
        names[f"_reference_{len(names)}"] = match[1]
        return f"_reference_{len(names) - 1}"

    refusal = ConfigurationError(
        f"{place}: {text[:80]!r} would run code; a bundle may hold numbers, lists, references and arithmetic on them. Refused, "
        "nothing was run. What is read is network_def, preprocessing, inferer and postprocessing: other keys may be taken out"
    )
    if len(text) > 2000:
        raise refusal
    try:
        tree = ast.parse(_REFERENCE.sub(put, text[1:]).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as broken:
        raise refusal from broken
    known = (ast.Constant, ast.List, ast.Tuple, ast.UnaryOp, ast.BinOp, ast.Name, ast.Load, ast.USub, *_ARITHMETIC)
    for node in ast.walk(tree):
        if not isinstance(node, known) or (isinstance(node, ast.Name) and node.id not in names):
            raise refusal
    return tree, names


def _evaluate(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [_evaluate(one, names) for one in node.elts]
    if isinstance(node, ast.UnaryOp):
        return -_number(_evaluate(node.operand, names))
    if isinstance(node, ast.BinOp):
        left, right = _number(_evaluate(node.left, names)), _number(_evaluate(node.right, names))
        try:
            return _ARITHMETIC[type(node.op)](left, right)
        except ZeroDivisionError as nothing:
            raise ConfigurationError("an expression of the bundle's config divides by zero") from nothing
    raise ConfigurationError("an expression of the bundle's config is none that is read")


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError("arithmetic in a bundle's config is for numbers only")
    return value
