"""All tests in less time: those of single rooms and of the page run beside the others, which start
many processes and mostly wait. What they print is shown afterwards.

`python -m tests.run [options of pytest]`; `python -m pytest` runs the same tests one by one."""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

BESIDE: Final = (
    "tests/domain",
    "tests/application",
    "tests/contracts",
    "tests/infrastructure",
    "tests/interface",
    "tests/browser",
)
NO_TESTS: Final = 5
"""What pytest says where options leave none: that is no failure if the other half has some."""


def main(options: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="llm-chat-tests-") as folder, _Halves() as halves:
        # Nothing is written by both.
        own = [f"--basetemp={folder}/files", "-o", "cache_dir=.pytest_cache/beside"]
        printed = Path(folder, "printed")
        with printed.open("wb") as out:
            beside = halves.start(*BESIDE, *options, *own, out=out.fileno())
        codes = [halves.start(*(f"--ignore={each}" for each in BESIDE), *options).wait()]
        if beside.poll() is None:
            print("The tests beside these are not at their end yet.", flush=True)
        codes.append(beside.wait())
        print("\nThe tests beside these:", flush=True)
        with printed.open("rb") as said:
            shutil.copyfileobj(said, sys.stdout.buffer)
        sys.stdout.flush()
    failed = [code for code in codes if code not in (0, NO_TESTS)]
    return failed[0] if failed else min(codes)


class _Halves:
    """The two processes. By Ctrl-C a terminal interrupts them itself, and we wait for what they
    have to say and to clear; who wants to end only us interrupts them through us."""

    def __init__(self) -> None:
        self._started: Final[list[subprocess.Popen[bytes]]] = []

    def __enter__(self) -> "_Halves":
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGTERM, self._interrupt)
        return self

    def start(self, *arguments: str, out: int | None = None) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "pytest", *arguments]
        stdin = None if out is None else subprocess.DEVNULL
        made = subprocess.Popen(command, stdin=stdin, stdout=out, stderr=out)
        self._started.append(made)
        return made

    def _interrupt(self, _: int, __: FrameType | None) -> None:
        for each in self._started:
            each.send_signal(signal.SIGINT)

    def __exit__(self, *_: object) -> None:
        for each in self._started:
            if each.poll() is None:
                each.send_signal(signal.SIGINT)
            each.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
