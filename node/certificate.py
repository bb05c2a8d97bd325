"""How long a certificate is valid, read from its own bytes (RFC 5280 section 4.1)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from node.store.errors import ConfigurationError

_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18


def encoded(path: Path) -> bytes:
    """The first certificate of a PEM file, in DER.

    Raises
    ------
    ConfigurationError
        Where there is none.
    """
    try:
        _, header, rest = path.read_text(encoding="ascii", errors="replace").partition(ssl.PEM_HEADER)
        body, footer, _ = rest.partition(ssl.PEM_FOOTER)
        return ssl.PEM_cert_to_DER_cert(header + body + footer)
    except (OSError, ValueError) as wrong:
        raise ConfigurationError(f"certificate {path} cannot be read: it must be PEM") from wrong


def validity(path: Path) -> tuple[datetime, datetime]:
    """First and last moment at which the first certificate of a PEM file is valid.

    Raises
    ------
    ConfigurationError
        Where it cannot be read.
    """
    content = encoded(path)
    try:
        ((_, certificate),) = _elements(content)
        _, signed = next(_elements(certificate))
        fields = [value for kind, value in _elements(signed) if kind != _VERSION]
        first, last = (_moment(kind, value) for kind, value in _elements(fields[3]))  # serial, algorithm, issuer, validity
    except (ValueError, IndexError, StopIteration) as broken:
        raise ConfigurationError(f"certificate {path} is no X.509 certificate") from broken
    return first, last


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each DER element; raises `ValueError` where one is cut off."""
    position = 0
    while position < len(content):
        kind, length = content[position], content[position + 1]
        position += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(content[position : position + size], "big")
            position += size
        if position + length > len(content):
            raise ValueError("an element is cut off")
        yield kind, content[position : position + length]
        position += length


def _moment(kind: int, value: bytes) -> datetime:
    text = value.decode("ascii")
    if kind == _UTC_TIME:  # two digits of the year; from 50 on the last century is meant
        text = ("19" if text[:2] >= "50" else "20") + text
    elif kind != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
