import json
from pathlib import Path

import pytest

from models.manifest import library_folder
from models.training.card import keep_figures, render_figures
from node.store.errors import ConfigurationError
from tests.research import RESEARCH

FIGURES = {
    "version": "1.0.0",
    "dataset": "films",
    "split": "val",
    "n": 10,
    "refused": 1,
    "refusals": {"inverted": 1},
    "per_label": {"pneumonia": {"n": 10, "auroc": 0.91234, "auroc_ci": [0.8, 0.99]}},
}


def test_figures_are_written_between_the_marks_and_only_there(tmp_path: Path) -> None:
    card = tmp_path / "MODEL_CARD.md"
    card.write_text("# Card\n<!-- figures -->\nold\n<!-- end of figures -->\nLimits.\n")
    keep_figures(tmp_path, FIGURES)
    keep_figures(tmp_path, {**FIGURES, "view": "border-only"})
    text = card.read_text()
    assert text.startswith("# Card\n<!-- figures -->\n")
    assert text.endswith("<!-- end of figures -->\nLimits.\n")
    assert "old" not in text
    assert "| auroc | 0.912 (0.800 to 0.990) |" in text
    assert "refused: 1 inverted." in text
    keep_figures(tmp_path, {**FIGURES, "where": {"source": "b"}})
    runs = ["films/val, as shipped", "films/val, border-only", "films/val, source=b, as shipped"]
    assert list(json.loads((tmp_path / "evaluation.json").read_text())) == runs


def test_a_card_without_a_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no lines <!-- figures -->"):
        keep_figures(tmp_path, FIGURES)


MEASURED = sorted(path.parent for folder in (library_folder(), RESEARCH) for path in folder.glob("*/evaluation.json"))


def test_every_model_with_data_or_pictures_was_measured() -> None:
    assert len(MEASURED) >= 11


@pytest.mark.parametrize("folder", MEASURED, ids=lambda folder: folder.name)
def test_the_card_says_what_was_measured(folder: Path) -> None:
    kept = json.loads((folder / "evaluation.json").read_text())
    assert kept
    assert render_figures(kept) in (folder / "MODEL_CARD.md").read_text()
