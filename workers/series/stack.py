"""From the files of one stack to an image for a model and the headers that its results refer to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

from models.image import Image, SpacingKind
from node.store.attributes import BROKEN, number, quietly, text
from node.store.errors import Refused
from node.store.frames import is_cross_sectional, read_slices
from node.store.geometry import Slice, build_grid
from node.store.pixels import is_deflated, seek_pixels
from workers.series.header import read_header
from workers.series.pixels import check_decoder, check_length, decode, instance_name, is_colour
from workers.series.spacing import projection_spacing
from workers.series.values import Conversion, conversion_of

_MOVED_MM: Final = 0.1
"""How far apart the phases of one position may lie."""

THREADS: Final = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack, loaded.

    Parameters
    ----------
    image
        What the model is given.
    sources
        The instances without pixel data, in slice order (one for a multi-frame object); with patient and study modules.
    frames
        For each slice of ``image.array``: index into `sources`, and frame number (from 1) in that instance.
    notes
        What a person should know of the geometry, e.g. an assumed thickness.
    """

    image: Image
    sources: tuple[FileDataset, ...]
    frames: tuple[tuple[int, int], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which frame of which file is which slice, and where they lie; affine None without a place in the patient."""

    frames: tuple[tuple[int, int], ...]
    affine: NDArray[np.float64] | None
    spacing_mm: tuple[float, float, float] | None
    kind: SpacingKind
    notes: tuple[str, ...] = ()
    phases: int = 1


def load_stack(paths: Sequence[Path], frames: Sequence[int] | None = None, phases: int = 1) -> Stack:
    """Read, check and decode one stack.

    Parameters
    ----------
    paths
        Files of its instances, in any order.
    frames
        Frame numbers (from 1) that make the stack, where it is a part of one multi-frame object; None: all.
    phases
        Of a cycle; files, or frames, are then given slice by slice, each slice's phases in order.

    Returns
    -------
    Stack
        With ``image.array`` as ``(slice, row, column)`` along the normal (row direction times column direction), float32; or
        ``(slice, row, column, 3)`` uint8 for colour. Frames of an object without a place in the patient keep their order.

    Raises
    ------
    Refused
        Where the images do not make one regular volume or one image, lack what places them, or cannot be decoded; see
        `node.store.geometry.build_grid` for the codes, besides ``no-decoder``, ``bad-pixel-data``, ``no-pixel-data``,
        ``unreadable``, ``bad-rescale``, ``not-one-image``, ``mixed-studies`` and ``no-cycle``.
    """
    with quietly():
        sources = [_read(path) for path in paths]
        _check(sources)
        layout = _lay_out(sources, frames, phases)
        used = tuple(dict.fromkeys(index for index, _ in layout.frames))
        place = {index: new for new, index in enumerate(used)}
        array = _fill([paths[index] for index in used], [sources[index] for index in used], layout, place)
        header = read_header(sources[used[0]], layout.frames[0][1] - 1)
    image = Image(array, layout.affine, layout.spacing_mm, layout.kind, header, phases=layout.phases)
    return Stack(
        image=image,
        sources=tuple(sources[index] for index in used),
        frames=tuple((place[index], frame) for index, frame in layout.frames),
        notes=layout.notes,
    )


def load_group(paths: Sequence[Path]) -> Stack:
    """Read images that are read together though they make no volume: each becomes an image of its own.

    Parameters
    ----------
    paths
        Files, one image each.

    Returns
    -------
    Stack
        With all images in ``image.together``, in the order of `paths`.

    Raises
    ------
    Refused
        As `load_stack`; ``not-one-image`` where a file holds several.
    """
    stacks = [load_stack([path]) for path in paths]
    sources = tuple(source for stack in stacks for source in stack.sources)
    _check(sources)
    if any(len(stack.frames) != 1 for stack in stacks):
        raise Refused("images that are read together have one frame each", "not-one-image")
    images = tuple(stack.image for stack in stacks)
    return Stack(
        image=replace(images[0], together=images),
        sources=sources,
        frames=tuple((index, 1) for index in range(len(sources))),
        notes=tuple(dict.fromkeys(note for stack in stacks for note in stack.notes)),
    )


def _read(path: Path) -> FileDataset:
    try:
        with path.open("rb") as file:
            dataset = pydicom.dcmread(file, stop_before_pixels=True)
            has_pixels = is_deflated(dataset) or seek_pixels(file, dataset) > 0
    except (OSError, EOFError, InvalidDicomError, *BROKEN) as broken:
        raise Refused(f"a file of this stack cannot be read ({type(broken).__name__})", "unreadable") from broken
    # the C-STORE that brought the object named it; some objects leave these two empty inside
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if not text(dataset, keyword) and (given := text(dataset.file_meta, f"MediaStorage{keyword}")):
            dataset.add_new(keyword, "UI", given)
    if not has_pixels or not number(dataset, "Rows") or not number(dataset, "Columns"):
        raise Refused(f"{instance_name(dataset)} has no pixel data: stored, not analysed", "no-pixel-data")
    return dataset


def _check(sources: Sequence[FileDataset]) -> None:
    if not sources:
        raise Refused("there is no image in this stack", "no-pixel-data")
    if len({text(source, "StudyInstanceUID") for source in sources}) > 1:
        raise Refused("the images belong to different studies", "mixed-studies")


def _lay_out(sources: Sequence[FileDataset], chosen: Sequence[int] | None, phases: int) -> _Layout:
    slices = [read_slices(source, instance_name(source)) for source in sources]
    if phases > 1:
        return _cycle(slices, chosen, phases)
    if all(is_cross_sectional(source) for source in sources):
        return _volume(slices, chosen)
    if len(sources) > 1:
        raise Refused("several images without a place in the patient do not make one stack", "not-one-image")
    spacing, kind = projection_spacing(sources[0])
    return _Layout(tuple((0, frame + 1) for frame in range(len(slices[0]))), None, spacing, kind)


def _volume(slices: Sequence[Sequence[Slice]], chosen: Sequence[int] | None) -> _Layout:
    wanted = None if chosen is None else frozenset(chosen)
    frames = [
        (index, frame)
        for index, held in enumerate(slices)
        for frame in range(1, len(held) + 1)
        if wanted is None or frame in wanted
    ]
    if not frames:
        raise Refused("the frames that make this stack are not in its object", "no-pixel-data")
    grid = build_grid([slices[index][frame - 1] for index, frame in frames])
    return _Layout(tuple(frames[at] for at in grid.order), grid.affine, grid.spacing_mm, SpacingKind.PATIENT, grid.notes)


def _cycle(slices: Sequence[Sequence[Slice]], chosen: Sequence[int] | None, phases: int) -> _Layout:
    """Lay out a cycle: the grid is that of each position's first phase, and all its phases must lie there."""
    every = [(index, frame) for index, held in enumerate(slices) for frame in range(1, len(held) + 1)]
    frames = every if chosen is None else [(0, frame) for frame in chosen]
    if len(frames) % phases or not set(frames) <= set(every):
        raise Refused(f"{len(frames)} images do not make whole cycles of {phases} phases", "no-cycle")
    held = [slices[index][frame - 1] for index, frame in frames]
    for place, one in enumerate(held):
        if not _same_place(one, held[place - place % phases]):
            raise Refused(f"{one.name} does not lie where the other phases of its position do", "no-cycle")
    grid = build_grid(held[::phases])
    order = tuple(frames[at * phases + phase] for at in grid.order for phase in range(phases))
    return _Layout(order, grid.affine, grid.spacing_mm, SpacingKind.PATIENT, grid.notes, phases)


def _same_place(one: Slice, other: Slice) -> bool:
    if one.plane is None or other.plane is None:
        return one.plane is other.plane  # which of them says so is for the grid to refuse
    away = float(np.linalg.norm(np.subtract(one.plane.position_mm, other.plane.position_mm)))
    alike = (one.pixel_spacing_mm, one.rows, one.columns) == (other.pixel_spacing_mm, other.rows, other.columns)
    return alike and away <= _MOVED_MM and one.plane.is_parallel(other.plane)


def _fill(
    paths: Sequence[Path], sources: Sequence[FileDataset], layout: _Layout, place: dict[int, int]
) -> NDArray[np.float32] | NDArray[np.uint8]:
    """Decode into the one array that the model gets, file by file, two or more at once."""
    first = sources[0]
    for path, source in zip(paths, sources, strict=True):
        check_decoder(source)
        check_length(path, source)
    shape = (len(layout.frames), int(number(first, "Rows") or 0), int(number(first, "Columns") or 0))
    colour = is_colour(first)
    array: NDArray[np.float32] | NDArray[np.uint8] = (
        np.empty((*shape, 3), dtype=np.uint8) if colour else np.empty(shape, dtype=np.float32)
    )
    of_file: list[list[tuple[int, int]]] = [[] for _ in sources]
    for row, (index, frame) in enumerate(layout.frames):
        of_file[place[index]].append((row, frame - 1))

    def fill(file: int) -> None:
        rows, wanted = zip(*of_file[file], strict=True)
        source = sources[file]
        steps = [None if colour else conversion_of(source, frame, projection=layout.affine is None) for frame in wanted]
        for row, conversion, stored in zip(rows, steps, decode(paths[file], source, wanted), strict=True):
            array[row] = _converted(stored, conversion, instance_name(source), shape[1:])

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(fill, file) for file in range(len(sources))]:
            done.result()
    return array


def _converted(
    stored: NDArray[np.generic], conversion: Conversion | None, name: str, shape: tuple[int, int]
) -> NDArray[np.generic]:
    if stored.shape[:2] != shape:
        told = " x ".join(str(length) for length in stored.shape[:2])
        raise Refused(f"{name} decodes to {told} pixels, its header says {shape[0]} x {shape[1]}", "bad-pixel-data")
    return stored if conversion is None else conversion.apply(stored)
