# SPDX-License-Identifier: GPL-2.0
"""What the parts of qemu/vm share: where things are, and how a run ends badly."""

import ctypes
import os
import signal

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(HERE)
BUILD = os.path.join(TOP, "build")
TOOLS = os.path.join(BUILD, "tools", "bin")
GUEST_TOOLS = "usr/local/kview/bin"
BUSYBOX = "/bin/busybox"

EXIT_USAGE = 2
EXIT_TIMEOUT = 124
EXIT_REPORT = 125


class Failure(Exception):
    """Something that ends the run with one line and a status."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


def usage_error(text):
    raise Failure(EXIT_USAGE, text + " (try --help)")


def write_all(descriptor, data):
    try:
        while data:
            data = data[os.write(descriptor, data):]
    except BrokenPipeError:
        # Nobody reads any more: end as a program does that SIGPIPE ends.
        raise Failure(128 + signal.SIGPIPE, "output closed") from None


def die_with_parent():
    """For an emulator's process, before it is executed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    os.setpgid(0, 0)
