"""Every family trained from the command line on drawn images, and read back from the model folder that comes out."""

import csv
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from typer.testing import CliRunner

from models.commands.training import evaluate as evaluate_command
from models.commands.training import train
from models.image import Image
from models.labels import CalibratedOn
from models.manifest import read_manifest
from models.networks.architectures import ARCHITECTURES, Answers, Reads
from models.prediction import LabelMap
from models.runtime import RatesOnly, load_model
from models.runtimes.usual import LEAST_IMAGES
from models.training.card import keep_figures
from models.training.deletion import deletion_area, rivals
from models.training.evaluation import evaluate, load_for_evaluation
from models.training.samples import read_sample
from models.training.stated import calibration_of
from node.store.errors import ConfigurationError, Refused

runner = CliRunner()
HEAVY: Final = {"alexnet", "zfnet", "vgg16", "resnet50", "resnet3d18", "densenet3d121"}
"""Whose two steps take more than some seconds."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(ill: bool, seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Noise, and in the ill a bright block: the image, 0 to 255, and the block."""
    random = np.random.default_rng(seed)
    image, block = random.integers(0, 80, shape).astype(np.uint8), np.zeros(shape, np.uint8)
    if ill:
        place = tuple(slice(side // 4, side // 4 + side // 2) for side in shape)
        image[place] += 150
        block[place] = 255
    return image, block


def write_index(folder: Path, rows: list[dict[str, str]]) -> None:
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def make_folder(folder: Path, reads: Reads, count: int = 6, side: int = 40) -> Path:
    """Images with a block in every second one; volumes as arrays, sequences as folders of pictures."""
    folder.mkdir()
    rows = []
    for number in range(count):
        shape = {Reads.PICTURE: (side, side + 4), Reads.VOLUME: (20, 24, 22), Reads.SEQUENCE: (5, side, side)}[reads]
        image, block = drawn(number % 2 == 1, number, shape)
        if reads is Reads.PICTURE:
            name, mask = f"{number}.png", f"{number}-mask.png"
            Picture.fromarray(image).save(folder / name)
            Picture.fromarray(block).save(folder / mask)
        elif reads is Reads.VOLUME:
            name, mask = f"{number}.npz", f"{number}-mask.npz"
            np.savez(folder / name, image=image, spacing_mm=[2.0, 1.0, 1.0])
            np.savez(folder / mask, mask=block)
        else:
            name, mask = str(number), ""
            (folder / name).mkdir()
            for index, frame in enumerate(image):
                Picture.fromarray(frame).save(folder / name / f"{index:03}.png")
        label = "tumour" if number % 2 else "normal"
        rows.append({"split": "train", "image": name, "mask": mask, "label": label, "patient": f"p{number}"})
    write_index(folder, rows)
    return folder


def run(*arguments: object) -> Any:
    result = runner.invoke(train, [*(str(one) for one in arguments), "--threads", "1"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.slow] if one in HEAVY else []) for one in ARCHITECTURES])
