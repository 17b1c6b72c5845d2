# SPDX-License-Identifier: GPL-2.0
"""What is run in guests: jobs, and the queue that runs them.

A job is one boot, or two that talk to each other. What it printed is kept below
build/bench with a digest of all that it depends on: it is run again if that has
changed, and not otherwise. How long it took is kept, too, for the next estimate.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from . import paths

# Functions for the scripts of guests. Each line of output begins with a tag.
PRELUDE = r"""
set -e
# How many page tables a fork copies depends on where things are.
echo 0 >/proc/sys/kernel/randomize_va_space
tagged() { tag=$1; shift; "$@" >/tmp/tagged || exit 1; sed "s:^:$tag	:" /tmp/tagged; }
bench() { tag=$1; shift; tagged "$tag" kview-syscall-bench "$@"; }
hold() {
	: >/tmp/hold
	kview-hold "$@" >/tmp/hold &
	holder=$!
	until grep -q ready /tmp/hold; do
		kill -0 $holder || exit 1
		sleep 0.1
	done
}
release() {
	kill $holder && wait $holder || { cat /tmp/hold >&2; exit 1; }
	sleep 0.3
}
"""

KERNELS = {name: os.path.join(paths.BUILD, name, "arch", "x86", "boot", "bzImage")
           for name in ("baseline", "pre", "kview")}

_digests = {}


class Failed(Exception):
    """A job or a check has failed; the text says which and where."""


def digest_of_file(path):
    """Of the content; read again only if the file was changed."""
    status = os.stat(path)
    key = path, status.st_mtime_ns, status.st_size, status.st_ino
    if key not in _digests:
        with open(path, "rb") as content:
            _digests[key] = hashlib.file_digest(content, "sha256").hexdigest()
    return _digests[key]


class Guest:
    """One boot of qemu/vm.

    kernel: a key of KERNELS. script: for the guest's shell, after PRELUDE.
    programs: what it runs of ours, by name. add: files of the host, as
    {guest path: host path}. options: more ones of qemu/vm.
    """

    def __init__(self, kernel, script, *, programs=("kview-syscall-bench",),
                 clock="icount", root="min", add=None, options=(), timeout=3600):
        self.kernel = kernel
        self.script = PRELUDE + script
        self.programs = programs
        self.clock = clock
        self.root = root
        self.add = dict(add or {})
        self.options = list(options)
        self.timeout = timeout

    def inputs(self):
        """All that its output depends on, as text."""
        files = [KERNELS[self.kernel]] + list(self.add.values()) + [
            os.path.join(paths.TOOLS, program) for program in self.programs]
        return json.dumps([self.script, self.clock, self.root, self.options,
                           sorted(self.add), [digest_of_file(f) for f in files]])

    def command(self, directory, options=()):
        """Arguments of qemu/vm, with what it needs put into the directory."""
        script = os.path.join(directory, f"{id(self)}.sh")
        with open(script, "w", encoding="ascii") as out:
            out.write(self.script)
        args = [paths.VM, "--kernel", KERNELS[self.kernel], "--clock", self.clock,
                "--root", self.root, "--timeout", str(self.timeout),
                "--add", f"{script}:/root/script.sh"]
        for where, source in self.add.items():
            args += ["--add", f"{source}:{where}"]
        shell = "bash" if self.root == "host" else "sh"
        return args + self.options + list(options) + ["--", shell, "/root/script.sh"]


class Job:
    """One guest, by the name of its bench and its own; seconds: how long it takes
    on a quiet machine, until that is known better. alone: measures by the clock,
    so nothing else may run meanwhile."""

    alone = False

    def __init__(self, bench, name, guest, seconds):
        self.bench = bench
        self.name = name
        self.guest = guest
        self.seconds = seconds
        self.alone = guest.clock == "real"
        self.output = None
        self.cpu = 0  # seconds that it has run, all of it
        self._process = None

    def __str__(self):
        return f"{self.bench}: {self.name}"

    @property
    def key(self):
        return f"{self.bench}/{self.name}"

    @property
    def text(self):
        """Where it runs, for people."""
        return f"{self.guest.kernel} kernel"

    def inputs(self):
        return self.guest.inputs()

    def run(self, directory):
        """Boot, wait for the end; the output, or Failed."""
        return self._boot(self.guest.command(directory), directory)

    def _boot(self, args, directory):
        errors = os.path.join(directory, "err")
        with open(errors, "wb") as err:
            self._process = subprocess.Popen(args, stdin=subprocess.DEVNULL,
                                             stdout=subprocess.PIPE, stderr=err)
            with self._process.stdout as pipe:
                output = pipe.read().decode()
            self._wait_for(self._process)
        if self._process.returncode:
            with open(errors, encoding="utf-8", errors="replace") as err:
                raise Failed(f"{self}: the guest ended with status "
                             f"{self._process.returncode}:\n{err.read().rstrip()}")
        return output

    def _wait_for(self, process):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu += usage.ru_utime + usage.ru_stime

    def stop(self):
        """End it, if it runs: qemu/vm ends its guest then."""
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def rows(self, tag=None):
        """Its output: the fields of each line, those with this first field only
        and without it, if a tag is given."""
        found = [line.split("\t") for line in self.output.splitlines()]
        if tag is None:
            return found
        return [fields[1:] for fields in found if fields[0] == tag]


class Pair(Job):
    """Two guests on one wire: the first one's output counts."""

    def __init__(self, bench, name, server, client, seconds):
        super().__init__(bench, name, server, seconds)
        self.client = client
        self.alone = True
        self._other = None

    def inputs(self):
        return self.guest.inputs() + self.client.inputs()

    def run(self, directory):
        wire = os.path.join(directory, "wire")
        errors = os.path.join(directory, "client")
        with open(errors, "wb") as err:
            self._other = subprocess.Popen(
                self.client.command(directory, ["--net", wire]),
                stdin=subprocess.DEVNULL, stdout=err, stderr=err)
            try:
                output = self._boot(self.guest.command(directory, ["--net", wire]),
                                    directory)
            except Failed as failure:
                with open(errors, encoding="utf-8", errors="replace") as text:
                    raise Failed(f"{failure}\nthe client said:\n"
                                 f"{text.read().rstrip()}") from None
            finally:
                # Not terminate(): that reaps one that has ended, with what it used.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._other.pid, signal.SIGTERM)
                self._wait_for(self._other)
        return output

    def stop(self):
        super().stop()
        if self._other and self._other.poll() is None:
            self._other.terminate()


