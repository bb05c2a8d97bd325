"""The key of the page: a secret in a file that only its owner reads."""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from node.store.errors import ConfigurationError

FILE: Final = "page-token"
"""Name of the file inside the data folder."""


def page_token(data: Path) -> str:
    """Return the token of a data folder; make it, readable by its owner only, where there is none yet.

    Raises
    ------
    ConfigurationError
        Where others may read the file, or it is empty.
    """
    path = data / FILE
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(f"{path} may be read by others: run chmod 600 on it, or delete it to get a new token")
    token = path.read_text(encoding="ascii").strip()
    if len(token) < 16:
        raise ConfigurationError(f"{path} holds no token: delete it to get a new one")
    return token


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{FILE}.{secrets.token_hex(8)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    # Of two processes that start at once one makes the token, and both use it.
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(scratch)
    scratch.unlink()


def same_token(given: str, token: str) -> bool:
    """Compare in a time that does not tell how much of it was right."""
    return hmac.compare_digest(given.encode(), token.encode())
