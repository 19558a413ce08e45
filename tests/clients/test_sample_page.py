"""The samples of the hosted API's page, as they stand: only host, key, model and picture put in.

They are taken from that page where it lies beside the project; a language that is not installed
is skipped here, and its request replayed in test_replayed_samples.py.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

ROOT = Path(__file__).parents[2]
PAGE = "semantic_segmentation_http_api.md"
MODEL = "colours/1"
FILE = "YOUR_IMAGE.jpg"  # as all samples name it
# npm install --prefix .venv-clients axios
NODE_MODULES = os.environ.get(
    "ATROUS_CLIENTS_NODE_MODULES", str(ROOT / ".venv-clients" / "node_modules")
)
PICTURE_URLS = ("https://i.imgur.com/PEEvqPN.png", "https://i.ibb.co/jzr27x0/YOUR-IMAGE.jpg")


@dataclass(frozen=True)
class Sample:
    """Where a sample is on the page, and how its language is run."""

    client: str
    language: str  # of the fence
    word: str  # that this sample holds, and no other of its language
    file: str
    commands: tuple[tuple[str, ...], ...]
    version: tuple[str, ...]  # the command that tells it
    by_url: bool = False

    @property
    def name(self) -> str:
        """What it does."""
        return "sample: picture by URL" if self.by_url else "sample: local picture"


CURL = {
    "client": "curl",
    "language": "bash",
    "file": "sample.sh",
    "commands": (("bash", "sample.sh"),),
    "version": ("curl", "--version"),
}
AXIOS = {
    "client": "axios",
    "language": "javascript",
    "file": "sample.cjs",
    "commands": (("node", "sample.cjs"),),
    "version": ("node", "-p", "require('axios').VERSION"),
}
JAVA = {"client": "Java", "language": "java", "version": ("java", "--version")}
PHP = {
    "client": "PHP",
    "language": "php",
    "file": "sample.php",
    "commands": (("php", "sample.php"),),
    "version": ("php", "--version"),
}
GO = {
    "client": "Go",
    "language": "go",
    "file": "sample.go",
    "commands": (("go", "run", "sample.go"),),
    "version": ("go", "version"),
}
RUBY = {
    "client": "Ruby httparty",
    "language": "ruby",
    "file": "sample.rb",
    "commands": (("ruby", "sample.rb"),),
    "version": ("ruby", "-r", "httparty", "-e", "puts HTTParty::VERSION"),
}
SAMPLES = [
    Sample(word="base64 YOUR_IMAGE.jpg", **CURL),
    Sample(word="curl -X POST", by_url=True, **CURL),
    Sample(word="readFileSync", **AXIOS),
    Sample(word="image: ", by_url=True, **AXIOS),
    *(
        Sample(
            word=f"class {name} ",
            file=f"{name}.java",
            commands=(
                ("javac", "-encoding", "UTF-8", "-nowarn", f"{name}.java"),
                ("java", "-cp", ".", name),
            ),
            by_url=name == "InferenceHosted",
            **JAVA,
        )
        for name in ("InferenceLocal", "InferenceHosted")
    ),
    Sample(word="base64_encode", **PHP),
    Sample(word="urlencode(", by_url=True, **PHP),
    Sample(word="EncodeToString", **GO),
    Sample(word="QueryEscape", by_url=True, **GO),
    Sample(word="encode64", **RUBY),
    Sample(word="CGI::escape", by_url=True, **RUBY),
]


@pytest.fixture
def fill(seed, server, pictures) -> Callable[[Sample], str]:
    """Give a sample with host, key, model and picture put in."""

    def fill_one(sample: Sample) -> str:
        fences = re.findall(rf"```{sample.language}\n(.*?)```", seed(PAGE), re.DOTALL)
        [program] = [text for text in fences if sample.word in text]
        url = f"{pictures[1]}/picture.png"
        for old, new in [
            ("https://segment.roboflow.com", server.url),
            ("your-model/42", MODEL),
            ("dataset/v", MODEL),
            ("YOUR_KEY", server.key),
            ("console.log(response.data)", "console.log(JSON.stringify(response.data))"),
            *((place, url) for place in PICTURE_URLS),
            *((quote(place, ""), quote(url, "")) for place in PICTURE_URLS),
            ("\\\\\n", "\\\n"),  # the page doubles the backslash that ends a line
        ]:
            program = program.replace(old, new)
        program = re.sub(r'\b((?:api_key|API_KEY) *:?= *)""', rf'\1"{server.key}"', program)
        assert server.key in program
        assert "roboflow.com" not in program
        return program

    return fill_one


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: f"{s.client}, {s.name}")
def test_the_samples(sample, fill, picture, check, tool, tells, tmp_path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "NODE_PATH": NODE_MODULES,
        "GO111MODULE": "off",
    }

    def run_command(command: tuple[str, ...], *, wanted: bool = True) -> str:
        done = subprocess.run(
            [tool(command[0]), *command[1:]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode and not wanted:
            pytest.skip(f"{sample.client} is not installed: {done.stderr.strip()[-200:]}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    version = run_command(sample.version, wanted=False)
    tells(sample.client, re.search(r"\d+(\.\d+)+", version).group(), sample.name)
    (tmp_path / sample.file).write_text(fill(sample), "utf-8")
    shutil.copy(picture, tmp_path / FILE)
    for command in sample.commands:
        output = run_command(command)
    check(json.loads(output), picture)
