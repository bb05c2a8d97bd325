"""A TensorFlow.js layers model (``model.json`` and its shards of weights) read as data: nothing in it is ever run.

Only what a MeshNet is made of is understood: a chain of 3D convolutions of stride 1 and the activations between them. Any other
layer, layout or number type is refused by name, never guessed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.networks.meshnet import MeshNet
from node.store.errors import ConfigurationError

MOST_JSON_BYTES: Final = 4 << 20
MOST_WEIGHT_BYTES: Final = 256 << 20
_FIXED: Final = {"strides": [1, 1, 1], "padding": "same", "data_format": "channels_last", "activation": "linear"}


@dataclass(frozen=True, slots=True)
class Convolution:
    """One layer of the chain.

    Parameters
    ----------
    kernel
        ``(x, y, z, channels in, channels out)`` float32, as the file has it.
    bias
        ``(channels out,)`` float32.
    dilation
        The same along the three axes.
    activation
        Name of what follows; ``"linear"`` where nothing does.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    dilation: int
    activation: str


def read_tfjs(model: Path, shards: Mapping[str, Path]) -> tuple[Convolution, ...]:
    """Read the chain of convolutions.

    Parameters
    ----------
    model
        ``model.json``.
    shards
        Files of weights by the names that ``model.json`` gives them.

    Raises
    ------
    ConfigurationError
        Where a file is missing, cut short or too long, or says what this reader does not know.
    """
    try:
        content = _json(model)
        tensors = _tensors(content["weightsManifest"], shards)
        return _chain(_layers(content), tensors)
    except (KeyError, IndexError, TypeError, AttributeError) as unknown:
        raise ConfigurationError(
            f"{model.name} is not laid out as a layers model: {type(unknown).__name__} {unknown}"
        ) from unknown


def load_meshnet(model: Path, shards: Mapping[str, Path]) -> MeshNet:
    """Build the MeshNet that the files describe, in evaluation mode; the axes keep their order.

    Raises
    ------
    ConfigurationError
        As `read_tfjs`, or where the chain is not a MeshNet.
    """
    *body, head = read_tfjs(model, shards)
    activations = {one.activation for one in body}
    channels = {one.kernel.shape[-1] for one in body}
    if len(activations) != 1 or not activations <= {"relu", "elu"}:
        raise ConfigurationError(
            f"{model.name}: a MeshNet has one activation, relu or elu; here are {', '.join(sorted(activations))}"
        )
    if len(channels) != 1 or any(one.kernel.shape[:3] != (3, 3, 3) for one in body) or head.kernel.shape[:3] != (1, 1, 1):
        raise ConfigurationError(
            f"{model.name}: a MeshNet has convolutions of 3 x 3 x 3 of one width, and one of 1 x 1 x 1 at its end"
        )
    if head.activation != "linear":
        raise ConfigurationError(f"{model.name}: the last layer has an activation ({head.activation}), a MeshNet has none")
    network = MeshNet(
        classes=int(head.kernel.shape[-1]),
        channels=int(channels.pop()),
        dilations=[one.dilation for one in body],
        channels_in=int(body[0].kernel.shape[3]),
        activation="elu" if activations == {"elu"} else "relu",
    )
    names = [f"blocks.{index}.0" for index in range(len(body))] + ["head"]
    state = {}
    for name, one in zip(names, (*body, head), strict=True):
        state[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(one.kernel.transpose(4, 3, 0, 1, 2)))
        state[f"{name}.bias"] = torch.from_numpy(one.bias.copy())
    try:
        network.load_state_dict(state)
    except RuntimeError as unfit:
        raise ConfigurationError(f"{model.name}: the layers do not fit one another: {unfit}") from unfit
    return network.eval()


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_JSON_BYTES:
            raise ConfigurationError(f"{path.name} is larger than a description of layers can be")
        content = json.loads(path.read_bytes())
    except OSError as missing:
        raise ConfigurationError(f"{path.name} cannot be read: {missing.strerror}") from missing
    except (ValueError, RecursionError) as broken:
        raise ConfigurationError(f"{path.name} is not JSON, or is cut short") from broken
    if not isinstance(content, dict) or content.get("format") != "layers-model":
        raise ConfigurationError(f"{path.name} is not a TensorFlow.js layers model")
    return content


