# SPDX-License-Identifier: GPL-2.0
"""Many targets with many hooks: what one more costs, and a change of everybody's text."""

from ..guests import Guest, Job
from ..plot import Lines
from ..results import Result
from .attach import PROGRAMS, measured

NAME = "scale"
TITLE = "Many targets with many hooks"
TARGETS = (1, 10, 100, 1000)
HOOKS = (1, 10, 100)
BENCH = "kview-attach-bench --runs 10 --program kprobe.multi --toggle"
ALONE = f"tagged alone {BENCH}"


def jobs():
    views = ALONE + "\n"
    for hooks in HOOKS:
        for targets in TARGETS:
            views += f"tagged {hooks}.{targets} {BENCH} --hooks {hooks} --spread " \
                f"--one-link --existing {targets}\n"
    return [Job(NAME, "baseline", Guest("baseline", f"{ALONE} --filter post\n",
                                        programs=PROGRAMS), 10),
            Job(NAME, "views", Guest("kview", views, programs=PROGRAMS,
                                     options=["--memory", "4G"]), 240)]


def evaluate(done):
    result = Result(
        NAME, TITLE,
        "A kprobe.multi link to 1, 10 or 100 functions, far apart, is attached to one more "
        "process beside 1 to 1,000 processes that have such a link already. And two static "
        "keys, sched_schedstats and bpf_stats_enabled, with sites all over the scheduler and "
        "wherever BPF programs are run, are switched for everybody.",
        "Medians of what the caller executes, in instructions. Shared pages are there once "
        "for all; the pages of one more target are the others.")
    before = measured(done[0], "alone")["toggle"]
    without = measured(done[1], "alone")["toggle"]
    table = result.table("scale", "One more target", [
        ("hooks", "hooks"), ("targets", "targets before"), ("attach", "attach"),
        ("detach", "detach"), ("pages", "private pages"), ("shared", "of these shared"),
        ("own", "pages of one more"), ("toggle", "static keys switched"),
        ("times", "times without views")])
    for hooks in HOOKS:
        lines = {targets: measured(done[1], f"{hooks}.{targets}") for targets in TARGETS}
        for targets, line in lines.items():
            times = line["toggle"] / without
            table.add(hooks, targets, line["attach_ran"], line["detach_ran"], line["pages"],
                      line["shared"], line["pages"] - line["shared"], line["toggle"],
                      round(times, 2))
            result.check(f"{hooks} hooks beside {targets} targets: static keys are switched "
                         "at no more than twice the cost without views", times <= 2, line)
        first, last = lines[TARGETS[0]], lines[TARGETS[-1]]
        result.check(f"{hooks} hooks: attach beside {TARGETS[-1]} targets takes no more than "
                     "a tenth more than beside one",
                     last["attach_ran"] <= 1.1 * first["attach_ran"], (first, last))
        result.check(f"{hooks} hooks: so many pages beside {TARGETS[-1]} targets as beside one",
                     last["pages"] == first["pages"] and last["shared"] == first["shared"],
                     (first, last))
    keys = result.table("keys", "Two static keys switched, nothing attached", [
        ("kernel", "kernel"), ("toggle", "instructions")])
    keys.add("unpatched", before)
    keys.add("kview, no view", without)
    for column, title in (("attach", "Attach to one more target"),
                          ("toggle", "Two static keys switched")):
        result.plots.append(Lines(
            f"scale-{column}", title, "targets before", "instructions",
            {f"{hooks} hooks": table.points("targets", column, hooks=hooks)
             for hooks in HOOKS}, logx=True, logy=True))
    return result
