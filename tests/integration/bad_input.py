"""The table of bad input: what is sent, what the sender is answered, what becomes of the study, what a person reads.

`docs/bad-input.md` shows the same rows and `test_bad_input.py` sends them; neither can change without the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from tests.integration import bad_objects as make
from tests.integration.bad_objects import Input

SUCCESS, A700, A900, C000, INVALID_UID = 0x0000, 0xA700, 0xA900, 0xC000, 0x0117
LOST = -1
"""The connection is gone before there is an answer."""


class Fate(Enum):
    """What becomes of a study."""

    NOTHING = "nothing is kept"
    KEPT = "kept, not analysed"
    READ = "kept, read"


@dataclass(frozen=True, slots=True)
class Case:
    """A row.

    Parameters
    ----------
    title
        The input, for a person.
    status
        Answer to what is odd in it; `LOST` for none.
    detail
        What is right about the result, or what becomes of the rest.
    words
        The sentence that a person reads, ``…`` for what differs from study to study.
    make
        Writes what it needs below the folder.
    """

    title: str
    status: int
    fate: Fate
    detail: str
    words: str
    make: Callable[[Path], Input] = field(repr=False)

    @property
    def row(self) -> str:
        """The row in Markdown."""
        answer = "none: the connection is lost" if self.status == LOST else f"`{self.status:04X}`"
        fate = f"{self.fate.value}: {self.detail}" if self.detail else self.fate.value
        return f"| {self.title} | {answer} | {fate} | {self.words} |"


CASES = (
    Case(
        "bytes that are not DICOM", C000, Fate.NOTHING, "", "not a DICOM data set in the agreed transfer syntax", make.not_dicom
    ),
    Case("nothing at all", C000, Fate.NOTHING, "", "the data set is empty, or names no study, series or instance", make.empty),
    Case("a truncated object", C000, Fate.NOTHING, "", "the data set is truncated: an element runs past its end", make.truncated),
    Case(
        "`../` in the SOP Instance UID",
        INVALID_UID,
        Fate.NOTHING,
        "no file anywhere",
        "Affected SOP Instance UID: not a UID: 1 to 64 digits and dots",
        make.path_as_instance_uid,
    ),
    Case(
        "`../` in the Study Instance UID",
        C000,
        Fate.NOTHING,
        "no file anywhere",
        "Study Instance UID: not a UID: 1 to 64 digits and dots",
        make.path_as_study_uid,
    ),
    Case("no Study Instance UID", A900, Fate.NOTHING, "", "the object has no Study Instance UID", make.no_study_uid),
    Case(
        "command and data set name different objects",
        A900,
        Fate.NOTHING,
        "",
        "SOP Instance UID of command and data set differ",
        make.other_instance_uid,
    ),
    Case(
        "a sender that is lost in mid-study",
        LOST,
        Fate.READ,
        "whole objects are kept and read, the broken one is not; sent again, a revision supersedes",
        "an object was broken off and is not kept",
        make.aborted,
    ),
    Case("no pixel data", SUCCESS, Fate.KEPT, "", "no pixel data: stored, not analysed", make.no_pixels),
    Case("a modality that nobody knows", SUCCESS, Fate.KEPT, "", "reads CT, this is ZZ", make.each(make.unknown_modality)),
    Case(
        "a missing slice",
        SUCCESS,
        Fate.KEPT,
        "the volume is refused",
        "a slice is missing between positions 10.00 and 20.00 mm (after instance …); 5 of 6 are here",
        make.missing_slice,
    ),
    Case(
        "a doubled slice with other pixels",
        SUCCESS,
        Fate.KEPT,
        "the volume is refused",
        "a doubled slice with other pixels: position 10.00 mm holds 2 different images (instance … and instance …) "
        "and nothing tells them apart",
        make.doubled_slice,
    ),
    Case(
        "no frame of reference",
        SUCCESS,
        Fate.KEPT,
        "the volume is refused",
        "the images have lost their Frame of Reference UID: a segmentation cannot refer to them",
        make.without("FrameOfReferenceUID"),
    ),
    Case(
        "no pixel spacing, cross-sections",
        SUCCESS,
        Fate.KEPT,
        "the volume is refused",
        "Pixel Spacing is absent or not positive (instance …): nothing can be measured in the patient",
        make.without("PixelSpacing"),
    ),
    Case(
        "a compressed image whose decoder is absent",
        SUCCESS,
        Fate.KEPT,
        "bytes kept as they came",
        "the decoder for transfer syntax JPEG-LS Lossless Image Compression (1.2.840.10008.1.2.4.80) is not installed: "
        "pip install pyjpegls, or send the images uncompressed",
        make.each(make.jpeg_ls),
    ),
    Case(
        "JPEG with 12 bits, whose decoder is not shipped",
        SUCCESS,
        Fate.KEPT,
        "bytes kept as they came",
        "the decoder for transfer syntax JPEG Extended (Process 2 and 4) (1.2.840.10008.1.2.4.51) is not installed: "
        "pip install …, or send the images uncompressed",
        make.twelve_bit_jpeg,
    ),
    Case(
        "pixel data shorter than rows and columns say",
        SUCCESS,
        Fate.KEPT,
        "the volume is refused",
        "the pixel data of instance … is cut short: … bytes are due, the whole file has …; send it again",
        make.short_pixels,
    ),
    Case(
        "a damaged compressed image",
        SUCCESS,
        Fate.KEPT,
        "the volume is refused",
        "the pixel data of instance … is damaged or not what its header says (…): send it again",
        make.damaged_stream,
    ),
    Case(
        "a CT without rescale values",
        SUCCESS,
        Fate.KEPT,
        "",
        "Rescale Slope and Intercept (0028,1053, 0028,1052) are absent: the values are not HU",
        make.each(make.no_rescale),
    ),
    Case(
        "a CT in a unit other than HU",
        SUCCESS,
        Fate.KEPT,
        "",
        "Rescale Type (0028,1054) states a unit other than HU",
        make.each(make.other_unit),
    ),
    Case(
        "an image of another patient in the stack",
        SUCCESS,
        Fate.KEPT,
        "the volume is refused",
        "the images of one stack differ in PatientID; nothing is written for two of them at once",
        make.another_patient,
    ),
    Case(
        "mixed orientations in one series",
        SUCCESS,
        Fate.READ,
        "two stacks, each read for itself",
        "meets the model's own input selection",
        make.mixed_orientations,
    ),
    Case(
        "the same UID with other bytes",
        SUCCESS,
        Fate.READ,
        "both are kept; the newer one is read, as a revision that supersedes",
        "… came again with other content: kept as version 2",
        make.other_bytes,
    ),
    Case(
        "MONOCHROME1 cross-sections",
        SUCCESS,
        Fate.READ,
        "the same result: it says how to show values, not what they mean",
        "",
        make.each(make.inverted_display),
    ),
    Case("signed data", SUCCESS, Fate.READ, "the same result as unsigned", "", make.each(make.signed)),
    Case(
        "12-bit data with an overlay in the upper bits",
        SUCCESS,
        Fate.READ,
        "the same result as without",
        "",
        make.each(make.twelve_bit),
    ),
    Case("signed 12-bit data", SUCCESS, Fate.READ, "the same result as unsigned", "", make.each(make.signed_twelve_bit)),
    Case(
        "a slice twice, the same pixels under another UID",
        SUCCESS,
        Fate.READ,
        "the same result: the copy is left out, with a note",
        "identical copies of images were left out: 1",
        make.copied_slice,
    ),
    Case(
        "last slice first, without Instance Numbers",
        SUCCESS,
        Fate.READ,
        "the same result: places decide, not numbers",
        "",
        make.backwards,
    ),
    Case("Explicit VR Big Endian", SUCCESS, Fate.READ, "the same result", "", make.other_byte_order),
    Case(
        "no name, identifier, birth date, sex, accession number or study date",
        SUCCESS,
        Fate.READ,
        "the same result, with them empty",
        "",
        make.each(make.nameless),
    ),
    Case(
        "a name in Japanese (ISO 2022 IR 87)",
        SUCCESS,
        Fate.READ,
        "the name comes back byte for byte",
        "",
        make.each(make.japanese),
    ),
    Case(
        "a name in Korean (ISO 2022 IR 149)", SUCCESS, Fate.READ, "the name comes back byte for byte", "", make.each(make.korean)
    ),
    Case(
        "a name in bytes of no stated character set",
        SUCCESS,
        Fate.READ,
        "the name comes back byte for byte",
        "",
        make.each(make.unstated_characters),
    ),
)


FILM_CASES = (
    Case(
        "MONOCHROME1, projection (pixel spacing 0 as well)",
        SUCCESS,
        Fate.READ,
        "the same outline as the image turned round and stored as MONOCHROME2",
        "",
        make.film,
    ),
    Case("no pixel spacing, projection", SUCCESS, Fate.READ, "areas in pixels, none in mm2", "", make.film_turned),
)
"""Made of a real chest film; `make` is given its path."""

FULL = Case(
    "less free disk than `disk_reserve_mb`",
    A700,
    Fate.NOTHING,
    "senders try again after A700",
    "less than … MB free for the spool: make room on its disk",
    make.good,
)

TABLE = (*CASES, *FILM_CASES, FULL)
