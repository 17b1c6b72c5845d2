# SPDX-License-Identifier: GPL-2.0
"""The tracing tools on fio."""

import json
import os
import shutil
from collections import namedtuple

from ..calls import percent
from ..guests import Failed, Guest, Job
from ..plot import Bars
from ..results import Result

NAME = "tools"
TITLE = "Tracing tools on fio"
TOOLS = ("syscount", "rw-tracer", "rw-tracer-all")
WORKLOADS = ("read", "write", "readwrite")
FILTERS = ("post", "in", "pre", "view")
KERNEL_FILTERS = (("baseline", ("in", "post")), ("pre", ("pre",)), ("kview", ("view",)))
PROCESSES = 4
# Of each process. KVIEW_FIO_CALLS scales it: the paper's 32 GiB are 2,097,152.
CALLS = int(os.environ.get("KVIEW_FIO_CALLS", "2048"))
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tools.sh")

# What an untraced process may seem to pay with nothing that costs it anything: the
# interrupts that happen to hit it, and what they find to do, are in its time.
NOISE = 0.01

# The paper's table of the read-only workload, with libbpf: events that are saved.
PAPER = {"rw-tracer": 100.0, "rw-tracer-all": 0.66}

Run = namedtuple("Run", "traced untraced tool busy counted saved lost lines")


def jobs():
    fio = shutil.which("fio")
    if not fio:
        raise Failed("fio is not there: scripts/setup")
    programs = ["kview-" + tool for tool in TOOLS]
    return [Job(NAME, kernel, Guest(
        kernel, f"sh /root/tools.sh {CALLS} none {' '.join(filters)}\n",
        programs=programs, add={"/root/fio": fio, "/root/tools.sh": SCRIPT},
        timeout=600 + 2 * CALLS), (25 + 20 * len(filters)) * (1 + CALLS / 1024) / 2)
        for kernel, filters in KERNEL_FILTERS]


def runs_of(job):
    """{(tool, filter, workload): Run}"""
    return {tuple(fields[:3]): Run(*map(int, fields[3:])) for fields in job.rows("run")
            if fields[0] != "warm"}


def fio_of(job):
    """{(role, tool, filter, workload): (calls of all processes, milliseconds of the
    one that took longest)}"""
    found = {}
    for role, text in job.rows("fio"):
        for process in json.loads(text)["jobs"]:
            tool, name, workload = process["jobname"].split(".")
            sides = process["read"], process["write"]
            calls, time = found.get((role, tool, name, workload), (0, 0))
            found[role, tool, name, workload] = (
                calls + sum(side["total_ios"] for side in sides),
                max(time, *(side["runtime"] for side in sides)))
    return found


def speed_of(calls, time):
    """MiB a second."""
    return calls * 4 / 1024 / (time / 1000)


def check(result, kernel, key, run, fio):
    """Each of fio's calls has to be accounted for."""
    tool, name, workload = key
    where = f"{kernel} kernel, {tool}, {name}, {workload}"
    for role in ("traced", "untraced"):
        result.equal(f"{where}: the {role} fio made its calls", PROCESSES * CALLS,
                     fio[(role,) + key][0])
    calls = fio[("traced",) + key][0]
    if tool == "none":
        return
    if tool == "syscount":
        # With post those of others may be among the lost.
        if name == "post" and run.lost:
            result.check(f"{where}: calls counted and lost are all calls",
                         run.counted <= calls <= run.counted + run.lost, run)
        else:
            result.equal(f"{where}: calls counted are fio's", calls, run.counted)
        return
    result.equal(f"{where}: a line for each event saved", run.saved, run.lines)
    if name == "post":
        result.check(f"{where}: events saved and lost are all calls",
                     run.saved <= calls <= run.saved + run.lost, run)
    else:
        result.equal(f"{where}: events saved and lost are all calls", calls,
                     run.saved + run.lost)


def check_untraced(result, per_call, base):
    """The claim, as far as averages with interrupts in them can show it."""
    for workload in WORKLOADS:
        for tool in TOOLS:
            cost = {name: per_call[tool, name, workload] for name in FILTERS}
            more = cost["view"] - base["kview", workload]
            result.check(f"{tool}, {workload}: the fio beside it pays nothing with view, "
                         f"within {NOISE:.0%}", abs(more) <= NOISE * base["kview", workload],
                         f"{more:+.0f} of {base['kview', workload]:.0f} instructions a call")
            for name in ("post", "in"):
                result.check(f"{tool}, {workload}: the fio beside it pays more with {name} "
                             "than with view", cost[name] > cost["view"], cost)
    for tool in TOOLS:
        cost = {name: sum(per_call[tool, name, workload] for workload in WORKLOADS)
                for name in ("pre", "view")}
        result.check(f"{tool}: the fio beside it pays more with pre than with view",
                     cost["pre"] > cost["view"], cost)


