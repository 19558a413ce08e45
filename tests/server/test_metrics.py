def test_requests_and_stages_are_counted(client, key, png) -> None:
    client.post("/colours/1", params={"api_key": key}, content=png)
    client.post("/colours/1", params={"api_key": "wrong"}, content=png)
    text = client.get("/metrics").text
    assert 'atrous_requests_total{method="POST",status="200"} 1.0' in text
    assert 'atrous_requests_total{method="POST",status="403"} 1.0' in text
    for stage in ("decode", "predict", "encode"):
        assert f'atrous_stage_seconds_count{{stage="{stage}"}} 1.0' in text
    assert "atrous_loaded_models 1.0" in text
    assert "atrous_queue_depth 0.0" in text
    assert "colours" not in text


def test_strange_methods_do_not_grow_the_metrics(client) -> None:
    for index in range(5):
        client.request(f"METHOD{index}", "/info")
    assert "METHOD" not in client.get("/metrics").text
