import logging


def test_query_strings_and_keys_are_not_logged(client, key, png, caplog) -> None:
    with caplog.at_level(logging.DEBUG, logger="atrous"):
        client.post("/colours/1", params={"api_key": key, "image_type": "file"}, content=png)
        client.post("/colours/1", params={"api_key": key}, content=png)
        client.get("/model/registry", headers={"authorization": f"Bearer {key}"})
    lines = [record.getMessage() for record in caplog.records]
    assert any("'/colours/1' 200" in line for line in lines)
    assert key not in caplog.text
    assert "image_type" not in caplog.text


def test_a_path_can_not_fake_a_line(client, caplog) -> None:
    with caplog.at_level(logging.INFO, logger="atrous"):
        client.get("/a%0AGET%20'/b'%20200")
    assert all("\n" not in record.getMessage() for record in caplog.records)


def test_without_lines_requests_are_counted_all_the_same(start, caplog) -> None:
    client = start(api_logging_enabled=False)
    with caplog.at_level(logging.DEBUG, logger="atrous"):
        assert client.get("/info").headers["X-Request-ID"]
    assert not [record for record in caplog.records if record.name.endswith("request_log")]
    assert 'method="GET",status="200"} 1.0' in client.get("/metrics").text


def test_request_ids_come_back(client) -> None:
    answer = client.get("/info", headers={"X-Request-ID": "abc-1"})
    assert answer.headers["X-Request-ID"] == "abc-1"
    answer = client.get("/info", headers={"X-Request-ID": "bad id <>"})
    assert len(answer.headers["X-Request-ID"]) == 32


def test_the_header_of_ids_has_the_name_that_is_set(start) -> None:
    client = start(correlation_id_header="X-Correlation-Id", allow_origins="*")
    headers = {"x-correlation-id": "abc-1", "X-Request-ID": "other", "origin": "https://a.example"}
    answer = client.get("/info", headers=headers)
    assert answer.headers["X-Correlation-Id"] == "abc-1"
    assert "X-Request-ID" not in answer.headers
    assert "X-Correlation-Id" in answer.headers["access-control-expose-headers"]


def test_answers_of_models_say_which_and_how_long(client, key, png) -> None:
    params = {"api_key": key}
    answer = client.post("/colours/1", params=params, content=png)
    assert answer.headers["X-Model-Id"] == "colours/1"
    assert 0 < float(answer.headers["X-Processing-Time"]) < 1000
    assert "X-Model-Id" not in client.get("/healthz").headers
    odd = client.post("/model/add", params=params, json={"model_id": "a\r\nX-Odd: 1"})
    assert odd.status_code == 400
    assert "X-Model-Id" not in odd.headers
