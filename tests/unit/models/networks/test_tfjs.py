"""A layers model made here, evaluated by plain numpy, against the MeshNet that is built from it; and what is not read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.networks.tfjs import load_meshnet, read_tfjs
from node.store.errors import ConfigurationError


def layer(name: str, previous: str, *, kernel: int, filters: int, dilation: int = 1) -> dict[str, Any]:
    config = {
        "name": name,
        "filters": filters,
        "kernel_size": [kernel] * 3,
        "strides": [1, 1, 1],
        "padding": "same",
        "data_format": "channels_last",
        "dilation_rate": [dilation] * 3,
        "activation": "linear",
        "use_bias": True,
    }
    return {"class_name": "Conv3D", "name": name, "config": config, "inbound_nodes": [[[previous, 0, 0, {}]]]}


def activation(name: str, previous: str, kind: str) -> dict[str, Any]:
    inbound = [[[previous, 0, 0, {}]]]
    return {"class_name": "Activation", "name": name, "config": {"name": name, "activation": kind}, "inbound_nodes": inbound}


def layers_model(kind: str = "elu") -> dict[str, Any]:
    """Three convolutions of 4 channels with dilations 1, 2 and 1, then 5 classes."""
    chain: list[dict[str, Any]] = [{"class_name": "InputLayer", "name": "in", "config": {}, "inbound_nodes": []}]
    entries = []
    channels, previous = 1, "in"
    for number, (dilation, filters, size) in enumerate([(1, 4, 3), (2, 4, 3), (1, 4, 3), (1, 5, 1)]):
        name = f"c{number}"
        chain.append(layer(name, previous, kernel=size, filters=filters, dilation=dilation))
        entries.append({"name": f"{name}/kernel", "shape": [size] * 3 + [channels, filters], "dtype": "float32"})
        entries.append({"name": f"{name}/bias", "shape": [filters], "dtype": "float32"})
        previous, channels = name, filters
        if size == 3:
            chain.append(activation(f"a{number}", name, kind))
            previous = f"a{number}"
    config = {"class_name": "Functional", "config": {"layers": chain}}
    return {
        "format": "layers-model",
        "modelTopology": {"model_config": config},
        "weightsManifest": [{"paths": ["one.bin", "two.bin"], "weights": entries}],
    }


def weights_of(model: dict[str, Any]) -> bytes:
    count = sum(int(np.prod(entry["shape"])) for entry in model["weightsManifest"][0]["weights"])
    return np.random.default_rng(5).normal(0, 0.3, count).astype("<f4").tobytes()


def write(folder: Path, model: dict[str, Any], weights: bytes) -> tuple[Path, dict[str, Path]]:
    (folder / "model.json").write_text(json.dumps(model))
    (folder / "one.bin").write_bytes(weights[:1001])
    (folder / "two.bin").write_bytes(weights[1001:])
    return folder / "model.json", {name: folder / name for name in ("one.bin", "two.bin")}


def evaluated(model: dict[str, Any], weights: bytes, volume: np.ndarray) -> np.ndarray:
    """The layers in plain numpy, double precision, straight from the description: ``(x, y, z, classes)``."""
    tensors = dict(tensors_of(model, weights))
    values = volume[..., None].astype(np.float64)
    for one in model["modelTopology"].get("model_config", model["modelTopology"])["config"]["layers"][1:]:
        config = one["config"]
        if one["class_name"] == "Activation":
            values = {"elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), "relu": lambda x: np.maximum(x, 0)}[
                config["activation"]
            ](values)
            continue
        kernel, bias = tensors[f"{one['name']}/kernel"].astype(np.float64), tensors[f"{one['name']}/bias"]
        size, step = kernel.shape[0], config["dilation_rate"][0]
        reach = step * (size - 1) // 2
        padded = np.pad(values, [(reach, reach)] * 3 + [(0, 0)])
        answer = np.zeros((*volume.shape, kernel.shape[-1])) + bias
        for i, j, k in itertools.product(range(size), repeat=3):
            x, y, z = i * step, j * step, k * step
            part = padded[x : x + volume.shape[0], y : y + volume.shape[1], z : z + volume.shape[2]]
            answer += part @ kernel[i, j, k]
        values = answer
    return values


def tensors_of(model: dict[str, Any], weights: bytes) -> Iterator[tuple[str, np.ndarray]]:
    start = 0
    for entry in model["weightsManifest"][0]["weights"]:
        count = int(np.prod(entry["shape"]))
        yield entry["name"], np.frombuffer(weights, "<f4", count, start).reshape(entry["shape"])
        start += 4 * count


@pytest.mark.parametrize("kind", ["elu", "relu"])
def test_the_network_answers_what_the_description_says(tmp_path: Path, kind: str) -> None:
    model = layers_model(kind)
    weights = weights_of(model)
    volume = np.random.default_rng(1).random((9, 11, 13)).astype(np.float32)

    network = load_meshnet(*write(tmp_path, model, weights))

    with torch.inference_mode():
        answer = network(torch.from_numpy(volume)[None, None])[0].permute(1, 2, 3, 0).numpy()
    np.testing.assert_allclose(answer, evaluated(model, weights, volume), atol=1e-5)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["model30chan18cls", "model20chan3cls", "model30chan50cls", "model21_104class"])
def test_brainchops_own_networks_answer_what_their_description_says(shared: Path, name: str) -> None:
    found = sorted((shared / "weights").glob(f"raw.githubusercontent.com/neuroneural/brainchop/*/public/models/{name}"))
    if not found:
        pytest.skip("the mirror of weights is not there")
    model = json.loads((found[0] / "model.json").read_text())
    (shard,) = model["weightsManifest"][0]["paths"]
    volume = np.random.default_rng(1).random((12, 13, 14)).astype(np.float32)

    network = load_meshnet(found[0] / "model.json", {shard: found[0] / shard})

    with torch.inference_mode():
        answer = network(torch.from_numpy(volume)[None, None])[0].permute(1, 2, 3, 0).numpy()
    expected = evaluated(model, (found[0] / shard).read_bytes(), volume)
    np.testing.assert_allclose(answer, expected, atol=1e-4 * np.abs(expected).max())


def _set(model: dict[str, Any], value: object, number: int, *path: str) -> None:
    place = model["modelTopology"]["model_config"]["config"]["layers"][number]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda model: _set(model, "Lambda", 2, "class_name"), "Lambda"),
        (lambda model: _set(model, [2, 2, 2], 1, "config", "strides"), "strides"),
        (lambda model: _set(model, "valid", 1, "config", "padding"), "padding"),
        (lambda model: _set(model, "gelu", 2, "config", "activation"), "gelu"),
        (lambda model: _set(model, "softmax", 4, "config", "activation"), "softmax"),
        (lambda model: _set(model, [1, 2, 1], 1, "config", "dilation_rate"), "do not agree"),
        (lambda model: _set(model, [[["in", 0, 0, {}], ["c0", 0, 0, {}]]], 3, "inbound_nodes"), "only chains"),
        (lambda model: _set(model, [[["in", 0, 0, {}]]], 3, "inbound_nodes"), "only chains"),
        (lambda model: model["weightsManifest"][0]["weights"][0].update(dtype="uint8"), "float32"),
        (lambda model: model["weightsManifest"][0]["weights"][0].update(quantization={"scale": 1}), "float32"),
        (lambda model: model["weightsManifest"][0]["weights"][0].update(shape=[3, 3, 3, 1, 40]), "cut short"),
        (lambda model: model["weightsManifest"][0]["weights"][0].update(name="other"), "KeyError"),
        (lambda model: model["weightsManifest"][0].update(paths=["../../etc/passwd"]), "not among the weights"),
        (lambda model: model.update(format="graph-model"), "layers model"),
        (lambda model: model.pop("modelTopology"), "not laid out"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(tmp_path: Path, spoil: Callable[[dict[str, Any]], object], told: str) -> None:
    model = layers_model()
    weights = weights_of(model)
    spoil(model)

    with pytest.raises(ConfigurationError, match=told):
        load_meshnet(*write(tmp_path, model, weights))


def test_a_normalisation_hidden_in_a_name_is_refused(tmp_path: Path) -> None:
    model = layers_model()
    text = json.dumps(model).replace('"c1', '"c1_gn')

    with pytest.raises(ConfigurationError, match="group normalisation"):
        read_tfjs(*write(tmp_path, json.loads(text), weights_of(model)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda weights: weights[:-4], "cut short"),
        (lambda weights: weights + b"\0\0\0\0", "4 bytes longer"),
        (lambda weights: b"\0\0\xc0\x7f" + weights[4:], "no numbers"),
    ],
)
def test_weights_that_are_not_the_described_ones_are_refused(tmp_path: Path, change: Callable[[bytes], bytes], told: str) -> None:
    model = layers_model()

    with pytest.raises(ConfigurationError, match=told):
        load_meshnet(*write(tmp_path, model, change(weights_of(model))))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": "layers-model"}', b"[" * 100000, b"\xff\xfe"])
def test_a_description_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.json").write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"model\.json"):
        read_tfjs(tmp_path / "model.json", {})
