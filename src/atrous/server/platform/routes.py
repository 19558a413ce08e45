"""All routes of the platform, in the order in which paths are compared with them."""

from fastapi import FastAPI

from atrous.server.platform import (
    annotation_routes,
    file_routes,
    image_routes,
    project_routes,
    training_routes,
    upload_routes,
    version_routes,
    workspace_routes,
)

ROUTERS = (
    file_routes.router,
    upload_routes.router,
    annotation_routes.router,
    image_routes.router,
    training_routes.router,
    version_routes.router,
    project_routes.router,
    workspace_routes.router,
)


def add_platform(app: FastAPI) -> None:
    """Add the routes. They belong before those of inference, which take any two segments."""
    for router in ROUTERS:
        app.include_router(router)
