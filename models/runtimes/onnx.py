"""An ONNX network, run by onnxruntime (the extra ``onnx``): a graph of known operators, data and no code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.manifest import Manifest
from models.runtimes.preparation import Preparation, check_known
from models.runtimes.prepared import PreparedModel, only_file, outputs_of
from models.runtimes.torchscript import KNOWN, shapes_of
from node.store.errors import ConfigurationError


class OnnxModel(PreparedModel):
    """One ONNX file with one input, a prepared batch, and one output, its logits.

    Parameters
    ----------
    manifest
        Parameters as `models.runtimes.torchscript.TorchScriptModel`.
    weights
        One file; graphs that keep their numbers in files beside it are not read.
    device
        As torch spells it.

    Raises
    ------
    ConfigurationError
        Where onnxruntime is not installed, or the file is none that it can run.
    """

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        name = manifest.name
        check_known(name, manifest.parameters, KNOWN)
        reads, answers = shapes_of(name, manifest.parameters)
        preparation = Preparation.from_parameters(reads, manifest.parameters)
        outputs_of(manifest, answers)
        session = _session(name, weights[only_file(manifest)], device)
        if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1:
            raise ConfigurationError(f"model {name}: the graph must have one input and one output")
        entry = session.get_inputs()[0]
        if entry.type != "tensor(float)":
            raise ConfigurationError(f"model {name}: the graph takes {entry.type}, tensor(float) was expected")

        def answer(batch: Tensor) -> Tensor:
            fixed = [side for side in entry.shape if isinstance(side, int)]
            if len(entry.shape) != batch.ndim or (len(fixed) == batch.ndim and tuple(fixed) != tuple(batch.shape)):
                raise ConfigurationError(f"model {name}: the graph takes {entry.shape}, it is shown {list(batch.shape)}")
            (logits,) = session.run(None, {entry.name: np.ascontiguousarray(batch.numpy())})
            return torch.from_numpy(np.array(logits, dtype=np.float32))

        super().__init__(manifest, preparation, answers, answer)


def _session(name: str, path: Path, device: str) -> Any:
    try:
        import onnxruntime
    except ImportError as missing:
        raise ConfigurationError("ONNX models need onnxruntime: pip install 'overread[onnx]'") from missing
    wanted = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
    providers = [one for one in (*wanted, "CPUExecutionProvider") if one in onnxruntime.get_available_providers()]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its own lines on standard error would bypass our log
    try:
        # from bytes: a graph that refers to files beside it finds none
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=providers)
    except Exception as broken:  # onnxruntime's own exceptions have no common root that it exports
        raise ConfigurationError(f"model {name}: {path.name} cannot be read as ONNX: {str(broken)[:200]}") from broken
