"""The application: every route, and what all of them share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import Depends, FastAPI

import atrous
from atrous.runtime.pool import SegmenterPool
from atrous.runtime.segmenter import Segmenter
from atrous.server.authentication import authenticate
from atrous.server.body_limit import BodyLimit
from atrous.server.errors import add_error_answers
from atrous.server.inference import hosted_route, json_routes, model_routes, operations
from atrous.server.loaded_models import LoadedModels, load_from
from atrous.server.metrics import Metrics
from atrous.server.request_log import RequestLog
from atrous.server.services import Services, WorkQueue
from atrous.server.settings import ServerSettings
from atrous.store import Store

DESCRIPTION = (
    "Semantic segmentation over the HTTP API that Roboflow's clients speak. Every route but those "
    "under *operations* needs an API key: `?api_key=KEY`, `Authorization: Bearer KEY`, or "
    "`api_key` in a JSON body."
)


def create_app(settings: ServerSettings, store: Store) -> FastAPI:
    """Build the application on an open store, which stays the caller's to close."""
    services = build_services(settings, store)

    @asynccontextmanager
    async def run_while_serving(_: FastAPI) -> AsyncIterator[None]:
        yield
        services.models.clear()

    app = FastAPI(
        title="atrous",
        version=atrous.__version__,
        description=DESCRIPTION,
        lifespan=run_while_serving,
        dependencies=[Depends(authenticate)],  # deny by default
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    add_error_answers(app)
    for module in (operations, model_routes, json_routes):
        app.include_router(module.router)
    app.include_router(hosted_route.router)  # last: it matches every path of two segments
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(RequestLog, metrics=services.metrics)
    return app


def build_services(settings: ServerSettings, store: Store) -> Services:
    """Bring together what requests share."""
    metrics = Metrics()
    open_segmenter = partial(
        Segmenter,
        engine=settings.engine,
        precision=settings.precision,
        cache_folder=store.home.cache,
    )
    pool = SegmenterPool(
        partial(load_from, store.home.packages),
        open_segmenter,
        max_models=settings.max_active_models,
    )
    return Services(
        settings=settings,
        store=store,
        models=LoadedModels(store.models, pool, metrics),
        metrics=metrics,
        work=WorkQueue(
            settings.http_api_threadpool_workers, settings.max_waiting_requests, metrics
        ),
    )
