"""Log lines that carry the id of their request, as text or as JSON."""

import logging
import re
import time
from contextvars import ContextVar
from typing import Literal, get_args

import orjson

LogFormat = Literal["text", "json"]
LOG_FORMATS: tuple[str, ...] = get_args(LogFormat)
# uppercase, as users of Python's logging write them
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

request_id: ContextVar[str] = ContextVar("request_id", default="-")  # of the request in work
QUIET = {
    "alembic": logging.WARNING,
    "httpx": logging.WARNING,  # logs whole URLs of pictures
    "httpcore": logging.WARNING,
    "python_multipart": logging.ERROR,  # warns of each damaged form, byte by byte
}
# Facts of a line beside its text: `logger.info(..., extra={"fields": {...}})`.
FIELDS = "fields"

# Nothing logs keys on purpose; texts of errors from elsewhere may quote a URL.
# So do paths: a signed link opens without a key.
SECRETS = re.compile(
    r"atr_[A-Za-z0-9_-]{8,}|(?<=api_key=)[^&\s\"']+|(?<=Bearer )\S+"
    r"|(?<=/files/)[\w-]{20,}\.[\w-]{20,}|(?<=/weights/)[\w-]{20,}\.[\w-]{20,}"
)


def redact(text: str) -> str:
    """Take API keys out of a text.

    >>> redact("GET /a/1?api_key=abc&b=1")
    'GET /a/1?api_key=[hidden]&b=1'
    """
    return SECRETS.sub("[hidden]", text)


class TextLines(logging.Formatter):
    """One line of text per record."""

    def __init__(self) -> None:
        """Set the shape of a line."""
        super().__init__("%(asctime)s %(levelname)s %(name)s [%(request_id)s]: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Add the request's id."""
        record.request_id = request_id.get()
        return redact(super().format(record))


class JsonLines(logging.Formatter):
    """One JSON object per record and line; times are UTC."""

    def __init__(self) -> None:
        """Take UTC."""
        super().__init__()
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """Give time, level, logger, request id, message, and the record's own fields."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "request_id": request_id.get(),
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return redact(orjson.dumps(line, default=str).decode())


def set_up_logging(log_format: LogFormat = "text", level: str = "INFO") -> None:
    """Write log lines of this level and above to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(least)
