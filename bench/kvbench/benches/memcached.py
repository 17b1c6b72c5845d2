# SPDX-License-Identifier: GPL-2.0
"""memcached under memcaslap, as in the paper's section 2.2.2."""

import os
import shutil
from statistics import mean, median, stdev

from ..calls import percent
from ..guests import Failed, Guest, Job, Pair
from ..plot import Bars
from ..results import Result

NAME = "memcached"
TITLE = "memcached under memcaslap"

# The paper: 6,000,000 get and 10,240,000 set, on two threads and 1,000 connections.
PAPER_GETS = 6000000
PAPER_SETS = 10240000
SCALE = int(os.environ.get("KVIEW_MEMCACHED_SCALE", "2000"))
# As many on each of the connections.
CONNECTIONS = 1000
OPERATIONS = max((PAPER_GETS + PAPER_SETS) // SCALE // CONNECTIONS, 1) * CONNECTIONS
RUNS = 5
# The usual cost of a get is now and then one instruction more, in all kernels: the
# least of so many measurements counts.
GETS = 3
# The paper's throughput in operations a second, and the loss in percent.
PAPER = {"baseline": (573939, None), "post": (515618.2, 10.2), "in": (558363.8, 2.7),
         "pre": (565356.2, 1.5)}
KERNEL_FILTERS = (("baseline", ("none", "post", "in")), ("pre", ("none", "pre")),
                  ("kview", ("none", "view")))
PROGRAMS = ("kview-hold", "kview-memcached-bench")

COMMON = f"""
ulimit -n 8192
printf 'key\\n64 64 1\\nvalue\\n1024 1024 1\\ncmd\\n0 {PAPER_SETS / (PAPER_GETS + PAPER_SETS):.4f}\\n1 {PAPER_GETS / (PAPER_GETS + PAPER_SETS):.4f}\\n' >/tmp/mixture
# load ADDRESS
load() {{
	memcaslap -s $1:11211 -T 2 -c {CONNECTIONS} -w 1k -x {OPERATIONS} -F /tmp/mixture
}}
"""

SERVER = """
# A server of its own for each filter, so that all begin alike; without the threads
# that tidy up now and then.
serve() {
	memcached -u root -l 0.0.0.0 -p 11211 -t 1 -c 2048 -m 256 \\
		-o no_lru_maintainer,no_lru_crawler,no_slab_reassign,no_hashexpand &
	server=$!
	i=0
	until nc 127.0.0.1 11211 </dev/null 2>/dev/null; do
		i=$((i + 1))
		[ $i -lt 100 ] || exit 1
		sleep 0.1
	done
}
# What its threads have run, in nanoseconds.
ran() { awk '{ sum += $1 } END { printf "%.0f", sum }' /proc/$server/task/*/schedstat; }
# What has been printed since the boot.
printed() {
	awk '/^(entries|overrun|read events):/ { sum += $NF } END { printf "%.0f", sum }' \\
		/sys/kernel/tracing/per_cpu/cpu*/stats
}
# once FILTER COMMAND...: one load, as a line
once() {
	filter=$1
	shift
	before=$(ran)
	events=$(printed)
	"$@" >/tmp/load
	after=$(ran)
	awk -v filter=$filter -v ran=$((after - before)) -v events=$(($(printed) - events)) '
		/^cmd_get:/ { get = $2 }
		/^cmd_set:/ { set = $2 }
		/^get_misses:/ { misses = $2 }
		/^Run time:/ { for (i = 1; i < NF; i++) if ($i == "TPS:") tps = $(i + 1) }
		END { print "run\\t" filter "\\t" get "\\t" set "\\t" misses "\\t" tps "\\t" ran "\\t" events }
	' /tmp/load
}
"""


def programs_of_host(*names):
    files = {}
    for name in names:
        path = shutil.which(name)
        if not path:
            raise Failed(f"{name} is not installed: run scripts/setup")
        files[f"/usr/bin/{name}"] = path
    return files


def one_guest(filters):
    """Server and load over loopback, by instructions."""
    script = COMMON + SERVER
    for name in filters:
        script += "serve\nonce warm-up load 127.0.0.1\n"
        if name != "none":
            script += f"hold --filter {name} read sendmsg\n"
        script += f"once {name} load 127.0.0.1\n" * RUNS
        get = "kview-memcached-bench $server 11211 500\n"
        if name == "none":
            script += f"tagged get.none {get}" * GETS
        else:
            # The same server without and with: another has other hash chains.
            script += f"release\ntagged hold.{name} cat /tmp/hold\n"
            script += f"tagged before.{name} {get}" * GETS
            script += f"hold --filter {name} read sendmsg\n"
            script += f"tagged get.{name} {get}" * GETS + "release\n"
            script += f"tagged after.{name} {get}" * GETS
        script += "kill $server && wait $server || :\n"
    return script


def two_guests(filters):
    """The server's script and the client's: it runs a load whenever it is asked to."""
    server = COMMON + SERVER + """
ip addr add 10.0.0.1/24 dev eth0
ip link set eth0 up
serve
ask() { nc 10.0.0.2 9000 </dev/null; }
i=0
until nc -w 1 10.0.0.2 9001 </dev/null; do
	i=$((i + 1))
	[ $i -lt 100 ] || exit 1
	sleep 0.2
done
once warm-up ask
"""
    for name in filters:
        if name != "none":
            server += f"hold --filter {name} read sendmsg\n"
        server += f"once {name} ask\n"
        if name != "none":
            server += f"release\ntagged hold.{name} cat /tmp/hold\n"
    server += "once none ask\n"
    client = COMMON + """
ip addr add 10.0.0.2/24 dev eth0
ip link set eth0 up
cat >/root/load.sh <<EOF2
ulimit -n 8192
exec memcaslap -s 10.0.0.1:11211 -T 2 -c %d -w 1k -x %d -F /tmp/mixture
EOF2
nc -ll -p 9001 -e true &
exec nc -ll -p 9000 -e sh /root/load.sh
""" % (CONNECTIONS, OPERATIONS)
    return server, client


def jobs():
    both = programs_of_host("memcached", "memcaslap")
    made = [Job(NAME, f"{kernel} loopback", Guest(
        kernel, one_guest(filters), programs=PROGRAMS, add=both), 60 * len(filters) - 30)
        for kernel, filters in KERNEL_FILTERS]
    for number in range(1, RUNS + 1):
        for kernel, filters in KERNEL_FILTERS:
            server, client = two_guests(filters)
            made.append(Pair(NAME, f"{kernel} network {number}", Guest(
                kernel, server, programs=PROGRAMS, add=programs_of_host("memcached"),
                clock="real"), Guest(
                    "baseline", client, programs=(), add=programs_of_host("memcaslap"),
                    clock="real"), 40))
    return made


class Runs:
    """The runs of some jobs: {filter: [(gets, sets, misses, tps, ran, events)]}."""

    def __init__(self, jobs_):
        self.by_filter = {}
        for job in jobs_:
            for name, *fields in job.rows("run"):
                self.by_filter.setdefault(name, []).append(tuple(map(int, fields)))

    def values(self, name, what):
        """Throughput, or what the server ran for an operation."""
        if what == "tps":
            return [run[3] for run in self.by_filter[name]]
        return [run[4] / (run[0] + run[1]) for run in self.by_filter[name]]


def check_runs(result, where, done, runs):
    for name, each in runs.by_filter.items():
        for number, (gets, sets, misses, tps, _, events) in enumerate(each, 1):
            text = f"{where}, {name}, run {number}"
            result.check(f"{text}: {OPERATIONS} operations, none missed, and a throughput",
                         gets + sets == OPERATIONS and not misses and tps > 0,
                         (gets, sets, misses, tps))
            if name == "post":
                result.check(f"{text}: a read and a sendmsg of each operation are printed",
                             events >= 2 * OPERATIONS, events)
            else:
                result.equal(f"{text}: nothing is printed for the server", 0, events)
    for job in done:
        for fields in job.rows():
            if fields[0].startswith("hold.") and fields[1].startswith("wrong"):
                result.check(f"{where}, {fields[0]}: the target's calls are its events",
                             False, fields[1])


def add_loopback(result, done):
    by_kernel = {kernel: Runs([job for job in done if job.name == f"{kernel} loopback"])
                 for kernel, _ in KERNEL_FILTERS}
    gets, alone = {}, {}
    table = result.table(
        "loopback", "One guest, over loopback, instructions", [
            ("kernel", "kernel"), ("filter", "filter"),
            ("tps", "operations a virtual second"), ("tps_deviation", "std. dev."),
            ("loss", "loss, %"), ("cost", "server, instructions an operation"),
            ("cost_deviation", "std. dev."), ("more", "more than baseline"),
            ("get", "one get, alone: usual"),
            ("get_more", "more than without, same server")])
    for kernel, filters in KERNEL_FILTERS:
        job = next(job for job in done if job.name == f"{kernel} loopback")
        runs = by_kernel[kernel]
        check_runs(result, f"{kernel} kernel, loopback", [job], runs)
        for name in filters:
            usual = {tag: min(int(row[2]) for row in job.rows(f"{tag}.{name}"))
                     for tag in
                     (("get",) if name == "none" else ("before", "get", "after"))}
            more = usual["get"] - usual.get("before", usual["get"])
            gets[name] = more
            if name == "none":
                alone[kernel] = usual["get"]
            else:
                result.equal(f"{kernel} kernel, {name}: a get costs afterwards what it "
                             "costs before", usual["before"], usual["after"])
            tps, cost = (runs.values(name, what) for what in ("tps", "cost"))
            if (kernel, name) == ("baseline", "none"):
                base_tps, base_cost = mean(tps), mean(cost)
            table.add(kernel, "baseline" if name == "none" else name, round(mean(tps)),
                      round(stdev(tps)), percent(base_tps - mean(tps), base_tps),
                      round(mean(cost), 1), round(stdev(cost), 1),
                      round(mean(cost) - base_cost, 1), usual["get"], more)
    # Two steps, as servers that have served for longer are not equal.
    result.equal("nothing attached: a get costs what it costs in the unpatched kernel",
                 alone["baseline"], alone["kview"])
    result.equal("view: a get costs an untraced server no instruction more than without",
                 0, gets["view"])
    result.check("a get: post costs more than in, in more than pre, and pre more than "
                 "nothing", gets["post"] > gets["in"] > gets["pre"] > 0, gets)
    names = ("baseline", "post", "in", "pre", "view")
    rows = {row[1]: row for row in table.rows if row[1] != "baseline"
            or row[0] == "baseline"}
    result.plots.append(Bars(
        "memcached-loopback", "memcached over loopback: throughput",
        "operations a virtual second", ["untraced server"],
        {name: [(rows[name][2], rows[name][3])] for name in names}))
    return table


def add_network(result, done):
    table = result.table(
        "network", "Two guests over a network, by the clock of the emulator", [
            ("kernel", "kernel"), ("filter", "filter"),
            ("tps", "operations a second, median"), ("least", "least"),
            ("most", "greatest"), ("ratio", "ratio to nothing attached"),
            ("ratio_deviation", "std. dev.")])
    for kernel, filters in KERNEL_FILTERS:
        boots = [job for job in done if job.name.startswith(f"{kernel} network")]
        ratios, tps = {}, {}
        for job in boots:
            runs = Runs([job])
            check_runs(result, f"{kernel} kernel, network", [job], runs)
            # Before and after: the machine may become slower meanwhile.
            none = mean(runs.values("none", "tps"))
            for name in filters:
                value = mean(runs.values(name, "tps"))
                tps.setdefault(name, []).append(value)
                ratios.setdefault(name, []).append(value / none)
        for name in filters:
            result.equal(f"{kernel} kernel, network, {name}: runs", RUNS, len(tps[name]))
            table.add(kernel, "baseline" if name == "none" else name,
                      round(median(tps[name])), round(min(tps[name])),
                      round(max(tps[name])), round(mean(ratios[name]), 4),
                      None if name == "none" else round(stdev(ratios[name]), 4))
    rows = {row[1]: row for row in table.rows if row[1] != "baseline"}
    result.plots.append(Bars(
        "memcached-network", "memcached, two guests: throughput with a filter, to that "
        "without", "ratio", ["untraced server"],
        {name: [(rows[name][5], rows[name][6])] for name in ("post", "in", "pre", "view")}))
    return table


def evaluate(done):
    result = Result(
        NAME, TITLE,
        f"memcached with one thread; memcaslap with two threads and 1,000 connections, "
        f"keys of 64 and values of 1,024 bytes, {OPERATIONS:,} operations, of which as "
        f"large a part are get as of the paper's {PAPER_GETS:,} get and {PAPER_SETS:,} "
        f"set. Five runs. A "
        "program with a bpf_printk() is on sys_enter_read and another on "
        "sys_enter_sendmsg, for a process that sleeps: the server is untraced. First in "
        "one guest over loopback, by instructions; and the cost of one get for the "
        "server while nothing else runs, which is exact. Then with client and server in "
        "two guests with a virtual network between them, by the clock: for each run and "
        "each kernel both boot, and the load is run with nothing attached before and "
        "after it is run with the filter: the ratio is that of one boot.",
        "Over loopback a virtual second has 10^9 instructions of server and client "
        "together, on one processor, so the loss is that of both sides' work. By the "
        "clock the emulator limits the throughput, and other work on the machine shows.")
    loopback = add_loopback(result, [job for job in done if "loopback" in job.name])
    network = add_network(result, [job for job in done if "network" in job.name])
    table = result.table("paper", "Beside the paper: loss of throughput, untraced server", [
        ("filter", "filter"), ("paper_tps", "paper, operations a second"),
        ("paper_loss", "paper, %"), ("loopback", "here, loopback, %"),
        ("network", "here, two guests, %")])
    for name in ("post", "in", "pre", "view"):
        tps, loss = PAPER.get(name, (None, None))
        table.add(name, tps, loss, loopback.value("loss", filter=name),
                  round(100 - 100 * network.value("ratio", filter=name), 1))
    return result
