"""A file that can be read to its end at once."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular_file(path: Path) -> BinaryIO:
    """To read. Raises OSError, also for what is no file of that kind: a pipe would be waited at
    until somebody writes, a terminal until somebody types, and some devices have no end."""
    # Without waiting: to open a pipe is to wait for its writer already.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file")
    return os.fdopen(descriptor, "rb")
