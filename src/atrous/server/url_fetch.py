"""Fetching a picture by URL without becoming a door into the server's own network."""

import ipaddress
import logging
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass

import anyio
import httpx

from atrous.domain.errors import BadImage
from atrous.server.public_addresses import is_public
from atrous.server.settings import ServerSettings, words

logger = logging.getLogger(__name__)

# Clients and their tests look for these words.
NOT_HTTPS = (
    "Providing images via non https:// URL is not supported in this configuration of `inference`."
)
NO_FQDN = (
    "Providing images via URL without FQDN is not supported in this configuration of `inference`."
)
NO_URLS = "Providing images via URL is not supported in this configuration of `inference`."
INVALID = "Provided image URL is invalid"
NOT_WHITELISTED = "It is not allowed to reach image URL - prohibited by whitelisted destinations."
BLACKLISTED = "It is not allowed to reach image URL - prohibited by blacklisted destinations."
NOT_ALLOWED = "URL points to a network destination that is not allowed."
UNREACHABLE = "Image URL could not be reached."
TOO_SLOW = "Image URL did not answer in time."
TOO_LARGE = "Data pointed by URL is too large."
TOO_MANY_REDIRECTS = "Image URL redirects too often."
EMPTY = "Empty image payload."

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 10.0
MAX_ADDRESSES = 3  # of one host, tried in turn
MAX_URL_LENGTH = 8192
# What URL parsers disagree about: one host is checked, another one fetched.
AMBIGUOUS = re.compile(r"[\x00-\x1f\x7f\\]")
AUTHORITY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#]*")  # after a scheme, if there is one
LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
NAME = re.compile(rf"(?=.{{1,253}}$)({LABEL}\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]")


@dataclass(frozen=True)
class Target:
    """A URL that passed, and the addresses that were checked: connections go to these alone."""

    url: httpx.URL
    addresses: tuple[str, ...]  # at least one, in the order in which they are tried

    def request(self, client: httpx.AsyncClient, address: str) -> httpx.Request:
        """Ask a checked address for the URL, under the URL's own name."""
        return client.build_request(
            "GET",
            self.url.copy_with(host=address),
            headers={"Host": self.url.netloc.decode("ascii"), "Accept-Encoding": "identity"},
            # The certificate is checked against this name as well.
            extensions={"sni_hostname": self.url.raw_host.decode("ascii")},
        )


async def fetch_image(
    text: str, settings: ServerSettings, hold: Callable[[int], None] = lambda _: None
) -> bytes:
    """Fetch what a URL points to; every refusal and failure raises BadImage.

    Each redirect is checked like the first URL. Proxies of the environment are not used.
    `hold` is told the number of bytes before they are kept, and may raise.
    """
    if not settings.allow_url_input:
        raise BadImage(NO_URLS)
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    try:
        with anyio.fail_after(settings.url_timeout_s):
            async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
                return await _follow(client, text, settings, hold)
    except (TimeoutError, httpx.TimeoutException):
        raise BadImage(TOO_SLOW) from None
    except (httpx.HTTPError, OSError):
        raise BadImage(UNREACHABLE) from None


async def _follow(
    client: httpx.AsyncClient, text: str, settings: ServerSettings, hold: Callable[[int], None]
) -> bytes:
    url = parse_url(text)
    for _ in range(settings.max_image_url_redirects + 1):
        target = await check_target(url, settings)
        response = await _send(client, target)
        try:
            location = response.headers.get("location")
            if response.is_redirect and location:
                url = parse_url(location, base=target.url)
                continue
            if response.status_code != 200:
                raise BadImage(UNREACHABLE)
            return await _read(response, settings.max_url_bytes, hold)
        finally:
            await response.aclose()
    raise BadImage(TOO_MANY_REDIRECTS)


async def _send(client: httpx.AsyncClient, target: Target) -> httpx.Response:
    """Ask the addresses in turn until one can be connected to; the last one's failure is raised."""
    *earlier, last = target.addresses[:MAX_ADDRESSES]
    for address in earlier:
        try:
            return await client.send(target.request(client, address), stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            logger.info(
                "%s could not be connected to, the next address is tried: %s", address, error
            )
    return await client.send(target.request(client, last), stream=True)


async def _read(response: httpx.Response, max_bytes: int, hold: Callable[[int], None]) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_raw():
        if len(data) + len(chunk) > max_bytes:
            raise BadImage(TOO_LARGE)
        hold(len(chunk))
        data += chunk
    if not data:
        raise BadImage(EMPTY)
    return bytes(data)


def parse_url(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """Read an http or https URL, or raise BadImage; a redirect's may be relative to `base`.

    Spaces behind the host are quoted: a query's parser has unquoted them, and some servers send
    them so.
    """
    text = text.strip()
    authority = AUTHORITY.match(text)
    if len(text) > MAX_URL_LENGTH or AMBIGUOUS.search(text) or (authority and " " in authority[0]):
        raise BadImage(INVALID)
    text = text.replace(" ", "%20")
    try:
        url = base.join(text) if base is not None else httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        raise BadImage(INVALID) from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or not _port_exists(url):
        raise BadImage(INVALID)
    return url


def _port_exists(url: httpx.URL) -> bool:
    return url.port is None or 0 < url.port < 65_536


async def check_target(url: httpx.URL, settings: ServerSettings) -> Target:
    """Resolve a URL's host and check every address, or raise BadImage."""
    if url.scheme != "https" and not settings.allow_non_https_url_input:
        raise BadImage(NOT_HTTPS)
    host = url.raw_host.decode("ascii").strip("[]")
    if not settings.allow_url_input_without_fqdn and not NAME.fullmatch(host.rstrip(".")):
        raise BadImage(NO_FQDN)
    _check_lists(host.rstrip(".").lower(), settings)
    addresses = await _resolve(host, url.port or (443 if url.scheme == "https" else 80))
    if not settings.allow_url_to_non_global_addresses and not all(map(is_public, addresses)):
        raise BadImage(NOT_ALLOWED)  # one bad address is enough: which one is used is luck
    return Target(url, tuple(dict.fromkeys(addresses)))


def _check_lists(host: str, settings: ServerSettings) -> None:
    allowed = words(settings.whitelisted_destinations_for_url_input.lower())
    if allowed and host not in allowed:
        raise BadImage(NOT_WHITELISTED)
    if host in words(settings.blacklisted_destinations_for_url_input.lower()):
        raise BadImage(BLACKLISTED)


async def _resolve(host: str, port: int) -> list[str]:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return [host]
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise BadImage(UNREACHABLE) from None
    return [str(address[0]) for *_, address in found]
