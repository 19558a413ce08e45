"""Every setting of the server, in one place, with the environment names that users know."""

import ipaddress
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args

from atrous.domain.errors import BadInput
from atrous.runtime.session import Engine, Precision
from atrous.server.log_lines import LOG_FORMATS, LOG_LEVELS, LogFormat

CHOICES: dict[str, tuple[str, ...]] = {
    "engine": get_args(Engine),
    "precision": get_args(Precision),
    "log_level": LOG_LEVELS,
    "log_format": LOG_FORMATS,
    "otel_traces_exporter": ("otlp", "none"),
    "otel_exporter_otlp_protocol": ("http/protobuf",),
}
POSITIVE = (
    "max_active_models",
    "max_batch_size",
    "max_body_bytes",
    "max_url_bytes",
    "max_zip_bytes",
    "max_image_pixels",
    "max_decoded_pixels",
    "http_api_threadpool_workers",
    "model_memory_bytes",
    "sam2_max_active_models",
    "sam2_encoder_threads",
    "sam2_decoder_threads",
    "sam2_embedding_memory_bytes",
    "request_timeout_s",
    "link_lifetime_s",
    "url_timeout_s",
)
NOT_NEGATIVE = (
    "gather_ms",
    "max_waiting_requests",
    "max_wrong_keys_per_minute",
    "drain_timeout_s",
    "max_image_url_redirects",
    "sam2_embedding_disk_bytes",
    "sam2_max_logits_cache_size",
    "sam2_max_embedding_cache_size",
)
HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,100}")
TRUE_WORDS = ("1", "true", "yes", "on")
FALSE_WORDS = ("0", "false", "no", "off", "")
SPOKEN = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class ServerSettings:
    """How the server behaves. A field's environment name is the field in capital letters."""

    host: str = "127.0.0.1"  # the address to listen on; 0.0.0.0 for all
    port: int = 9001
    require_key: bool = True  # False (`--no-auth`) only together with a loopback host
    allow_api_key_from_headers: bool = True  # False: `Authorization` is not read
    engine: Engine = "auto"  # what runs networks; auto: the one that was measured faster
    precision: Precision = "auto"
    gather_ms: float = 0.0  # a request waits so long for others to run with as a batch; for GPUs
    max_active_models: int = 8  # networks kept in memory; the least recently used one leaves
    model_memory_bytes: int = 4 * 1024**3  # of all networks in memory, roughly; one always stays
    preload_models: str = ""  # ids with commas between; readiness says 503 until they are loaded
    pinned_models: str = ""  # the same, and they never leave memory to make room for others
    model_cache_dir: str = ""  # for compiled networks; empty: `cache` in the data folder
    legacy_route_enabled: bool = True  # `/{project}/{version}`
    get_model_registry_enabled: bool = True  # `GET /model/registry`
    disable_preproc_auto_orient: bool = False  # for every request, as are the three below
    disable_preproc_contrast: bool = False
    disable_preproc_grayscale: bool = False
    disable_preproc_static_crop: bool = False
    confidence_lower_bound_oom_prevention: float = 0.01  # the floor of `/{project}/{version}`
    core_models_enabled: bool = True  # False: no SAM 2, as with the next one
    core_model_sam2_enabled: bool = True
    sam2_version_id: str = "hiera_large"  # for requests that name no SAM 2 model
    sam2_max_active_models: int = 2  # SAM 2 models kept in memory
    sam2_encoder_threads: int = 1  # photos encoded at once
    sam2_decoder_threads: int = 2  # prompts answered at once, beside these
    sam2_embedding_memory_bytes: int = 1024**3  # of photos encoded last, 8.4 MB each
    sam2_max_embedding_cache_size: int = 0  # the same as a number of photos; 0: bytes alone
    sam2_embedding_disk_bytes: int = 4 * 1024**3  # of those found again after a restart; 0: none
    sam2_max_logits_cache_size: int = 1000  # masks kept for refinement, 262 KB each; 0: none
    disable_sam2_logits_cache: bool = False  # True: none, whatever the line above says
    sam2_refuse_reused_image_id: bool = False  # an image_id sent with another photo: 409
    max_body_bytes: int = 64 * 1024 * 1024  # of a request, counted as it arrives
    max_zip_bytes: int = 2 * 1024**3  # of a zip of a data set, which goes to the disk as it arrives
    max_waiting_bytes: int = 512 * 1024 * 1024  # of all requests that are not answered yet
    max_batch_size: int = 32  # pictures in one request
    max_image_pixels: int = 100_000_000  # read from the header, before anything is decoded
    max_decoded_pixels: int = 250_000_000  # of all pictures that are in work at once
    http_api_threadpool_workers: int = 2  # requests that decode and predict at once
    max_waiting_requests: int = 64  # for one model; more than these are answered 429 at once
    request_timeout_s: float = 120.0  # from the first byte of a request to its answer
    max_wrong_keys_per_minute: int = 30  # from one address, then 429; 0 for no limit
    allow_url_input: bool = True
    allow_non_https_url_input: bool = False
    allow_url_input_without_fqdn: bool = False
    allow_url_to_non_global_addresses: bool = False  # opens the server's own network: tests only
    whitelisted_destinations_for_url_input: str = ""  # hosts with commas between; empty: all
    blacklisted_destinations_for_url_input: str = ""  # hosts with commas between
    max_image_url_redirects: int = 3
    max_url_bytes: int = 50 * 1024 * 1024  # of a picture fetched by URL
    url_timeout_s: float = 15.0  # for a fetch as a whole, redirects included
    public_url: str = ""  # how clients reach this server, for links; empty: as the request did
    link_lifetime_s: float = 3600.0  # of signed links to photos and exports
    drain_timeout_s: float = 30.0  # how long accepted requests may take after SIGTERM
    allow_origins: str = ""  # web pages of these origins may call (CORS), commas between; * for all
    enable_https: bool = False
    ssl_certfile: str = ""  # PEM: the certificate, then those that lead to its root
    ssl_keyfile: str = ""  # PEM, without a password; empty: the key is in ssl_certfile
    log_level: str = "INFO"
    log_format: LogFormat = "text"  # or json: one object per line
    api_logging_enabled: bool = True  # a log line per request
    correlation_id_header: str = "X-Request-ID"  # carries the id of a request, both ways
    # OpenTelemetry's own names; its library reads the others (OTEL_SERVICE_NAME, ...) itself.
    otel_traces_exporter: str = "otlp"  # or none
    otel_exporter_otlp_endpoint: str = ""  # of a collector; empty: no traces
    otel_exporter_otlp_traces_endpoint: str = ""  # the whole URL for traces, where it differs
    otel_exporter_otlp_protocol: str = "http/protobuf"

    @property
    def has_sam2(self) -> bool:
        """Whether SAM 2 is served, of the models that were added."""
        return self.core_models_enabled and self.core_model_sam2_enabled


