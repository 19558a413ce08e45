import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.domain.errors import BadImage
from atrous.server.form_file import find_part

TYPE = "multipart/form-data; boundary=edge"


def part(name: bytes, content: bytes) -> bytes:
    return b'--edge\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + content


@given(st.binary(max_size=200), st.text("abc", min_size=1, max_size=5))
def test_any_content_comes_out_as_a_client_put_it_in(content: bytes, other: str) -> None:
    request = httpx.Request(
        "POST", "http://x/", data={other: "1"}, files={"file": ('a b".png', content)}
    )
    found = find_part(request.read(), request.headers["content-type"], "file")
    assert found == content


@given(st.binary(max_size=300), st.sampled_from([b"", b"--edge", b"--edge\r\n", b"\r\n--edge--"]))
def test_anything_else_is_refused_or_holds_no_such_part(content: bytes, start: bytes) -> None:
    try:
        find_part(start + content, TYPE, "file")
    except BadImage:
        return


def test_spellings() -> None:
    body = (
        b"preamble\r\n" + part(b"a", b"1") + b"\r\n" + part(b"file", b"\r\n2\r\n") + b"\r\n--edge--"
    )
    assert find_part(body, TYPE, "file") == b"\r\n2\r\n"
    assert find_part(body, 'Multipart/Form-Data; charset=utf-8; boundary="edge"', "a") == b"1"
    assert find_part(body, TYPE, "b") is None
    lower = body.replace(b"Content-Disposition", b"content-disposition")
    assert find_part(lower, TYPE, "file") == b"\r\n2\r\n"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (part(b"file", b"1") + b"\r\n--edge--", "multipart/form-data"),
        (part(b"file", b"1"), TYPE),
        (b"nothing", TYPE),
        (b"", TYPE),
        (b"--edge\r\n" + b"x" * 10_000 + b"\r\n\r\n\r\n--edge--", TYPE),
        ((part(b"a", b"1") + b"\r\n") * 60 + b"--edge--", TYPE),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, kind: str) -> None:
    with pytest.raises(BadImage):
        find_part(body, kind, "file")
