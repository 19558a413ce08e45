"""From a model id that a client sent to a network in memory."""

import logging
import re
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from atrous.domain.errors import BadModelId, NotFound
from atrous.domain.model_ids import ModelId
from atrous.packages.directory import ModelPackage, read_package
from atrous.runtime.pool import SegmenterPool
from atrous.runtime.segmenter import Segmenter
from atrous.server.metrics import Metrics
from atrous.server.recent_reads import RecentReads
from atrous.store import Store
from atrous.store.models import Model, first_runs

logger = logging.getLogger(__name__)

# Of a workspace, a project, `project-version`, or `project-version-architecture-t1`.
SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,119}")


@dataclass(frozen=True)
class ListedModel:
    """A network in memory, under one of the ids that clients used."""

    model_id: str
    engine: str  # "openvino" or "onnxruntime"
    device: str  # "cpu", "cuda" or "tensorrt"
    precision: str  # what it computes in, as "bf16"


class LoadedModels:
    """The networks in memory, under the ids of the store.

    The pool knows them by package folder, not by id: where an id is removed and published anew,
    its folder is another one, so that the old network does not answer for the new model for longer
    than the half second that ids are not looked up again.
    """

    def __init__(
        self, store: Store, pool: SegmenterPool, metrics: Metrics, pinned: tuple[str, ...] = ()
    ) -> None:
        """Serve the models of a store from a pool whose keys are names of package folders.

        Those whose ids are `pinned` leave memory only when they are removed.
        """
        self._store = store
        self._pinned = frozenset(pinned)
        self._pool = pool
        self._metrics = metrics
        self._models: RecentReads[Model] = RecentReads()
        self._lock = threading.Lock()  # of the spellings
        self._spellings: dict[str, str] = {}  # `workspace/slug` ids in use, and their folders

    def get(self, model_id: str) -> Segmenter:
        """Give the network of a model id, loaded when first asked for.

        Raises NotFound for a model that is not there, BadModelId for what is no id at all.
        """
        return self.request(model_id).result()

    def request(self, model_id: str, workspace_id: str | None = None) -> "Future[Segmenter]":
        """`get` without waiting for a load; what `get` raises about the id is raised here.

        Models of other workspaces than `workspace_id` are not found; None lets all be asked.
        """
        return self._request(model_id, self._find(model_id, workspace_id))

    def request_known(
        self, model_id: str, workspace_id: str | None = None
    ) -> "tuple[Future[Segmenter], ...]":
        """`request` without reading the store; nothing where the id was not read a moment ago."""
        return tuple(
            self._request(model_id, _opened(model, model_id, workspace_id))
            for model in self._models.recent(model_id)
        )

    def _request(self, model_id: str, model: Model) -> "Future[Segmenter]":
        if model_id != str(model.model_id):
            with self._lock:
                self._spellings[model_id] = model.folder
        pinned = not self._pinned.isdisjoint((model_id, str(model.model_id)))
        future = self._pool.request(model.folder, pinned=pinned)
        self._metrics.model_requests.labels("hit" if future.done() else "miss").inc()
        if not future.done():
            future.add_done_callback(partial(self._log_load, model))
        future.add_done_callback(self._measure)
        return future

    def _find(self, model_id: str, workspace_id: str | None) -> Model:
        model = self._models.get(model_id, partial(self._read, model_id))
        return _opened(model, model_id, workspace_id)

    def _read(self, model_id: str) -> Model:
        """Look an id up: `project/version`, else `workspace/slug`.

        A slug is that of a project, which means its newest version, `project-version`, or the
        model's own, as `roads-1-deeplabv3plus-t2`.
        """
        try:
            return self._store.models.get(ModelId.parse(model_id))
        except BadModelId:
            return self._find_slug(model_id)

    def _find_slug(self, model_id: str) -> Model:
        workspace_slug, _, slug = model_id.partition("/")
        if model_id.count("/") != 1 or not workspace_slug or not slug:
            raise BadModelId(
                f"model id {model_id[:100]!r} is not of the form project/version, as shapes/1"
            )
        if not SLUG.fullmatch(workspace_slug) or not SLUG.fullmatch(slug):
            raise NotFound(f"there is no model {model_id[:100]!r}")
        workspace = self._store.workspaces.get(workspace_slug)
        there = [m for m in self._store.models.list() if m.workspace_id == workspace.id]
        first = first_runs(there)
        named = [m for m in there if slug == m.slug] or [
            m
            for m in there
            if slug == f"{m.model_id.project}-{m.model_id.version}" and m.folder in first
        ]
        versions = [m for m in there if slug == m.model_id.project and m.folder in first]
        if not named and not versions:
            raise NotFound(f"there is no model {slug[:100]!r} in workspace {workspace.slug!r}")
        return named[0] if named else max(versions, key=lambda m: m.model_id.version)

    def _log_load(self, model: Model, future: "Future[Segmenter]") -> None:
        if future.exception() is None:
            loaded = future.result()
            logger.info(
                "model %s runs in %s on %s, %s, %d threads; all models take about %d MiB",
                model.model_id,
                loaded.engine,
                loaded.device,
                loaded.precision,
                loaded.threads,
                self._pool.bytes_in_use >> 20,
            )

    def _measure(self, _: object = None) -> None:
        self._metrics.loaded_models.set(len(self._pool.loaded()))
        self._metrics.model_bytes.set(self._pool.bytes_in_use)

    def listed(self) -> list[str]:
        """Give the ids of the networks in memory, under each spelling that clients used."""
        return [model.model_id for model in self.described()]

    def described(self, workspace_id: str | None = None) -> list[ListedModel]:
        """Give the networks in memory, once for each spelling that clients used.

        Those of one workspace alone, where it is given. Networks whose model is gone are dropped.
        """
        with self._lock:
            spellings = dict(self._spellings)
        loaded = self._pool.loaded()
        # Read after these: what they name and the store does not is gone, not on its way.
        there = {model.folder: model for model in self._store.models.list()}
        for folder in loaded:
            if folder not in there:
                self._pool.remove(folder)
        with self._lock:
            for spelling, folder in spellings.items():
                if folder not in there and self._spellings.get(spelling) == folder:
                    del self._spellings[spelling]
        self._measure()
        first = first_runs(there.values())
        ids = sorted((str(there[each].model_id), each) for each in loaded if each in first)
        return [
            ListedModel(name, network.engine, network.device, network.precision)
            for name, folder in (*ids, *sorted(spellings.items()))
            if folder in there and workspace_id in (None, there[folder].workspace_id)
            if folder in loaded  # a spelling may be of a model that is being loaded
            for network in (loaded[folder],)
        ]

    def remove(self, model_id: str, workspace_id: str | None = None) -> None:
        """Drop a network from memory; the model stays published. Nothing there is no error."""
        try:
            self._pool.remove(self._find(model_id, workspace_id).folder)
        except NotFound:
            return
        finally:
            self._measure()

    def clear_workspace(self, workspace_id: str) -> None:
        """Drop the networks of one workspace from memory."""
        loaded = self._pool.loaded()
        for model in self._store.models.list():
            if model.workspace_id == workspace_id and model.folder in loaded:
                self._pool.remove(model.folder)
        self._measure()

    def clear(self) -> None:
        """Drop all networks from memory."""
        self._pool.clear()
        self._measure()


def _opened(model: Model, model_id: str, workspace_id: str | None) -> Model:
    """Give the model where it is the workspace's, else raise NotFound."""
    if workspace_id not in (None, model.workspace_id):
        raise NotFound(f"there is no model {model_id[:100]!r} that this key opens")
    return model


def load_from(store: Store, folder: str) -> ModelPackage:
    """Read a package of the store, fetched first where this machine has it not yet."""
    return read_package(store.models.package_folder(folder))
