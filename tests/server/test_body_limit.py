import pytest


def chunks(count: int):
    for _ in range(count):
        yield b"A" * 1000


@pytest.mark.parametrize("path", ["/colours/1", "/infer/semantic_segmentation", "/model/add"])
def test_a_large_body_is_413(start, key, path) -> None:
    client = start(max_body_bytes=10_000)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    answer = client.post(path, headers=headers, content=b"A" * 10_001)
    assert answer.status_code == 413
    assert "10000 bytes" in answer.json()["message"]


def test_bytes_are_counted_not_believed(start, key) -> None:
    client = start(max_body_bytes=10_000)
    answer = client.post("/colours/1", params={"api_key": key}, content=chunks(11))
    assert answer.status_code == 413
    answer = client.post("/colours/1", params={"api_key": key}, content=chunks(10))
    assert answer.status_code == 400  # small enough, but no picture


def test_a_large_form_is_413(start, key) -> None:
    client = start(max_body_bytes=10_000)
    files = {"file": ("a.png", b"A" * 20_000)}
    assert client.post("/colours/1", params={"api_key": key}, files=files).status_code == 413


def test_the_limit_itself_is_allowed(start, key, png) -> None:
    client = start(max_body_bytes=len(png))
    assert client.post("/colours/1", params={"api_key": key}, content=png).status_code == 200
