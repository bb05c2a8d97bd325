"""`overread models add`: takes a model in any of the known formats, checks it, and puts it on the shelf."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.adding.archive import unpack
from models.adding.bundle import is_bundle, take_bundle
from models.adding.draft import Wishes
from models.adding.nnunet import is_nnunet, take_nnunet
from models.adding.own import take_folder
from models.manifest import Manifest, read_library, read_manifest
from models.runtime import find_runtime, load_model
from models.weights import ensure_weights
from node.store.errors import ConfigurationError

_BARE: Final = {".pt", ".pth", ".ts", ".onnx", ".py", ".safetensors"}


@dataclass(frozen=True, slots=True)
class Added:
    """What was added.

    Parameters
    ----------
    manifest
        As it lies on the shelf.
    needs_approval
        Whether it brings code of its own, which runs only once the administrator has approved it.
    """

    manifest: Manifest
    needs_approval: bool


def add_model(path: Path, shelf: Path, wishes: Wishes, *, others: tuple[Path, ...] = (), replace: bool = False) -> Added:
    """Add the model of `path`; nothing is on the shelf unless all of it is in order. No code of the model is run.

    Parameters
    ----------
    path
        A folder with a ``model.toml``, a trained model's folder of nnU-Net v2, or a MONAI bundle; or a ZIP archive of one.
    shelf
        Folder of models; made where missing.
    others
        Further folders of models, whose names are taken.
    replace
        Whether a model of that name on the shelf may be replaced.

    Raises
    ------
    ConfigurationError
        With what is wrong with it.
    HashMismatch
        Where a file is not the one that its ``model.toml`` names.
    """
    shelf.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=shelf, prefix=".adding-") as folder:
        if path.is_file() and path.suffix.lower() == ".zip":
            unpacked = Path(folder) / "unpacked"
            unpacked.mkdir()
            path = unpack(path, unpacked)
        take = _taker(path)
        new = Path(folder) / "model"
        new.mkdir()
        take(path, new, wishes)
        manifest = read_manifest(new)
        target = shelf / manifest.name
        known = read_library(*others, shelf)
        if manifest.name in known and (known[manifest.name].folder != target or not replace):
            hint = "give another --name" if known[manifest.name].folder != target else "give --replace, or another --name"
            raise ConfigurationError(f"there is a model {manifest.name} already ({known[manifest.name].folder}): {hint}")
        needs_approval = find_runtime(manifest).executes_weights
        if not needs_approval and all(one.source is None for one in manifest.weights):
            load_model(manifest, ensure_weights(manifest, shelf, pull=False))
        if target.exists():
            target.rename(Path(folder) / "replaced")
        new.rename(target)
    return Added(read_manifest(target), needs_approval)


def _taker(path: Path) -> Callable[[Path, Path, Wishes], None]:
    if path.is_file() and path.suffix in _BARE:
        raise ConfigurationError(
            f"{path.name} alone does not say what it reads and says: put it into a folder with a model.toml "
            "(docs/bring-your-own-model.md), and add the folder"
        )
    if not path.is_dir():
        raise ConfigurationError(f"{path} is no folder")
    if (path / "model.toml").is_file():
        return take_folder
    if is_nnunet(path):
        return take_nnunet
    if is_bundle(path):
        return take_bundle
    inside = sorted(one for one in path.iterdir() if one.is_dir() and is_nnunet(one))
    if inside:
        raise ConfigurationError(f"{path} holds several trainings of nnU-Net; add one of them, e.g. {inside[0]}")
    raise ConfigurationError(
        f"{path} is no model: no model.toml, no plans.json and dataset.json (nnU-Net v2), no configs/inference.json (MONAI)"
    )
