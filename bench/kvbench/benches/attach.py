# SPDX-License-Identifier: GPL-2.0
"""What it costs to attach and to detach."""

from ..guests import Guest, Job
from ..plot import Bars, Lines
from ..results import Result

NAME = "attach"
TITLE = "Attach and detach"
FAMILIES = ("count", "raw", "tp_btf", "kprobe", "kretprobe", "instruction",
            "kprobe.multi", "kretprobe.multi", "fentry", "fexit", "fmod_ret")
NAMES = {"count": "tracepoint", "raw": "raw tracepoint", "instruction":
         "kprobe in a function"}
EXISTING = (0, 1, 10, 100, 1000)
PROGRAMS = ("kview-attach-bench",)
RUNS = "--runs 10"

# What kview-attach-bench prints.
COLUMNS = ("attach", "attach_most", "attach_ran", "attach_ran_most", "detach",
           "detach_most", "detach_ran", "detach_ran_most", "pages", "shared", "text_pages",
           "regions", "bytes", "toggle")


def measured(job, tag):
    """One line as {column: number or None}."""
    fields = job.rows(tag)[0][4:]
    return {name: None if field == "-" else int(field)
            for name, field in zip(COLUMNS, fields)}


def stock_script():
    return "".join(f"tagged stock.{family} kview-attach-bench {RUNS} --filter post "
                   f"--program {family}\n" for family in FAMILIES)


def stock_jobs(bench):
    return [Job(bench, f"{kernel} stock", Guest(kernel, stock_script(),
                                                programs=PROGRAMS), 30)
            for kernel in ("baseline", "kview")]


def jobs():
    script = "".join(f"tagged view.{family} kview-attach-bench {RUNS} --program {family}\n"
                     for family in FAMILIES)
    for number in EXISTING:
        for name in ("view", "post"):
            script += f"tagged {name}-beside.{number} kview-attach-bench {RUNS} " \
                f"--filter {name} --existing {number}\n"
    return stock_jobs(NAME) + [
        Job(NAME, "kview views", Guest("kview", script, programs=PROGRAMS,
                                       options=["--memory", "2G"]), 45)]


def evaluate(done):
    result = Result(
        NAME, TITLE,
        "A loaded program is attached and detached ten times, as libbpf does it: for "
        "everybody in the unpatched and in the patched kernel, and in the view of one "
        "process that has no view yet. Functions: __x64_sys_read; tracepoints: "
        "sys_enter_read and sys_enter. Then the same of the tracepoint beside up to "
        "1,000 processes that have a view with this hook already.",
        "Medians in virtual nanoseconds, an instruction each. Passed is all until the "
        "call returns, with what others run meanwhile and with waiting, such as for an "
        "RCU grace period, which is by the clock, and not by instructions; ran is what "
        "the caller itself executed. An attach for everybody beside views changes the "
        "copies that the views have, too: it grows with them.")
    by_name = {job.name: job for job in done}
    table = result.table("families", "Attach and detach, of each family", [
        ("family", "family"), ("kernel", "kernel"), ("filter", "for"),
        ("attach", "attach passed"), ("attach_ran", "attach ran"),
        ("detach", "detach passed"), ("detach_ran", "detach ran"),
        ("pages", "private pages")])
    for family in FAMILIES:
        for job, tag, who in (("baseline stock", "stock", "everybody"),
                              ("kview stock", "stock", "everybody"),
                              ("kview views", "view", "one process")):
            line = measured(by_name[job], f"{tag}.{family}")
            table.add(NAMES.get(family, family), job.split()[0], who, line["attach"],
                      line["attach_ran"], line["detach"], line["detach_ran"],
                      line["pages"] if tag == "view" else None)
            if tag == "view":
                result.check(f"{family}: the process has private pages", line["pages"] > 0)
    beside = result.table("beside", "Tracepoint, beside processes with views of it", [
        ("existing", "existing targets"), ("filter", "for"),
        ("attach", "attach passed"), ("attach_ran", "attach ran"),
        ("detach", "detach passed"), ("detach_ran", "detach ran")])
    for number in EXISTING:
        for name, who in (("view", "one process"), ("post", "everybody")):
            line = measured(by_name["kview views"], f"{name}-beside.{number}")
            beside.add(number, who, line["attach"], line["attach_ran"], line["detach"],
                       line["detach_ran"])
    names = [NAMES.get(family, family) for family in FAMILIES]
    for what in ("attach", "detach"):
        for column, text in ((what, "passed"), (f"{what}_ran", "the caller ran")):
            result.plots.append(Bars(
                f"attach-{what}-{'passed' if column == what else 'ran'}",
                f"{what.capitalize()}: what {text}", "virtual ns", names,
                {f"{who}, {kernel} kernel": [
                    (table.value(column, family=family, kernel=kernel, filter=who), None)
                    for family in names]
                 for kernel, who in (("baseline", "everybody"), ("kview", "everybody"),
                                     ("kview", "one process"))}, logy=True))
    result.plots.append(Lines(
        "attach-beside", "Attach of a tracepoint beside processes with views",
        "existing targets", "virtual ns",
        {who: [(x, y) for x, y in beside.points("existing", "attach", filter=who) if x]
         for who in ("everybody", "one process")}, logx=True, logy=True))
    return result
