"""Which models read a stack, which do not, and why: routes first, then each model's own input selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Final

from models.manifest import Manifest
from node.routing.rules import Rule, Sentence
from node.store.errors import ConfigurationError
from node.store.nearest import nearest
from node.store.records import Decision, Facts, Outcome
from node.store.settings import Route, Settings
from node.store.urgency import names

DEFAULT: Final = "default"
"""Name of the route where none is configured."""

ELSEWHERE: Final = "which is not on this node (see `overread models`): add it with `overread models add`"
"""What to do about a model that is not there; those for research never are before somebody adds them."""


@dataclass(frozen=True, slots=True)
class _Selection:
    """A model's input selection, compiled."""

    manifest: Manifest
    requirements: tuple[tuple[Rule, Sentence], ...]

    def objection(self, facts: Facts) -> str:
        """Why the model does not read such a stack; ``""`` where it does."""
        group = self.manifest.input.group
        if group != (facts.get("group") or ""):
            return f"reads {group or 'stacks one by one'}, this is {facts.get('group') or 'one stack'}"
        cycle = (facts.get("phases") or 1) > 1
        if cycle is not self.manifest.input.cycles:
            return (
                "reads single images and volumes, this is a cycle" if cycle else "reads cycles, this is one image or one volume"
            )
        for rule, otherwise in self.requirements:
            if not rule.holds(facts):
                return otherwise.fill(facts)
        least, here = self.manifest.input.minimum_slices, facts.get("slices") or 0
        return f"needs at least {least} slices, this stack has {here:g}" if here < least else ""


@dataclass(frozen=True, slots=True)
class _CompiledRoute:
    route: Route
    when: Rule

    def objection(self, facts: Facts, calling_ae: str, called_ae: str) -> str:
        """Why the route does not match; ``""`` where it does."""
        if not _matches(self.route.calling_ae, calling_ae):
            return f"it is for calling AE {', '.join(self.route.calling_ae)}, this came from {calling_ae}"
        if not _matches(self.route.called_ae, called_ae):
            return f"it is for called AE {', '.join(self.route.called_ae)}, this was sent to {called_ae}"
        if not self.when.holds(facts):
            return f"its condition {self.route.when} does not hold: {self.when.why_not(facts)}"
        return ""


@dataclass(slots=True)
class _Verdicts:
    """What was decided so far for one stack, by model."""

    by_model: dict[str, Decision] = field(default_factory=dict)

    def add(self, decision: Decision) -> None:
        """Keep a decision; a model chosen twice gets the destinations of both routes, and chosen goes before not chosen."""
        earlier = self.by_model.get(decision.model)
        if earlier is None or earlier.outcome is not Outcome.CHOSEN:
            self.by_model[decision.model] = decision
        elif decision.outcome is Outcome.CHOSEN:
            together = tuple(dict.fromkeys((*earlier.destinations, *decision.destinations)))
            self.by_model[decision.model] = replace(
                earlier, destinations=together, reason=f"{earlier.reason}; so did route {decision.route}"
            )


