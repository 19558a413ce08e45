import anyio

from atrous.server.lifecycle import Lifecycle


def test_once_it_drains_it_is_never_ready_again() -> None:
    lifecycle = Lifecycle()
    assert lifecycle.phase == "starting"
    lifecycle.ready()
    assert lifecycle.phase == "ready"
    lifecycle.drain()
    lifecycle.ready()
    assert lifecycle.phase == "draining"


def test_what_comes_too_late_neither_keeps_the_server_nor_is_cut_off() -> None:
    async def scenario() -> None:
        lifecycle, early, late = Lifecycle(), anyio.CancelScope(), anyio.CancelScope()
        lifecycle.ready()
        lifecycle.accept(early)
        lifecycle.drain()
        lifecycle.accept(late)
        assert (lifecycle.in_flight, lifecycle.to_be_answered) == (2, 1)
        lifecycle.cut_off()
        assert (early.cancel_called, late.cancel_called) == (True, False)
        lifecycle.finish(early)
        assert (lifecycle.in_flight, lifecycle.to_be_answered) == (1, 0)
        lifecycle.finish(late)
        assert lifecycle.in_flight == 0

    anyio.run(scenario)


def test_while_draining_new_requests_are_503_and_health_answers(client, key, png) -> None:
    assert client.get("/readiness").status_code == 200
    client.app.state.services.lifecycle.drain()
    for answer in (
        client.post("/colours/1", params={"api_key": key}, content=png),
        client.get("/model/registry"),
        client.get("/readiness"),
    ):
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
    assert client.get("/healthz").status_code == 200
    assert client.get("/metrics").status_code == 200


def test_ready_when_the_first_models_are_loaded_whatever_became_of_them(
    start, store, caplog
) -> None:
    client = start(preload_models="nothing/1, colours/1")
    services = client.app.state.services
    services.models.get("colours/1")
    while services.lifecycle.phase != "ready":
        client.get("/healthz")
    assert client.get("/readiness").json() == {"status": "ready"}
    assert services.models.listed() == ["colours/1"]
    assert "nothing/1 could not be loaded" in caplog.text


def test_a_fault_of_ours_keeps_no_other_model_from_being_loaded(start, monkeypatch, caplog) -> None:
    from atrous.server import app

    def failing(*arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(app, "load_from", failing)
    client = start(preload_models="colours/1, nothing/1")
    while client.app.state.services.lifecycle.phase != "ready":
        client.get("/healthz")
    assert "colours/1 could not be loaded" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "nothing/1 could not be loaded" in caplog.text


def test_not_ready_while_the_first_models_load(start, monkeypatch) -> None:
    import threading

    from atrous.server import app

    release, load = threading.Event(), app.load_from

    def slowly(*arguments):
        assert release.wait(120)
        return load(*arguments)

    monkeypatch.setattr(app, "load_from", slowly)
    client = start(preload_models="colours/1")
    answer = client.get("/readiness")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert client.get("/healthz").status_code == 200
    release.set()
    while client.get("/readiness").status_code != 200:
        pass
