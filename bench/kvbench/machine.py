# SPDX-License-Identifier: GPL-2.0
"""On what the benches were run."""

import os
import platform
import re
import subprocess

from . import guests, paths


def _first_line(*args):
    try:
        done = subprocess.run(args, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "not installed"
    return (done.stdout or done.stderr).split("\n", 1)[0].strip()


def _match(path, pattern):
    try:
        with open(path, encoding="utf-8", errors="replace") as text:
            found = re.search(pattern, text.read(), re.M)
    except FileNotFoundError:
        return "unknown"
    return found.group(1).strip() if found else "unknown"


def _release(image):
    """The version that a bzImage says it is (Documentation/arch/x86/boot.rst: the
    word at 0x20e, plus 0x200, is where the text begins)."""
    with open(image, "rb") as content:
        head = content.read(0x10000)
    start = int.from_bytes(head[0x20e:0x210], "little") + 0x200
    return head[start:head.index(b"\0", start)].decode().split(" ", 1)[0]


def kernels():
    """{name: version and the beginning of the image's SHA-256}."""
    return {name: f"{_release(path)}, image {guests.digest_of_file(path)[:12]}"
            for name, path in guests.KERNELS.items() if os.path.exists(path)}


def describe():
    """{what: text}, of this machine and its programs."""
    compiler = _match(os.path.join(paths.BUILD, "kview", ".config"),
                      r'^CONFIG_CC_VERSION_TEXT="(.*)"$')
    return {
        "Processor": _match("/proc/cpuinfo", r"^model name\s*: (.*)$"),
        "Processors": str(os.cpu_count()),
        "Memory": _match("/proc/meminfo", r"^MemTotal: *(.*)$"),
        "Host": f"{_match('/etc/os-release', '^PRETTY_NAME=.(.*).$')}, "
                f"Linux {re.match('[0-9.]*', platform.release())[0]}",
        "Emulator": _first_line("qemu-system-x86_64", "--version"),
        "KVM": "yes" if _match(os.path.join(paths.BUILD, "vm", "kvm"),
                               "(.*)") == "kvm" else "no: instructions are translated (TCG)",
        "memcached": _first_line("memcached", "--version"),
        "fio": _first_line("fio", "--version"),
        "Compiler of the kernels": compiler,
    }
