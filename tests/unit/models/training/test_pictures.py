from pathlib import Path

import numpy as np
from PIL import Image as Picture

from models.image import SpacingKind
from models.manifest import Pictures
from models.training.pictures import row_image


def test_a_colour_picture_keeps_its_colours(tmp_path: Path) -> None:
    colours = np.zeros((20, 30, 3), np.uint8)
    colours[:, :10] = (200, 100, 50)
    Picture.fromarray(colours).save(tmp_path / "a.png")
    image = row_image(tmp_path, {"image": "a.png"}, Pictures(modality="XC", colour=True))
    assert image.array.shape == (1, 20, 30, 3)
    assert image.array.dtype == np.uint8
    assert np.array_equal(image.array[0], colours)
    assert image.header.modality == "XC"
    assert image.header.photometric_interpretation == "RGB"
    assert image.spacing_kind is SpacingKind.NONE


def test_a_grey_one_is_a_slice_of_the_modality_that_the_manifest_names(tmp_path: Path) -> None:
    Picture.fromarray(np.full((20, 30), 77, np.uint8)).save(tmp_path / "a.png")
    image = row_image(tmp_path, {"image": "a.png", "view": "PA Erect"}, Pictures(modality="MR"))
    assert image.array.shape == (1, 20, 30)
    assert image.array.dtype == np.float32
    assert (image.array == 77).all()
    assert (image.header.modality, image.header.view_position) == ("MR", "PA")