def _layers(content: dict[str, Any]) -> list[dict[str, Any]]:
    topology = content["modelTopology"]
    config = topology.get("model_config", topology)
    if config["class_name"] not in {"Functional", "Model"}:
        raise ConfigurationError(f"a model of class {config['class_name']} is not read, only Functional ones")
    layers: list[dict[str, Any]] = config["config"]["layers"]
    if layers[0]["class_name"] != "InputLayer":
        raise ConfigurationError("the first layer is not an InputLayer")
    previous = layers[0]["name"]
    for layer in layers[1:]:
        inputs = [one[0] for one in layer["inbound_nodes"][0]]
        if len(layer["inbound_nodes"]) != 1 or inputs != [previous]:
            raise ConfigurationError(f"layer {layer['name']} does not follow the one before it: only chains are read")
        previous = layer["name"]
    return layers[1:]


def _chain(layers: list[dict[str, Any]], tensors: dict[str, NDArray[np.float32]]) -> tuple[Convolution, ...]:
    chain: list[Convolution] = []
    for layer in layers:
        kind, config, name = layer["class_name"], layer["config"], layer["name"]
        if kind == "Activation" and chain and chain[-1].activation == "linear":
            last = chain[-1]
            chain[-1] = Convolution(last.kernel, last.bias, last.dilation, str(config["activation"]))
        elif kind == "Conv3D":
            chain.append(_convolution(name, config, tensors))
        else:
            raise ConfigurationError(f"layer {name} is a {kind}: only Conv3D, each with at most one Activation, is read")
    if len(chain) < 2:
        raise ConfigurationError("there are no convolutions in it")
    if tensors:
        raise ConfigurationError(f"the weights {min(tensors)} belong to no layer")
    return tuple(chain)


def _convolution(name: str, config: dict[str, Any], tensors: dict[str, NDArray[np.float32]]) -> Convolution:
    if name.endswith("_gn"):
        # this exporter writes a group normalisation into the name of the layer before it, and nowhere else
        raise ConfigurationError(f"layer {name} hides a group normalisation in its name: not read")
    odd = [key for key, value in _FIXED.items() if config[key] != value]
    if odd or config.get("groups", 1) != 1:
        raise ConfigurationError(f"layer {name}: {odd[0] if odd else 'groups'} is not what a MeshNet has")
    dilations = set(config["dilation_rate"])
    kernel = tensors.pop(f"{name}/kernel")
    if len(dilations) != 1 or kernel.shape != (*config["kernel_size"], kernel.shape[3], config["filters"]):
        raise ConfigurationError(f"layer {name}: kernel and description do not agree")
    bias = tensors.pop(f"{name}/bias") if config["use_bias"] else np.zeros(kernel.shape[-1], dtype=np.float32)
    if bias.shape != kernel.shape[-1:]:
        raise ConfigurationError(f"layer {name}: its bias has another length than its kernel")
    return Convolution(kernel, bias, int(dilations.pop()), "linear")


def _tensors(groups: list[dict[str, Any]], shards: Mapping[str, Path]) -> dict[str, NDArray[np.float32]]:
    found: dict[str, NDArray[np.float32]] = {}
    for group in groups:
        content = b"".join(_shard(name, shards) for name in group["paths"])
        start = 0
        for entry in group["weights"]:
            if entry["dtype"] != "float32" or "quantization" in entry:
                raise ConfigurationError(f"weights {entry['name']} are not plain float32")
            shape = tuple(int(length) for length in entry["shape"])
            if any(length < 1 for length in shape):
                raise ConfigurationError(f"weights {entry['name']} have no size")
            count = int(np.prod(shape, dtype=np.int64))
            if start + 4 * count > len(content):
                raise ConfigurationError(f"the weights are cut short: {entry['name']} is not all there")
            array = np.frombuffer(content, dtype="<f4", count=count, offset=start).reshape(shape)
            if not np.isfinite(array).all():
                raise ConfigurationError(f"weights {entry['name']} hold values that are no numbers")
            found[entry["name"]] = array
            start += 4 * count
        if start != len(content):
            raise ConfigurationError(f"the weights are {len(content) - start} bytes longer than their description")
    return found


def _shard(name: str, shards: Mapping[str, Path]) -> bytes:
    if name not in shards:
        raise ConfigurationError(f"the shard {name} is not among the weights of model.toml")
    path = shards[name]
    try:
        if path.stat().st_size > MOST_WEIGHT_BYTES:
            raise ConfigurationError(f"{name} is larger than {MOST_WEIGHT_BYTES >> 20} MB")
        return path.read_bytes()
    except OSError as missing:
        raise ConfigurationError(f"{name} cannot be read: {missing.strerror}") from missing
