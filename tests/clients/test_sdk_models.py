"""inference-sdk, a new and an old release: the calls about models, with keys and without."""

import json

import pytest

MODEL = "colours/1"
CALLS = (
    "load_model",
    "list_loaded_models",
    "get_model_description",
    "unload_model",
    "unload_all_models",
)
# These send no key, but for the header that newer releases send if told to.
KEYLESS = ("unload_model", "unload_all_models")


def described(lines: list[dict]) -> dict[str, object]:
    return {line["call"]: line["answer"] for line in lines}


def check_call(call: str, answer: object) -> None:
    if call.startswith("unload"):
        assert answer == []
        return
    description = answer if call.startswith("get_model") else answer[0]
    assert description == {
        "model_id": MODEL,
        "task_type": "instance-segmentation",  # what the client must hear, see the HTTP API
        "batch_size": None,
        "input_height": None,
        "input_width": None,
    }


@pytest.fixture(scope="session")
def with_key(sdk, run_program, picture) -> dict[str, object]:
    transport = "" if sdk.is_old else "both"
    output = run_program(sdk.python, "sdk_models.py", str(picture), transport)
    return described([json.loads(line) for line in output.splitlines()])


@pytest.fixture(scope="session")
def without_key(sdk, run_program, start, picture, tmp_path_factory) -> dict[str, object]:
    log = tmp_path_factory.mktemp("no-auth") / "log"
    with start(log, "--no-auth") as server:
        output = run_program(sdk.python, "sdk_models.py", str(picture), "", at=server, API_KEY="")
    return described([json.loads(line) for line in output.splitlines()])


def test_server_info(with_key, sdk, tells) -> None:
    tells("inference-sdk", sdk.version, "get_server_info")
    assert with_key["get_server_info"]["name"] == "atrous"


@pytest.mark.parametrize("suffix", ["", "_async"])
@pytest.mark.parametrize("call", CALLS)
def test_models_with_a_key(with_key, sdk, tells, call, suffix) -> None:
    but = "the client sends no key with it: 401" if sdk.is_old and call in KEYLESS else ""
    told = "" if sdk.is_old or call not in KEYLESS else ", key by both"
    tells("inference-sdk", sdk.version, f"{call}{suffix}{told}", but)
    if but:
        assert with_key[call + suffix] == {"status": 401}
    else:
        check_call(call, with_key[call + suffix])


@pytest.mark.parametrize("suffix", ["", "_async"])
@pytest.mark.parametrize("call", CALLS)
def test_models_without_a_key(without_key, sdk, tells, call, suffix) -> None:
    tells("inference-sdk", sdk.version, f"{call}{suffix}, no key, server with --no-auth")
    check_call(call, without_key[call + suffix])


@pytest.mark.parametrize("call", ["infer", "infer_async"])
def test_inference_without_a_key(without_key, sdk, check, picture, tells, call) -> None:
    tells("inference-sdk", sdk.version, f"{call}, default mode, no key, server with --no-auth")
    if sdk.is_old and call == "infer_async":  # it re-encodes what it reads from a path
        assert without_key[call]["predictions"]["present_class_ids"] == [0, 1, 2, 3]
    else:
        check(without_key[call], picture)
