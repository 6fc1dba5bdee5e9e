"""Child processes that answer questions: a module is started with `python -m`, asked over pipes, and ends with us.

What a child prints goes to our stderr. An error in a child is raised here as what it was: an error of ours with its
problems, or `RunFailed`.

The module of a child ends with

    if __name__ == "__main__":
        raise SystemExit(child.answer_questions(answer))
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

from holdfast.core.errors import HoldfastError, Interrupted, Problem, RunFailed, VaultRefused, error_of_code
from holdfast.core.messages import UNREADABLE, Array, ArrayBlocks, Header, Message, receive, send

END_S = 10.0
PR_SET_PDEATHSIG = 1
CONSOLE = "HOLDFAST_CONSOLE"  # descriptor of the stdout of the process that has started this one
OURS = str(Path(__file__).parents[2])  # all that Holdfast itself needs: no folder of the user's is searched

Answer = Callable[[Header, list[Array]], tuple[Header, Sequence[Array]]]


class Child:
    """A process that answers questions; a context manager."""

    def __init__(
        self,
        module: str,
        *,
        name: str,
        path: Sequence[str] = (OURS,),
        environment: Mapping[str, str] = os.environ,
        is_confined: bool = False,
        is_quiet: bool = False,
        has_console: bool = False,
    ) -> None:
        """Start it.

        Args:
            module: Calls `answer_questions`.
            name: What errors call it.
            path: Where it imports modules from.
            environment: Its environment variables, beside the path.
            is_confined: It runs code that is not ours: it has no terminal, network or file to write to
                (`core.confined`), is ended with all that it has started, and what it says can be withheld.
            is_quiet: What it prints is shown nowhere; its errors are.
            has_console: What it prints on stdout goes to our stdout; Ctrl-C on the terminal reaches us alone, who pass
                it on, and what it has started is ended with it.
        """
        self._name, self._is_confined, self._is_withheld = name, is_confined, threading.Event()
        self._is_apart = is_confined or has_console
        # -P: the working folder comes last, so that a file of the user's cannot stand in for one of the library.
        command = [sys.executable, "-P", "-m", *(["holdfast.core.confined"] if is_confined else []), module]
        reader, writer = os.pipe() if is_confined else (None, None)
        console = _copy_of_stdout() if has_console else None
        handed = {} if console is None else {CONSOLE: str(console)}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if is_quiet else writer,
                env={**environment, "PYTHONPATH": os.pathsep.join(path), **handed},
                start_new_session=self._is_apart,
                pass_fds=() if console is None else (console,),
            )
        finally:
            for descriptor in (writer, console):
                if descriptor is not None:
                    os.close(descriptor)
        self._stdin = cast("BinaryIO", self._process.stdin)
        # Without a buffer, so that `select` sees every answer that has come.
        self._stdout = cast("BinaryIO", cast("BufferedReader", self._process.stdout).raw)
        self._voice: threading.Thread | None = None
        self.not_confined: list[str] = []  # what a confined child could do all the same, in words
        if reader is not None:
            self._voice = threading.Thread(target=_pass_on, args=(reader, self._is_withheld), daemon=True)
            self._voice.start()
            # Before any code that is not ours: a child that ends here gives no answer later.
            self.not_confined = json.loads(self._stdout.readline() or b"[]")

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def withhold(self) -> None:
        """Let nothing out any more of what a confined child prints, and no text of its errors: it could carry rows."""
        assert self._is_confined
        self._is_withheld.set()

    def ask(self, header: Mapping[str, Any], *arrays: Array | ArrayBlocks) -> Message:
        """Ask a question and wait for the answer; errors as of `answer`."""
        self.send(header, *arrays)
        return self.answer()

    def send(self, header: Mapping[str, Any], *arrays: Array | ArrayBlocks) -> None:
        """Ask a question."""
        with contextlib.suppress(BrokenPipeError):  # it has ended: there will be no answer
            send(self._stdin, header, *arrays)

    def answer(self, timeout_s: float | None = None) -> Message:
        """Wait for the answer to the question that was asked; without `timeout_s` until there is one.

        Raises:
            HoldfastError: The child raised it.
            RunFailed: It failed otherwise, ended, or gave an answer that cannot be read.
            Interrupted: It was ended by SIGINT or SIGTERM.
            TimeoutError: There is no answer yet.
        """
        if timeout_s is not None and not select.select([self], [], [], timeout_s)[0]:
            raise TimeoutError(f"{self._name} gave no answer in {timeout_s:g} s")
        try:
            answer, blocks = receive(self._stdout)
            if error := answer.get("error"):
                self._raise_error(error)
        except EOFError:
            raise self._no_answer() from None
        except UNREADABLE:
            problem = "gave an answer that cannot be read; it is withheld, as it could carry rows"
            raise RunFailed(self._name, problem) from None
        return answer, blocks

    def fileno(self) -> int:
        """The descriptor that answers come through, for `select`."""
        return self._stdout.fileno()

    def interrupt(self) -> None:
        """Ask the process by SIGTERM to end itself."""
        self._process.terminate()

    def close(self) -> None:
        """End it, with what it has started where that is in a group of its own; nothing where that was done before."""
        if self._stdout.closed:
            return
        if self._is_apart:
            with contextlib.suppress(OSError, AttributeError):  # there is no such call on Windows
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()
        if self._voice is not None:
            self._voice.join(timeout=1)

    def _no_answer(self) -> HoldfastError:
        code = self._process.wait()
        signal_number = {130: signal.SIGINT, 143: signal.SIGTERM}.get(code, -code)
        if signal_number in (signal.SIGINT, signal.SIGTERM) and not self._is_confined:
            return Interrupted(signal_number)
        how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
        hint = "look at the lines above; signal 9 may mean too little memory"
        if self._is_withheld.is_set():
            how, hint = how if code < 0 else "ended", ""  # a code of its own could carry a row
        return RunFailed(self._name, f"the process {how} and gave no answer", next=hint)

    def _raise_error(self, error: Any) -> None:
        if self._is_withheld.is_set():
            code, kind = (str(error.get(key)) if isinstance(error, dict) else "" for key in ("code", "type"))
            if not hasattr(builtins, kind) and kind != "OutOfMemoryError":
                kind = "an exception type of its own"
            problem = f"failed with {kind}; its text is withheld, as it could carry rows"
            raise (VaultRefused if code == VaultRefused.code else RunFailed)(self._name, problem)
        if problems := [Problem(**problem) for problem in error["problems"]]:
            raise error_of_code(error["code"], problems)
        raise RunFailed(self._name, f"failed with {error['type']}: {error['text']}")


def answer_questions(
    answer: Answer, *, only_one: bool = False, when_alone: Callable[[], None] = lambda: os._exit(1)
) -> int:
    """Answer questions from stdin until it ends, or the process that asks has ended; returns the exit code.

    No other code of this process gets at stdin and stdout: what it prints goes to stderr.

    Args:
        answer: From header and arrays of a question to those of its answer.
        only_one: End after the first answer, so that whoever else speaks with this process notices.
        when_alone: Called, in a thread, where the process that asks has ended while it waited for an answer.
    """
    forbid_core_dumps()
    questions, answers = take_pipes()
    messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    is_busy = threading.Event()
    threading.Thread(target=_receive_all, args=(questions, messages, is_busy, when_alone), daemon=True).start()
    try:
        while (message := messages.get()) is not None:
            header, arrays = _answer_of(answer, message)
            is_busy.clear()
            with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
                send(answers, header, *arrays)
            if only_one:
                break
    except KeyboardInterrupt:
        return 130
    return 0


def take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Give the streams of questions and answers; no other code gets at them by stdin or stdout from now on."""
    questions = os.fdopen(os.dup(0), "rb", buffering=0)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    console = int(os.environ.pop(CONSOLE, "2"))
    os.dup2(console, 1)
    if console > 2:
        os.close(console)
    return questions, answers