def evaluate(done):
    calls = PROCESSES * CALLS
    result = Result(
        NAME, TITLE,
        f"Two fio at the same time, each of {PROCESSES} processes, which read, write, or do "
        f"both in halves: sequentially, 4 KiB a call, {CALLS:,} calls each, on files in "
        "memory (the paper has 32 GiB for each process, on a disk). The processes of one "
        "fio are traced: kview-syscount counts the calls by name; kview-rw-tracer writes a "
        "line for each, from an event of 156 bytes; kview-rw-tracer-all also what was "
        "transferred, up to 4 KiB. Events come through a ring of 256 KiB, and begin and end "
        "at a kprobe and a kretprobe on vfs_read and vfs_write. The lines go to a file in "
        "memory. One processor, which both fio and the tool share.",
        "Instructions are those of fio's processes between their first call and their end, "
        "divided by the calls, with the interrupts that hit them; so they repeat to about "
        f"{NOISE:.0%}. Speed is by a clock that counts instructions (1 ns each), of a "
        "processor that all share: it shows who takes time from whom, not what a disk or "
        "eight processors would give. The tool's instructions are from the first call "
        "until it has written the last event. A tool that has no processor for itself "
        "loses more events than the paper's: how many depends on the turns that the "
        "scheduler gives it, so compare filters, not with the paper. With post the lost "
        "are those of both fio, as nobody can tell them apart.")
    runs, fio = {}, {}
    base = {}
    for job in done:
        these = runs_of(job)
        report = fio_of(job)
        filters = ("none",) + dict(KERNEL_FILTERS)[job.name]
        expected = {(tool, name, workload) for name in filters for workload in WORKLOADS
                    for tool in (TOOLS if name != "none" else ("none",))}
        result.equal(f"{job.name} kernel: every run is there", sorted(expected),
                     sorted(these))
        for key, run in these.items():
            check(result, job.name, key, run, report)
            name = key[1] if key[1] != "none" else f"none, {job.name} kernel"
            runs[key[0], name, key[2]] = run
            fio[key[0], name, key[2]] = {role: speed_of(*report[(role,) + key])
                                         for role in ("traced", "untraced")}
            if key[0] == "none":
                base[job.name, key[2]] = 1000 * run.untraced / calls
    per_call = {key: 1000 * run.untraced / calls for key, run in runs.items()}
    check_untraced(result, per_call, base)

    for workload in WORKLOADS:
        none = base["baseline", workload]
        table = result.table(
            workload, {"read": "Reads", "write": "Writes",
                       "readwrite": "Reads and writes"}[workload], [
                ("tool", "tool"), ("filter", "filter"),
                ("untraced", "instructions of a call, fio beside it"),
                ("untraced_more", "more, %"),
                ("traced", "instructions of a call, traced fio"),
                ("traced_more", "more, %"),
                ("untraced_speed", "MiB/s, fio beside it"),
                ("traced_speed", "MiB/s, traced fio"),
                ("counted", "calls counted or saved"), ("lost", "events lost"),
                ("saved_percent", "saved, % of the calls"),
                ("tool_instructions", "millions of instructions, the tool"),
                ("all_instructions", "millions of instructions, all")])
        rows = [("none", f"none, {kernel} kernel") for kernel, _ in KERNEL_FILTERS]
        rows += [(tool, name) for tool in TOOLS for name in FILTERS]
        for tool, name in rows:
            run = runs[tool, name, workload]
            seen = run.counted if tool == "syscount" else run.saved
            untraced = per_call[tool, name, workload]
            traced = 1000 * run.traced / calls
            speed = fio[tool, name, workload]
            table.add(tool, name, round(untraced), percent(untraced - none, none),
                      round(traced), percent(traced - none, none),
                      round(speed["untraced"]), round(speed["traced"]),
                      *((None, None, None, None) if tool == "none" else
                        (seen, run.lost, round(100 * seen / calls, 1),
                         round(run.tool / 1000, 1))),
                      round(run.busy / 1e6, 1))
        result.plots.append(Bars(
            f"tools-{workload}", f"fio beside a traced one, {workload}",
            "instructions of a call, more than with no tool", TOOLS,
            {name: [(per_call[tool, name, workload] - none, None) for tool in TOOLS]
             for name in FILTERS}))

    table = result.table(
        "paper", "Beside the paper: events saved of reads, % (there with libbpf, on a "
        "processor of its own)", [
            ("tool", "tool"), ("paper", "paper"), ("filter", "filter"), ("saved", "here")])
    for tool, share in PAPER.items():
        for name in FILTERS:
            table.add(tool, share, name,
                      round(100 * runs[tool, name, "read"].saved / calls, 1))
    return result
