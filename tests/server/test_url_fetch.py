import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
import httpx
import pytest

from atrous.domain.errors import BadImage
from atrous.server import url_fetch
from atrous.server.settings import ServerSettings
from atrous.server.url_fetch import Target, check_target, fetch_image, parse_url

OPEN = {
    "allow_non_https_url_input": True,
    "allow_url_input_without_fqdn": True,
    "allow_url_to_non_global_addresses": True,
}
PATIENT = {"url_timeout_s": 300.0}  # also on a machine with other work


class Pages(BaseHTTPRequestHandler):
    hosts: list[str] = []

    def do_GET(self) -> None:
        Pages.hosts.append(self.headers["Host"])
        name, _, rest = self.path.strip("/").partition("/")
        if name == "redirect":
            count = int(rest)
            self.send_response(302)
            self.send_header("Location", f"/redirect/{count - 1}" if count > 1 else "/data/5")
            self.end_headers()
        elif name == "to":
            self.send_response(302)
            self.send_header("Location", rest.replace("_", "/"))
            self.end_headers()
        elif name == "data":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * int(rest))
        elif name == "slow":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    self.server.ended.wait(0.05)  # type: ignore[attr-defined]
                    if self.server.ended.is_set():  # type: ignore[attr-defined]
                        return
            except OSError:
                return
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        server.ended = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.ended.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


def fetch(url: str, **settings: object) -> bytes:
    return anyio.run(fetch_image, url, ServerSettings(**{**PATIENT, **settings}))  # type: ignore[arg-type]


def refused(url: str, message: str, **settings: object) -> None:
    with pytest.raises(BadImage) as caught:
        fetch(url, **settings)
    assert str(caught.value) == message


def test_fetches_and_follows(web: str) -> None:
    assert fetch(f"http://{web}/data/5", **OPEN) == b"xxxxx"
    assert fetch(f"http://{web}/redirect/3", **OPEN) == b"xxxxx"
    refused(f"http://{web}/redirect/4", url_fetch.TOO_MANY_REDIRECTS, **OPEN)


def test_limits(web: str) -> None:
    assert len(fetch(f"http://{web}/data/1000", max_url_bytes=1000, **OPEN)) == 1000
    refused(f"http://{web}/data/1001", url_fetch.TOO_LARGE, max_url_bytes=1000, **OPEN)
    refused(f"http://{web}/slow", url_fetch.TOO_SLOW, url_timeout_s=0.3, **OPEN)
    refused(f"http://{web}/data/0", url_fetch.EMPTY, **OPEN)
    refused(f"http://{web}/missing", url_fetch.UNREACHABLE, **OPEN)


def test_each_bar_has_its_words(web: str) -> None:
    url = f"http://{web}/data/5"
    refused(url, url_fetch.NO_URLS, **OPEN, allow_url_input=False)
    refused(url, url_fetch.NOT_HTTPS)
    refused(url, url_fetch.NO_FQDN, allow_non_https_url_input=True)
    without_last = {**OPEN, "allow_url_to_non_global_addresses": False}
    refused(url, url_fetch.NOT_ALLOWED, **without_last)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "https://",
        "ftp://example.com/a",
        "file:///etc/passwd",
        "https://user:pass@example.com/",
        "https://example.com\\@127.0.0.1/",
        "https://exa mple.com/",
        "https://example.com /a",
        "https://a b@example.com/",
        "ht tps://example.com/",
        "https://example.com/a\tb",
        "//example.com/a b",
        "https://example.com/\r\nHost: x",
        "https://example.com:99999/",
        "https://[::1/",
        "https://" + "a" * 9000,
    ],
)
def test_urls_that_are_none(url: str) -> None:
    refused(url, url_fetch.INVALID, **OPEN)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "2130706433",
        "0x7f.1",
        "127.1",
        "metadata",
        "a.b.1",
        "-.x",
    ],
)
def test_hosts_without_a_full_name(host: str) -> None:
    refused(f"https://{host}/", url_fetch.NO_FQDN)


@pytest.mark.parametrize("address", ["2130706433", "0x7f000001", "017700000001", "127.1"])
def test_odd_spellings_of_loopback_are_inside(address: str) -> None:
    refused(f"https://{address}/", url_fetch.NOT_ALLOWED, allow_url_input_without_fqdn=True)


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    monkeypatch.setattr(url_fetch, "_resolve", resolve)


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(anyio, "getaddrinfo", unknown)  # real look-ups may take their time
    refused("https://no.such.name.invalid/", url_fetch.UNREACHABLE)


