"""Clients without any library of ours or theirs: curl, Node's fetch, Python's urllib."""

import base64
import json
import subprocess
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
MODEL = "colours/1"
MAX_BODY_BYTES = 2_000_000  # as in conftest
FORBIDDEN = "User is not authorized to access this resource"
NODE_CASES = (
    "base64 text",
    "data URI",
    "bytes",
    "FormData",
    "Blob, key as bearer",
    "picture by URL",
    "JSON, one picture",
    "JSON, two pictures",
)


@pytest.fixture(scope="session")
def curl(tool) -> Callable[..., dict]:
    path = tool("curl")

    def run_curl(*arguments: str, stdin: bytes = b"") -> dict:
        command = [path, "--silent", "--show-error", "--write-out", "\n%{http_code}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=True)
        body, _, status = done.stdout.rpartition(b"\n")
        return {"status": int(status), **json.loads(body)}

    return run_curl


@pytest.fixture
def tells_curl(tells, tool) -> Callable[[str], None]:
    version = subprocess.run([tool("curl"), "--version"], capture_output=True, text=True).stdout
    return lambda call: tells("curl", version.split()[1], call)


# call: curl's arguments before the address, with {file} for the picture's path; what goes in
SENT = {
    "-d @- of base64 text with line breaks": (["-d", "@-"], base64.encodebytes),
    "--data-binary of base64 text": (["--data-binary", "@-"], base64.encodebytes),
    "--data-binary of the file": (["--data-binary", "@{file}"], None),
    "-F of the file": (["-F", "file=@{file}"], None),
}


@pytest.mark.parametrize("call", SENT)
def test_curl_posts_a_picture(curl, server, picture, check, tells_curl, call) -> None:
    tells_curl(call)
    arguments, encode = SENT[call]
    arguments = [argument.format(file=picture) for argument in arguments]
    stdin = encode(picture.read_bytes()) if encode else b""
    answer = curl(*arguments, f"{server.url}/{MODEL}?api_key={server.key}", stdin=stdin)
    assert answer["status"] == 200
    check(answer, picture)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_curl_names_an_image_url(
    curl, server, picture, pictures, check, tells_curl, method
) -> None:
    tells_curl(f"-X {method} with a picture by URL")
    image = urllib.parse.quote(f"{pictures[1]}/picture.png", safe="")
    url = f"{server.url}/{MODEL}?api_key={server.key}&image={image}"
    check(curl("-X", method, url), picture)
    answer = curl("-X", method, url.replace("picture.png", "missing.png"))
    assert answer["status"] == 400
    assert answer["message"].startswith("Could not load input image. Cause: ")


def test_curl_is_told_what_is_wrong(curl, server, picture, tells_curl) -> None:
    tells_curl("refusals: 400, 403, 404, 413")
    text = base64.b64encode(picture.read_bytes())
    url = f"{server.url}/{MODEL}?api_key="
    wrong = curl("-d", "@-", url + "atr_wrong", stdin=text)
    assert wrong["status"] == 403
    assert wrong["Message"] == FORBIDDEN
    assert curl("-d", "@-", url + server.key, stdin=b"%%%")["status"] == 400
    unknown = url.replace(MODEL, "colours/99") + server.key
    assert curl("-d", "@-", unknown, stdin=text)["status"] == 404
    large = b"A" * (MAX_BODY_BYTES * 3)
    assert curl("-d", "@-", url + server.key, stdin=large)["status"] == 413
    chunked = curl("-H", "Transfer-Encoding: chunked", "-d", "@-", url + server.key, stdin=large)
    assert chunked["status"] == 413


@pytest.fixture(scope="session")
def node_lines(tool, server, picture, pictures) -> dict[str, dict]:
    program = str(PROGRAMS / "node_fetch.mjs")
    done = subprocess.run(
        [tool("node"), program, str(picture), f"{pictures[1]}/picture.png"],
        env={"SERVER": server.url, "API_KEY": server.key, "MODEL": MODEL},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return {line["case"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.fixture
def tells_node(tells, tool) -> Callable[[str], None]:
    version = subprocess.run([tool("node"), "--version"], capture_output=True, text=True).stdout
    return lambda call: tells("Node fetch", version.strip().lstrip("v"), call)


@pytest.mark.parametrize("case", NODE_CASES)
def test_node_fetch(node_lines, picture, check, tells_node, case) -> None:
    tells_node(case)
    assert node_lines[case]["status"] == 200
    body = node_lines[case]["body"]
    answers = body if case == "JSON, two pictures" else [body]
    assert len(answers) == (2 if case == "JSON, two pictures" else 1)
    for answer in answers:
        check(answer, picture)


def test_node_fetch_with_a_wrong_key(node_lines, tells_node) -> None:
    tells_node("wrong key is 403")
    assert node_lines["wrong key"]["status"] == 403
    assert node_lines["wrong key"]["body"]["Message"] == FORBIDDEN


def test_python_without_libraries(run_program, clients_python, picture, check, tells) -> None:
    found = json.loads(run_program(clients_python, "urllib_post.py", str(picture)))
    tells("Python urllib", found["python"], "base64 text")
    check(found["answer"], picture)