def test_every_family_is_trained_and_reads_from_its_model_folder(name: str, tmp_path: Path) -> None:
    one = ARCHITECTURES[name]
    folder = make_folder(tmp_path / "data", one.reads, count=4, side=max(40, one.smallest))
    side = max(one.smallest, 2 * one.multiple, 16 if one.reads is Reads.VOLUME else 32)
    small = ["--width", "4"] if one.width else []
    out = tmp_path / "out"
    options = ["--epochs", 1, "--batch", 2, "--folds", 0, "--frames", 3, "--out", out, *small]
    record = run("mine", folder, "--arch", name, "--size", side, *options)
    assert record["architecture"] == name
    manifest = read_manifest(out)
    model = load_model(manifest, {file.file: out / file.file for file in manifest.weights})
    ending = {Reads.PICTURE: ".png", Reads.VOLUME: ".npz", Reads.SEQUENCE: ""}[one.reads]
    image = read_sample(folder / f"1{ending}")
    prediction = model.predict(image)
    if one.answers is Answers.STRUCTURES:
        assert isinstance(prediction.segmentation, LabelMap)
        assert prediction.segmentation.array.shape == image.array.shape
        assert prediction.segmentation.keys == ("structure_1",)
    else:
        (rating,) = prediction.ratings
        assert rating.key == "tumour"
        assert 0 <= rating.probability <= 1
        assert rating.spread is not None
        (heat_map,) = prediction.heat_maps
        assert (heat_map.key, heat_map.method) == ("tumour", "HiResCAM")
        assert heat_map.array.shape == image.array.shape
        assert heat_map.array.dtype == np.float32
        assert 0 <= heat_map.array.min() <= heat_map.array.max() <= 1
        assert isinstance(model, RatesOnly)
        assert model.rating_only().predict(image) == replace(prediction, heat_maps=())
    if one.reads is Reads.VOLUME:
        with pytest.raises(Refused, match="no place in the patient"):
            model.predict(read_sample(make_folder(tmp_path / "flat", Reads.PICTURE, 1) / "0.png"))


def test_a_classifier_learns_is_calibrated_and_measured_by_patient(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", Reads.PICTURE, count=16)
    out = tmp_path / "out"
    record = run(
        "mine",
        folder,
        "--arch",
        "squeezenet",
        "--size",
        32,
        "--epochs",
        12,
        "--batch",
        4,
        "--folds",
        2,
        "--out",
        out,
        "--modality",
        "dx",
    )
    figures = record["cross_validation"]["tumour"]
    assert figures["n"] == 16
    assert figures["auroc"] > 0.9
    manifest = read_manifest(out)
    assert manifest.research_only
    assert manifest.evaluation["auroc"] == pytest.approx(figures["auroc"], abs=1e-4)
    assert manifest.input.require[0].rule == "modality in ['DX']"
    assert manifest.findings[0].code.scheme == "99LOCAL"
    assert manifest.findings[0].calibration == calibration_of(figures, "data/train", CalibratedOn.FOLDS)
    assert "| expected_calibration_error | " in (out / "MODEL_CARD.md").read_text()
    assert "which flatters it" in (out / "MODEL_CARD.md").read_text()
    assert (out / "learning-curve.png").stat().st_size > 1000
    assert not list(out.glob("*.checkpoint.pt"))
    model = load_model(manifest, {file.file: out / file.file for file in manifest.weights})
    ill, well = (model.predict(read_sample(folder / f"{number}.png")).ratings[0].probability for number in (1, 2))
    assert ill > 0.5 > well


def test_hiding_what_the_map_marks_lowers_the_answer_more_than_random_places_or_edges(tmp_path: Path) -> None:
    """Rings are everywhere and mean nothing; the ill have a bright block of no sharp edge."""
    folder = tmp_path / "data"
    folder.mkdir()
    down, across = np.mgrid[:64, :64]
    rows = []
    for number in range(16):
        random = np.random.default_rng(number)
        picture = random.integers(0, 40, (64, 64)).astype(float)
        row, column = random.integers(12, 52, 2)
        picture += 120 * (np.abs(np.hypot(down - row, across - column) - 8) < 1.5)
        row, column = random.integers(12, 52, 2)
        if number % 2:
            picture += 130 * np.exp(-(np.square(down - row) + np.square(across - column)) / 80)
        Picture.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        label = "tumour" if number % 2 else "normal"
        rows.append({"split": "train", "image": f"{number}.png", "label": label, "patient": f"p{number}"})
    write_index(folder, rows)
    out = tmp_path / "out"
    options = ["--arch", "squeezenet", "--size", 96, "--epochs", 40, "--batch", 4, "--folds", 0, "--out", out]
    run("mine", folder, *options)
    manifest = read_manifest(out)
    model = load_model(manifest, {file.file: out / file.file for file in manifest.weights})
    assert isinstance(model, RatesOnly)
    rating = model.rating_only()
    areas: dict[str, list[float]] = {"map": [], "random": [], "edges": []}
    for number in range(1, 16, 4):
        image = read_sample(folder / f"{number}.png")
        film, nothing = image.array[0], np.random.default_rng(99).integers(0, 40, (64, 64)).astype(np.float32)
        ranking = model.predict(image).heat_maps[0].array[0]

        def odds(gone: np.ndarray, image: Image = image, film: np.ndarray = film, nothing: np.ndarray = nothing) -> float:
            changed = replace(image, array=np.where(gone, nothing, film)[np.newaxis])
            probability = rating.predict(changed).ratings[0].probability
            return float(np.log(probability / (1 - probability)))

        for name, one in {"map": ranking, **rivals(film, 8, number)}.items():
            areas[name].append(deletion_area(odds, one))
    found = {name: float(np.mean(values)) for name, values in areas.items()}
    assert found["map"] < found["random"]
    assert found["map"] < found["edges"]


def state_what_is_measured_on_others(folder: Path, out: Path) -> None:
    """What `overread evaluate` gives as a line for the manifest can be written there as it is; then it gives none."""
    index = folder / "index.csv"
    index.write_text(index.read_text().replace("train", "val"))
    words = [str(out), str(folder), "--split", "val", "--threads", "1", "--json"]
    told = runner.invoke(evaluate_command, words, catch_exceptions=False)
    (line,) = [one for one in told.stderr.splitlines() if one.startswith("calibration = ")]
    figures = json.loads(told.stdout)["per_label"]["tumour"]
    manifest = out / "model.toml"
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join(line if one.startswith("calibration = ") else one for one in lines))
    stated = read_manifest(out).findings[0].calibration
    assert stated == calibration_of(figures, "data/val", CalibratedOn.UNSEEN)
    assert "calibration" not in runner.invoke(evaluate_command, words, catch_exceptions=False).stderr