class Router:
    """All rules of settings and models, compiled once.

    Raises
    ------
    ConfigurationError
        Where a rule cannot be used, a route names a model that is not there, or a destination an urgent finding that no model
        rates (the nearest one is named).
    """

    def __init__(self, settings: Settings, library: Mapping[str, Manifest]) -> None:
        self._selections = {name: _compile(manifest) for name, manifest in sorted(library.items())}
        self._routes = tuple(_CompiledRoute(route, Rule(route.when, f"route {route.name}")) for route in settings.routes)
        self._destinations = tuple(destination.name for destination in settings.destinations)
        _check_urgent(settings, library)
        for route in settings.routes:
            for name in route.models or ():
                if name not in library:
                    raise ConfigurationError(f"route {route.name} names model {name}, {nearest(name, library, ELSEWHERE)}")

    def decide(self, facts: Facts, calling_ae: str, called_ae: str) -> tuple[Decision, ...]:
        """One decision for each model, in alphabetical order, chosen or not; a single one without a model where no route matches.

        Parameters
        ----------
        facts
            Of the stack (`node.routing.facts`).
        calling_ae, called_ae
            AE titles of the association that brought it.
        """
        if not self._routes:
            verdicts = _Verdicts()
            self._by_own_selection(facts, verdicts)
            return _sorted(verdicts)
        return self._by_routes(facts, calling_ae, called_ae)

    def _by_own_selection(self, facts: Facts, verdicts: _Verdicts) -> None:
        for name, selection in self._selections.items():
            if selection.manifest.unasked:
                verdicts.add(_not_chosen(name, selection.manifest.unasked, DEFAULT))
                continue
            objection = selection.objection(facts)
            verdicts.add(
                _not_chosen(name, objection, DEFAULT)
                if objection
                else self._chosen(selection, DEFAULT, "meets the model's own input selection", self._destinations)
            )

    def _by_routes(self, facts: Facts, calling_ae: str, called_ae: str) -> tuple[Decision, ...]:
        passed: list[str] = []
        matched: list[str] = []
        verdicts = _Verdicts()
        for compiled in self._routes:
            route = compiled.route
            objection = compiled.objection(facts, calling_ae, called_ae)
            if objection:
                passed.append(f"route {route.name} did not match: {objection}")
                continue
            matched.append(route.name)
            self._apply(route, facts, verdicts, "; ".join((f"route {route.name} matched", *passed)))
            if not route.also_next:
                break
        if not matched:
            return (_not_chosen("", "; ".join(passed), ""),)
        if not verdicts.by_model:
            return (_not_chosen("", f"route {matched[0]}: nothing is to be read", matched[0]),)
        for name, selection in self._selections.items():
            if name not in verdicts.by_model:
                why = "is for research only and not named by" if selection.manifest.research_only else "is not named by"
                verdicts.add(_not_chosen(name, f"{why} route {', '.join(matched)}", matched[0]))
        return _sorted(verdicts)

    def _apply(self, route: Route, facts: Facts, verdicts: _Verdicts, reason: str) -> None:
        named = (
            route.models
            if route.models is not None
            else tuple(name for name, selection in self._selections.items() if not selection.manifest.unasked)
        )
        destinations = self._destinations if route.destinations is None else route.destinations
        for name in named:
            selection = self._selections[name]
            objection = selection.objection(facts)
            verdicts.add(
                _not_chosen(name, objection, route.name)
                if objection
                else self._chosen(selection, route.name, reason, destinations)
            )

    def _chosen(self, selection: _Selection, route: str, reason: str, destinations: Sequence[str]) -> Decision:
        return Decision(
            model=selection.manifest.name,
            outcome=Outcome.CHOSEN,
            reason=reason,
            route=route,
            fingerprint=selection.manifest.fingerprint,
            destinations=tuple(destinations),
        )


def _check_urgent(settings: Settings, library: Mapping[str, Manifest]) -> None:
    rated = [(name, finding.key) for name, manifest in library.items() for finding in manifest.findings]
    for destination in settings.destinations:
        for pattern in destination.urgent:
            if not any(names(pattern, *one) for one in rated):
                known = ["/".join(one) for one in rated] if "/" in pattern else [key for _, key in rated]
                said = nearest(pattern, known, "no model rates one of that key")
                raise ConfigurationError(f"destination {destination.name}: urgent names finding {pattern}, {said}")


def _compile(manifest: Manifest) -> _Selection:
    where = f"model {manifest.name}"
    return _Selection(manifest, tuple((Rule(one.rule, where), Sentence(one.otherwise, where)) for one in manifest.input.require))


def _not_chosen(model: str, reason: str, route: str) -> Decision:
    return Decision(model=model, outcome=Outcome.NOT_CHOSEN, reason=reason, route=route)


def _sorted(verdicts: _Verdicts) -> tuple[Decision, ...]:
    return tuple(verdicts.by_model[name] for name in sorted(verdicts.by_model))


def _matches(patterns: Sequence[str], title: str) -> bool:
    return not patterns or any(fnmatchcase(title.strip(), pattern) for pattern in patterns)
