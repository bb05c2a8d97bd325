"""One job into one result set: load the stack, ask the model, encode the answer, keep the objects in the spool."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from models.approval import read_approvals
from models.image import Image, Region
from models.manifest import Manifest, read_library
from models.prediction import Prediction
from models.runtime import Model, RatesOnly, answer, load_model
from models.weights import ensure_weights
from node.store.destinations import AnyDestination, Results
from node.store.errors import Permanent
from node.store.naming import OWN, SeriesNaming, closest
from node.store.profiles import usual
from node.store.records import Claim, Facts, ResultObject, ResultSet, Superseded
from node.store.settings import Settings
from node.store.spool import Spool
from workers.encode.encode import EncodedObject, encode, measure, summary
from workers.encode.identity import Kind, ResultIdentity
from workers.series.stack import load_group, load_stack

SUFFIXES: Final = {"hl7": ".hl7", "fhir": ".json"}
"""Of files that are no DICOM objects."""
RESULTS: Final = "results"
"""Folder of the spool that holds what we made."""

SHOW_HEAT: Final = frozenset({Kind.CAPTURE, Kind.HEAT_MAP})
"""Kinds of object that show a heat map; where nobody takes one, none is worked out."""


class Analyst:
    """Reads stacks with models; keeps loaded models for the next job. Lives in one process, the only one that knows torch.

    Parameters
    ----------
    settings
        Where weights are kept and whether they may be fetched; which device to use.
    library
        Models by name; the shipped ones and those of ``settings.all_model_folders`` by default.
    kinds
        Of object that somebody takes; by default what the destinations of the settings take.
    """

    def __init__(
        self, settings: Settings, library: Mapping[str, Manifest] | None = None, kinds: Collection[str] | None = None
    ) -> None:
        self._settings = settings
        self._sets = _sets(settings.destinations) if kinds is None else {OWN: frozenset(kinds)}
        self._extras = frozenset().union(*self._sets.values())
        self._urgent = {pattern for one in settings.destinations for pattern in one.urgent}
        self._library = read_library(*settings.all_model_folders) if library is None else library
        self._loaded: dict[str, Model] = {}

    def analyse(self, claim: Claim, spool: Spool) -> ResultSet:
        """Work on a claimed job and keep its objects, unpublished, in the spool.

        Objects lie in a folder of this very attempt, so that what an attempt that lost its lease left there harms nobody.

        Raises
        ------
        Refused
            Where the stack is not one that may be read.
        Permanent
            Where the model is not in the library, or not the one that the job was made for.
        """
        manifest = self._manifest(claim)
        identity = ResultIdentity(
            installation=claim.installation,
            study_uid=claim.study_uid,
            stack_key=claim.stack_key,
            model=manifest.name,
            version=manifest.version,
            fingerprint=manifest.fingerprint,
            revision=claim.revision,
            run=claim.run,
            created_at=claim.created_at,
        )
        objects, said = self.read(
            manifest, [Path(path) for path in claim.instance_paths], claim.facts, identity, superseded=claim.superseded
        )
        folder = f"{RESULTS}/{claim.study_uid}/{claim.job_id}.{claim.fence}"
        return ResultSet(tuple(_keep(spool, folder, made) for made in objects), said)

    def read(
        self,
        manifest: Manifest,
        paths: Sequence[Path],
        facts: Facts,
        identity: ResultIdentity,
        look: Callable[[Image, Prediction], None] | None = None,
        *,
        superseded: Superseded | None = None,
    ) -> tuple[tuple[EncodedObject, ...], Facts]:
        """Read one stack with one model, without catalog or spool.

        Parameters
        ----------
        paths
            The stack's instances, in slice order.
        facts
            Of the stack; where it is a part of a multi-frame object, ``frame_numbers`` says which. ``region``, row, column and
            radius in pixels, is what a person marked for a model that rates marked regions.
        look
            Shown the image and what the model answered, before anything is encoded.
        superseded
            Earlier results that these replace.

        Returns
        -------
        tuple
            The objects, encoded, and the summary for a table (`node.store.records.ResultSet.summary`).
        """
        phases = int(facts.get("phases") or 1)
        stack = load_group(paths) if facts.get("group") else load_stack(paths, facts.get("frame_numbers"), phases)
        marked = facts.get("region")
        image = replace(stack.image, region=Region(*marked)) if marked else stack.image
        prediction = answer(self._model(manifest), manifest, image)
        prediction = replace(prediction, notes=tuple(dict.fromkeys((*facts.get("notes", ()), *stack.notes, *prediction.notes))))
        if look is not None:
            look(image, prediction)
        measured = measure(prediction, stack.image, manifest)
        objects: list[EncodedObject] = []
        for naming, kinds in self._sets.items():
            made = encode(
                prediction,
                stack.image,
                stack.sources,
                manifest,
                replace(identity, naming=naming),
                frames=stack.frames,
                measured=measured,
                extras=kinds,
                superseded=_of_naming(superseded, naming),
                urgent=self._urgent,
            )
            objects += [one for one in made if not objects or one.kind in kinds]  # whole is the first set alone
        return tuple(objects), summary(prediction, measured, stack.sources, manifest)

    def _manifest(self, claim: Claim) -> Manifest:
        manifest = self._library.get(claim.model)
        if manifest is None:
            raise Permanent(f"model {claim.model} is not installed on this worker")
        if manifest.fingerprint != claim.fingerprint:
            raise Permanent(f"model {claim.model} has changed since this job was made: send the study again to have it read anew")
        return manifest

    def _model(self, manifest: Manifest) -> Model:
        if manifest.fingerprint not in self._loaded:
            weights = ensure_weights(manifest, self._settings.cache, self._settings.mirror, pull=self._settings.pull)
            loaded = load_model(manifest, weights, self._device(), read_approvals(self._settings.data))
            if isinstance(loaded, RatesOnly) and not SHOW_HEAT.intersection(kind.partition(".")[0] for kind in self._extras):
                loaded = loaded.rating_only()
            self._loaded[manifest.fingerprint] = loaded
        return self._loaded[manifest.fingerprint]

    def _device(self) -> str:
        if self._settings.device != "auto":
            return self._settings.device
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"


def _sets(destinations: Sequence[AnyDestination]) -> dict[SeriesNaming, frozenset[str]]:
    """By naming of their series: the kinds of object that destinations take, with what stands for one that cannot be made.

    Overread's own naming comes first, where any has it. Messages, which have no series, tell of the first set.
    """
    sets: dict[SeriesNaming, set[str]] = {}
    for one in sorted(destinations, key=lambda one: (not isinstance(one, Results), one.naming.key)):
        naming = one.naming if isinstance(one, Results) else next(iter(sets), OWN)
        sets.setdefault(naming, set()).update(one.wanted, one.replaced.values())
    return {naming: frozenset(kinds | {usual(kind) for kind in kinds}) for naming, kinds in sets.items()} or {OWN: frozenset()}


def _of_naming(superseded: Superseded | None, naming: SeriesNaming) -> Superseded | None:
    """What these results replace of those whose series are named alike; of the others where none are."""
    if superseded is None:
        return None
    key = closest(naming.key, (one.naming for one in superseded.objects))
    return replace(superseded, objects=tuple(one for one in superseded.objects if one.naming == key))


def _keep(spool: Spool, folder: str, made: EncodedObject) -> ResultObject:
    path = f"{folder}/{made.sop_instance_uid}{SUFFIXES.get(made.kind.partition('.')[0], '.dcm')}"
    spool.keep(path, made.content)
    return ResultObject(
        kind=made.kind,
        sop_class_uid=made.sop_class_uid,
        sop_instance_uid=made.sop_instance_uid,
        series_uid=made.series_uid,
        transfer_syntax_uid=made.transfer_syntax_uid,
        path=path,
        sha256=hashlib.sha256(made.content).hexdigest(),
        size_bytes=len(made.content),
        naming=made.naming,
    )