def test_a_card_is_begun_and_what_a_person_wrote_stays(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", Reads.PICTURE, count=LEAST_IMAGES)
    out = tmp_path / "out"
    options = ["--arch", "squeezenet", "--size", 32, "--epochs", 1, "--out", out]
    run("mine", folder, *options, "--folds", 0)
    card = out / "MODEL_CARD.md"
    first = card.read_text()
    assert "nothing is known of how good this model is" in first
    assert "Not a medical device" in first
    assert "Refused: what is unlike all that was learned from" in first
    assert "99LOCAL TUMOUR" in first
    assert read_manifest(out).findings[0].calibration is None
    assert "which flatters it" not in first
    card.write_text(first.replace("(To be added. ", "It fails on tuesdays. "))
    run("mine", folder, *options, "--folds", 2)
    second = card.read_text()
    assert "nothing is known of how good" not in second
    assert "| auroc | " in second
    assert "It fails on tuesdays." in second
    keep_figures(out, evaluate(*load_for_evaluation(str(out), "cpu", None), folder, "train"))
    assert "None yet." not in card.read_text()
    assert f"{LEAST_IMAGES} images read, refused: none" in card.read_text()
    state_what_is_measured_on_others(folder, out)
    strange = read_sample(folder / "1.png")
    strange = replace(strange, array=255 - strange.array)
    model = load_model(read_manifest(out), {"mine.safetensors": out / "mine.safetensors"})
    with pytest.raises(Refused, match="unlike the images that the model learned from"):
        model.predict(strange)


def test_outlines_are_learned_and_lie_where_the_block_is(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", Reads.VOLUME, count=8)
    (folder / "labels.toml").write_text(
        '[[structures]]\nkey = "tumour"\nname = "Tumour"\ncategory = ["SCT", "49755003", "Morphologically Abnormal Structure"]\n'
        'type = ["SCT", "108369006", "Neoplasm"]\ncolor = [200, 80, 80]\n[input]\nrequire = [{ rule = "modality == \'MR\'", otherwise = "reads MR" }]\n'
    )
    out = tmp_path / "out"
    record = run(
        "mine", folder, "--arch", "unet3d", "--width", 4, "--size", 16, "--size", 24, "--size", 24, "--epochs", 30, "--batch", 4,
        "--folds", 2, "--rate", "0.01", "--out", out,
    )  # fmt: skip
    assert record["cross_validation"]["tumour"]["dice"] > 0.7
    manifest = read_manifest(out)
    assert manifest.structures[0].type.value == "108369006"
    assert manifest.input.require[0].rule == "modality == 'MR'"
    model = load_model(manifest, {file.file: out / file.file for file in manifest.weights})
    found = model.predict(read_sample(folder / "1.npz")).segmentation
    assert isinstance(found, LabelMap)
    truth = np.load(folder / "1-mask.npz")["mask"] > 0
    both = (found.array == 1) & truth
    assert 2 * both.sum() / ((found.array == 1).sum() + truth.sum()) > 0.7


def test_a_run_that_was_cut_short_goes_on(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", Reads.PICTURE, count=4)
    options = ["--arch", "squeezenet", "--size", 32, "--epochs", 2, "--batch", 2, "--folds", 0, "--seed", 3]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    first = run("mine", folder, *options, "--out", whole)

    def stop(_self: object, _loss: float | None = None) -> None:
        nonlocal steps
        steps += 1
        if steps == 4 + 3:  # four images are read, then the third step
            raise KeyboardInterrupt

    steps = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.commands.watching.ProgressWatch.advance", stop)
        assert runner.invoke(train, ["mine", str(folder), *map(str, options), "--out", str(cut)]).exit_code != 0
    assert (cut / "all.checkpoint.pt").is_file()
    assert run("mine", folder, *options, "--out", cut, "--resume")["weights"] == first["weights"]


def test_what_the_border_alone_tells_is_measured_and_no_model_is_written(tmp_path: Path) -> None:
    """The ill have a mark in the corner, as one hospital's films may have, and nothing else."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = []
    for number in range(16):
        picture = np.random.default_rng(number).integers(0, 80, (64, 64)).astype(np.uint8)
        picture[:2, :] += 150 * (number % 2)
        Picture.fromarray(picture).save(folder / f"{number}.png")
        label = "tumour" if number % 2 else "normal"
        rows.append({"split": "train", "image": f"{number}.png", "label": label, "patient": f"p{number}"})
    write_index(folder, rows)
    out = tmp_path / "out"
    options = ["--arch", "squeezenet", "--size", 32, "--epochs", 20, "--batch", 4, "--out", out]
    record = run("mine", folder, *options, "--folds", 2, "--only", "border")
    assert record["only"] == "border"
    assert record["cross_validation"]["tumour"]["auroc"] > 0.9
    assert sorted(one.name for one in out.iterdir()) == ["learning-curve.png", "training.json"]
    with pytest.raises(ConfigurationError, match="give two folds or more"):
        run("mine", folder, *options, "--folds", 0, "--only", "border")
    with pytest.raises(ConfigurationError, match="--only goes with --arch"):
        run("cxr-lungs", folder, "--only", "border")
    with pytest.raises(ConfigurationError, match="what is outlined lies where it is hidden"):
        run("mine", make_folder(tmp_path / "masks", Reads.PICTURE, 4), "--arch", "unet", "--folds", 2, "--only", "background")


def test_colour_is_read_where_asked(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", Reads.PICTURE, count=4)
    out = tmp_path / "out"
    run("mine", folder, "--arch", "resnet18", "--colour", "--size", 32, "--epochs", 1, "--batch", 2, "--folds", 0, "--out", out)
    manifest = read_manifest(out)
    model = load_model(manifest, {file.file: out / file.file for file in manifest.weights})
    assert model.predict(read_sample(folder / "1.png", colour=True)).ratings[0].key == "tumour"
    with pytest.raises(Refused, match="reads colour images"):
        model.predict(read_sample(folder / "1.png"))


def test_training_starts_from_published_weights_of_the_same_network(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", Reads.PICTURE, count=4)
    options = ["--size", 32, "--epochs", 1, "--batch", 2, "--folds", 0]
    run("mine", folder, "--arch", "squeezenet", *options, "--out", tmp_path / "a")
    weights = tmp_path / "a" / "mine.safetensors"
    run("mine", folder, "--arch", "squeezenet", *options, "--init", weights, "--out", tmp_path / "b")
    with pytest.raises(ConfigurationError, match="is not of this network"):
        run("mine", folder, "--arch", "googlenet", *options, "--init", weights, "--out", tmp_path / "c")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--arch", "unet", "--size", "40"], "size 40 does not fit the network: 32 or more, a multiple of 32"),
        (["--arch", "squeezenet", "--size", "32", "--folds", "9"], "9 folds need as many patients"),
        (["--arch", "squeezenet", "--size", "32", "--folds", "1"], "one fold holds nothing out"),
        (["--arch", "squeezenet", "--size", "32", "--normal", "well"], "no row has the label well"),
        (["--arch", "unet3d", "--size", "16"], r"0\.png: reads volumes"),
        (["--arch", "vgg16", "--size", "32", "--width", "3", "--folds", "0"], "one width only"),
    ],
)
def test_what_cannot_be_trained_is_said(arguments: list[str], reason: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", Reads.PICTURE, count=4)
    with pytest.raises(ConfigurationError, match=reason):
        run("mine", folder, *arguments, "--out", tmp_path / "out")


def test_a_model_of_its_own_needs_folds(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cxr-lungs needs at least two folds"):
        run("cxr-lungs", tmp_path, "--folds", 0)


def nifti(path: Path, values: np.ndarray, rows: list[list[float]], **changes: bytes) -> Path:
    """A NIfTI-1 file of ``(x, y, z)`` int16 values with an sform."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *values.shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<3f", header, 108, 352.0, 2.0, -10.0)
    struct.pack_into("<2h", header, 252, 0, 1)
    struct.pack_into("<12f", header, 280, *np.ravel(rows))
    header[344:348] = changes.get("magic", b"n+1\0")
    path.write_bytes(bytes(header) + values.astype("<i2").tobytes(order="F"))
    return path


def test_nifti_volumes_keep_their_place_and_scale(tmp_path: Path) -> None:
    values = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    image = read_sample(nifti(tmp_path / "a.nii", values, [[-2, 0, 0, 5], [0, 3, 0, 6], [0, 0, 4, 7]]))
    assert image.array.shape == (4, 3, 2)
    assert image.array[3, 2, 1] == values[1, 2, 3] * 2 - 10
    assert image.affine is not None
    assert image.spacing_mm == (4.0, 3.0, 2.0)
    np.testing.assert_allclose(image.affine @ [3, 2, 1, 1], [-(-2 * 1 + 5), -(3 * 2 + 6), 4 * 3 + 7, 1])


def test_broken_nifti_volumes_are_refused(tmp_path: Path) -> None:
    rows = [[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    good = nifti(tmp_path / "a.nii", np.ones((2, 2, 2)), rows)
    (tmp_path / "short.nii").write_bytes(good.read_bytes()[:-1])
    (tmp_path / "text.nii").write_bytes(b"no")
    (tmp_path / "bad.nii.gz").write_bytes(good.read_bytes())
    nifti(tmp_path / "pair.nii", np.ones((2, 2, 2)), rows, magic=b"ni1\0")
    nifti(tmp_path / "flat.nii", np.ones((2, 2, 2)), [[1.0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]])
    for name, reason in {
        "short.nii": "cut short",
        "text.nii": "no NIfTI-1",
        "bad.nii.gz": "cannot be read",
        "pair.nii": "of one piece",
        "flat.nii": "no volume",
    }.items():
        with pytest.raises(ConfigurationError, match=reason):
            read_sample(tmp_path / name)


def test_arrays_that_would_execute_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([Reads.PICTURE], dtype=object), allow_pickle=True)
    with pytest.raises(ConfigurationError, match="cannot be read as an array"):
        read_sample(tmp_path / "a.npy")
