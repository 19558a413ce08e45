def test_requests_and_stages_are_counted(client, key, png) -> None:
    client.post("/colours/1", params={"api_key": key}, content=png)
    client.post("/colours/1", params={"api_key": "wrong"}, content=png)
    text = client.get("/metrics").text
    assert 'atrous_requests_total{method="POST",status="200"} 1.0' in text
    assert 'atrous_requests_total{method="POST",status="403"} 1.0' in text
    for stage in ("decode", "preprocess", "network", "postprocess", "encode"):
        assert f'atrous_stage_seconds_count{{stage="{stage}"}} 1.0' in text
    assert "atrous_loaded_models 1.0" in text
    assert "atrous_queue_depth 0.0" in text
    assert 'atrous_model_requests_total{cache="miss"} 1.0' in text
    assert 'cache="hit"' not in text
    assert "atrous_wrong_keys_total 1.0" in text
    [size] = [line for line in text.splitlines() if line.startswith("atrous_model_bytes ")]
    assert float(size.split()[1]) > 0
    assert "colours" not in text
    client.post("/colours/1", params={"api_key": key}, content=png)
    assert 'atrous_model_requests_total{cache="hit"} 1.0' in client.get("/metrics").text


def test_strange_methods_do_not_grow_the_metrics(client) -> None:
    for index in range(5):
        client.request(f"METHOD{index}", "/info")
    assert "METHOD" not in client.get("/metrics").text