class Store:
    """What jobs have printed, and how long they took."""

    def __init__(self):
        self.directory = os.path.join(paths.STATE, "jobs")
        os.makedirs(self.directory, exist_ok=True)
        self.times_file = os.path.join(paths.STATE, "times.json")
        self.times = self._load_times()

    def _load_times(self):
        try:
            with open(self.times_file, encoding="ascii") as text:
                return json.load(text)
        except FileNotFoundError:
            return {}

    @staticmethod
    def digest(job):
        """Of all that its output depends on, as it is now."""
        return hashlib.sha256(job.inputs().encode()).hexdigest()

    def _path(self, job):
        return os.path.join(self.directory, job.key.replace("/", ".").replace(" ", "_"))

    def load(self, job):
        """True if the job is done: its output is what it was then."""
        try:
            with open(self._path(job), encoding="utf-8") as kept:
                digest, _, output = kept.read().partition("\n")
        except FileNotFoundError:
            return False
        if digest != self.digest(job):
            return False
        job.output = output
        return True

    def save(self, job, digest, output, seconds):
        """Keep it, whole or not at all."""
        for path, text in ((self._path(job), f"{digest}\n{output}"),
                           (self.times_file, None)):
            if text is None:
                # Another run may have added some meanwhile.
                self.times = self._load_times()
                self.times[job.key] = [round(seconds, 1), round(job.cpu, 1)]
                text = json.dumps(self.times, indent=1, sort_keys=True)
            with open(path + ".new", "w", encoding="utf-8") as out:
                out.write(text)
            os.replace(path + ".new", path)
        job.output = output

    def seconds(self, job):
        """How long it will take, as far as known."""
        return self.times.get(job.key, [job.seconds])[0]

    def cpu(self, job):
        """The seconds that it will take on a quiet machine."""
        return self.times.get(job.key, [0, job.seconds])[1]