def forbid_core_dumps() -> None:
    """Keep a crash from writing the rows in memory to a file (a no-op where there are no such limits)."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def end_with_parent() -> None:
    """Have this process killed when the one that has started it ends (a no-op where there is no such call)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _receive_all(
    file: BinaryIO,
    messages: queue.SimpleQueue[Message | None],
    is_busy: threading.Event,
    when_alone: Callable[[], None],
) -> None:
    """Hand on messages until the stream ends: nobody waits for an answer then."""
    try:
        while True:
            message = receive(file)
            is_busy.set()
            messages.put(message)
    except EOFError:
        pass
    finally:
        if is_busy.is_set():
            when_alone()
        messages.put(None)


def _answer_of(answer: Answer, message: Message) -> tuple[Header, Sequence[Array]]:
    """The answer to a question, or the error that it ended with: the problems of one of ours, the text of any other."""
    try:
        return answer(*message)
    except KeyboardInterrupt:
        raise
    except HoldfastError as error:
        problems = [asdict(problem) for problem in error.problems]
        return {"error": {"code": error.code, "type": type(error).__name__, "problems": problems}}, ()
    except BaseException as error:
        with contextlib.suppress(OSError):  # stderr may be a file, where none can be written any more
            traceback.print_exc()
        return {"error": {"code": "", "type": type(error).__name__, "problems": [], "text": str(error)}}, ()


def _copy_of_stdout() -> int | None:
    """A descriptor for the stdout of this process, where it has one and can hand it on."""
    with contextlib.suppress(OSError):
        return os.dup(1) if os.name == "posix" else None
    return None


def _pass_on(reader: int, is_withheld: threading.Event) -> None:
    """Print what comes through a pipe, until it is to be withheld; read on to its end."""
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while piece := pipe.read(2**16):
            if not is_withheld.is_set():
                with contextlib.suppress(OSError):
                    os.write(2, piece)
