"""Pack each model of models/research into an archive of its own, with its licence: what is published apart from Overread."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Sequence
from pathlib import Path

from models.manifest import read_manifest
from node.store.download import sha256_of

ROOT = Path(__file__).resolve().parents[1]
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""Time of every file: the same model is the same archive, byte for byte."""


def pack(folder: Path, into: Path) -> Path:
    """Write ``overread-NAME-VERSION.zip``, which holds the folder, into `into`.

    Raises
    ------
    ConfigurationError
        Where the folder is no model.
    """
    manifest = read_manifest(folder)
    into.mkdir(parents=True, exist_ok=True)
    path = into / f"overread-{manifest.name}-{manifest.version}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.writestr(zipfile.ZipInfo(f"{manifest.name}/{file.name}", LONG_AGO), file.read_bytes(), zipfile.ZIP_DEFLATED)
    return path


def main(given: Sequence[str] | None = None) -> None:
    """Pack them all, and print the SHA-256 of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the archives")
    out = parser.parse_args(given).out
    for path in (pack(one.parent, out) for one in sorted((ROOT / "models" / "research").glob("*/model.toml"))):
        print(f"{sha256_of(path)}  {path}")


if __name__ == "__main__":
    main()
