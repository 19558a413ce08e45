import math
from dataclasses import replace

import numpy as np
import pytest

from atrous.domain.errors import ExportRefused
from atrous.export import variant_figures
from atrous.export.variant_figures import (
    LabelledPhotos,
    VariantFigures,
    compare,
    insist,
    insist_on_trials,
)
from atrous.packages.directory import ModelPackage

FIGURES = VariantFigures("valid", 9, miou_before=0.70, miou_after=0.685, pixel_agreement=0.98)


def test_a_network_agrees_with_itself(
    exported_package: ModelPackage, photos: LabelledPhotos
) -> None:
    seen = []
    figures, report = compare(
        exported_package, exported_package, photos, lambda *done: seen.append(done)
    )
    assert (figures.photos, figures.pixel_agreement, figures.drop_points) == (3, 1.0, 0.0)
    assert report["miou"] == figures.miou_after > 0
    assert [entry["name"] for entry in report["classes"]] == list(exported_package.class_names)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_what_is_lost_is_in_points() -> None:
    assert FIGURES.as_json()["drop_points"] == 1.5
    insist(FIGURES, 1.5 + 1e-9, "int8")


@pytest.mark.parametrize("after", [0.685, math.nan])
def test_too_much_is_refused(after: float) -> None:
    with pytest.raises(ExportRefused, match=r"0\.7000 to .*at most 1 are allowed.*--max-drop"):
        insist(replace(FIGURES, miou_after=after), 1.0, "int8")


def test_drawn_pictures_decide_where_there_are_no_photos(
    exported_package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert insist_on_trials(exported_package, exported_package, "fp16") == 1.0
    logits = np.zeros((2, 4, 4), np.float32)
    logits[0] = 1
    turned = iter(([logits], [logits[::-1].copy()]))
    monkeypatch.setattr(variant_figures, "_coarse_logits", lambda *_: next(turned))
    with pytest.raises(ExportRefused, match="--data"):
        insist_on_trials(exported_package, exported_package, "fp16")
