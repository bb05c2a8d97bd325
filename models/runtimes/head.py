"""What the models that read heads share: whether an image may be the MR of a head, and what is said of a brain found in it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.image import Image
from node.store.errors import Refused

Mask = NDArray[np.bool_]
Box = tuple[slice, slice, slice]

HEAD_WORDS: Final = frozenset({"", "HEAD", "BRAIN", "SKULL", "CRANIUM", "HEADNECK", "IAC", "PITUITARY", "ORBIT", "WHOLEBODY"})
"""Body Part Examined (PS3.16 annex L) of what may show a brain."""


def check_head(image: Image, *, fewest_slices: int, longest_echo_ms: float, read: str) -> NDArray[np.float64]:
    """Return the affine of an image that may be the volume of a head.

    Parameters
    ----------
    fewest_slices
        That the model needs.
    longest_echo_ms
        Beyond it the weighting is T2, FLAIR or diffusion; an echo time that is not stated is no objection.
    read
        Weightings that the model reads, in words.

    Raises
    ------
    Refused
        With the reason.
    """
    header = image.header
    if header.modality != "MR":
        raise Refused(f"reads MR, this is {header.modality or 'of no stated modality'}", "not-mr")
    if "LOCALIZER" in (value.upper() for value in header.image_type):
        raise Refused("this is a localizer (Image Type)", "localizer")
    if image.affine is None or image.array.ndim != 3:
        raise Refused("the images have no place in the patient, or are not grey", "no-geometry")
    if image.array.shape[0] < fewest_slices:
        raise Refused(f"a head in at least {fewest_slices} slices is needed, these are {image.array.shape[0]}", "too-few-slices")
    part = header.body_part_examined.upper().replace("_", "").replace(" ", "")
    if part not in HEAD_WORDS:
        raise Refused("Body Part Examined (0018,0015) is no head", "not-a-head")
    echo_ms = header.echo_time_ms
    if echo_ms is not None and echo_ms > longest_echo_ms:
        raise Refused(
            f"echo time {echo_ms:.0f} ms means T2, FLAIR or diffusion; {read} read, up to {longest_echo_ms:.0f} ms", "not-t1"
        )
    if not np.isfinite(image.array).all():
        raise Refused("the image holds values that are no numbers", "not-a-number")
    return image.affine


def largest_piece(mask: Mask, *, corners: bool = False) -> Mask:
    """The largest connected part of what was taken for brain.

    Parameters
    ----------
    corners
        Whether voxels that share no more than an edge or a corner are connected too.

    Raises
    ------
    Refused
        Where nothing was.
    """
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)) if corners else None)
    if count == 0:
        raise Refused("no brain was found", "no-brain")
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def touches_edge(brain: Mask) -> bool:
    """Whether the brain fills a noticeable part of an outermost plane."""
    for axis in range(3):
        widest = brain.any(axis=axis).sum()
        for end in (0, -1):
            if np.take(brain, end, axis=axis).sum() > 0.05 * widest:
                return True
    return False
