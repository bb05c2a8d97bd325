"""Whether the routes can be used, and whether each model has its weights."""

from __future__ import annotations

from collections.abc import Iterator

from models.approval import check_approved, is_shipped, read_approvals
from models.manifest import CODE, Manifest, read_library
from node.check.verdict import Checked, fault, note, ok
from node.store.errors import HashMismatch, OverreadError
from node.store.settings import Settings


def check_rules(settings: Settings) -> Iterator[Checked]:
    """Load the models' own input selection and the routes, as the dispatcher will."""
    from node.studies.plan import Planner

    try:
        Planner(settings, read_library(*settings.all_model_folders))
    except OverreadError as wrong:
        yield fault("configuration", "routes", str(wrong), "correct the rule; docs/configuration.md lists the facts")
    else:
        said = f"{len(settings.routes)} in order" if settings.routes else "none: each model's own input selection decides"
        yield ok("configuration", "routes", said)


def check_models(settings: Settings) -> Iterator[Checked]:
    """See whether each model's weights are here and are the right ones; nothing is fetched."""
    try:
        library = read_library(*settings.all_model_folders)
    except OverreadError as wrong:
        yield fault("weights", "models", str(wrong), "correct the model's folder")
        return
    for manifest in library.values():
        yield _weights(manifest, settings)
        if manifest.runtime in CODE and not is_shipped(manifest):
            yield _approval(manifest, settings)


def _approval(manifest: Manifest, settings: Settings) -> Checked:
    """Of an added model that brings code: whether the administrator approved that very code."""
    try:
        check_approved(manifest, read_approvals(settings.data))
    except OverreadError as wrong:
        return fault("approval", manifest.name, str(wrong), f"look at its files, then: overread models approve {manifest.name}")
    return ok("approval", manifest.name, "brings code of its own, approved as it is")


def _weights(manifest: Manifest, settings: Settings) -> Checked:
    from models.weights import ensure_weights

    if not manifest.weights:
        return ok("weights", manifest.name, "needs none")
    pull = f"overread models pull {manifest.name}"
    try:
        ensure_weights(manifest, settings.cache, settings.mirror, pull=False)
    except HashMismatch as wrong:
        return fault(
            "weights",
            manifest.name,
            str(wrong),
            f"delete that file, then: {pull}",
        )
    except OverreadError as missing:
        fetched = all(one.source for one in manifest.weights)
        if fetched and settings.pull:
            return note("weights", manifest.name, "are fetched at first use", f"fetch them now: {pull}")
        return fault("weights", manifest.name, str(missing), pull)
    return ok("weights", manifest.name, f"version {manifest.version}, SHA-256 right")
