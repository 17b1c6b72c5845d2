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
WHO = ("baseline", "untraced", "target", "target follow")
CALLS = {"fork": "fork, exit, wait", "thread": "thread begins and ends",
         "exec": "fork, exec, exit, wait"}
OPTIONS = "--calls 200 --runs 2"
NAMES = " ".join(CALLS)


def script_of(who, views):
    """One measurement a boot, beside so many processes that sleep, with a view or, in
    the unpatched kernel, without: what comes first has an effect on where memory comes
    from later, and so on the cost of a fork, of some percent."""
    name = "view" if who != "baseline" and views else "none"
    others = max(views, 1)
    what, role, names = "--filter none", "untraced", NAMES
    if who.startswith("target"):
        # The target is one of those with a view; one sleeps in any case.
        others = views - 1 or 1
        name = "view" if views > 1 else "none"
        what, role = IDLE_HOOK, "traced"
    if who.endswith("follow"):
        what, names = f"{IDLE_HOOK} --follow-fork", "fork exec"
    return FIRST + \
        f"hold --filter {name} --program kprobe --targets {others} sendmsg\n" \
        f"bench life {OPTIONS} {what} --roles {role} {names}\nrelease\n"


def boots():
    """(who, views)"""
    return [(who, views) for who in WHO for views in VIEWS
            if views or not who.startswith("target")]


def jobs():
    return [Job(NAME, f"{who} {views}", Guest(
        "baseline" if who == "baseline" else "kview", script_of(who, views),
        programs=("kview-syscall-bench", "kview-hold")), 11) for who, views in boots()]


def evaluate(done):
    result = Result(
        NAME, TITLE,
        "A process forks a child that ends at once, and waits for it; a thread begins "
        "and ends; a child executes a program that ends at once. The process is "
        "untraced; or a target, whose children are not; or a target whose children are "
        "targets, too (follow), so that each fork makes a view, each exec moves it, and "
        "each exit ends it. The hook is a kprobe on a function that nobody calls; 0, 1 "
        "or 100 processes have such a view; in the unpatched kernel as many sleep.",
        "Instructions of 400 times each. What a fork or an exec costs depends on where "
        "memory comes from, and whether a thread's end is waited for on whether it has "
        "ended: so medians, which differ by some tenths of a percent where nothing "
        "differs, and the most frequent cost. The patch adds checks behind static "
        "branches to each: no-ops while there is no view, a few instructions while there "
        "is one.")
    by_name = {job.name: job for job in done}
    table = result.table("life", "Cost in instructions", [
        ("call", "what"), ("who", "process"), ("views", "views, or sleepers"),
        ("median", "median"), ("more", "more than baseline"), ("percent", "%"),
        ("usual", "most frequent"), ("usual_more", "more than baseline"),
        ("share", "share of it")])
    base = {(call, views): costs_of(by_name[f"baseline {views}"], "life")[
        "none", call, "untraced"] for call in CALLS for views in VIEWS}
    for call, text in CALLS.items():
        for who, views in boots():
            role, name = ("traced", "view") if who.startswith("target") else (
                "untraced", "none")
            cost = costs_of(by_name[f"{who} {views}"], "life").get((name, call, role))
            if not cost:
                continue
            like = base[call, views]
            more = cost.median - like.median
            table.add(text, who, views, round(cost.median), round(more),
                      percent(more, like.median), cost.usual, cost.usual - like.usual,
                      cost.share)
            if who == "untraced" and call != "thread":
                result.check(f"{text}, untraced, {views} views: within 1 % of the "
                             "unpatched kernel", abs(more) <= 0.01 * like.median,
                             (like.median, cost.median))
            elif who == "untraced":
                result.check(f"{text}, untraced, {views} views: within 10 instructions "
                             "of the unpatched kernel",
                             abs(cost.usual - like.usual) <= 10,
                             (like.usual, cost.usual))
    result.plots.append(Bars(
        "life", "Processes and threads, beside 1 view", "instructions",
        list(CALLS.values()), {who: [
            (dict(table.points("views", "median", call=text, who=who)).get(1), None)
            for text in CALLS.values()] for who in WHO}))
    return result
