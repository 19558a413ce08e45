"""From a model id that a client sent to a network in memory."""

from pathlib import Path

from atrous.domain.errors import BadModelId, NotFound
from atrous.domain.model_ids import ModelId
from atrous.packages.directory import ModelPackage, read_package
from atrous.runtime.pool import SegmenterPool
from atrous.runtime.segmenter import Segmenter
from atrous.server.metrics import Metrics
from atrous.store.models import Models


class LoadedModels:
    """The networks in memory, under the ids of the store.

    The pool knows them by package folder, not by id: where an id is removed and published anew,
    its folder is another one, so that the old network never answers for the new model.
    """

    def __init__(self, models: Models, pool: SegmenterPool, metrics: Metrics) -> None:
        """Serve the models of a store from a pool whose keys are names of package folders."""
        self._models = models
        self._pool = pool
        self._metrics = metrics

    def get(self, model_id: str) -> Segmenter:
        """Give the network of `project/version`, loaded when first asked for.

        Raises NotFound for a model that is not there, BadModelId for what is no id at all.
        """
        segmenter = self._pool.get(self._models.get(parse_model_id(model_id)).folder)
        self._metrics.loaded_models.set(len(self._pool.loaded()))
        return segmenter

    def listed(self) -> list[ModelId]:
        """Give the ids of the networks in memory; those whose model is gone are dropped."""
        names = {model.folder: model.model_id for model in self._models.list()}
        loaded = self._pool.loaded()
        for folder in loaded:
            if folder not in names:
                self._pool.remove(folder)
        return sorted((names[folder] for folder in loaded if folder in names), key=str)

    def remove(self, model_id: str) -> None:
        """Drop a network from memory; the model stays published. Nothing there is no error."""
        try:
            self._pool.remove(self._models.get(parse_model_id(model_id)).folder)
        except NotFound:
            return

    def clear(self) -> None:
        """Drop all networks from memory."""
        self._pool.clear()


def parse_model_id(text: str) -> ModelId:
    """Read an id that a client sent.

    Two parts that can't name a model (`Workspace/slug`) are as good as a model that is not
    there: NotFound. Any other number of parts is no model id: BadModelId.
    """
    try:
        return ModelId.parse(text)
    except BadModelId:
        if text.count("/") == 1:
            raise NotFound(f"there is no model {text[:100]!r}") from None
        raise


def load_from(packages: Path, folder: str) -> ModelPackage:
    """Read the package in an opaque folder of the store."""
    return read_package(packages / folder)