def settings_from_environment(
    environment: Mapping[str, str] = os.environ, **overrides: Any
) -> ServerSettings:
    """Read the settings; `overrides` that are not None (a command's options) go first.

    >>> settings_from_environment({"PORT": "80"}, host="localhost").port
    80
    """
    values: dict[str, Any] = {}
    for field in fields(ServerSettings):
        text = environment.get(field.name.upper())
        if text is not None and field.name != "require_key":
            values[field.name] = _read(field.name.upper(), text, type(field.default))
    values.update({name: value for name, value in overrides.items() if value is not None})
    for name, known in CHOICES.items():
        if name in values and values[name] not in known:
            raise BadInput(f"{name.upper()}={values[name]!r} is not one of {', '.join(known)}")
    return _checked(ServerSettings(**values))


def words(text: str) -> tuple[str, ...]:
    """Give the entries of a setting that is a list.

    >>> words("a, b,")
    ('a', 'b')
    """
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _read(name: str, text: str, kind: type) -> Any:
    readers: dict[type, Callable[[str], Any]] = {bool: _read_bool, int: int, float: float, str: str}
    try:
        return readers[kind](text.strip())
    except ValueError:
        raise BadInput(f"{name}={text[:100]!r} can't be read; give {SPOKEN[kind]}") from None


def _read_bool(text: str) -> bool:
    if text.lower() in TRUE_WORDS:
        return True
    if text.lower() in FALSE_WORDS:
        return False
    raise ValueError(text)


def _checked(settings: ServerSettings) -> ServerSettings:
    if not 0 <= settings.port <= 65_535:
        raise BadInput(f"port {settings.port} does not exist; take 1 to 65535")
    for names, least in ((POSITIVE, 1), (NOT_NEGATIVE, 0)):
        for name in names:
            value = getattr(settings, name)
            if not least <= value < math.inf:
                raise BadInput(f"{name.upper()}={value} can't be used; take {least} or more")
    if not settings.require_key and not is_loopback(settings.host):
        raise BadInput(
            f"--no-auth with host {settings.host} would open the server to its whole network; "
            "use it with --host 127.0.0.1, or keep the keys"
        )
    _check_together(settings)
    return settings


def _check_together(settings: ServerSettings) -> None:
    """Refuse settings that are fine alone and make no sense beside another."""
    largest = max(settings.max_body_bytes, settings.max_url_bytes)
    if settings.max_waiting_bytes < largest:
        raise BadInput(
            f"MAX_WAITING_BYTES={settings.max_waiting_bytes} is less than the {largest} bytes that "
            "MAX_BODY_BYTES and MAX_URL_BYTES allow to one request; raise it, or lower these"
        )
    pinned = len(words(settings.pinned_models))
    if pinned > settings.max_active_models:
        raise BadInput(
            f"PINNED_MODELS has {pinned} models, MAX_ACTIVE_MODELS={settings.max_active_models} "
            "holds fewer; raise it"
        )
    if settings.enable_https and not settings.ssl_certfile:
        raise BadInput("ENABLE_HTTPS needs SSL_CERTFILE, and SSL_KEYFILE unless the key is in it")
    if not 0 <= settings.confidence_lower_bound_oom_prevention <= 1:
        raise BadInput(
            "CONFIDENCE_LOWER_BOUND_OOM_PREVENTION="
            f"{settings.confidence_lower_bound_oom_prevention} is no probability; take 0 to 1"
        )
    if not HEADER_NAME.fullmatch(settings.correlation_id_header):
        raise BadInput(
            f"CORRELATION_ID_HEADER={settings.correlation_id_header[:100]!r} can't name a header; "
            "take letters, digits and '-'"
        )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches a server that listens there.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, whose addresses are others' to choose
        return False
