"""A TorchScript network: code, so it runs only where its SHA-256 was approved (`models.approval`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from models.manifest import Manifest
from models.networks.architectures import Answers, Reads
from models.runtimes.brain_mr_network import load_network
from models.runtimes.preparation import INPUT, Parameter, Preparation, check_known
from models.runtimes.prepared import PreparedModel, on_device, only_file, outputs_of
from node.store.errors import ConfigurationError

KNOWN: Final = INPUT | {"reads", "answers", "classes", "slope", "offsets"}


class TorchScriptModel(PreparedModel):
    """One TorchScript file that takes a prepared batch to logits.

    Parameters
    ----------
    manifest
        Parameters: ``reads`` (picture, volume or sequence), ``answers`` (findings or structures), those of `Preparation` and of
        `PreparedModel`.
    weights
        One file that `torch.jit.save` wrote.
    device
        As torch spells it.

    Raises
    ------
    ConfigurationError
        Where the file is no TorchScript, or the parameters make no sense.
    """

    executes_weights = True

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        check_known(manifest.name, manifest.parameters, KNOWN)
        reads, answers = shapes_of(manifest.name, manifest.parameters)
        preparation = Preparation.from_parameters(reads, manifest.parameters)
        outputs_of(manifest, answers)
        file = only_file(manifest)
        try:
            network = load_network(weights[file], device)
        except (RuntimeError, ValueError, OSError) as broken:
            raise ConfigurationError(f"model {manifest.name}: {file} cannot be read as TorchScript: {_first(broken)}") from broken

        super().__init__(manifest, preparation, answers, on_device(network, device))


def shapes_of(name: str, given: Mapping[str, Parameter]) -> tuple[Reads, Answers]:
    """Parameters ``reads`` and ``answers``.

    Raises
    ------
    ConfigurationError
        Where one is missing or none of the words.
    """
    try:
        return Reads(str(given.get("reads", ""))), Answers(str(given.get("answers", "")))
    except ValueError as unfit:
        reads, answers = ", ".join(Reads), ", ".join(Answers)
        raise ConfigurationError(f"model {name}: parameters.reads must be {reads}; parameters.answers {answers}") from unfit


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
