# SPDX-License-Identifier: GPL-2.0
"""Figure 3 of the paper: what a system call costs."""

from ..calls import FILTERS, WHAT, check_events, costs_of, percent
from ..guests import Guest, Job
from ..plot import Bars
from ..results import Result

NAME = "fig3"
TITLE = "One system call (the paper's Figure 3)"
CALLS = ("read", "sendmsg")
ROLES = ("untraced", "traced")
ROUNDS = 5  # by the clock
KERNEL_FILTERS = (("baseline", ("none", "post", "in")), ("pre", ("pre",)),
                  ("kview", ("view",)))

# The paper's section 2.2.1, of untraced processes: nanoseconds and percent.
PAPER = {("pre", "read"): (54, 15), ("pre", "sendmsg"): (112, 6)}


def script_of(filters, options):
    return "".join(f"bench {name} {options} --filter {name} {' '.join(CALLS)}\n"
                   for name in filters)


def count_jobs(bench, calls=10000, runs=10):
    """By instructions: one guest a kernel."""
    options = f"--calls {calls} --runs {runs}"
    seconds = {"baseline": 30, "pre": 12, "kview": 12}
    return [Job(bench, f"{kernel} counts", Guest(kernel, script_of(filters, options)),
                seconds[kernel]) for kernel, filters in KERNEL_FILTERS]


def jobs():
    # With nothing attached in each boot, too: the machine may be slower the next time.
    timed = [Job(NAME, f"{kernel} clock {number}", Guest(
        kernel, script_of(dict.fromkeys(("none",) + filters),
                          "--nanoseconds --calls 5000 --runs 1"),
        clock="real"), 9 if kernel == "baseline" else 7)
        for number in range(1, ROUNDS + 1) for kernel, filters in KERNEL_FILTERS]
    return count_jobs(NAME) + timed


def costs_by_filter(done, names):
    """{(filter, call, role): Cost} of the jobs with these names."""
    costs = {}
    for job in done:
        if job.name in names:
            for tag in ("none",) + FILTERS[1:]:
                for (_, call, role), cost in costs_of(job, tag).items():
                    costs["baseline" if tag == "none" else tag, call, role] = cost
    return costs


def counts(done):
    return costs_by_filter(done, [f"{kernel} counts" for kernel, _ in KERNEL_FILTERS])


def check_counts(result, costs):
    """The claim, and that what was measured is what it is taken for."""
    for (name, call, role), cost in costs.items():
        check_events(result, f"{call}, {name}", cost)
    for call in CALLS:
        usual = {name: costs[name, call, "untraced"].usual for name in FILTERS}
        result.equal(f"{call}: an untraced process pays nothing with view",
                     usual["baseline"], usual["view"])
        result.check(f"{call}: post costs more than in, in more than pre, and pre more "
                     "than nothing",
                     usual["post"] > usual["in"] > usual["pre"] > usual["baseline"], usual)


def add_clock_table(result, boots, role):
    """The medians of a boot's calls, of which the least of the boots: other work on the
    machine only adds to them."""
    table = result.table(
        f"clock-{role}", f"Nanoseconds of one call, {role} process, by the clock of the "
        f"emulator: the least of the medians of {ROUNDS} boots of each kernel, in turn", [
            ("call", "call"), ("filter", "filter"), ("least", "ns"),
            ("most", "greatest median, ns"),
            ("none", "nothing attached, same kernel, ns"), ("more", "more, ns"),
            ("percent", "%")])
    for call in CALLS:
        for name in FILTERS:
            tag = "none" if name == "baseline" else name
            # With nothing attached, of the unpatched kernel only.
            of_kernel = [boot for boot in boots
                         if (tag if tag != "none" else "post") in boot]
            medians = [boot[tag][tag, call, role].median for boot in of_kernel]
            none = min(boot["none"]["none", call, role].median for boot in of_kernel)
            table.add(call, name, min(medians), max(medians), none,
                      round(min(medians) - none, 1), percent(min(medians) - none, none))


def evaluate(done):
    result = Result(
        NAME, TITLE,
        "10,000 calls, 10 runs, of read() of one byte of /dev/zero and of sendmsg() of "
        "one byte over a socket pair, while a program with one bpf_printk() is on the "
        "entry to this system call for one process, the target; the calls are made by "
        "another process (untraced), then by the target. Filters: "
        + "; ".join(f"{name}: {WHAT[name]}" for name in FILTERS) + ".",
        "Instructions are exact and repeat; usual is the cost that nearly every call "
        "has, the mean has the interrupts that hit one. They know no caches, no TLB and "
        "no pipeline: what an instruction takes is not in them. Nanoseconds are of an "
        "emulated processor, whose cost for an instruction is not that of a real one "
        "(a jump or an entry to the kernel costs it far more than an addition): compare "
        "the order of the rows with the paper's, not their size.")
    costs = counts(done)
    check_counts(result, costs)
    for role in ROLES:
        table = result.table(f"counts-{role}", f"Instructions of one call, {role} process", [
            ("call", "call"), ("filter", "filter"), ("mean", "mean"),
            ("deviation", "std. dev."), ("usual", "usual"), ("more", "more than baseline"),
            ("percent", "%"), ("calls", "calls"), ("events", "events")])
        for call in CALLS:
            base = costs["baseline", call, role].usual
            for name in FILTERS:
                cost = costs[name, call, role]
                table.add(call, name, cost.average, cost.deviation, cost.usual,
                          cost.usual - base, percent(cost.usual - base, base),
                          cost.calls, cost.events)
        result.plots.append(Bars(
            f"fig3-{role}", f"One system call, {role} process", "instructions", CALLS,
            {name: [(costs[name, call, role].average, costs[name, call, role].deviation)
                    for call in CALLS] for name in FILTERS}))

    boots = [{tag: costs_of(job, tag) for tag in ("none",) + filters}
             for kernel, filters in KERNEL_FILTERS for job in done
             if job.name.startswith(f"{kernel} clock")]
    for boot in boots:
        for costs_of_filter in boot.values():
            for (name, call, _), cost in costs_of_filter.items():
                check_events(result, f"{call}, {name}, by the clock", cost)
    for role in ROLES:
        add_clock_table(result, boots, role)

    table = result.table(
        "paper", "Beside the paper: what pre-eBPF filtering, the cheapest one, costs an "
        "untraced process, and a view", [
            ("call", "call"), ("filter", "filter"), ("paper_ns", "paper, ns"),
            ("paper_percent", "paper, %"), ("more", "here, instructions"),
            ("percent", "here, %"), ("ns", "here, ns (emulator)"),
            ("ns_percent", "here, % of ns")])
    for call in CALLS:
        for name in ("pre", "view"):
            ours = result.tables[0]
            clock = result.tables[2]
            paper = PAPER.get((name, call), (None, None))
            table.add(call, name, *paper,
                      ours.value("more", call=call, filter=name),
                      ours.value("percent", call=call, filter=name),
                      clock.value("more", call=call, filter=name),
                      clock.value("percent", call=call, filter=name))
    return result
