# SPDX-License-Identifier: GPL-2.0
"""Run a guest in QEMU, with KVM or by translating instructions (TCG)."""

import os
import shutil
import subprocess

from base import EXIT_USAGE, Failure, die_with_parent, usage_error

# The guest finds its ports by their names.
PORTS = {}
# The log goes to its file without passing through here.
PASS_LOG = False


def check(opts):
    """Refuse what does not go together."""
    if opts["clock"] == "icount":
        if opts["cpus"] != "1":
            usage_error("--clock icount has one CPU only")
        if opts["accel"] in ("kvm", "mttcg"):
            usage_error(f"--clock icount cannot use --accel {opts['accel']}")
        if opts["net"]:
            usage_error("--clock icount has no network: two guests' clocks differ")
        opts["accel"] = "tcg"
    if opts["net"]:
        if not os.path.isdir(os.path.dirname(os.path.abspath(opts["net"]))):
            usage_error(f"--net: no such directory: '{opts['net']}'")
        if len(os.fsencode(os.path.abspath(opts["net"]))) > 100:
            usage_error(f"--net: a shorter path, please: '{opts['net']}'")


def check_installed():
    if not shutil.which("qemu-system-x86_64"):
        raise Failure(EXIT_USAGE, "QEMU is not installed: run scripts/setup")


def wire_end(path):
    """The end of a wire that is free, 1 or 2: a socket of its own next to path. The
    first guest makes the file, and the second one takes it away."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        return 1
    except FileExistsError:
        pass
    try:
        os.unlink(path)
        return 2
    except OSError as error:
        raise Failure(EXIT_USAGE, f"--net: {error.strerror}: '{path}'") from None


def network(opts):
    """Arguments for a network card whose frames are datagrams between two QEMUs."""
    path = os.path.abspath(opts["net"])
    end = wire_end(path)
    opts["leftovers"] += [f"{path}.{end}"] + ([path] if end == 1 else [])
    local, remote = (f"{path}.{number}".replace(",", ",,") for number in (end, 3 - end))
    return ["-netdev", f"dgram,id=wire,local.type=unix,local.path={local},"
            f"remote.type=unix,remote.path={remote}",
            "-device", f"virtio-net-pci,netdev=wire,mac=52:54:00:6b:76:0{end},romfile="]


def arguments(opts, accel, initrd, log, ports):
    """QEMU's arguments; ports maps a port's name to a file descriptor."""
    icount = opts["clock"] == "icount"
    append = ["console=ttyS0,115200", "earlycon=uart8250,io,0x3f8,115200",
              "panic=-1", "oops=panic", "random.trust_cpu=on",
              # An emulated processor on a busy machine may well stand still for
              # the 20 seconds that are a soft lockup by default.
              "watchdog_thresh=30"]
    args = ["qemu-system-x86_64", "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot",
            "-machine", "q35" + (",hpet=off" if icount else ""),
            "-m", opts["memory"], "-smp", opts["cpus"],
            "-kernel", opts["image"], "-initrd", initrd]
    if accel == "kvm":
        args += ["-accel", "kvm", "-cpu", opts["cpu"] or "host"]
    else:
        # Multi-threaded TCG of QEMU 7.2 crashes kernels that patch their text.
        thread = "multi" if accel == "mttcg" else "single"
        args += ["-accel", f"tcg,thread={thread},tb-size=256",
                 "-cpu", opts["cpu"] or "max"]
        append += ["tsc=reliable"]
        if not icount:
            # Nor does a timer's interrupt come in time there, when it is tried.
            append += ["no_timer_check"]
    if icount:
        # With a fixed date and a fixed seed a run is a function of the kernel,
        # the initramfs and the arguments, KASLR's choice included.
        args += ["-icount", "shift=0,sleep=off", "-seed", "1",
                 "-rtc", "base=2025-01-01T00:00:00,clock=vm"]
        # The TSC then counts instructions; telling its frequency, and leaving
        # no other clock to measure it by, makes a nanosecond exactly one.
        append += ["tsc_early_khz=1000000", "pmtmr=0"]
    args += ["-chardev", f"file,id=log,path={log.replace(',', ',,')}",
             "-device", "isa-serial,chardev=log"]
    # ioeventfd would hand the ports to another thread, at a moment that the
    # instruction count does not determine.
    args += ["-device", "virtio-serial-pci,ioeventfd=off"]
    for number, (name, descriptor) in enumerate(sorted(ports.items()), 1):
        args += ["-add-fd", f"fd={descriptor},set={number}",
                 "-chardev", f"file,id={name},path=/dev/fdset/{number},append=on",
                 "-device", f"virtserialport,nr={number},chardev={name},name={name}"]
    if opts["root"] == "host":
        args += ["-fsdev", "local,id=host,path=/,security_model=none,readonly=on,"
                 "multidevs=remap",
                 "-device", "virtio-9p-pci,fsdev=host,mount_tag=host"]
    if opts["net"]:
        args += network(opts)
    return args + ["-append", " ".join(append + opts["append"])]


def start(opts, directory, log, ports, said):
    """Start the guest, and return the process. said: a file for what QEMU says."""
    initrd = os.path.join(directory, "initrd")
    return subprocess.Popen(
        arguments(opts, opts["accel"], initrd, log, ports),
        stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        pass_fds=tuple(ports.values()), preexec_fn=die_with_parent)
