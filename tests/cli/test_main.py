import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from atrous import __version__
from atrous.cli import main as main_module
from atrous.cli.main import COMMANDS, load_command, main
from atrous.domain.errors import Conflict

SOURCE = Path(__file__).parents[2] / "src"


def test_version(atrous) -> None:
    assert atrous("--version") == (0, f"atrous {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["keys", "create"], ["keys", "create", "a", "--colour"], ["serve", "x"]],
)
def test_wrong_usage_is_2(atrous, arguments) -> None:
    code, out, err = atrous(*arguments)
    assert code == 2
    assert out == ""
    assert "Usage" in err


def test_a_known_error_is_one_line_and_1(atrous) -> None:
    code, out, err = atrous("models", "show", "nonsense")
    assert (code, out) == (1, "")
    assert err.startswith("error: model id 'nonsense'")
    assert err.count("\n") == 1


def test_a_message_of_many_lines_is_one_line(atrous, monkeypatch) -> None:
    def fail(name: str) -> None:
        raise Conflict("one\n  two\nthree")

    monkeypatch.setattr(main_module, "load_command", fail)
    assert atrous("keys", "list")[2] == "error: one two three\n"


def test_debug_shows_the_traceback(atrous, monkeypatch) -> None:
    monkeypatch.setenv("ATROUS_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["atrous", "models", "show", "nonsense"])
    with pytest.raises(Exception, match="nonsense"):
        main()


def test_what_nobody_foresaw_is_one_line_too(tmp_path) -> None:
    (tmp_path / "home").write_text("a file where a folder should be")
    done = subprocess.run(
        [sys.executable, "-m", "atrous", "keys", "list"],
        cwd=SOURCE,
        env={"ATROUS_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: data folder ")
    assert done.stderr.count("\n") == 1


def test_a_full_disk_is_told_with_the_file_and_the_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/runs/cats")
    main_module._explain(OSError, error, None)
    assert capsys.readouterr().err == (
        "error: [Errno 28] No space left on device: '/data/runs/cats'; free some space on that "
        "disk and try again\n"
    )
    error = OSError(errno.EFBIG, os.strerror(errno.EFBIG), "/data/runs/cats")
    main_module._explain(OSError, error, None)
    assert "raise `ulimit -f`" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 9 GiB"),
    ],
    ids=str,
)
def test_no_memory_is_told_with_the_remedy(
    capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    """Where no batch can be made smaller: in a validation, an export, a report."""
    main_module._explain(type(error), error, None)
    told = capsys.readouterr().err
    assert told.startswith(f"error: out of memory ({error})"[:60])
    assert "a training with --resume" in told
    assert "fault of atrous" not in told


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(atrous, name) -> None:
    assert load_command(name).name == name
    code, out, _ = atrous(name, "--help")
    assert code == 0
    assert f"Usage: atrous {name}" in out


def test_help_lists_every_command(atrous) -> None:
    code, out, _ = atrous("--help")
    assert code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in out


def test_importing_the_command_line_is_light() -> None:
    heavy = ["torch", "openvino", "onnxruntime", "fastapi", "sqlalchemy", "cv2", "numpy"]
    code = f"import sys, atrous.cli.main; sys.exit(str([m for m in {heavy} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=SOURCE, capture_output=True, text=True)
    assert done.stderr == "[]\n"
