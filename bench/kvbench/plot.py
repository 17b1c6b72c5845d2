# SPDX-License-Identifier: GPL-2.0
"""Plots by gnuplot, as SVG and as PNG."""

import os
import subprocess

from .guests import Failed

# Colours that people who see colours differently can tell apart (Okabe, Ito).
COLOURS = {"baseline": "#000000", "post": "#d55e00", "in": "#e69f00",
           "pre": "#0072b2", "view": "#009e73"}
OTHERS = ["#000000", "#009e73", "#d55e00", "#0072b2", "#e69f00", "#cc79a7", "#56b4e9"]

HEAD = """\
set encoding utf8
set grid ytics back lt 1 lw 0.7 lc rgb "#cccccc"
set border 3
set tics nomirror
set key outside right top
"""


def _quote(text):
    return '"' + str(text).replace("\\", "\\\\").replace('"', "'") + '"'


def _colour(name, number):
    return COLOURS.get(name, OTHERS[number % len(OTHERS)])


class Plot:
    """name: of the files, without .svg and .png."""

    def __init__(self, name, title, xlabel, ylabel):
        self.name = name
        self.title = title
        self.xlabel = xlabel
        self.ylabel = ylabel
        self.width = 900
        self.height = 450

    def commands(self):
        """The gnuplot commands behind the head."""
        raise NotImplementedError

    def draw(self, directory):
        for kind in ("svg", "png"):
            script = [
                f"set terminal {kind}{'cairo' if kind == 'png' else ''} "
                f"size {self.width},{self.height} "
                f"font 'sans,{11 if kind == 'svg' else 10}'"
                + (" background rgb 'white'" if kind == "svg" else ""),
                f"set output {_quote(os.path.join(directory, self.name + '.' + kind))}",
                HEAD,
                f"set title {_quote(self.title)} noenhanced",
                f"set xlabel {_quote(self.xlabel)} noenhanced",
                f"set ylabel {_quote(self.ylabel)} noenhanced",
            ] + self.commands()
            done = subprocess.run(["gnuplot"], input="\n".join(script) + "\n",
                                  text=True, capture_output=True, check=False)
            if done.returncode or done.stderr.strip():
                raise Failed(f"{self.name}: gnuplot: {done.stderr.strip()}")


class Lines(Plot):
    """series: {name: [(x, y)]}, a line with points each."""

    def __init__(self, name, title, xlabel, ylabel, series, *, logx=False, logy=False):
        super().__init__(name, title, xlabel, ylabel)
        self.series = series
        self.logx = logx
        self.logy = logy

    def commands(self):
        lines = []
        if self.logx:
            lines.append("set logscale x")
        if self.logy:
            lines.append("set logscale y")
        else:
            lines.append("set yrange [0:*]")
        parts = []
        for number, (name, points) in enumerate(self.series.items()):
            lines.append(f"$d{number} << EOD")
            lines += [f"{x} {y}" for x, y in points]
            lines.append("EOD")
            parts.append(f"$d{number} with linespoints pt {5 + number % 6} ps 0.7 lw 2 "
                         f"lc rgb {_quote(_colour(name, number))} "
                         f"title {_quote(name)} noenhanced")
        return lines + ["plot " + ", ".join(parts)]


class Bars(Plot):
    """groups: names on the x axis; series: {name: [(value, deviation)]}, as many as
    groups, a bar each; a deviation may be None."""

    def __init__(self, name, title, ylabel, groups, series, *, logy=False):
        super().__init__(name, title, "", ylabel)
        self.groups = groups
        self.series = series
        self.logy = logy

    def commands(self):
        lines = ["set style fill solid 0.9 border rgb '#555555'", "set boxwidth 1",
                 "set logscale y" if self.logy else "set yrange [0:*]"]
        width = len(self.series) + 1
        ticks = ", ".join(f"{_quote(group)} {number * width + (len(self.series) - 1) / 2}"
                          for number, group in enumerate(self.groups))
        lines.append(f"set xtics ({ticks}) noenhanced" +
                     (" rotate by -30" if len(self.groups) > 6 else ""))
        lines.append(f"set xrange [-1:{len(self.groups) * width - 1}]")
        parts = []
        for number, (name, values) in enumerate(self.series.items()):
            lines.append(f"$d{number} << EOD")
            for group, (value, deviation) in enumerate(values):
                if value is not None:
                    lines.append(f"{group * width + number} {value} {deviation or 0}")
            lines.append("EOD")
            kind = "1:2:3 with boxerrorbars" if any(
                deviation for _, deviation in values) else "1:2 with boxes"
            parts.append(f"$d{number} using {kind} "
                         f"lc rgb {_quote(_colour(name, number))} "
                         f"title {_quote(name)} noenhanced")
        return lines + ["plot " + ", ".join(parts)]
