# SPDX-License-Identifier: GPL-2.0
"""What the life of processes and threads costs."""

from ..calls import costs_of, percent
from ..guests import Guest, Job
from ..plot import Bars
from ..results import Result
from .switch import FIRST, IDLE_HOOK

NAME = "life"
TITLE = "fork, exec, exit, and threads"
VIEWS = (0, 1, 100)
CALLS = {"fork": "fork, exit, wait", "thread": "thread begins and ends",
         "exec": "fork, exec, exit, wait"}
OPTIONS = "--calls 200 --runs 2"
NAMES = " ".join(CALLS)


def untraced_script(name, views):
    """Beside so many processes that sleep, with that filter."""
    return f"hold --filter {name} --program kprobe --targets {max(views, 1)} sendmsg\n" \
        f"bench untraced.{views} {OPTIONS} --roles untraced {NAMES}\nrelease\n"


def script_of(views):
    if not views:
        return FIRST + untraced_script("none", 0)
    script = FIRST + untraced_script("view", views)
    # The target is one of those with a view; one sleeps in any case.
    rest, name = (views - 1, "view") if views > 1 else (1, "none")
    script += f"hold --filter {name} --program kprobe --targets {rest} sendmsg\n"
    script += f"bench traced.{views} {OPTIONS} {IDLE_HOOK} --roles traced {NAMES}\n"
    script += f"bench follow.{views} {OPTIONS} {IDLE_HOOK} --follow-fork " \
        "--roles traced fork exec\n"
    return script + "release\n"


def jobs():
    programs = ("kview-syscall-bench", "kview-hold")
    # As many processes sleep in the unpatched kernel as have views in the other.
    baseline = FIRST + "".join(untraced_script("none", views) for views in VIEWS)
    made = [Job(NAME, "baseline", Guest("baseline", baseline, programs=programs), 20)]
    made += [Job(NAME, f"{views} views", Guest("kview", script_of(views),
                                               programs=programs),
                 12 if views < 2 else 25) for views in VIEWS]
    return made


def evaluate(done):
    result = Result(
        NAME, TITLE,
        "A process forks a child that ends at once, and waits for it; a thread begins "
        "and ends; a child executes a program that ends at once. The process is "
        "untraced; or a target, whose children are not; or a target whose children are "
        "targets, too (follow), so that each fork makes a view, each exec moves it, and "
        "each exit ends it. The hook is a kprobe on a function that nobody calls; 0, 1 "
        "or 100 processes have such a view; in the unpatched kernel as many sleep.",
        "Medians in instructions of 400 times each. The cost of an exec or of a fork "
        "depends on where memory comes from, so one figure varies by some instructions "
        "from boot to boot. The patch itself adds checks behind static branches, one "
        "no-op each while there is no view: two in fork and exit, some in exec.")
    by_name = {job.name: job for job in done}
    table = result.table("life", "Median cost, instructions", [
        ("call", "what"), ("who", "process"), ("views", "views, or sleepers"),
        ("median", "median"), ("usual", "usual"), ("share", "share of usual"),
        ("more", "median more than baseline"), ("percent", "%")])
    base = {}

    def add(call, who, views, cost):
        if who == "baseline":
            base[call, views] = cost.median
        more = cost.median - base[call, views]
        table.add(CALLS[call], who, views, round(cost.median), cost.usual, cost.share,
                  round(more), percent(more, base[call, views]))

    for call in CALLS:
        for views in VIEWS:
            add(call, "baseline", views, costs_of(
                by_name["baseline"], f"untraced.{views}")["none", call, "untraced"])
        for views in VIEWS:
            add(call, "untraced", views, costs_of(
                by_name[f"{views} views"], f"untraced.{views}")["none", call, "untraced"])
        for views in VIEWS[1:]:
            add(call, "target", views, costs_of(
                by_name[f"{views} views"], f"traced.{views}")["view", call, "traced"])
        if call != "thread":
            for views in VIEWS[1:]:
                add(call, "target, follow", views, costs_of(
                    by_name[f"{views} views"],
                    f"follow.{views}")["view", call, "traced"])
    who = ("baseline", "untraced", "target", "target, follow")
    result.plots.append(Bars(
        "life", "Processes and threads, 1 view", "instructions",
        list(CALLS.values()), {name: [
            (dict(table.points("views", "median", call=text, who=name)).get(1),
             None) for text in CALLS.values()]
            for name in who}))
    return result
