# SPDX-License-Identifier: GPL-2.0
"""What a switch between processes costs."""

from ..calls import costs_of, percent
from ..guests import Guest, Job
from ..plot import Bars
from ..results import Result

NAME = "switch"
TITLE = "Switches between processes"
VIEWS = (0, 1, 100)
PTI = ("off", "on")
CALLS = "--calls 500 --runs 2"
# A function that nobody calls meanwhile: the view is there, and no program runs.
IDLE_HOOK = "--filter view --program kprobe --functions __x64_sys_sendmsg"

# The first program that is attached makes a switch dearer in every kernel, and for
# good: it switches static branches of the scheduler on.
FIRST = "bench first --calls 1 --runs 1 --filter post --roles untraced read\n"


def script_of(views):
    if not views:
        return FIRST + f"bench untraced.0 {CALLS} --roles untraced switch\n"
    hold = f"hold --filter view --program kprobe --targets {views} sendmsg\n"
    lines = FIRST + hold + f"bench untraced.{views} {CALLS} --roles untraced switch\n" \
        "release\n"
    # The target is one of those with a view.
    if views > 1:
        lines += f"hold --filter view --program kprobe --targets {views - 1} sendmsg\n"
    lines += f"bench traced.{views} {CALLS} {IDLE_HOOK} --roles traced switch\n"
    lines += f"bench both.{views} {CALLS} {IDLE_HOOK} --follow-fork --roles traced switch\n"
    if views > 1:
        lines += "release\n"
    return lines


def jobs():
    made = []
    for pti in PTI:
        options = ["--append", f"pti={pti}"]
        made.append(Job(NAME, f"baseline pti={pti}",
                        Guest("baseline", script_of(0), options=options), 7))
        made += [Job(NAME, f"{views} views pti={pti}",
                     Guest("kview", script_of(views), options=options,
                           programs=("kview-syscall-bench", "kview-hold")), 9)
                 for views in VIEWS]
    return made


def evaluate(done):
    result = Result(
        NAME, TITLE,
        "Two processes on one CPU pass a byte back and forth through two pipes: two "
        "switches, two write(), two read(). Both are untraced; or one is a target; or "
        "both are. The hook of the views is a kprobe on a function that nobody calls, so "
        "that no program runs; 0, 1 or 100 processes have such a view. Without and with "
        "page table isolation.",
        "Usual cost of such a round trip in instructions. A switch to or from a target "
        "is one between page tables like any other. What it costs in TLB misses is not "
        "in these figures: see Documentation/benchmarks.rst.")
    by_name = {job.name: job for job in done}
    table = result.table("switch", "Round trip of two switches, instructions", [
        ("pti", "pti"), ("pair", "processes"), ("views", "views"), ("usual", "usual"),
        ("more", "more than baseline"), ("percent", "%")])
    for pti in PTI:
        base = costs_of(by_name[f"baseline pti={pti}"],
                        "untraced.0")["none", "switch", "untraced"].usual
        table.add(pti, "baseline", 0, base, 0, 0.0)
        for views in VIEWS:
            job = by_name[f"{views} views pti={pti}"]
            usual = costs_of(job, f"untraced.{views}")["none", "switch", "untraced"].usual
            table.add(pti, "untraced, untraced", views, usual, usual - base,
                      percent(usual - base, base))
            result.equal(f"pti={pti}: a switch between untraced processes beside "
                         f"{views} views costs what it costs in the unpatched kernel",
                         base, usual)
        for tag, pair in (("traced", "target, untraced"), ("both", "target, target")):
            for views in VIEWS[1:]:
                cost = costs_of(by_name[f"{views} views pti={pti}"],
                                f"{tag}.{views}")["view", "switch", "traced"]
                table.add(pti, pair, views, cost.usual, cost.usual - base,
                          percent(cost.usual - base, base))
                result.equal(f"pti={pti}, {pair}, {views} views: no program has run", 0,
                             cost.events)
    pairs = ("untraced, untraced", "target, untraced", "target, target")
    for pti in PTI:
        base = table.value("usual", pti=pti, pair="baseline")
        result.plots.append(Bars(
            f"switch-pti-{pti}", f"Round trip of two switches, pti={pti}", "instructions",
            pairs, {"baseline": [(base, None)] * 3} | {
                f"{views} views": [(dict(table.points("views", "usual", pti=pti,
                                                      pair=pair)).get(views), None)
                                   for pair in pairs] for views in VIEWS}))
    return result
