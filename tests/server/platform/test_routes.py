from fastapi import FastAPI

from atrous.server.platform.routes import add_platform


def test_all_routes_are_added_before_those_of_inference(client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    app = FastAPI()
    add_platform(app)
    own = app.openapi()["paths"]
    assert len(own) > 20
    assert set(own) < set(paths)
    assert list(paths).index("/{workspace}/{project}") < list(paths).index("/{project}/{version}")
