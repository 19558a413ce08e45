"""One part of a multipart/form-data body, found without copying the body to disk."""

from python_multipart.multipart import parse_options_header

from atrous.domain.errors import BadImage

MAX_PARTS = 50
MAX_HEADER_BYTES = 8192
MALFORMED = "The multipart/form-data body is damaged or ends too early; send it again"


def find_part(body: bytes, content_type: str, name: str) -> bytes | None:
    """Give the content of the first part of this name, None where there is no such part.

    Raises BadImage for a body that its boundary does not divide into parts (RFC 7578).

    >>> body = b'--x\\r\\nContent-Disposition: form-data; name="file"\\r\\n\\r\\nhello\\r\\n--x--'
    >>> find_part(body, "multipart/form-data; boundary=x", "file")
    b'hello'
    """
    _, options = parse_options_header(content_type.encode("latin-1", "replace"))
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise BadImage(MALFORMED)
    delimiter = b"\r\n--" + boundary
    # The first delimiter has no line break of the part before.
    position = 0 if body.startswith(delimiter[2:]) else body.find(delimiter) + 2
    if position == 1:
        raise BadImage(MALFORMED)
    position += len(boundary) + 2
    for _ in range(MAX_PARTS):
        if body.startswith(b"--", position):  # the last one
            return None
        header_end = body.find(b"\r\n\r\n", position, position + MAX_HEADER_BYTES)
        end = body.find(delimiter, header_end)
        if header_end < 0 or end < 0:
            raise BadImage(MALFORMED)
        if _name_of(body[position:header_end]) == name:
            return body[header_end + 4 : end]
        position = end + len(delimiter)
    raise BadImage(f"The form has more than {MAX_PARTS} parts; send the picture alone")


def _name_of(headers: bytes) -> str | None:
    for line in headers.split(b"\r\n"):
        field, _, value = line.partition(b":")
        if field.strip().lower() == b"content-disposition":
            return parse_options_header(value.strip())[1].get(b"name", b"").decode("latin-1")
    return None