def test_one_bad_address_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "8.8.8.8", "10.0.0.1")
    refused("https://example.com/", url_fetch.NOT_ALLOWED)


def test_the_connection_goes_to_the_checked_address(
    monkeypatch: pytest.MonkeyPatch, web: str
) -> None:
    """A name that resolves anew for the connection could lead elsewhere by then."""
    address, port = web.split(":")
    resolve_to(monkeypatch, address)
    Pages.hosts.clear()
    assert fetch(f"http://pictures.example.com:{port}/data/5", **OPEN) == b"xxxxx"
    assert Pages.hosts == [f"pictures.example.com:{port}"]


def test_the_next_address_is_tried_where_one_refuses(
    monkeypatch: pytest.MonkeyPatch, web: str
) -> None:
    address, port = web.split(":")
    resolve_to(monkeypatch, "::1", "127.0.0.2", address)  # nobody listens at the first two
    url = f"http://pictures.example.com:{port}/data/5"
    assert fetch(url, **OPEN) == b"xxxxx"
    monkeypatch.setattr(url_fetch, "MAX_ADDRESSES", 2)
    refused(url, url_fetch.UNREACHABLE, **OPEN)


def test_spaces_in_paths_and_queries_are_quoted() -> None:
    """`?image=https://x/my%20photo.jpg` arrives unquoted."""
    quoted = "https://example.com/my%20photo.jpg?a=b%20c"
    assert str(parse_url(" https://example.com/my photo.jpg?a=b c\n")) == quoted
    assert str(parse_url(quoted)) == quoted
    base = httpx.URL("https://example.com/a/b")
    assert str(parse_url("my photo.jpg", base)) == "https://example.com/a/my%20photo.jpg"
    with pytest.raises(BadImage, match="invalid"):
        parse_url("//exa mple.com/", base)


def test_certificates_are_checked_against_the_name() -> None:
    target = Target(httpx.URL("https://example.com/a?b=c"), ("93.184.215.14",))
    request = target.request(httpx.AsyncClient(), "93.184.215.14")
    assert str(request.url) == "https://93.184.215.14/a?b=c"
    assert request.headers["host"] == "example.com"
    assert request.extensions["sni_hostname"] == "example.com"


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("http:__127.0.0.1_", url_fetch.NO_FQDN),
        ("http:__169.254.169.254_latest", url_fetch.NO_FQDN),
        ("file:___etc_passwd", url_fetch.INVALID),
        ("http:__inside.example.com_", url_fetch.NOT_ALLOWED),
    ],
)
def test_every_redirect_is_checked(
    monkeypatch: pytest.MonkeyPatch, web: str, location: str, message: str
) -> None:
    address, port = web.split(":")

    async def resolve(host: str, port: int) -> list[str]:
        return ["10.0.0.1"] if host.startswith("inside") else [address]

    monkeypatch.setattr(url_fetch, "_resolve", resolve)
    monkeypatch.setattr(url_fetch, "is_public", lambda found: found == address)
    refused(
        f"http://outside.example.com:{port}/to/{location}", message, allow_non_https_url_input=True
    )


def test_https_does_not_fall_back_to_http() -> None:
    url = parse_url("http://example.com/", base=httpx.URL("https://example.com/"))
    with pytest.raises(BadImage, match="non https"):
        anyio.run(check_target, url, ServerSettings())


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch, web: str) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch(f"http://{web}/data/5", **OPEN) == b"xxxxx"


def test_lists_of_hosts(web) -> None:
    url = f"http://{web}/data/5"
    open_to = {**OPEN, "whitelisted_destinations_for_url_input": "example.com, 127.0.0.1"}
    assert fetch(url, **open_to) == b"xxxxx"
    closed = {**OPEN, "whitelisted_destinations_for_url_input": "example.com"}
    refused(url, url_fetch.NOT_WHITELISTED, **closed)
    closed = {**OPEN, "blacklisted_destinations_for_url_input": "127.0.0.1"}
    refused(url, url_fetch.BLACKLISTED, **closed)
    redirect = f"http://{web}/to/http:__localhost"
    closed = {**OPEN, "blacklisted_destinations_for_url_input": "LOCALHOST"}
    refused(redirect, url_fetch.BLACKLISTED, **closed)
