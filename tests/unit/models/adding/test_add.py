"""Models of each format taken from a folder; what is wrong or hostile is refused, and nothing of it runs."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from models.adding.add import add_model
from models.adding.draft import Wishes
from models.approval import FILE, approve, read_approvals
from models.commands.shelf import app
from models.manifest import library_folder, read_library, read_manifest
from models.runtime import load_model
from models.weights import ensure_weights
from node.check.reading import check_models
from node.store.errors import ConfigurationError, HashMismatch, OverreadError
from node.store.settings import Settings, load_settings
from tests.unit.models.adding.folders import hostile_pickle, network_folder, picture, write_manifest

runner = CliRunner()


def run(*arguments: object) -> str:
    result = runner.invoke(app, [str(one) for one in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def approval(data: Path) -> list[tuple[str, str, str]]:
    """What `overread check` says of models that bring code: how bad it is, what, and what to do."""
    return [(str(one.level), one.says, one.to_do) for one in check_models(Settings(data=data)) if one.part == "approval"]


def probability(folder: Path, data: Path) -> float:
    manifest = read_manifest(folder)
    model = load_model(manifest, ensure_weights(manifest, data, pull=False), approvals=read_approvals(data))
    (rating,) = model.predict(picture()).ratings
    return rating.probability


def test_our_own_network_is_added_and_reads(tmp_path: Path) -> None:
    data = tmp_path / "data"
    said = run("add", network_folder(tmp_path / "mine"), "--data", data)
    assert "mine 0.1.0 is in" in said
    assert "research only" in said
    settings = load_settings(None, {"data": data})
    manifest = read_library(*settings.all_model_folders)["mine"]
    assert manifest.research_only
    assert len(manifest.weights[0].sha256) == 64
    assert manifest.findings[0].calibration is None
    assert 0 < probability(data / "models" / "mine", data) < 1
    assert '"mine"' in run("--json", "--data", data)
    assert "needs no approval" in run("approve", "mine", "--data", data)


def test_a_name_is_taken_once_and_replaced_on_request(tmp_path: Path) -> None:
    folder = network_folder(tmp_path / "mine")
    shelf = tmp_path / "shelf"
    add_model(folder, shelf, Wishes())
    with pytest.raises(ConfigurationError, match="give --replace"):
        add_model(folder, shelf, Wishes())
    assert add_model(folder, shelf, Wishes(), replace=True).manifest.folder == shelf / "mine"
    with pytest.raises(ConfigurationError, match="there is a model cxr-lungs already"):
        add_model(folder, shelf, Wishes(name="cxr-lungs"), replace=True)
    assert add_model(folder, shelf, Wishes(name="other")).manifest.name == "other"
    assert sorted(one.name for one in shelf.iterdir()) == ["mine", "other"]


def torchscript_folder(folder: Path, marker: Path) -> Path:
    """A network whose forward makes a file: what TorchScript can do though it is no Python."""

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.path = str(marker)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made = torch.from_file(self.path, shared=True, size=4)
            return torch.stack([x.mean(), x.mean() + 1.0 + made.sum()])[None]

    write_manifest(folder, "torchscript", "net.pt")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.jit")
        torch.jit.script(Net()).save(str(folder / "net.pt"))
    return folder


def test_torchscript_runs_only_once_it_is_approved_and_never_another_file(tmp_path: Path) -> None:
    data, marker = tmp_path / "data", tmp_path / "marker"
    said = run("add", torchscript_folder(tmp_path / "ts", marker), "--data", data)
    assert "overread models approve ts" in said
    folder = data / "models" / "ts"
    ((state, detail, to_do),) = approval(data)
    assert (state, to_do) == ("fault", "look at its files, then: overread models approve ts")
    assert "is not approved" in detail
    with pytest.raises(ConfigurationError, match=r"brings code of its own and is not approved: .*approve ts"):
        probability(folder, data)
    assert not marker.exists()
    assert "may run these files here" in run("approve", "ts", "--data", data)
    assert [state for state, _, _ in approval(data)] == ["ok"]
    assert probability(folder, data) == pytest.approx(1 / (1 + np.exp(-1)))
    assert marker.exists(), "the network of this test makes a file when it runs"
    marker.unlink()
    torchscript_folder(tmp_path / "ts2" / "ts", tmp_path / "other")
    (folder / "net.pt").write_bytes((tmp_path / "ts2" / "ts" / "net.pt").read_bytes())
    with pytest.raises(HashMismatch):
        probability(folder, data)
    run("add", tmp_path / "ts2" / "ts", "--replace", "--data", data)
    with pytest.raises(ConfigurationError, match="has changed since it was approved"):
        probability(folder, data)
    assert not marker.exists()
    assert not (tmp_path / "other").exists()


def test_a_calibration_that_comes_with_a_model_is_kept(tmp_path: Path) -> None:
    folder = network_folder(tmp_path / "mine")
    manifest = folder / "model.toml"
    shipped = (library_folder() / "cxr-tb" / "model.toml").read_text()
    table = shipped[shipped.index("[findings.calibration]") : shipped.index("[[weights]]")]
    manifest.write_text(manifest.read_text().replace("[[weights]]", f"{table}[[weights]]"))

    run("add", folder, "--data", tmp_path / "data")

    stated = read_manifest(tmp_path / "data" / "models" / "mine").findings[0].calibration
    assert stated is not None
    assert stated == read_manifest(library_folder() / "cxr-tb").findings[0].calibration


PYTHON = """
from pathlib import Path
from models.prediction import Prediction, Rating
Path({marker!r}).write_text("ran")
class Model:
    def __init__(self, manifest, weights, device): self.weights = weights
    def predict(self, image): return Prediction(ratings=(Rating("tumour", 0.25),)) if image.array.max() > 0 else 3
