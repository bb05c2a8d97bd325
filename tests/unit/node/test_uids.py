"""Each UID is what pydicom's dictionary calls so."""

from __future__ import annotations

import pytest
from pydicom.uid import UID

from node import uids

NAMES = {
    uids.IMPLICIT_LITTLE_ENDIAN: "Implicit VR Little Endian",
    uids.EXPLICIT_LITTLE_ENDIAN: "Explicit VR Little Endian",
    uids.DEFLATED_LITTLE_ENDIAN: "Deflated Explicit VR Little Endian",
    uids.EXPLICIT_BIG_ENDIAN: "Explicit VR Big Endian",
    uids.VERIFICATION: "Verification SOP Class",
    uids.MEDIA_DIRECTORY: "Media Storage Directory Storage",
}


@pytest.mark.parametrize("uid", NAMES)
def test_uids_are_what_they_are_called(uid: str) -> None:
    assert UID(uid).name.removesuffix(" (Retired)") == NAMES[uid]
