import pytest

SERVER = "http://testserver"  # written out, as a path of two slashes alone would name a host


@pytest.mark.parametrize("path", ["//colours/1", "///colours/1"])
def test_a_url_of_the_server_may_end_with_a_slash(client, key, png, path) -> None:
    answer = client.post(SERVER + path, params={"api_key": key}, content=png)
    assert answer.status_code == 200


def test_slashes_open_nothing(client) -> None:
    for path in ("//model/registry", "//colours/1"):
        assert client.get(SERVER + path).status_code == 401


def test_slashes_elsewhere_stay(client, key, png) -> None:
    answer = client.post(f"{SERVER}/colours//1", params={"api_key": key}, content=png)
    assert answer.status_code == 404
