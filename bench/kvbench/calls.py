# SPDX-License-Identifier: GPL-2.0
"""The lines that kview-syscall-bench prints."""

from collections import namedtuple

FILTERS = ("baseline", "post", "in", "pre", "view")
WHAT = {
    "baseline": "nothing attached, unpatched kernel",
    "post": "program prints all, filtered later",
    "in": "program compares the PID",
    "pre": "kernel tests a flag of the process",
    "view": "kernel view of the traced process",
}

Cost = namedtuple("Cost", "filter call role average deviation usual share median "
                          "calls events")


def cost_of(fields):
    """Of the fields of one line."""
    return Cost(*fields[:3], *map(float, fields[3:5]), round(float(fields[5])),
                float(fields[6]), float(fields[7]), int(fields[8]), int(fields[9]))


def costs_of(job, tag):
    """{(filter, call, role): Cost} of the lines with that tag; with nothing attached
    the filter is none."""
    return {(cost.filter, cost.call, cost.role): cost
            for cost in map(cost_of, job.rows(tag))}


def percent(more, base):
    return round(100 * more / base, 1)


def check_events(result, where, cost, hooks=1):
    """Events are as many as there were calls by whom the program is for; hooks: so
    many programs or hooks see each call. A worker waits for its next command by a
    read() or two, which are events, too, and others read as well."""
    made = cost.calls * hooks
    slack = 0 if cost.call == "sendmsg" else 2 * hooks
    if cost.filter == "none":
        low, high = 0, 0
    elif cost.filter == "post":
        low, high = made, made + 10 * hooks
    elif cost.role == "untraced":
        low, high = 0, slack
    else:
        low, high = made, made + slack
    result.check(f"{where}: {cost.calls} calls by the {cost.role} process are "
                 f"{low if low else 'no'} events", low <= cost.events <= high,
                 f"{cost.events} events")
