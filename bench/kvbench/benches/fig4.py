# SPDX-License-Identifier: GPL-2.0
"""Figure 4 of the paper: many programs on a hook, and many hooks."""

from ..calls import check_events, costs_of
from ..guests import Guest, Job
from ..plot import Lines
from ..results import Result

NAME = "fig4"
TITLE = "Many programs on a hook, and many hooks (the paper's Figure 4)"

COPIES = (1, 2, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50)
# 14 as in the paper, then on to 100.
HOOKS = (1, 2, 4, 6, 8, 10, 12, 14, 20, 30, 40, 50, 60, 80, 100)
KINDS = ("kprobe", "fentry")
KERNELS = {"in": "baseline", "pre": "pre", "view": "kview"}
ROLES = "--roles untraced,traced"
CALLS = "--calls 250 --runs 2"


def script_of(name):
    """Nothing attached; then so many of the paper's programs on the entry to
    read(); then functions that a read() of a TCP connection passes, which are found
    by tracing one."""
    lines = [f"bench none {CALLS} {ROLES} read tcp",
             "kview-syscall-bench --list-functions tcp >/tmp/functions",
             "tagged function cat /tmp/functions"]
    for copies in COPIES:
        lines.append(f"bench printk.{copies} {CALLS} {ROLES} --filter {name} "
                     f"--copies {copies} read")
    for kind in KINDS:
        for hooks in HOOKS:
            lines.append(f"bench {kind}.{hooks} {CALLS} {ROLES} --filter {name} "
                         f"--program {kind} --functions /tmp/functions --hooks {hooks} "
                         "tcp")
    return "\n".join(lines) + "\n"


def jobs():
    seconds = {"in": 160, "pre": 160, "view": 40}
    return [Job(NAME, name, Guest(kernel, script_of(name)), seconds[name])
            for name, kernel in KERNELS.items()]


def evaluate(done):
    result = Result(
        NAME, TITLE,
        f"1 to {COPIES[-1]} programs with a bpf_printk() each on the tracepoint "
        f"sys_enter_read, and read() of /dev/zero; then 1 to {HOOKS[-1]} kprobes, and "
        "as many fentry programs, that count, on functions that a read() of a TCP "
        "connection passes, in the order in which it passes them. These functions are "
        "found with the function tracer; a read() that takes the last byte of the "
        "connection passes more than 100, as it sends an acknowledgement and, over "
        "loopback, receives it, too. All is for one process, the target; the calls are "
        "made by another (untraced), then by the target.",
        "The usual cost of a call in instructions, exactly. The paper shows the same for "
        "in and pre, in nanoseconds: in grows with programs and with hooks, pre with "
        "hooks only.")
    by_filter = {job.name: job for job in done}
    functions = {name: [row[0] for row in job.rows("function")]
                 for name, job in by_filter.items()}
    for name in KERNELS:
        result.equal(f"{name}: the same functions as in the unpatched kernel",
                     functions["in"], functions[name])
    none = {name: costs_of(job, "none") for name, job in by_filter.items()}
    base = {call: none["in"]["none", call, "untraced"].usual for call in ("read", "tcp")}

    tables = [("printk", "Programs on sys_enter_read, cost of read()", "read", COPIES,
               "programs")]
    tables += [(kind, f"{kind} programs on functions of a read() of a TCP connection",
                "tcp", HOOKS, "hooks") for kind in KINDS]
    for kind, title, call, numbers, what in tables:
        table = result.table(kind, title, [
            (what, what), ("filter", "filter"),
            ("untraced", "untraced, instructions"),
            ("untraced_more", "more than baseline"), ("traced", "traced, instructions"),
            ("traced_more", "more than baseline"), ("calls", "calls"),
            ("events", "events, traced")])
        for number in numbers:
            for name, job in by_filter.items():
                costs = costs_of(job, f"{kind}.{number}")
                untraced = costs[name, call, "untraced"]
                traced = costs[name, call, "traced"]
                table.add(number, name, untraced.usual, untraced.usual - base[call],
                          traced.usual, traced.usual - base[call], traced.calls,
                          traced.events)
                where = f"{call}, {name}, {number} {kind}"
                if name == "view":
                    result.equal(f"{where}: an untraced process pays nothing",
                                 base[call], untraced.usual)
                if kind == "printk":
                    check_events(result, where, untraced, number)
                    check_events(result, where, traced, number)
                else:
                    # Others than this read() pass some of the functions, too.
                    result.check(f"{where}: {traced.calls} calls of the target are as "
                                 "many events of each hook or more",
                                 traced.events >= traced.calls * number, traced.events)
                    result.check(f"{where}: the untraced process's calls are none",
                                 untraced.events <= 10 * number, untraced.events)
        for role in ("untraced", "traced"):
            result.plots.append(Lines(
                f"fig4-{kind}-{role}", f"{title}, {role} process", what,
                "instructions more",
                {name: table.points(what, f"{role}_more", filter=name)
                 for name in KERNELS}))
    return result
