import numpy as np
import pytest

from models.labels import Finding
from models.prediction import Prediction, Rating
from models.training.finding_figures import choice, confusion, finding_figures
from node.store.errors import ConfigurationError
from tests.unit.models.training.drawn import CODE, manifest

KEYS = ("bcc", "mel", "nv")
SKIN = manifest(
    "skin",
    findings=tuple(Finding(key=key, name=key, code=CODE, threshold=0.3) for key in KEYS),
    one_of=True,
)


def _answers(labels: str, rows: list[tuple[float, float, float]]) -> list[tuple[dict[str, str], Prediction]]:
    return [
        (
            {"label": label, "patient": f"lesion {index}"},
            Prediction(ratings=tuple(Rating(key, value) for key, value in zip(KEYS, values, strict=True))),
        )
        for index, (label, values) in enumerate(zip(labels.split(), rows, strict=True))
    ]


ROWS = [(0.8, 0.1, 0.1), (0.2, 0.5, 0.3), (0.1, 0.35, 0.55), (0.1, 0.1, 0.8), (0.1, 0.3, 0.6), (0.2, 0.5, 0.3)]


def test_the_likeliest_of_several_findings_is_what_is_scored() -> None:
    headline, per_label = finding_figures(SKIN, _answers("bcc mel mel nv nv nv", ROWS))
    assert headline["balanced_accuracy"] == pytest.approx((1 + 1 / 2 + 2 / 3) / 3)
    assert headline["accuracy"] == pytest.approx(4 / 6)
    assert headline["confusion"]["counts"] == [[1, 0, 0], [0, 1, 1], [0, 1, 2]]
    assert headline["confusion"]["labels"] == list(KEYS)
    low, high = headline["balanced_accuracy_ci"]
    assert low < headline["balanced_accuracy"] < high
    assert per_label["mel"]["recall"] == 0.5
    assert per_label["mel"]["precision"] == 0.5
    # The operating point of its own, at 0.3, finds both melanomas, at the price of two of the four others.
    assert per_label["mel"]["sensitivity"] == 1
    assert per_label["mel"]["specificity"] == 0.5
    aurocs = [per_label[key]["auroc"] for key in KEYS]
    assert headline["auroc_macro"] == pytest.approx(np.mean(aurocs))


def test_findings_that_do_not_exclude_one_another_keep_the_headline_of_the_first() -> None:
    each = SKIN.model_copy(update={"one_of": False})
    headline, per_label = finding_figures(each, _answers("bcc mel mel nv nv other", ROWS))
    assert headline["auroc"] == per_label["bcc"]["auroc"]
    assert "confusion" not in headline


def test_a_label_that_is_no_finding_is_named_where_one_of_them_must_be_the_answer() -> None:
    with pytest.raises(ConfigurationError, match="holds other, which is none of the findings of skin"):
        finding_figures(SKIN, _answers("bcc mel mel nv nv other", ROWS))


def test_a_finding_that_no_row_has_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no row with, or none without, bcc"):
        finding_figures(SKIN, _answers("nv mel mel nv nv nv", ROWS))


def test_interval_of_a_perfect_choice_is_a_point() -> None:
    truth = np.repeat([0, 1, 2], 10)
    headline, by_class = choice(truth, np.eye(3)[truth], [str(index) for index in range(30)])
    assert headline["balanced_accuracy_ci"] == [1, 1]
    assert headline["auroc_macro"] == 1
    assert [one["recall"] for one in by_class] == [1, 1, 1]


def test_confusion_counts_truth_by_row() -> None:
    assert confusion(np.array([0, 0, 1]), np.array([1, 0, 1]), 2) == [[1, 1], [0, 1]]


def _with(answers: list[tuple[dict[str, str], Prediction]], **columns: str) -> list[tuple[dict[str, str], Prediction]]:
    """Rows with further columns, each given as words, one a row."""
    words = {name: value.split() for name, value in columns.items()}
    return [({**row, **{name: all_[index] for name, all_ in words.items()}}, said) for index, (row, said) in enumerate(answers)]


def test_figures_of_groups_show_whom_a_model_fails() -> None:
    each = SKIN.model_copy(update={"one_of": False, "findings": SKIN.findings[1:2]})
    good, bad = ([(0.1, 0.9, 0.0), (0.9, 0.1, 0.0)], [(0.9, 0.1, 0.0), (0.1, 0.9, 0.0)])
    answers = _with(_answers("mel bcc " * 10, good * 5 + bad * 5), sex="f " * 10 + "m " * 10, age="30 " * 17 + "80 " * 3)
    _, per_label = finding_figures(each, answers)
    groups = per_label["mel"]["by_group"]
    assert sorted(groups) == ["age=18 to 39", "sex=f", "sex=m"]  # three rows of the old are too few
    assert groups["sex=f"] == {
        "n": 10, "n_positive": 5, "auroc": 1.0, "auroc_ci": [1.0, 1.0], "sensitivity": 1.0, "sensitivity_ci": [1.0, 1.0],
        "specificity": 1.0, "specificity_ci": [1.0, 1.0],
    }  # fmt: skip
    assert groups["sex=m"]["auroc"] == 0
    assert per_label["mel"]["sensitivity"] == 0.5
    low, high = per_label["mel"]["sensitivity_ci"]
    assert 0 < low < 0.5 < high < 1


def test_a_group_without_both_classes_has_no_figures_of_ranking() -> None:
    each = SKIN.model_copy(update={"one_of": False, "findings": SKIN.findings[1:2]})
    answers = _with(_answers("mel " * 5 + "bcc " * 5, ROWS[:1] * 10), site="arm " * 5 + "leg " * 5)
    groups = finding_figures(each, answers)[1]["mel"]["by_group"]
    assert groups == {"site=arm": {"n": 5, "n_positive": 5}, "site=leg": {"n": 5, "n_positive": 0}}


def test_the_choice_has_figures_of_groups_too() -> None:
    answers = _with(_answers("bcc mel mel nv nv nv " * 2, ROWS * 2), sex="f " * 6 + "m " * 6)
    headline, _ = finding_figures(SKIN, answers)
    women = headline["by_group"]["sex=f"]
    assert (women["n"], women["findings"]) == (6, 3)
    assert women["balanced_accuracy"] == pytest.approx((1 + 1 / 2 + 2 / 3) / 3)
    assert women["accuracy_ci"][0] < women["accuracy"]
