# SPDX-License-Identifier: GPL-2.0
"""The guest's initramfs: busybox, our programs, what is added, and the command."""

import hashlib
import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile

from base import BUILD, BUSYBOX, GUEST_TOOLS, HERE, TOOLS


class Cpio:
    """Writes a newc archive that is the same for the same content."""

    def __init__(self, out):
        self.out = out
        self.seen = set()
        self.inode = 0

    def entry(self, name, mode, data=b"", rdev=(0, 0)):
        self.inode += 1
        encoded = os.fsencode(name) + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0,
                  rdev[0], rdev[1], len(encoded), 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + encoded
        self.out.write(head + b"\0" * (-len(head) % 4))
        self.out.write(data + b"\0" * (-len(data) % 4))

    def parents(self, name):
        parent = os.path.dirname(name)
        if parent and parent not in self.seen:
            self.parents(parent)
            self.seen.add(parent)
            self.entry(parent, stat.S_IFDIR | 0o755)

    def data(self, name, data, mode=0o644):
        self.parents(name)
        self.seen.add(name)
        self.entry(name, stat.S_IFREG | mode, data)

    def symlink(self, name, target):
        self.parents(name)
        self.seen.add(name)
        self.entry(name, stat.S_IFLNK | 0o777, os.fsencode(target))

    def add(self, path, name):
        """A file or a tree of the host's; links in a tree stay links."""
        if os.path.isdir(path):
            for root, dirs, files in os.walk(path):
                dirs.sort()
                below = os.path.normpath(os.path.join(name, os.path.relpath(root, path)))
                self.parents(os.path.join(below, "x"))
                for leaf in sorted(files + [d for d in dirs if os.path.islink(
                        os.path.join(root, d))]):
                    source = os.path.join(root, leaf)
                    if os.path.islink(source):
                        self.symlink(os.path.join(below, leaf), os.readlink(source))
                    elif os.path.isfile(source):
                        self.add(source, os.path.join(below, leaf))
            return
        with open(path, "rb") as source:
            self.data(name, source.read(), 0o755 if os.access(path, os.X_OK) else 0o644)

    def end(self):
        self.entry("TRAILER!!!", 0)


def files_of(path):
    if not os.path.isdir(path):
        return [path]
    return sorted(os.path.join(root, leaf) for root, _, files in os.walk(path)
                  for leaf in files)


def libraries(paths):
    """The shared objects that these programs load, as host paths."""
    found = set()
    for path in paths:
        try:
            with open(path, "rb") as program:
                if program.read(4) != b"\x7fELF" or not os.access(path, os.X_OK):
                    continue
        except OSError:
            continue
        listing = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
        for line in listing.stdout.splitlines():
            match = re.match(r"\s*(?:\S+ => )?(/\S+) \(0x", line)
            if match:
                found.add(match.group(1))
    return sorted(found)


def base_archive():
    """The archive that all guests with the min root share, made once."""
    programs = files_of(TOOLS) if os.path.isdir(TOOLS) else []
    inputs = [BUSYBOX, os.path.join(HERE, "guest"), os.path.realpath(__file__)] + programs
    digest = hashlib.sha256()
    for path in inputs:
        status = os.stat(path)
        digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    directory = os.path.join(BUILD, "vm")
    target = os.path.join(directory, f"min-{digest.hexdigest()[:16]}.cpio")
    if os.path.exists(target):
        return target
    os.makedirs(directory, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=directory, delete=False) as out:
        archive = Cpio(out)
        guest_base(archive)
        for applet in applets():
            if applet not in archive.seen:
                archive.symlink(applet, "/.vm/busybox")
        for path in programs:
            archive.add(path, os.path.join(GUEST_TOOLS, os.path.relpath(path, TOOLS)))
        for path in libraries(programs):
            archive.add(path, path.lstrip("/"))
        archive.data("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"
                     b"nobody:x:65534:65534:nobody:/:/bin/sh\n")
        archive.data("etc/group", b"root:x:0:\nnogroup:x:65534:\n")
        archive.data("etc/hosts", b"127.0.0.1 localhost kview\n")
        archive.end()
        os.chmod(out.name, 0o644)
    os.rename(out.name, target)
    for old in os.listdir(directory):
        if old.startswith("min-") and os.path.join(directory, old) != target:
            try:
                os.unlink(os.path.join(directory, old))
            except FileNotFoundError:
                pass
    return target


def guest_base(archive):
    archive.parents("dev/console")
    archive.entry("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1))
    archive.add(BUSYBOX, ".vm/busybox")
    archive.add(os.path.join(HERE, "guest"), "init")
    for applet in applets():
        archive.symlink(".vm/bin/" + os.path.basename(applet), "/.vm/busybox")


def applets():
    return subprocess.run([BUSYBOX, "--list-full"], capture_output=True,
                          text=True, check=True).stdout.split()


def make(path, opts, command, ports):
    """Write the archive for one run. ports: the devices that the guest is to use
    for what it puts out, by name, where it cannot find them by themselves.
    """
    with open(path, "wb") as out:
        if opts["root"] == "min":
            with open(base_archive(), "rb") as base:
                shutil.copyfileobj(base, out)
        archive = Cpio(out)
        prefix = ""
        if opts["root"] == "host":
            guest_base(archive)
            archive.data(".vm/tools", TOOLS.encode() + b"\n")
            prefix = ".vm/add/"
        archive.data(".vm/root", opts["root"].encode() + b"\n")
        archive.data(".vm/command", b"exec " + os.fsencode(shlex.join(command)) + b"\n")
        if ports:
            archive.data(".vm/ports", "".join(
                f"{name} {device}\n" for name, device in ports.items()).encode())
        sources = []
        for item in opts["add"]:
            source, _, where = item.partition(":")
            where = where or "/root/" + os.path.basename(os.path.abspath(source))
            archive.add(source, prefix + os.path.normpath(where).lstrip("/"))
            sources += files_of(source)
        if opts["root"] == "min":
            for library in libraries(sources):
                if library.lstrip("/") not in archive.seen:
                    archive.add(library, library.lstrip("/"))
        archive.end()
