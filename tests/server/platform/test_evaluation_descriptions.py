from atrous.server.platform.evaluation_descriptions import comparison, describe_evaluation, overall
from atrous.store.evaluations import Evaluation
from atrous.store.workspaces import Workspace

WORKSPACE = Workspace("w", "acme", "Acme", 0.0)


def evaluation(run: int, miou: float | None, at: float = 0.0) -> Evaluation:
    figures = {"miou": miou, "pixel_accuracy": None, "classes": []}
    result = {"splits": {"valid": figures}}
    return Evaluation(
        f"e{run}",
        "w",
        "p",
        "v",
        f"t{run}",
        at,
        "roads",
        3,
        run,
        "deeplabv3",
        "finished",
        result,
        None,
    )


def test_an_evaluation_names_its_model() -> None:
    described = describe_evaluation(WORKSPACE, evaluation(2, 0.5))
    assert described["modelId"] == "acme/roads-3-deeplabv3-t2"
    assert described["createdAt"] == "1970-01-01T00:00:00Z"
    assert described["summary"]["split"] == "valid"


def test_the_newest_figures_are_compared() -> None:
    found = [evaluation(1, 0.6), evaluation(2, 0.7), evaluation(1, 0.9), evaluation(3, None)]
    models = comparison(WORKSPACE, found, "mIoU")["models"]
    assert [model["metrics"]["mIoU"] for model in models] == [0.6, 0.7, None]
    assert [model["onFrontier"] for model in models] == [False, True, False]
    unknown = comparison(WORKSPACE, found, "mAP")["models"]
    assert not any(model["onFrontier"] for model in unknown)


def test_figures_that_are_not_defined_are_null() -> None:
    assert overall({"miou": None, "pixel_accuracy": None, "classes": [{"f1": None}]}) == {
        "mIoU": None,
        "pixelAccuracy": None,
        "precision": None,
        "recall": None,
        "f1": None,
    }
