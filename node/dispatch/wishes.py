"""What routes want fetched for a study that they match."""

from __future__ import annotations

from collections.abc import Sequence

from node.store.ports import Fetches
from node.store.records import Outcome, StackPlan, Wanted
from node.store.settings import Settings


class Wishes:
    """Writes the wishes of the routes by which something of a study is read.

    Parameters
    ----------
    settings
        The routes.
    fetches
        Port of the catalog; a wish that was made before is not made again.
    """

    def __init__(self, settings: Settings, fetches: Fetches) -> None:
        self._routes = {route.name: route for route in reversed(settings.routes) if route.archive}
        self._fetches = fetches

    def __call__(self, study_uid: str, stacks: Sequence[StackPlan]) -> None:
        """Wish for what the routes of the chosen models want."""
        chosen = {one.route for plan in stacks for one in plan.decisions if one.outcome is Outcome.CHOSEN}
        for name in sorted(chosen & self._routes.keys()):
            route = self._routes[name]
            if route.fetch and route.archive:
                self._fetches.want(study_uid, Wanted.STUDY, route.archive)
            if route.priors and route.archive:
                self._fetches.want(study_uid, Wanted.PRIORS, route.archive, route.priors)
