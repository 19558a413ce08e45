"""The application: every route, and what all of them share."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware

import atrous
from atrous.domain.errors import AtrousError
from atrous.runtime.core_budget import CoreBudget
from atrous.runtime.pool import SegmenterPool
from atrous.runtime.segmenter import Segmenter
from atrous.server.authentication import authenticate, may_infer, may_send_body
from atrous.server.body_limit import BodyLimit
from atrous.server.decoded_pixels import DecodedPixels
from atrous.server.errors import add_error_answers
from atrous.server.failed_keys import FailedKeys
from atrous.server.foreign_pages import ForeignPages
from atrous.server.full_queues import FullQueues
from atrous.server.inference import (
    hosted_route,
    json_routes,
    model_routes,
    operations,
    sam2_embed_project,
    sam2_routes,
)
from atrous.server.leading_slashes import LeadingSlashes
from atrous.server.loaded_models import LoadedModels, load_from
from atrous.server.metrics import Metrics
from atrous.server.platform.routes import add_platform
from atrous.server.request_lifetime import RequestLifetime
from atrous.server.request_log import MODEL_HEADER, TIME_HEADER, RequestLog
from atrous.server.sam2_services import open_sam2
from atrous.server.services import Services
from atrous.server.settings import ServerSettings, words
from atrous.server.tracing import RequestSpans, open_traces
from atrous.server.unexpected_faults import UnexpectedFaults
from atrous.server.waiting_bytes import WaitingBytes
from atrous.server.work_queue import WorkQueue
from atrous.store import Store

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "Semantic segmentation over the HTTP API that Roboflow's clients speak. Every route but those "
    "under *operations* needs an API key: `?api_key=KEY`, `Authorization: Bearer KEY`, or "
    "`api_key` in a JSON body."
)
# Keys travel in queries, headers and bodies, never in cookies, so pages need no credentials.
CORS: dict[str, Any] = {
    "allow_methods": ["GET", "HEAD", "POST", "PUT", "DELETE"],
    "allow_headers": ["*"],
    "allow_credentials": False,
}


def create_app(settings: ServerSettings, store: Store) -> FastAPI:
    """Build the application on an open store, which stays the caller's to close."""
    services = build_services(settings, store)

    @asynccontextmanager
    async def run_while_serving(_: FastAPI) -> AsyncIterator[None]:
        preloading = asyncio.create_task(preload(services))
        yield
        preloading.cancel()
        services.models.clear()
        services.sam2.models.clear()
        if services.traces:
            services.traces.close()

    app = FastAPI(
        title="atrous",
        version=atrous.__version__,
        description=DESCRIPTION,
        lifespan=run_while_serving,
        dependencies=[Depends(authenticate)],  # deny by default
        docs_url=None,  # FastAPI's pages load their scripts from the internet
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    add_error_answers(app)
    add_routes(app, settings)
    add_middleware(app, services)
    return app


def add_routes(app: FastAPI, settings: ServerSettings) -> None:
    """Add the routes that the settings leave on."""
    if settings.legacy_route_enabled:
        app.include_router(hosted_route.numbered_router)
    app.include_router(operations.router)
    if settings.get_model_registry_enabled:
        app.include_router(model_routes.registry_router)
    app.include_router(model_routes.router)
    app.include_router(json_routes.router)
    if settings.has_sam2:
        app.include_router(sam2_routes.router)
        app.include_router(sam2_embed_project.router)
    add_platform(app)
    if settings.legacy_route_enabled:
        app.include_router(hosted_route.router)  # last: it matches every path of two segments


def add_middleware(app: FastAPI, services: Services) -> None:
    """Add what every request passes, the innermost first."""
    settings = services.settings
    origins = list(words(settings.allow_origins))
    app.add_middleware(UnexpectedFaults)
    if settings.legacy_route_enabled:
        app.add_middleware(
            FullQueues,
            work=services.work,
            model_of=hosted_route.model_of,
            is_welcome=partial(may_infer, services),
        )
    if not settings.require_key:
        app.add_middleware(ForeignPages, allow_origins=origins, public_url=settings.public_url)
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.max_body_bytes,
        waiting=services.waiting_bytes,
        is_trusted=partial(may_send_body, services),
    )
    app.add_middleware(
        RequestLifetime, lifecycle=services.lifecycle, timeout_s=settings.request_timeout_s
    )
    if origins:
        exposed = [settings.correlation_id_header, "Retry-After", MODEL_HEADER, TIME_HEADER]
        app.add_middleware(CORSMiddleware, allow_origins=origins, expose_headers=exposed, **CORS)
    if services.traces:
        app.add_middleware(RequestSpans, traces=services.traces)
    app.add_middleware(
        RequestLog,
        metrics=services.metrics,
        id_header=settings.correlation_id_header,
        has_lines=settings.api_logging_enabled,
    )
    app.add_middleware(LeadingSlashes)


async def preload(services: Services) -> None:
    """Load the models that are wanted from the start; one that fails does not stop the others."""
    wanted = (*words(services.settings.preload_models), *words(services.settings.pinned_models))
    for model_id in dict.fromkeys(wanted):
        try:
            await services.load_any(model_id)
        except AtrousError as error:
            logger.error("%s could not be loaded: %s", model_id, error)
        except Exception:  # a fault of ours, which must not keep the other models from being served
            logger.exception("%s could not be loaded", model_id)
    services.lifecycle.ready()


def build_services(settings: ServerSettings, store: Store) -> Services:
    """Bring together what requests share."""
    traces = open_traces(settings)
    metrics = Metrics(traces.stage) if traces else Metrics()
    cores = CoreBudget()
    threads = settings.http_api_threadpool_workers
    work = WorkQueue(threads, settings.max_waiting_requests, metrics)
    open_segmenter = partial(
        Segmenter,
        engine=settings.engine,
        precision=settings.precision,
        cache_folder=Path(settings.model_cache_dir or store.home.cache),
        cores=cores,
        gather_ms=settings.gather_ms,
        # One thread answers one request at a time, however many wait.
        crowded=work.is_crowded if threads > 1 else lambda: False,
    )
    pool = SegmenterPool(
        partial(load_from, store),
        open_segmenter,
        max_models=settings.max_active_models,
        max_bytes=settings.model_memory_bytes,
    )
    return Services(
        settings=settings,
        store=store,
        models=LoadedModels(store, pool, metrics, pinned=words(settings.pinned_models)),
        sam2=open_sam2(settings, store.home, metrics, cores=cores),
        metrics=metrics,
        work=work,
        waiting_bytes=WaitingBytes(
            settings.max_waiting_bytes, metrics, max_body_bytes=settings.max_body_bytes
        ),
        decoded_pixels=DecodedPixels(settings.max_decoded_pixels, settings.max_image_pixels),
        failed_keys=FailedKeys(settings.max_wrong_keys_per_minute),
        traces=traces,
    )
