# SPDX-License-Identifier: GPL-2.0
"""make demo: Figure 3 by instructions as a table, then two memcached servers."""

import os
import time

from . import guests, paths
from .benches import fig3
from .calls import FILTERS, WHAT
from .results import Result

NAME = "demo"

SERVERS = r"""
events=tracepoint:syscalls:sys_enter_read,tracepoint:syscalls:sys_enter_sendmsg
# Without the threads that tidy up now and then, so that the figures repeat.
for port in 11211 11212; do
	memcached -u nobody -l 127.0.0.1 -p $port -t 1 -m 64 -d -P /tmp/$port.pid \
		-o no_lru_maintainer,no_lru_crawler,no_slab_reassign,no_hashexpand
done
sleep 1
a=$(cat /tmp/11211.pid)
b=$(cat /tmp/11212.pid)

load()
{
	memcaslap -s 127.0.0.1:$1 -T 1 -c 1 -x "$2" >"/tmp/load.$1"
}

# one NAME: instructions of a get on each server
one()
{
	tagged "$1	untraced" kview-memcached-bench $b 11212 500
	tagged "$1	traced" kview-memcached-bench $a 11211 500
}

traced()
{
	kview stat --filter $1 --json -p $a -e $events >/tmp/stat &
	tool=$!
	sleep 1
}

end()
{
	kill -INT $tool
	wait $tool
}

load 11211 1000
load 11212 1000
one baseline

# Both are busy, and one is traced.
traced view
load 11211 3000 &
load 11212 3000
wait $!
end
sed -n 's/.*"count": \([0-9]*\).*sys_enter_\([a-z]*\)".*/counted	\2	\1/p' /tmp/stat
sed -n 's/^cmd_get: /operations	get	/p; s/^cmd_set: /operations	set	/p' /tmp/load.11211

traced view
one view
end
traced in
one in
end
"""


def jobs(calls, runs):
    """The long one, with the servers, goes first."""
    servers = guests.Guest("kview", SERVERS, root="host",
                           programs=("kview", "kview-memcached-bench"))
    return [guests.Job(NAME, "servers", servers, 60)] + \
        fig3.count_jobs(NAME, calls, runs)


def print_calls(costs, calls, runs):
    print(f"""\
Instructions of one system call: average and standard deviation of {runs} runs of
{calls} calls, and how many more than with nothing attached: of the call as it
nearly always is, as an interrupt that hits one is in the average only. The guest
has one CPU, which executes an instruction each virtual nanosecond: the figures
repeat exactly. One process is the target of a program with one bpf_printk() on
the entry to the system call.
""")
    for role in fig3.ROLES:
        print(f"{role.upper() + ' process':<47}{'read':>18}{'sendmsg':>30}")
        for name in FILTERS:
            cells = []
            for call in fig3.CALLS:
                cost = costs[name, call, role]
                more = "" if name == "baseline" else \
                    f"{cost.usual - costs['baseline', call, role].usual:+d}"
                cells.append(f"{cost.average:9.2f} ± {cost.deviation:6.2f} {more:>10}")
            print(f"  {name:<8}  {WHAT[name]:<35}{' '.join(cells)}".rstrip())
        print()


def print_servers(job):
    """Print, and check: into a Result."""
    result = Result(NAME, "", "")
    counted = {fields[0]: int(fields[1]) for fields in job.rows("counted")}
    operations = sum(int(fields[1]) for fields in job.rows("operations"))
    gets = {(name, fields[0]): fields[1:] for name in ("baseline", "in", "view")
            for fields in job.rows(name)}
    print(f"""\
Two memcached servers under memcaslap, one of them traced with
kview stat -e tracepoint:syscalls:sys_enter_read,tracepoint:syscalls:sys_enter_sendmsg
  {operations} operations: {counted.get('read', 0)} events of read and \
{counted.get('sendmsg', 0)} of sendmsg counted
""")
    for role in fig3.ROLES:
        first = "Instructions of one get" if role == "untraced" else ""
        print(f"{first:<47}{role.upper() + ' server':>18}")
        base = int(gets["baseline", role][2])
        for name, text in (("baseline", "nothing attached"),
                           ("in", "the program compares the PID"),
                           ("view", "kernel view of the traced server")):
            average, deviation, usual, _ = gets[name, role]
            more = "" if name == "baseline" else f"{int(usual) - base:+d}"
            print(f"  {text:<45}{float(average):9.2f} ± {float(deviation):6.2f} "
                  f"{more:>10}".rstrip())
    result.equal("a get costs the untraced server nothing with view",
                 gets["baseline", "untraced"][2], gets["view", "untraced"][2])
    result.check("there were operations, and an event of each at least",
                 0 < operations <= min(counted.values(), default=0), (operations, counted))
    return result


def run(options):
    """The status to exit with. What was done for an earlier demo is done again."""
    start = time.monotonic()
    made = jobs(options.calls, options.runs)
    failures = []
    queue = guests.Queue(options.jobs, force=True)
    for job in made:
        if not os.path.exists(guests.KERNELS[job.guest.kernel]):
            raise guests.Failed(
                f"{paths.show(guests.KERNELS[job.guest.kernel])} is not there: make kernels")
    queue.run(made, lambda bench, failure: failures.append(failure) if failure else None)
    if failures:
        raise failures[0]
    costs = fig3.counts(made)
    print_calls(costs, options.calls, options.runs)
    result = print_servers(made[0])
    fig3.check_counts(result, costs)
    print()
    for text, _, found in result.failed:
        print(f"{text}: {found}")
    if result.failed:
        print("FAILED: an untraced process pays, or something is missing.")
        return 1
    print(f"An untraced process pays nothing: +0. ({time.monotonic() - start:.0f} s)")
    return 0
