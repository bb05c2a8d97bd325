"""Rules over facts, checked when they are loaded: syntax, types and names; evaluated without ever raising."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any, Final

import rule_engine
from rule_engine.errors import EngineError, EvaluationError, SymbolResolutionError

from node.routing.facts import FACTS, Kind
from node.store.errors import ConfigurationError
from node.store.nearest import nearest
from node.store.records import Facts

MANUAL: Final = "see docs/configuration.md"

_TYPES: Final = {
    Kind.TEXT: rule_engine.DataType.STRING,
    Kind.TEXTS: rule_engine.DataType.ARRAY(rule_engine.DataType.STRING),
    Kind.NUMBER: rule_engine.DataType.FLOAT,
    Kind.TRUTH: rule_engine.DataType.BOOLEAN,
}
_EMPTY: Final[Mapping[Kind, Any]] = {Kind.TEXT: "", Kind.TEXTS: (), Kind.NUMBER: None, Kind.TRUTH: False}


class Rule:
    """One compiled expression.

    A number that the images do not state is null: ``slice_spacing_mm == null`` asks for it and ``slice_spacing_mm ?? 0`` gives it
    a value; where a rule compares it all the same, the rule does not hold, and `why_not` says which number is missing.

    Parameters
    ----------
    expression
        In the language of the library ``rule-engine``, e.g. ``modality == "CT" and slices >= 10``.
    where
        Where it stands, for the message, e.g. ``"route thorax"``.

    Raises
    ------
    ConfigurationError
        For a syntax error, an unknown name (the nearest right one is named), operands of the wrong type, or an expression that is
        neither true nor false.
    """

    def __init__(self, expression: str, where: str) -> None:
        self.expression = expression
        context = rule_engine.Context(
            type_resolver=rule_engine.type_resolver_from_dict({name: _TYPES[fact.kind] for name, fact in FACTS.items()})
        )
        try:
            self._rule = rule_engine.Rule(expression, context=context)
        except SymbolResolutionError as unknown:
            raise ConfigurationError(
                f"{where}: unknown fact {unknown.symbol_name} in {expression!r}, {nearest(unknown.symbol_name, FACTS, MANUAL)}"
            ) from unknown
        except EngineError as wrong:
            raise ConfigurationError(f"{where}: rule {expression!r} cannot be used: {wrong.message}") from wrong
        result = self._rule.statement.expression.result_type
        if result not in (rule_engine.DataType.BOOLEAN, rule_engine.DataType.UNDEFINED):
            raise ConfigurationError(f"{where}: rule {expression!r} is neither true nor false; compare it with something")
        self._names = tuple(sorted(context.symbols & FACTS.keys()))

    def holds(self, facts: Facts) -> bool:
        """Whether the expression is true of these facts."""
        try:
            return bool(self._rule.matches(_complete(facts)))
        except EvaluationError:
            return False

    def why_not(self, facts: Facts) -> str:
        """Name the facts that a rule which does not hold looked at."""
        missing = [name for name in self._names if FACTS[name].kind is Kind.NUMBER and facts.get(name) is None]
        if missing:
            return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not stated"
        told = ", ".join(f"{name} is {show(facts.get(name, _EMPTY[FACTS[name].kind]))}" for name in self._names)
        return told or "it is never true"


class Sentence:
    """A text with facts in braces, e.g. ``"reads CT, this is {modality}"``.

    Raises
    ------
    ConfigurationError
        Where the braces are not in pairs or name no fact.
    """

    def __init__(self, template: str, where: str) -> None:
        self._template = template
        try:
            names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
        except ValueError as wrong:
            raise ConfigurationError(f"{where}: {template!r}: {wrong}") from wrong
        for name in names:
            if name not in FACTS:
                raise ConfigurationError(f"{where}: unknown fact {name!r} in {template!r}, {nearest(name, FACTS, MANUAL)}")
        self._names = names

    def fill(self, facts: Facts) -> str:
        """Put the facts in."""
        return self._template.format_map({name: show(facts.get(name)) for name in self._names})


def show(value: Any) -> str:
    """A fact as a person reads it."""
    if value is None or value == "" or value in ([], ()):
        return "not stated"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "\\".join(str(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _complete(facts: Facts) -> dict[str, Any]:
    """All facts, the absent ones as the table says; rule-engine takes tuples for lists."""
    whole = {}
    for name, fact in FACTS.items():
        value = facts.get(name)
        value = _EMPTY[fact.kind] if value is None else value
        whole[name] = tuple(value) if fact.kind is Kind.TEXTS else value
    return whole
