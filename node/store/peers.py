"""Application entities that the node calls (PS3.8 section 7.1.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from node.store.sources import AE_TITLE

Port = Annotated[int, Field(ge=1, le=65535)]


def check_ae_title(title: str) -> str:
    """Return `title` if it is an AE title (PS3.5 section 6.2: 1 to 16 characters, no backslash, no control characters)."""
    if not AE_TITLE.fullmatch(title):
        raise ValueError(f"{title!r} is not an AE title: 1 to 16 printable ASCII characters without backslash or outer spaces")
    return title


class Peer(BaseModel):
    """A DICOM application entity to talk to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ae_title: str
    host: str
    port: Port
    tls: bool = False
    """Whether it is called over TLS (PS3.15 section B.12)."""
    ca: Path | None = None
    """Certificates (PEM) of the CAs that its own may be signed by; None: those that this system trusts."""
    certificate: Path | None = None
    """Our client certificate (PEM, with its chain), where it demands one."""
    key: Path | None = None
    """The private key of `certificate` (PEM, without password)."""
    tls_name: str | None = None
    """Name that its certificate must be for; `host` where absent."""
    verify_host: bool = True
    """Whether its certificate must be for that name; if not, any that a CA of `ca` has signed is taken."""

    _title = field_validator("ae_title")(check_ae_title)

    @model_validator(mode="after")
    def tls_fits(self) -> Self:
        named = [name for name in ("ca", "certificate", "key", "tls_name") if getattr(self, name) is not None]
        if not self.tls and (named or not self.verify_host):
            raise ValueError(f"{named[0] if named else 'verify_host'} needs tls = true")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")
        if not self.verify_host and self.ca is None:
            raise ValueError("verify_host = false needs ca: anybody has a certificate that some public CA has signed")
        return self

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


class Archive(Peer):
    """An archive that we ask: what it has, to send it to us, to commit it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    calling_ae: str | None = None
    """AE title that we call it with; ours (`Settings.ae_title`) where absent."""
    retrieve: Literal["move", "get"] = "move"
    """How it sends us studies: C-MOVE to our listener, whose AE title, host and port it knows, or C-GET."""
