# SPDX-License-Identifier: GPL-2.0
"""Run a guest in Bochs, which models TLBs: unlike QEMU's TCG it keeps global
entries when page tables are switched, and all entries until something flushes them.

The guest boots from a disc image, and puts out by serial lines.
"""

import ctypes
import os
import re
import subprocess

from base import EXIT_USAGE, Failure, die_with_parent, usage_error

# Of the four serial lines, the first is the kernel's console. The fourth shares
# its interrupt with the second, which is silent when it is used: at the end.
PORTS = {"out": "/dev/ttyS1", "err": "/dev/ttyS2", "end": "/dev/ttyS3"}
# A panic is seen in the log only: Bochs does not end with it.
PASS_LOG = True
GIVEN_UP = re.compile(rb"---\[ end Kernel panic|reboot: System halted")

BOCHS = "/usr/bin/bochs-bin"
ISOLINUX = "/usr/lib/ISOLINUX/isolinux.bin"
LDLINUX = "/usr/lib/syslinux/modules/bios/ldlinux.c32"
BIOS = "/usr/share/bochs/BIOS-bochs-latest"
VGABIOS = "/usr/share/bochs/VGABIOS-lgpl-latest"
NEEDED = (BOCHS, ISOLINUX, LDLINUX, BIOS, VGABIOS, "/usr/bin/xorriso", "/usr/bin/lz4")

# It has PCIDs, INVPCID, SMEP and SMAP, and the kernel isolates page tables on it
# by default. Of the models with AVX-512 the kernel does not like the size of their
# state; no model has five levels of page tables.
MODEL = "broadwell_ult"
# Instructions in a second of the guest: about what Bochs does in a second.
SPEED = 50000000
MOST_CPUS = 8
MOST_MEMORY = 3072

RC = """\
display_library: rfb, options="timeout=0"
config_interface: textconfig
cpu: model={model}, count={cpus}, ips={speed}, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
romimage: file={bios}
vgaromimage: file={vgabios}
ata0: enabled=1
ata0-master: type=cdrom, path={disc}, status=inserted
boot: cdrom
{lines}
log: {directory}/bochs.log
clock: sync=none, time0=1700000000
panic: action=fatal
error: action=report
info: action=report
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
speaker: enabled=1, mode=system
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, e1000=0, es1370=0, sb16=0, gameport=0
"""


def megabytes(size):
    """A memory size as QEMU spells it."""
    number = int(size.rstrip("MGmg"))
    return number * 1024 if size[-1] in "Gg" else number


def check(opts):
    """Refuse what Bochs does not do."""
    if opts["clock"] != "real":
        usage_error(f"--clock {opts['clock']} is QEMU's: Bochs has no such clock")
    if opts["root"] != "min":
        usage_error(f"--root {opts['root']} is QEMU's: Bochs cannot share files")
    if opts["accel"] != "auto":
        usage_error(f"--accel {opts['accel']} is QEMU's: Bochs always interprets")
    if opts["net"]:
        usage_error("--net is QEMU's: Bochs has no such network card")
    if int(opts["cpus"]) > MOST_CPUS:
        usage_error(f"--cpus in Bochs is up to {MOST_CPUS}, not '{opts['cpus']}'")
    if not 64 <= megabytes(opts["memory"]) <= MOST_MEMORY:
        usage_error(f"--memory in Bochs is 64M to {MOST_MEMORY}M, not '{opts['memory']}'")
    check_installed()
    if opts["cpu"] is not None and opts["cpu"] not in models():
        usage_error(f"--cpu: Bochs has no model '{opts['cpu']}':"
                    " bochs-bin -help cpu lists them")


def check_installed():
    for path in NEEDED:
        if not os.path.exists(path):
            raise Failure(EXIT_USAGE, f"Bochs needs {path}: run scripts/setup")


def models():
    listing = subprocess.run([BOCHS, "-help", "cpu"], capture_output=True, text=True,
                             stdin=subprocess.DEVNULL, check=False)
    return re.findall(r"^[a-z]\w+$", listing.stdout + listing.stderr, re.M)


def make_disc(opts, directory):
    """A disc that boots kernel and initramfs."""
    contents = os.path.join(directory, "disc")
    os.mkdir(contents)
    # Bochs says that the processor has hyperthreads, and 0 of them, which is worth
    # a warning.
    append = ["console=ttyS0,115200", "earlycon=uart8250,io,0x3f8,115200", "panic=0",
              "oops=panic", "random.trust_cpu=on", "watchdog_thresh=60",
              "clearcpuid=ht", *opts["append"]]
    with open(os.path.join(contents, "isolinux.cfg"), "w", encoding="utf-8") as out:
        out.write("DEFAULT guest\nPROMPT 0\nLABEL guest\n  KERNEL /bzImage\n"
                  f"  INITRD /initrd\n  APPEND {' '.join(append)}\n")
    for source, name in ((opts["image"], "bzImage"), (ISOLINUX, "isolinux.bin"),
                         (LDLINUX, "ldlinux.c32")):
        os.symlink(os.path.realpath(source), os.path.join(contents, name))
    # The BIOS reads it at an emulated drive's speed.
    run(["lz4", "-q", "-l", "-1", os.path.join(directory, "initrd"),
         os.path.join(contents, "initrd")])
    disc = os.path.join(directory, "disc.iso")
    run(["xorriso", "-as", "mkisofs", "-quiet", "-f", "-o", disc, "-b", "isolinux.bin",
         "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table",
         contents])
    return disc


def run(command):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, check=False)
    if result.returncode:
        said = result.stdout.decode(errors="replace").strip().splitlines()
        raise Failure(EXIT_USAGE, f"{command[0]} failed on the guest's disc: "
                      + (said[-1] if said else f"status {result.returncode}"))


def before_exec():
    """Also see to it that nobody can connect to the guest's screen: of the displays,
    the one that needs no terminal and no X server is a server for the network.
    """
    die_with_parent()
    libc = ctypes.CDLL(None)
    clone_newuser, clone_newnet = 0x10000000, 0x40000000
    if libc.unshare(clone_newnet):
        libc.unshare(clone_newuser | clone_newnet)


def start(opts, directory, log, ports, said):
    """Start the guest, and return the process. said: a file for what Bochs says."""
    del log
    lines = ["com1: enabled=1, mode=file, dev=/dev/fd/%d" % ports["log"]]
    for name, device in PORTS.items():
        number = int(device[len("/dev/ttyS"):]) + 1
        lines.append(f"com{number}: enabled=1, mode=file, dev=/dev/fd/{ports[name]}")
    rc = os.path.join(directory, "bochsrc")
    with open(rc, "w", encoding="utf-8") as out:
        out.write(RC.format(model=opts["cpu"] or MODEL, cpus=opts["cpus"], speed=SPEED,
                            memory=megabytes(opts["memory"]), bios=BIOS, vgabios=VGABIOS,
                            disc=make_disc(opts, directory), lines="\n".join(lines),
                            directory=directory))
    # It waits for a command before it runs the guest: c is to continue.
    go = os.path.join(directory, "go")
    with open(go, "w", encoding="ascii") as out:
        out.write("c\n")
    with open(go, "rb") as commands:
        return subprocess.Popen([BOCHS, "-q", "-f", rc], stdin=commands, stdout=said,
                                stderr=said, pass_fds=tuple(ports.values()),
                                preexec_fn=before_exec)