"""


def test_python_runs_only_once_it_is_approved(tmp_path: Path) -> None:
    data, marker, folder = tmp_path / "data", tmp_path / "marker", tmp_path / "py"
    write_manifest(folder, "python", "reader.py", 'entry = "reader.py:Model"')
    (folder / "reader.py").write_text(PYTHON.format(marker=str(marker)))
    run("add", folder, "--data", data)
    with pytest.raises(ConfigurationError, match="is not approved"):
        probability(data / "models" / "py", data)
    assert not marker.exists()
    approve(data, read_manifest(data / "models" / "py"))
    assert probability(data / "models" / "py", data) == 0.25
    assert marker.exists()


def test_a_runtime_of_ours_that_executes_weights_needs_approval_too(tmp_path: Path) -> None:
    folder = write_manifest(tmp_path / "brain", "torchscript", "model.pt")
    text = (folder / "model.toml").read_text().replace('format = "torchscript"', 'runtime = "models.runtimes.brain_mr:BrainMr"')
    (folder / "model.toml").write_text(text)
    (folder / "model.pt").write_bytes(b"code")
    assert add_model(folder, tmp_path / "shelf", Wishes()).needs_approval
    with pytest.raises(ConfigurationError, match="is not approved"):
        load_model(read_manifest(tmp_path / "shelf" / "brain"), {})


def test_damaged_approvals_approve_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    with pytest.raises(ConfigurationError, match="is damaged"):
        read_approvals(tmp_path)


def onnx_folder(folder: Path) -> Path:
    onnx = pytest.importorskip("onnx")
    write_manifest(folder, "onnx", "net.onnx")
    weight = np.zeros((2, 1024), np.float32)
    weight[1] = 1 / 1024
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Flatten", ["x"], ["flat"]),
            onnx.helper.make_node("Gemm", ["flat", "w"], ["y"], transB=1),
        ],
        "tiny",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 1, 32, 32])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 2])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    return folder


def test_onnx_is_added_and_reads_without_approval(tmp_path: Path) -> None:
    added = add_model(onnx_folder(tmp_path / "graph"), tmp_path / "shelf", Wishes())
    assert not added.needs_approval
    found = probability(added.manifest.folder, tmp_path)
    assert 0.5 < found < 1 / (1 + np.exp(-1))  # the second output is the mean of an image of 0 to 1


def test_what_is_wrong_with_an_onnx_file_is_said(tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path / "graph")
    (folder / "net.onnx").write_bytes((folder / "net.onnx").read_bytes()[:-100])
    with pytest.raises(ConfigurationError, match=r"net\.onnx cannot be read as ONNX"):
        add_model(folder, tmp_path / "shelf", Wishes())
    folder = onnx_folder(tmp_path / "large")
    (folder / "model.toml").write_text((folder / "model.toml").read_text().replace("[32]", "[64]"))
    manifest = add_model(folder, tmp_path / "shelf", Wishes()).manifest
    with pytest.raises(ConfigurationError, match=r"takes \[1, 1, 32, 32\], it is shown \[1, 1, 64, 64\]"):
        probability(manifest.folder, tmp_path)


def nothing_added(shelf: Path) -> bool:
    return not shelf.exists() or not list(shelf.iterdir())


def test_wrong_weights_hashes_and_files_cut_short_are_refused(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    with pytest.raises(HashMismatch, match=r"net\.safetensors has SHA-256 .* it is another file, or was cut short"):
        add_model(network_folder(tmp_path / "a", sha256="0" * 64), shelf, Wishes())
    cut = network_folder(tmp_path / "b")
    (cut / "net.safetensors").write_bytes((cut / "net.safetensors").read_bytes()[:-1])
    with pytest.raises(ConfigurationError, match="cannot be read as safetensors"):
        add_model(cut, shelf, Wishes())
    wrong = network_folder(tmp_path / "c")
    (wrong / "model.toml").write_text((wrong / "model.toml").read_text().replace("squeezenet", "googlenet"))
    with pytest.raises(ConfigurationError, match="does not fit the network"):
        add_model(wrong, shelf, Wishes())
    missing = network_folder(tmp_path / "d")
    (missing / "net.safetensors").unlink()
    with pytest.raises(ConfigurationError, match=r"net\.safetensors is missing"):
        add_model(missing, shelf, Wishes())
    assert nothing_added(shelf)


@pytest.mark.parametrize("kind", ["safetensors", "onnx"])
def test_a_hostile_pickle_in_place_of_weights_executes_nothing(kind: str, tmp_path: Path) -> None:
    marker, file = tmp_path / "marker", f"net.{kind}"
    folder = network_folder(tmp_path / "mine") if kind == "safetensors" else onnx_folder(tmp_path / "mine")
    hostile_pickle(folder / file, marker)
    with pytest.raises(ConfigurationError, match="cannot be read as"):
        add_model(folder, tmp_path / "shelf", Wishes())
    assert not marker.exists()
    assert nothing_added(tmp_path / "shelf")
    pickle.loads((folder / file).read_bytes())
    assert marker.exists(), "the pickle of this test makes a file when it is read carelessly"


def test_a_hostile_pickle_in_place_of_torchscript_executes_nothing_even_when_approved(tmp_path: Path) -> None:
    data, marker = tmp_path / "data", tmp_path / "marker"
    folder = write_manifest(tmp_path / "ts", "torchscript", "net.pt")
    hostile_pickle(folder / "net.pt", marker)
    run("add", folder, "--data", data)
    run("approve", "ts", "--data", data)
    with pytest.raises(ConfigurationError, match="cannot be read as TorchScript"):
        probability(data / "models" / "ts", data)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('file = "net.safetensors"', 'file = "../net.safetensors"', "must lie in the model's folder itself"),
        ('format = "safetensors"', 'format = "pickle"', "format must be one of safetensors, torchscript, onnx"),
        ('format = "safetensors"', 'runtime = "os:system"', "is not models.runtimes.MODULE:CLASS"),
        ('format = "safetensors"', 'format = "onnx"\nruntime = "models.runtimes.network:NetworkModel"', "leave runtime out"),
        ("size = [32]", "size = [32]\nslop = 2", "no parameter slop"),
        ("size = [32]", "", "parameters of the network's input: 'size'"),
        ('"tumour"]', '"lump"]', "no output is named tumour"),
        ('name = "mine"', 'name = "../mine"', "name"),
        ('name = "mine"', "name = 1979-05-27", "has no form in TOML"),
        ('name = "mine"', 'name = "mine', "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said(old: str, new: str, reason: str, tmp_path: Path) -> None:
    folder = network_folder(tmp_path / "mine")
    text = (folder / "model.toml").read_text()
    assert old in text
    (folder / "model.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(OverreadError, match=reason):
        add_model(folder, tmp_path / "shelf", Wishes())
    assert nothing_added(tmp_path / "shelf")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = network_folder(tmp_path / "mine")
    (folder / "net.safetensors").rename(tmp_path / "secret")
    (folder / "net.safetensors").symlink_to(tmp_path / "secret")
    with pytest.raises(ConfigurationError, match="must lie in the model's folder itself"):
        add_model(folder, tmp_path / "shelf", Wishes())


def test_what_is_no_model_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "net.onnx").write_bytes(b"")
    for path, reason in {
        "empty": "is no model: no model.toml",
        "net.onnx": "put it into a folder with a model.toml",
        "nothing": "is no folder",
    }.items():
        with pytest.raises(ConfigurationError, match=reason):
            add_model(tmp_path / path, tmp_path / "shelf", Wishes())
