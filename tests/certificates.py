"""Certificates for tests, made by authorities of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Files:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A CA whose certificate is in the file `ca`."""

    def __init__(self, folder: Path, name: str = "hospital") -> None:
        self._authority = trustme.CA(organization_name=name)
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.ca = self.folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))

    def issue(self, *names: str, file: str = "node", valid_days: int = 90, rsa: bool = False) -> Files:
        """A certificate for these names and addresses; with negative days one that has expired."""
        ends = datetime.now(UTC) + timedelta(days=valid_days)
        kind = trustme.KeyType.RSA if rsa else trustme.KeyType.ECDSA
        issued = self._authority.issue_cert(*names, not_before=ends - timedelta(days=365), not_after=ends, key_type=kind)
        made = Files(self.folder / f"{file}.pem", self.folder / f"{file}.key")
        made.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(made.key))
        made.key.chmod(0o600)
        return made
