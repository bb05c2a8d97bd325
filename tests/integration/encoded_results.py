"""Objects as a model's answer gives them, in catalog and spool, due for a destination."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from models.prediction import Prediction, Segmentation
from node.delivery.courier import Courier
from node.store.catalog.catalog import open_catalog
from node.store.clock import FakeClock
from node.store.destinations import AnyDestination
from node.store.naming import OWN, SeriesNaming
from node.store.records import Facts, ResultObject, ResultSet
from node.store.settings import Settings
from tests.story import STUDY, Story, chosen
from tests.unit.workers.encode.samples import affine_of, identity, manifest, slices_of, volume
from workers.encode.encode import EncodedObject, encode

SHAPE = (4, 20, 24)


def encoded(*extras: str, study: str = STUDY, naming: SeriesNaming = OWN) -> tuple[EncodedObject, ...]:
    """An answer with one structure on two slices."""
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:3, 4:16, 4:20] = True
    image = volume(affine_of(), SHAPE)
    sources = slices_of(image, StudyInstanceUID=study)
    whose = identity(study_uid=study, naming=naming)
    return encode(Prediction(Segmentation({"bone": mask})), image, sources, manifest(), whose, extras=extras)


def publish(
    story: Story, objects: Sequence[EncodedObject], *destinations: str, study: str = STUDY, summary: Facts | None = None
) -> None:
    """Objects of a job, in catalog and spool."""
    story.arrive(1, study=study)
    story.revise(chosen("m", *destinations))
    (job,) = story.catalog.worklist.due_jobs(10)
    kept = []
    for one in objects:
        path = f"results/{one.sop_instance_uid}.dcm"
        place = story.settings.spool / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(one.content)
        digest = hashlib.sha256(one.content).hexdigest()
        uids = (one.sop_class_uid, one.sop_instance_uid, one.series_uid, one.transfer_syntax_uid)
        kept.append(ResultObject(one.kind, *uids, path, digest, len(one.content), one.naming))
    story.catalog.desk.publish(story.claim(job), ResultSet(tuple(kept), summary or {}))


@contextmanager
def catalog_for(folder: Path, *destinations: AnyDestination) -> Iterator[Story]:
    """A catalog of a node with these destinations."""
    settings = Settings(data=folder, destinations=destinations)
    clock = FakeClock(datetime.now(UTC))
    catalog = open_catalog(settings, clock)
    try:
        yield Story(catalog, clock, settings)
    finally:
        catalog.close()


@contextmanager
def due(folder: Path, destination: AnyDestination, objects: Sequence[EncodedObject]) -> Iterator[Story]:
    """A catalog in which `objects` are due for `destination`."""
    with catalog_for(folder, destination) as story:
        publish(story, objects, destination.name)
        yield story


def deliver(story: Story) -> None:
    """Send until nothing is due."""
    for destination in story.settings.destinations:
        way = Courier(story.settings, story.catalog, clock=story.clock).errand(destination)
        while way.deliver(threading.Event()):
            pass
