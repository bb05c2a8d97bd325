"""Which models that bring code of their own the administrator has approved: by fingerprint, so any change needs a new look."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from models.manifest import Manifest, library_folder
from node.store.errors import ConfigurationError

FILE: Final = "approved-models.json"
"""In the data folder."""


def read_approvals(data: Path) -> dict[str, str]:
    """Approved fingerprints by model; empty where nothing was approved yet.

    Raises
    ------
    ConfigurationError
        Where the file is damaged: nothing is taken as approved then.
    """
    path = data / FILE
    if not path.is_file():
        return {}
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): str(entry["fingerprint"]) for name, entry in kept.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as broken:
        raise ConfigurationError(f"{path} is damaged; remove it, and approve models again") from broken


def approve(data: Path, manifest: Manifest) -> None:
    """Keep that this very model, with these very files, may run its code."""
    path = data / FILE
    known = read_approvals(data)
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if known else {}
    kept[manifest.name] = {
        "fingerprint": manifest.fingerprint,
        "files": {one.file: one.sha256 for one in manifest.weights},
        "approved_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    data.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    new.chmod(0o600)
    os.replace(new, path)  # noqa: PTH105 - the file is the old or the new one, never half of it


def is_shipped(manifest: Manifest) -> bool:
    """Whether a model comes with Overread."""
    return manifest.folder.resolve().is_relative_to(library_folder().resolve())


def check_approved(manifest: Manifest, approvals: Mapping[str, str]) -> None:
    """Refuse code that nobody answers for: neither shipped with Overread nor approved as it is now.

    Raises
    ------
    ConfigurationError
        With what to press.
    """
    if is_shipped(manifest):
        return
    approved = approvals.get(manifest.name)
    if approved == manifest.fingerprint:
        return
    state = "has changed since it was approved" if approved else "is not approved"
    raise ConfigurationError(
        f"model {manifest.name} brings code of its own and {state}: look at its files, then "
        f"'overread models approve {manifest.name}'"
    )
