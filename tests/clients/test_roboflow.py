"""The roboflow package, unchanged: predict and save against a live server."""

import base64
import json

import numpy as np
import pytest

THRESHOLDS = {  # the client says 50 percent where its caller says nothing
    "predict, path": 0.5,
    "predict, NumPy array": 0.5,
    "predict, URL": 0.5,
    "predict, confidence 95": 0.95,
}


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory):
    return tmp_path_factory.mktemp("saved")


@pytest.fixture(scope="session")
def lines(clients_python, run_program, server, picture, pictures, saved) -> dict[str, dict]:
    url = f"{pictures[1]}/picture.png"
    output = run_program(
        clients_python,
        "roboflow_predict.py",
        str(picture),
        url,
        str(saved),
        SEMANTIC_SEGMENTATION_URL=server.url,
    )
    return {line["case"]: line for line in map(json.loads, output.splitlines())}


@pytest.mark.parametrize("case", THRESHOLDS)
def test_predict(lines, roboflow_version, check, tells, case) -> None:
    tells("roboflow", roboflow_version, case)
    [answer] = lines[case]["answer"]["predictions"]
    check(answer, base64.b64decode(lines[case]["sent"]), THRESHOLDS[case])


@pytest.mark.parametrize("name", ["group", "prediction", "hosted"])
def test_save(lines, roboflow_version, saved, picture, decode, read_mask, tells, name) -> None:
    calls = {
        "group": "save of predict, path",
        "prediction": "save of one prediction, path",
        "hosted": "save of predict, URL",
    }
    tells("roboflow", roboflow_version, calls[name])
    case = "predict, URL" if name == "hosted" else "predict, path"
    [answer] = lines[case]["answer"]["predictions"]
    mask = read_mask(answer["segmentation_mask"])
    pixels = decode(picture.read_bytes()).astype(float)
    drawn = decode((saved / f"{name}.png").read_bytes())
    # the client dims what is background
    wanted = np.where(mask[..., None] > 0, pixels, 0.4 * pixels)
    assert abs(drawn - wanted).max() <= 1


@pytest.mark.parametrize(("case", "status"), [("wrong key", 403), ("unknown model", 404)])
def test_refusals(lines, roboflow_version, tells, case, status) -> None:
    tells("roboflow", roboflow_version, f"predict: {case} is {status}")
    refusal = lines[case]["refusal"]
    assert refusal["status"] == status
    if status == 403:
        assert refusal["body"]["Message"] == "User is not authorized to access this resource"
    else:
        assert refusal["body"]["message"].startswith("Requested Roboflow resource not found.")


@pytest.fixture(scope="session")
def roboflow_version(clients_python, version_of) -> str:
    return version_of(clients_python, "roboflow")
