# SPDX-License-Identifier: GPL-2.0
"""What memory a target takes."""

from ..guests import Guest, Job
from ..plot import Bars, Lines
from ..results import Result
from .attach import FAMILIES, NAMES, PROGRAMS, measured

NAME = "memory"
TITLE = "Memory of a target"
HOOKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
WAYS = {"close": "close together", "spread": "far apart"}
# (program, hooks). What is in the lists of a processor is not free memory: they are to
# be short, and the targets so many that it does not matter. Each in a boot of its own,
# which has nothing that others have freed.
EXISTING = 1000
SHORT_LISTS = "echo 1000000 >/proc/sys/vm/percpu_pagelist_high_fraction\n"
TARGETS = (("count", 1), ("kprobe", 1), ("fentry", 1), ("kprobe.multi", 100))
PAGE = 4096


def jobs():
    bench = "kview-attach-bench --runs 1"
    script = "".join(f"tagged family.{family} {bench} --program {family}\n"
                     for family in FAMILIES)
    for way in WAYS:
        for hooks in HOOKS:
            script += f"tagged {way}.{hooks} {bench} --program kprobe.multi " \
                f"--hooks {hooks} --{way}\n"
    made = [Job(NAME, "views", Guest("kview", script, programs=PROGRAMS), 60)]
    for family, hooks in TARGETS:
        option = f"--hooks {hooks} --spread" if hooks > 1 else ""
        script = SHORT_LISTS + f"tagged targets {bench} --program {family} {option} " \
            f"--existing {EXISTING}\n"
        made.append(Job(NAME, f"{EXISTING} {family}", Guest(
            "kview", script, programs=PROGRAMS, options=["--memory", "4G"]),
            90 if hooks > 1 else 25))
    return made


def evaluate(done):
    result = Result(
        NAME, TITLE,
        "Private pages of 4 KB of one target, as the link's information has them: page "
        "tables, copies of text, copies of data; with one hook of each family; with "
        "kprobe.multi on up to 1,000 functions of system calls, files and the network, "
        "as close to each other as there are, or as far apart. Text pages are those in "
        "which these functions begin, regions the 2 MB of text that they are in. And by "
        "how much each of 1,000 such targets, but the first ten, makes the free "
        "memory of the guest less, which has in it what is not pages: descriptions of the "
        "view, the link and the hooks. Copies of text with the same hooks are shared by "
        "all targets.",
        "A hook costs its page of text if no other hook of this target is in it, and its "
        "2 MB region one page table; what else there is is the same for each target.")
    by_name = {job.name: job for job in done}
    job = by_name["views"]
    table = result.table("families", "One hook of each family", [
        ("family", "family"), ("pages", "private pages"), ("bytes", "bytes")])
    for family in FAMILIES:
        pages = measured(job, f"family.{family}")["pages"]
        table.add(NAMES.get(family, family), pages, pages * PAGE)
        result.check(f"{family}: not more than 12 pages", 0 < pages <= 12, pages)
    hooks = result.table("hooks", "Functions of one kprobe.multi link", [
        ("way", "functions"), ("hooks", "hooks"), ("text_pages", "their text pages"),
        ("regions", "their 2 MB regions"), ("pages", "private pages"),
        ("fixed", "private pages beyond these"),
        ("bytes", "bytes a hook")])
    for way, text in WAYS.items():
        for number in HOOKS:
            line = measured(job, f"{way}.{number}")
            fixed = line["pages"] - line["text_pages"] - line["regions"]
            hooks.add(text, number, line["text_pages"], line["regions"], line["pages"],
                      fixed, round(line["pages"] * PAGE / number))
            result.check(f"{number} functions {text}: a page for each text page and "
                         "region, and 2 to 5 others", 2 <= fixed <= 5, line)
    targets = result.table("targets", "Many targets, by what memory is free", [
        ("family", "family"), ("hooks", "hooks"), ("targets", "targets"),
        ("pages", "private pages of a target"), ("shared", "shared with the others"),
        ("bytes", "bytes of the others"),
        ("measured", "bytes less free memory, a target")])
    for family, number in TARGETS:
        line = measured(by_name[f"{EXISTING} {family}"], "targets")
        own = (line["pages"] - line["shared"]) * PAGE
        targets.add(NAMES.get(family, family), number, EXISTING, line["pages"],
                    line["shared"], own, line["bytes"])
        # What is not pages is small, and text copies come by 2 MB.
        slack = 2 * (2 << 20) / EXISTING + 16384 + 512 * number
        result.check(f"{EXISTING} targets of {family}: as much memory is gone as pages "
                     "that are not shared and descriptions say",
                     own * 0.9 <= line["bytes"] <= own * 1.1 + slack, line)
    result.plots.append(Lines(
        "memory-hooks", "Private pages of a target", "hooks of one kprobe.multi link",
        "pages of 4 KB",
        {text: hooks.points("hooks", "pages", way=text) for text in WAYS.values()} |
        {f"{text}: text pages": hooks.points("hooks", "text_pages", way=text)
         for text in WAYS.values()}, logx=True, logy=True))
    result.plots.append(Bars(
        "memory-families", "Private pages of a target with one hook", "pages of 4 KB",
        [row[0] for row in table.rows], {"view": [(row[1], None) for row in table.rows]}))
    return result
