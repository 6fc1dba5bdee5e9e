from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from holdfast.core.errors import InputError, Interrupted
from holdfast.core.exits import ending, program


def test_ctrl_c_is_one_line_that_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, ending():
        raise Interrupted(2, "python train.py resume=outputs/one")
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "interrupted; go on with: python train.py resume=outputs/one\n")


@pytest.mark.parametrize("begun", [False, True])
def test_ctrl_c_gives_no_traceback_before_a_command_has_begun_either(begun: bool) -> None:
    context = "ending()" if begun else "nullcontext()"
    # it is ignored in what a script starts in the background, and so in all that is started from there
    heard = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    imports = f"{heard}import holdfast.cli, time\nfrom contextlib import nullcontext\n"
    imports += "from holdfast.core.exits import ending\n"
    code = f"{imports}with {context}:\n    print('ready', flush=True)\n    time.sleep(60)"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == ((130, "interrupted\n") if begun else (-signal.SIGINT, ""))


def test_an_error_is_a_line_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    for as_json, out, err in (
        (False, "", "error: lr: is 'x'; allowed: a number\n"),
        (
            True,
            '{"error": {"code": "input", "where": "lr", "what": "is \'x\'", "allowed": "a number", "next": ""}}\n',
            "",
        ),
    ):
        with pytest.raises(SystemExit) as ended, ending(as_json=as_json):
            raise InputError("lr", "is 'x'", "a number")
        assert ended.value.code == 2
        assert capsys.readouterr() == (out, err)


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("train.py", "python train.py"),
        ("/lib/holdfast/cli/train.py", "holdfast train"),
        ("/bin/holdfast", "holdfast train"),
    ],
)
def test_the_command_is_the_one_that_was_typed(path: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [path])
    assert program() == command
