# SPDX-License-Identifier: GPL-2.0
"""What the patches cost those who never use them."""

from ..calls import costs_of, percent
from ..guests import Guest, Job
from ..plot import Bars
from ..results import Result
from .switch import FIRST

NAME = "idle"
TITLE = "The patched kernel without a view"
KERNELS = ("baseline", "kview")
EXACT = ("read", "tcp", "sendmsg", "fault", "switch")
LIFE = ("fork", "thread", "exec")
PROGRAMS = ("printk", "count", "raw", "tp_btf", "kprobe", "kretprobe", "instruction",
            "kprobe.multi", "kretprobe.multi", "fentry", "fexit", "fmod_ret")
COPIES = (10, 50)
HOOKS = (14, 100)

WHAT = {"read": "read() of /dev/zero", "tcp": "read() of a TCP connection",
        "sendmsg": "sendmsg()", "fault": "page fault", "switch": "two switches",
        "fork": "fork, exit, wait", "thread": "thread begins and ends",
        "exec": "fork, exec, exit, wait"}

START = """
tagged boot awk '{ print $1 * 1000 }' /proc/uptime
tagged memory awk '/^(MemTotal|MemFree|Slab|PageTables):/ { print $1 "\\t" $2 }' /proc/meminfo
tagged image awk -F '[ -]+' '/Kernel (code|rodata|data|bss)/ { print $(NF) "\\t" $0 }' /proc/iomem
"""


def jobs():
    script = START + FIRST
    script += f"bench calls --calls 500 --runs 2 {' '.join(EXACT)}\n"
    script += f"bench life --calls 200 --runs 2 {' '.join(LIFE)}\n"
    post = "--calls 250 --runs 2 --roles untraced --filter post"
    for program in PROGRAMS:
        # Where fmod_ret may be: a system call.
        where = "--functions __x64_sys_read" if program == "fmod_ret" else ""
        script += f"bench {program}.1 {post} --program {program} {where} read\n"
    for copies in COPIES:
        script += f"bench copies.{copies} {post} --copies {copies} read\n"
    script += "kview-syscall-bench --list-functions tcp >/tmp/functions\n"
    for hooks in HOOKS:
        for program in ("kprobe", "fentry"):
            script += f"bench {program}.{hooks} {post} --program {program} " \
                f"--functions /tmp/functions --hooks {hooks} tcp\n"
    return [Job(NAME, kernel, Guest(kernel, script), 75) for kernel in KERNELS]


def image_sizes(job):
    """{"code": bytes, ...} of lines such as "  1000000-1ffffff : Kernel code"."""
    sizes = {}
    for fields in job.rows("image"):
        span, _, name = fields[1].strip().partition(" : Kernel ")
        first, last = (int(part, 16) for part in span.split("-"))
        sizes[name] = last - first + 1
    return sizes


def evaluate(done):
    result = Result(
        NAME, TITLE,
        "The unpatched kernel and the patched one, in which no view was ever made: "
        "system calls, faults and switches, the life of processes, each with nothing "
        "attached; then programs for everybody, one of each family, many on a hook and "
        "many hooks. Attach and detach for everybody in both kernels are in the bench "
        "attach, memcached in both kernels in the bench memcached.",
        "Instructions, usual cost; of fork and exec the median, as they vary by some "
        "instructions with where memory comes from. (The median of a thread's life says "
        "whether its end is more often waited for than not.) There the patches add "
        "checks behind static branches, each one no-op while there is no view. kprobes "
        "cost the one kernel some instructions more or less than the other, as each is "
        "looked up in a hash table by its address.")
    by_name = {job.name: job for job in done}
    columns = [("what", "what"), ("program", "attached for everybody"),
               ("baseline", "unpatched"), ("kview", "patched"), ("more", "difference"),
               ("percent", "%")]
    table = result.table("calls", "Cost in instructions", columns)

    def add(what, program, tag, key, value="usual", exact=True):
        values = [round(getattr(costs_of(by_name[kernel], tag)[key], value))
                  for kernel in KERNELS]
        table.add(what, program, *values, values[1] - values[0],
                  percent(values[1] - values[0], values[0]))
        if exact:
            result.equal(f"{what}, {program}: as in the unpatched kernel", *values)
        else:
            result.check(f"{what}, {program}: within 1 % of the unpatched kernel",
                         abs(values[1] - values[0]) <= 0.01 * values[0], values)

    for call in EXACT:
        add(WHAT[call], "nothing", "calls", ("none", call, "untraced"))
    for call in LIFE:
        add(WHAT[call], "nothing", "life", ("none", call, "untraced"),
            "usual" if call == "thread" else "median", exact=False)
    for program in PROGRAMS:
        add(WHAT["read"], program, f"{program}.1", ("post", "read", "untraced"))
    for copies in COPIES:
        add(WHAT["read"], f"{copies} printk", f"copies.{copies}",
            ("post", "read", "untraced"))
    for hooks in HOOKS:
        for program in ("kprobe", "fentry"):
            # The kernel finds kprobes by a hash of addresses, which are others in the
            # other kernel: so are the lengths of its chains.
            add(WHAT["tcp"], f"{hooks} {program}", f"{program}.{hooks}",
                ("post", "tcp", "untraced"), exact=program != "kprobe")

    sizes = result.table("sizes", "Memory and boot", [
        ("what", "what"), ("unit", "unit"), ("baseline", "unpatched"),
        ("kview", "patched"), ("more", "difference"), ("percent", "%")])

    def add_size(what, unit, values):
        sizes.add(what, unit, *values, values[1] - values[0],
                  percent(values[1] - values[0], values[0]))

    images = [image_sizes(by_name[kernel]) for kernel in KERNELS]
    for part in images[0]:
        add_size(f"kernel {part}", "bytes", [image[part] for image in images])
    memory = [dict(by_name[kernel].rows("memory")) for kernel in KERNELS]
    for what in memory[0]:
        add_size(f"{what.rstrip(':')} after the boot", "kB",
                 [int(values[what]) for values in memory])
    add_size("boot, until the first command", "virtual ms",
             [round(float(by_name[kernel].rows("boot")[0][0])) for kernel in KERNELS])
    life = [row for row in table.rows if row[0] in [WHAT[call] for call in LIFE]]
    result.plots.append(Bars(
        "idle", "Without a view: unpatched and patched kernel", "instructions",
        [row[0] for row in table.rows if row[1] == "nothing" and row not in life],
        {name: [(row[table.index(column)], None) for row in table.rows
                if row[1] == "nothing" and row not in life]
         for name, column in (("unpatched", "baseline"), ("patched", "kview"))}))
    return result
