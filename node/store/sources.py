"""Who may send: sources by AE titles and hosts, as the settings list them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from node.store.endpoint import Endpoint, endpoint_in_short

AE_TITLE: Final = re.compile(r"^[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?$")
"""1 to 16 printable ASCII characters without backslash or outer spaces (PS3.5 section 6.2); so is one with wildcards."""
_NAME: Final = re.compile(r"^(?=.*[A-Za-z])[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?$")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str], frozenset[Address]]
"""Gives the addresses of a host's name; none where it is not known."""


T = TypeVar("T")


class Unlisted(StrEnum):
    """What of a caller no source lists."""

    CALLING_AE = "calling AE title"
    HOST = "host"
    CERTIFICATE = "certificate"
    CALLED_AE = "called AE title"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who requests an association.

    Parameters
    ----------
    host
        Address that it calls from.
    own_host
        Address of ours that it called.
    echo_only
        Whether it proposes nothing but Verification.
    certificate_names
        Names that the certificate is for which it showed; none without TLS, and where it showed none.
    """

    calling_ae: str
    called_ae: str
    host: str
    own_host: str = ""
    echo_only: bool = False
    certificate_names: frozenset[str] = frozenset()


class Source(BaseModel):
    """Who may send, how many associations it may have open, and how long to wait for more from it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ae_title: str
    """Calling AE title; ``*`` and ``?`` are wildcards."""
    called_ae: tuple[str, ...] = ()
    """AE titles that it may call us by, with wildcards; empty: any."""
    hosts: tuple[str, ...] = ()
    """Addresses, networks (10.1.0.0/16) and names of the hosts that it calls from; empty: any."""
    certificate: str | None = None
    """Name that its client certificate must be for, with wildcards; None: it may call without TLS, or with any."""
    associations: Annotated[int, Field(ge=1)] | None = None
    """Associations that it may have open at once; `Limits.associations_per_source` where absent."""
    quiet_s: Annotated[float, Field(gt=0)] | None = None
    """Quiet period for studies of this calling AE title; `Settings.quiet_s` where absent."""
    longest_wait_s: Annotated[float, Field(gt=0)] | None = None
    """`Settings.longest_wait_s` for studies of this calling AE title."""
    whole_studies: bool = False
    """Whether it sends whole studies, so that series which a signal names and of which nothing arrived are waited for."""

    archive: str | None = None
    """Name of the archive that is asked (C-FIND) whether all of a study of this source is here; None: nobody is."""
    commitment: Annotated[str, Field(pattern=r"^(off|node|archive:[A-Za-z0-9_.-]+)$")] = "off"
    """Who decides on its storage commitment requests: nobody (they are declined), this node, or an archive of that name."""
    report_to: Annotated[Endpoint | None, BeforeValidator(endpoint_in_short)] = None
    """Where its storage commitment reports go, where it does not take them on its own association; HOST:PORT for short."""

    @field_validator("ae_title", "called_ae")
    @classmethod
    def title_fits(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for title in (value,) if isinstance(value, str) else value:
            if not AE_TITLE.fullmatch(title):
                raise ValueError(f"{title!r} is not an AE title, with * and ? as wildcards: 1 to 16 printable ASCII characters")
        return value

    @field_validator("hosts")
    @classmethod
    def hosts_fit(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if _network(host) is None and not _NAME.fullmatch(host):
                raise ValueError(f"{host!r} is no address (10.1.2.3), network (10.1.0.0/16) or host name")
        return value

    def objection(self, caller: Caller, resolve: Resolve) -> Unlisted | None:
        """The first thing about a caller that does not fit this source; None where all does.

        Parameters
        ----------
        resolve
            Asked only where `hosts` has names.
        """
        if not title_fits(self.ae_title, caller.calling_ae):
            return Unlisted.CALLING_AE
        if self.hosts and not self._has(caller.host, resolve):
            return Unlisted.HOST
        if self.certificate and not any(title_fits(self.certificate, name) for name in caller.certificate_names):
            return Unlisted.CERTIFICATE
        if self.called_ae and not any(title_fits(pattern, caller.called_ae) for pattern in self.called_ae):
            return Unlisted.CALLED_AE
        return None

    @property
    def host_names(self) -> tuple[str, ...]:
        """Those of `hosts` that are names, not addresses or networks."""
        return tuple(host for host in self.hosts if _network(host) is None)

    def _has(self, host: str, resolve: Resolve) -> bool:
        address = address_of(host)
        if address is None:
            return False
        if any(address in network for network in map(_network, self.hosts) if network is not None):
            return True
        return any(address in resolve(name) for name in self.host_names)


def find_source(sources: Sequence[Source], caller: Caller, resolve: Resolve) -> Source | tuple[Unlisted, tuple[Source, ...]]:
    """The first source that fits a caller; where none does, what is not listed, and the sources that come nearest."""
    objections = [(source, source.objection(caller, resolve)) for source in sources]
    for source, objection in objections:
        if objection is None:
            return source
    for unlisted in (Unlisted.CALLED_AE, Unlisted.CERTIFICATE, Unlisted.HOST):
        near = tuple(source for source, objection in objections if objection is unlisted)
        if near:
            return unlisted, near
    return Unlisted.CALLING_AE, ()


def first_said(sources: Sequence[Source], calling_ae: str, said: Callable[[Source], T | None]) -> T | None:
    """What the first source whose title fits and that says something says; None where none does."""
    found = (said(source) for source in sources if title_fits(source.ae_title, calling_ae))
    return next((value for value in found if value is not None), None)


def title_fits(pattern: str, title: str) -> bool:
    """Whether an AE title fits a pattern with ``*`` and ``?``; case matters, as it does among AE titles."""
    return fnmatchcase(title, pattern.replace("[", "[[]"))


def address_of(host: str) -> Address | None:
    """A peer's address as it counts: without its zone, IPv4 where it was mapped into IPv6. None for what is no address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
