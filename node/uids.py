"""UIDs of the standard that several parts speak of (PS3.6 table A-1); those of one part alone stand where they are used."""

from __future__ import annotations

from typing import Final

IMPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"
JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"

SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
LABEL_MAP_SEGMENTATION: Final = "1.2.840.10008.5.1.4.1.1.66.7"

VERIFICATION: Final = "1.2.840.10008.1.1"
MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"
