"""Notes about an image as templates, so that a language may say them in its own way.

Whoever makes a note, the splitting of series or a model, writes a whole English sentence: it is kept in the catalog, in facts and
summaries, as that. Here stands what these sentences are made from.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from workers.encode.language import message

TEMPLATES: Final = (
    message("lungs were found but not outlined: right and left cannot be told apart on this stack"),
    message("the body is cut off by the field of view"),
    message("the brain reaches the edge of the stack: the volumes are those of the parts inside"),
    message("the brain reaches the edge of the stack: the volume is that of the part inside"),
    message("how the head lies could not be told: it was read as it lies, and volumes of other visits compare less well"),
    message("The film states no patient orientation: right and left are named as films are usually displayed."),
    message("Lung fields are cut off at the {edges} edge of the film."),
    message("{view}: cut or filled up to the field of {rows} x {columns} pixels that the network was trained on"),
    message("most likely: {name}, probability {probability}"),
    message("rated was the region about column {column}, row {row}, radius {radius} pixels"),
    message(
        "Ventricle largest in phase {largest}, smallest in phase {smallest} of {phases}; volumes are summed over {slices} "
        "slices, papillary muscles counted as the reader of the training data did. "
        "Whether the uppermost slices still belong to the ventricle was not judged: check them first."
    ),
    message("No ejection fraction: {why}. The cavity was not found in every phase of any slice, so no change was measured."),
    message(
        "No ejection fraction: {why}. The change of area is that of slice {slice} of {slices}: largest in phase {largest}, "
        "smallest in phase {smallest} of {phases}."
    ),
    message(
        "Slice {slice}: in phase {phase} of {phases} the outlined cavity does not fit those of the phases before and after; "
        "check these images."
    ),
    message("What was measured rests on such an image: phase {phase}, taken for {moment}, on slice {slice}."),
    message("Incomplete: {missing} of the {named} images named for this series had not arrived when it was read."),
    message("The study may be incomplete: it was read as it stood when the longest wait was over."),
    message("The scanner reported this procedure step as discontinued."),
    message("identical copies of images were left out: {copies}"),
    message("the gantry was tilted by {degrees} degrees; the slices are read as they lie"),
    message("The files had lost their UIDs: copies with new ones are in the folder {folder}, and this result refers to those."),
    message("Slice Thickness is not stated: areas are measured, a volume is not known"),
)

PARTS: Final = (
    message("top"),
    message("bottom"),
    message("left"),
    message("right"),
    message("{first} and {rest}"),
    message("end diastole"),
    message("end systole"),
    message("the images do not say where they lie"),
    message("the slices do not span the ventricle: it is on {shown} of them, {length} mm"),
    message("the ventricle was not found on a slice between others that show it"),
    message("the slices do not reach the apex: the cavity is still wide on the last slice at both ends"),
)
"""What stands in a note where its template has a name in braces."""


def split(text: str, *, part: bool = False) -> tuple[str, dict[str, str]]:
    """Template and values of a note, or of a part of one; the text itself and nothing where no template with values fits."""
    for template, pattern in _patterns(part):
        if found := pattern.fullmatch(text):
            return template, found.groupdict()
    return text, {}


@cache
def _patterns(part: bool) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Those with most words of their own first, so that none that says little takes what another says in full."""
    with_values = sorted(
        (one for one in (PARTS if part else TEMPLATES) if "{" in one), key=lambda one: -len(re.sub(r"\{\w+\}", "", one))
    )
    return tuple((one, re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(one)))) for one in with_values)
