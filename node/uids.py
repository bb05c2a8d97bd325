"""UIDs of the standard that several parts speak of (PS3.6 table A-1); those of one part alone stand where they are used."""

from __future__ import annotations

from typing import Final

IMPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"

VERIFICATION: Final = "1.2.840.10008.1.1"
MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"
