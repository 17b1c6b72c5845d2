# SPDX-License-Identifier: GPL-2.0
"""Where things are."""

import os

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, "build")
TOOLS = os.path.join(BUILD, "tools", "bin")
BENCH = os.path.join(TOP, "bench")
RESULTS = os.path.join(BENCH, "results")
STATE = os.path.join(BUILD, "bench")
VM = os.path.join(TOP, "qemu", "vm")


def show(path):
    """A path below the project, as people write it."""
    return os.path.relpath(path, TOP) if path.startswith(TOP + os.sep) else path
