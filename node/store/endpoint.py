"""Where an application entity listens, and how it is called there: plainly or over TLS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:]+\]|[^:@\s]+):(?P<port>\d{1,5})")

Port = Annotated[int, Field(ge=1, le=65535)]


class Endpoint(BaseModel):
    """A port of another machine to call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
        return f"{self.host}:{self.port}"


def endpoint_in_short(value: Any) -> Any:
    """``HOST:PORT`` as the table that it stands for; whatever else there is, as it is.

    Raises
    ------
    ValueError
        Where a text is not of that form.
    """
    if not isinstance(value, str):
        return value
    match = _ADDRESS.fullmatch(value)
    if not match:
        raise ValueError(f"{value!r} is not HOST:PORT, e.g. 10.0.0.7:104")
    return {"host": match["host"].strip("[]"), "port": int(match["port"])}
