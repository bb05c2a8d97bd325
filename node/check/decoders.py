"""Which compressed images can be decoded here, and which package brings what is missing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final

from node.check.verdict import Checked, fault, note, ok

DECODERS: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("1.2.840.10008.1.2.5", "RLE Lossless", "pydicom", "pydicom"),
    ("1.2.840.10008.1.2.4.50", "JPEG Baseline", "gdcm", "python-gdcm"),
    ("1.2.840.10008.1.2.4.51", "JPEG Extended", "gdcm", "python-gdcm"),
    ("1.2.840.10008.1.2.4.57", "JPEG Lossless", "gdcm", "python-gdcm"),
    ("1.2.840.10008.1.2.4.70", "JPEG Lossless, first-order prediction", "gdcm", "python-gdcm"),
    ("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", "pyjpegls", "pyjpegls"),
    ("1.2.840.10008.1.2.4.81", "JPEG-LS Near-lossless", "pyjpegls", "pyjpegls"),
    ("1.2.840.10008.1.2.4.90", "JPEG 2000 Lossless", "pylibjpeg", "pylibjpeg-openjpeg"),
    ("1.2.840.10008.1.2.4.91", "JPEG 2000", "pylibjpeg", "pylibjpeg-openjpeg"),
    ("1.2.840.10008.1.2.4.201", "HTJ2K Lossless", "pylibjpeg", "pylibjpeg-openjpeg"),
    ("1.2.840.10008.1.2.4.202", "HTJ2K Lossless RPCL", "pylibjpeg", "pylibjpeg-openjpeg"),
    ("1.2.840.10008.1.2.4.203", "HTJ2K", "pylibjpeg", "pylibjpeg-openjpeg"),
)
"""``(transfer syntax, its name, pydicom's plugin that we rely on, the package on PyPI that brings it)``."""

TWELVE_BIT: Final = "1.2.840.10008.1.2.4.51"
TWELVE_BIT_PLUGIN: Final = "pylibjpeg"


def installed_plugins(transfer_syntax_uid: str) -> Collection[str]:
    """Names of pydicom's decoder plugins for a transfer syntax whose libraries are installed."""
    from pydicom.pixels.decoders.base import get_decoder

    return tuple(get_decoder(transfer_syntax_uid).available_plugins)


def check_decoders(plugins: Callable[[str], Collection[str]] = installed_plugins) -> Iterator[Checked]:
    """Look for the decoder of each transfer syntax that images are compressed with.

    Parameters
    ----------
    plugins
        Names of the usable plugins for a transfer syntax UID.
    """
    for uid, name, wanted, package in DECODERS:
        found = plugins(uid)
        if wanted in found:
            yield ok("decoder", name, f"by {package}")
        elif found:
            yield note("decoder", name, f"by {', '.join(found)} only", f"pip install {package}")
        else:
            yield fault(
                "decoder", name, "cannot be decoded: such images are stored, and refused to be read", f"pip install {package}"
            )
    if TWELVE_BIT_PLUGIN not in plugins(TWELVE_BIT):
        yield note(
            "decoder",
            "JPEG Extended with 12 bits",
            "only 8-bit images of this syntax are read; others are stored and refused by name of the decoder",
            "pip install pylibjpeg-libjpeg, if its licence (GPL-3.0) suits you",
        )
