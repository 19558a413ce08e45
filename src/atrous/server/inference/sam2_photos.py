"""From what a request says about its photo to the photo's embedding, computed once."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from atrous.domain.errors import BadRequest, Conflict
from atrous.images.decode import decode_image
from atrous.sam2.embedding import Embedding
from atrous.sam2.embedding_cache import EmbeddingCache
from atrous.sam2.photo_keys import content_id_of, owner_of, photo_key
from atrous.sam2.segmenter import InteractiveSegmenter
from atrous.server.image_input import DeclaredImage, SentImage, read_declared
from atrous.server.inference.sam2_requests import PhotoRequest
from atrous.server.inference.segmentation import fetch_picture
from atrous.server.services import Services
from atrous.server.work_queue import stop_if_unwanted

OTHER_PHOTO = (
    "image_id {!r} is that of another photo; send another id, or this one without `image` to mean "
    "the photo that has it"
)


@dataclass(frozen=True)
class EmbeddedPhoto:
    """A photo that can be prompted, and the name by which it is found again."""

    image_id: str
    key: str  # in the caches
    embedding: Embedding


@dataclass(frozen=True)
class PhotoFinder:
    """Finds or computes the embeddings of one model, for one workspace.

    What one workspace embedded is not found by another: an id may be guessed.
    """

    services: Services
    segmenter: InteractiveSegmenter
    workspace_id: str

    @property
    def owner(self) -> str:
        """Whose photos these are, and by which weights they are encoded."""
        return owner_of(self.workspace_id, self.segmenter)

    async def find(self, wanted: PhotoRequest) -> EmbeddedPhoto:
        """Give the photo of a request, embedded now where it is not yet.

        A photo is known by the bytes of its file. An `image_id` means the photo that came with it
        first; another one sent later with this id is not looked at, or raises Conflict.
        """
        named = await self._content_named(wanted.image_id)
        sent = self._declared(wanted)
        if named is not None and not (sent is not None and self._checks(wanted)):
            found = await self._cached(named)
            if found is not None:
                return EmbeddedPhoto(wanted.image_id or named, self._key(named), found)
        if sent is None:
            return await self._wait_for(wanted.image_id or "")
        with self.services.waiting_bytes.account() as hold:
            picture = await read_declared(sent, partial(fetch_picture, self.services, hold=hold))
            file_bytes, content_id = await self.services.sam2.read(partial(_identify, picture))
            image_id = wanted.image_id or content_id
            if not wanted.image_id or named == content_id:  # no name is given to it
                found = await self._cached(content_id)
                if found is not None:
                    return EmbeddedPhoto(image_id, self._key(content_id), found)
            async with self._holding(image_id):
                return await self._put(wanted, image_id, content_id, file_bytes)

    async def _put(
        self, wanted: PhotoRequest, image_id: str, content_id: str, file_bytes: bytes
    ) -> EmbeddedPhoto:
        """Put a photo under a name that is held, unless another one has it by now."""
        named = await self._content_named(wanted.image_id)
        if named is not None and named != content_id:
            found = await self._cached(named)
            # A name that looks like a content id is a photo's only where there is this photo.
            if self._checks(wanted) and (found is not None or named != image_id):
                raise Conflict(OTHER_PHOTO.format(image_id[:100]))
            if found is not None:
                return EmbeddedPhoto(image_id, self._key(named), found)
        found = await self._cached(content_id)
        if found is None:
            found = await self._encode(content_id, file_bytes)
        await self._note(image_id, content_id)
        return EmbeddedPhoto(image_id, self._key(content_id), found)

    async def read(
        self, wanted: PhotoRequest, photo: EmbeddedPhoto, hold: Callable[[int], None]
    ) -> bytes:
        """Give the file of a photo that was found; BadRequest where only its id was sent.

        hold: is told how many bytes were fetched, which count as waiting.
        """
        sent = self._declared(wanted)
        if sent is None:
            raise BadRequest("parts of the photo are encoded on their own; send it as `image`")
        picture = await read_declared(sent, partial(fetch_picture, self.services, hold=hold))
        file_bytes, content_id = await self.services.sam2.read(partial(_identify, picture))
        if self._key(content_id) != photo.key:
            raise Conflict(OTHER_PHOTO.format((wanted.image_id or "")[:100]))
        return file_bytes

    def _key(self, content_id: str) -> str:
        return photo_key(self.owner, content_id)

    def _checks(self, wanted: PhotoRequest) -> bool:
        if wanted.refuse_reused_image_id is None:
            return self.services.settings.sam2_refuse_reused_image_id
        return wanted.refuse_reused_image_id

    def _declared(self, wanted: PhotoRequest) -> DeclaredImage | None:
        """Give the picture; clients that mean only the id send one without a value."""
        image = wanted.image
        if image is None or (image.value is None and wanted.image_id):
            return None
        return DeclaredImage(image.type, image.value)

    async def _content_named(self, image_id: str | None) -> str | None:
        if not image_id:
            return None
        ids = self.services.sam2.image_ids
        known = ids.in_memory(self.owner, image_id)
        if known is not None:
            return known
        return await self.services.sam2.read(partial(ids.get, self.owner, image_id))

    async def _note(self, image_id: str, content_id: str) -> None:
        ids = self.services.sam2.image_ids
        if image_id != content_id and ids.in_memory(self.owner, image_id) != content_id:
            await self.services.sam2.read(partial(ids.note, self.owner, image_id, content_id))

    async def _cached(self, content_id: str) -> Embedding | None:
        cache, key = self.services.sam2.embeddings, self._key(content_id)
        found, where = cache.in_memory(key), "memory"
        if found is None:
            found, where = await self.services.sam2.read(partial(_look_twice, cache, key))
        if found is not None:
            self._count(where)
        return found

    @asynccontextmanager
    async def _holding(self, image_id: str) -> AsyncIterator[None]:
        """Hold a name; who has to wait for it takes a place meanwhile, as one to be encoded."""
        sam2 = self.services.sam2
        with ExitStack() as while_waiting:
            if sam2.names_in_work.is_held(self.owner, image_id):
                while_waiting.enter_context(sam2.encoders.place(self.owner))
            async with sam2.names_in_work.hold(self.owner, image_id):
                while_waiting.close()
                yield

    async def _encode(self, content_id: str, file_bytes: bytes) -> Embedding:
        """Embed a photo when it is its turn; who asks for it meanwhile gets the same one."""
        encoders, work = self.services.sam2.encoders, partial(self._embed, content_id, file_bytes)
        with encoders.place(self.owner):
            return await encoders.run(self.owner, work)

    def _embed(self, content_id: str, file_bytes: bytes) -> Embedding:
        stop_if_unwanted()  # not later: others may wait for the same embedding
        metrics, settings = self.services.metrics, self.services.settings
        found = "memory"

        def compute() -> Embedding:
            nonlocal found
            found = "miss"
            with self.services.decoded_pixels.of_picture(file_bytes):
                with metrics.timed("decode"):
                    photo = decode_image(file_bytes, max_pixels=settings.max_image_pixels)
                with metrics.timed("sam2_embed"):
                    return self.segmenter.embed(photo)

        key = self._key(content_id)
        embedding = self.services.sam2.embeddings.get_or_compute(key, compute)
        self._count(found)
        return embedding

    async def _wait_for(self, image_id: str) -> EmbeddedPhoto:
        """Give a photo of which only the id came, where it is encoded just now; else 404."""
        if self.services.sam2.names_in_work.is_held(self.owner, image_id):
            async with self._holding(image_id):
                pass
            named = await self._content_named(image_id)
            found = await self._cached(named) if named is not None else None
            if named is not None and found is not None:
                return EmbeddedPhoto(image_id, self._key(named), found)
        raise self._absent(image_id)

    def _absent(self, image_id: str) -> BadRequest:
        self._count("absent")
        return BadRequest(
            f"No photo is embedded under image_id {image_id[:100]!r} for SAM 2 "
            f"{self.segmenter.package.name}; send it as `image` together with this id.",
        )

    def _count(self, cache: str) -> None:
        self.services.metrics.sam2_embeddings.labels(cache).inc()


def _look_twice(cache: EmbeddingCache, key: str) -> tuple[Embedding | None, str]:
    """Look in memory once more, as time has passed, and then on the disk."""
    found = cache.in_memory(key)
    return (found, "memory") if found is not None else (cache.get(key), "disk")


def _identify(picture: SentImage) -> tuple[bytes, str]:
    file_bytes = picture.file_bytes()
    return file_bytes, content_id_of(file_bytes)