class Progress:
    """One line that changes on a terminal, else a line for each job."""

    def __init__(self, store, slots):
        self.store = store
        self.slots = slots
        self.live = sys.stderr.isatty()
        self.jobs = []

    def left(self, waiting, running):
        """Seconds, as the queue will run them."""
        now = time.monotonic()
        rest = [max(self.store.seconds(job) - (now - start), 1)
                for job, start in running]
        alone = [self.store.seconds(job) for job in waiting if job.alone]
        shared = [self.store.seconds(job) for job in waiting if not job.alone]
        together = sum(rest) + sum(shared)
        return max([together / self.slots] + rest) + sum(alone)

    def show(self, done, total, waiting, running):
        if not self.live:
            return
        minutes, seconds = divmod(int(self.left(waiting, running)), 60)
        names = ", ".join(str(job) for job, _ in running)
        line = f"[{done}/{total}] {minutes}:{seconds:02d} left  {names}"
        print("\r\033[K" + line[:shutil.get_terminal_size().columns - 1], end="",
              file=sys.stderr, flush=True)

    def note(self, text):
        """A line that stays."""
        print(("\r\033[K" if self.live else "") + text, file=sys.stderr, flush=True)

    def begun(self, job, done, total, waiting, running):
        if not self.live:
            left = int(self.left(waiting, running))
            self.note(f"[{done}/{total}] {left // 60}:{left % 60:02d} left  "
                      f"{job} ({job.text})")


class Queue:
    """Runs jobs, so many guests at a time, and tells when all of a bench are done."""

    def __init__(self, slots, force=False):
        self.slots = slots
        self.force = force
        self.store = Store()
        self.progress = Progress(self.store, slots)
        self._changed = threading.Condition()
        self._ended = []

    def _thread(self, job, start):
        with tempfile.TemporaryDirectory(prefix="kview-bench-") as directory:
            digest, output, failure = None, None, None
            try:
                digest = self.store.digest(job)
                output = job.run(directory)
                if self.store.digest(job) != digest:
                    raise Failed(f"{job}: a kernel or a program was changed meanwhile: "
                                 "run it again")
            except Exception as error:  # told to the thread that waits
                failure = error
        with self._changed:
            self._ended.append((job, digest, output, failure,
                                time.monotonic() - start))
            self._changed.notify()

    def run(self, jobs, finished):
        """Run them all; finished(bench, failure) is called when all of a bench's
        jobs are done, or one has failed and none is left that runs. Interrupted,
        it ends the guests and raises again."""
        waiting, running, failed = [], [], {}
        for bench in dict.fromkeys(job.bench for job in jobs):
            mine = [job for job in jobs if job.bench == bench
                    and (self.force or not self.store.load(job))]
            waiting += mine
            if not mine:
                finished(bench, None)
        # Those that have the machine for themselves come last.
        waiting.sort(key=lambda job: job.alone)
        total, done = len(waiting), 0
        try:
            while waiting or running:
                while waiting and len(running) < self.slots and not (
                        running and (waiting[0].alone or running[0][0].alone)):
                    job = waiting.pop(0)
                    running.append((job, time.monotonic()))
                    self.progress.begun(job, done, total, waiting, running)
                    threading.Thread(target=self._thread, args=running[-1],
                                     daemon=True).start()
                for job, digest, output, failure, seconds in self._wait(
                        done, total, waiting, running):
                    running = [entry for entry in running if entry[0] is not job]
                    done += 1
                    if failure:
                        failed.setdefault(job.bench, failure)
                        done += sum(other.bench == job.bench for other in waiting)
                        waiting = [other for other in waiting
                                   if other.bench != job.bench]
                    else:
                        self.store.save(job, digest, output, seconds)
                    if not any(other.bench == job.bench for other in
                               waiting + [entry[0] for entry in running]):
                        finished(job.bench, failed.get(job.bench))
        except BaseException:
            for job, _ in running:
                job.stop()
            deadline = time.monotonic() + 20
            while len(self._ended) < len(running) and time.monotonic() < deadline:
                time.sleep(0.1)
            raise
        if self.progress.live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _wait(self, done, total, waiting, running):
        """The jobs that have ended, at least one, or none after a second."""
        with self._changed:
            if not self._ended:
                self.progress.show(done, total, waiting, running)
                self._changed.wait(1)
            ended, self._ended = self._ended, []
        return ended


def on_signals():
    """SIGTERM and SIGHUP end the run as SIGINT does."""
    def interrupted(number, _):
        raise KeyboardInterrupt(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
