"""What a model's authors published of an examination that they published too: their figures, repeated here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from models.image import Header, Image, SpacingKind
from models.manifest import Manifest, Published
from models.runtime import Model
from models.training.tables import read_grey
from node.store.download import fetch
from node.store.errors import ConfigurationError, Refused
from node.store.settings import Settings


def reproduce(manifest: Manifest, model: Model, settings: Settings) -> dict[str, Any]:
    """Rate the published examination and compare with the published probabilities.

    Parameters
    ----------
    settings
        Where fetched images are kept, and whether they may be fetched.

    Returns
    -------
    dict
        ``published`` and ``found`` by finding, ``largest_difference`` of the two, ``within``, the difference up to which they
        count as equal, and ``reproduced``.

    Raises
    ------
    ConfigurationError
        Where nothing was published, or the model refuses it.
    DownloadFailed
        Where the images cannot be had.
    """
    published = manifest.published
    if published is None:
        raise ConfigurationError(
            f"{manifest.name} names no published examination: give a folder with an index.csv, or DICOM images"
        )
    try:
        ratings = model.predict(_image(manifest, published, settings)).ratings
    except Refused as refused:
        raise ConfigurationError(f"{manifest.name} refuses the published examination: {refused.reason}") from refused
    found = {rating.key: rating.probability for rating in ratings}
    largest = max(abs(found[key] - value) for key, value in published.probabilities.items())
    return {
        "model": manifest.name,
        "version": manifest.version,
        "dataset": published.about,
        "published": dict(published.probabilities),
        "found": found,
        "largest_difference": largest,
        "within": published.within,
        "reproduced": largest <= published.within,
    }


def _image(manifest: Manifest, published: Published, settings: Settings) -> Image:
    images = []
    for one in published.images:
        path = fetch(one.source, one.sha256, settings.cache, settings.mirror, allow_network=settings.pull)
        header = Header(
            modality=manifest.pictures.modality,
            photometric_interpretation="MONOCHROME2",
            standard_view=one.view,
            presentation_intent="FOR PRESENTATION",
        )
        images.append(Image(read_grey(path)[np.newaxis], None, None, SpacingKind.NONE, header))
    return replace(images[0], together=tuple(images)) if len(images) > 1 else images[0]
