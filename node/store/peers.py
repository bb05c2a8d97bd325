"""Application entities that the node calls (PS3.8 section 7.1.1)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from node.store.endpoint import Endpoint
from node.store.sources import AE_TITLE


def check_ae_title(title: str) -> str:
    """Return `title` if it is an AE title (PS3.5 section 6.2: 1 to 16 characters, no backslash, no control characters)."""
    if not AE_TITLE.fullmatch(title):
        raise ValueError(f"{title!r} is not an AE title: 1 to 16 printable ASCII characters without backslash or outer spaces")
    return title


class Peer(Endpoint):
    """A DICOM application entity to talk to."""

    ae_title: str

    _title = field_validator("ae_title")(check_ae_title)

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


class Archive(Peer):
    """An archive that we ask: what it has, to send it to us, to commit it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    calling_ae: str | None = None
    """AE title that we call it with; ours (`Settings.ae_title`) where absent."""
    retrieve: Literal["move", "get"] = "move"
    """How it sends us studies: C-MOVE to our listener, whose AE title, host and port it knows, or C-GET."""
