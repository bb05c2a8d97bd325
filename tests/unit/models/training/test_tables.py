from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from models.training.tables import folds_by_patient, read_grey, read_rows, split_rows
from node.store.errors import ConfigurationError


def test_rows_are_read_and_split(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("split,image,label,patient\ntrain,a.png,x,1\nval,b.png,y,2\n")
    rows = read_rows(tmp_path, "label")
    assert split_rows(rows, "val") == [{"split": "val", "image": "b.png", "label": "y", "patient": "2"}]
    with pytest.raises(ConfigurationError, match="no rows of split test; there are: train, val"):
        split_rows(rows, "test")
    with pytest.raises(ConfigurationError, match="no column mask"):
        read_rows(tmp_path, "mask")


def test_a_folder_without_an_index_says_what_a_data_set_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"a data set is a folder with an index\.csv"):
        read_rows(tmp_path)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("ab")), min_size=20, max_size=120), st.integers(2, 5))
def test_no_patient_is_in_two_folds(films: list[tuple[int, str]], count: int) -> None:
    rows = [{"patient": str(patient), "label": label} for patient, label in films]
    folds = folds_by_patient(rows, count, seed=1)
    assert folds == folds_by_patient(rows, count, seed=1)
    assert set(folds) <= set(range(count))
    homes = {(row["patient"], fold) for row, fold in zip(rows, folds, strict=True)}
    assert len(homes) == len({row["patient"] for row in rows})


def test_folds_share_labels_evenly() -> None:
    rows = [{"patient": str(number), "label": "rare" if number < 10 else "common"} for number in range(100)]
    folds = folds_by_patient(rows, 5, seed=0)
    assert Counter(fold for fold, row in zip(folds, rows, strict=True) if row["label"] == "rare") == dict.fromkeys(range(5), 2)


def test_pictures_are_read_as_grey(tmp_path: Path) -> None:
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    Picture.fromarray(grey).save(tmp_path / "a.png")
    assert np.array_equal(read_grey(tmp_path / "a.png"), grey)
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(ConfigurationError, match=r"b\.png cannot be read as a picture"):
        read_grey(tmp_path / "b.png")


def test_a_lesion_stands_for_a_patient_that_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("split,image,label,lesion\ntrain,a.jpg,nv,HAM_1\n")
    assert read_rows(tmp_path, "label")[0]["patient"] == "HAM_1"
