# SPDX-License-Identifier: GPL-2.0
"""What a bench has found: tables, plots and checks; written as JSON and CSV."""

import csv
import json
import os

from . import machine, paths
from .guests import Failed


class Table:
    """columns: (name, what it is, with its unit). rows: lists of strings and
    numbers, None where there is none."""

    def __init__(self, name, title, columns):
        self.name = name
        self.title = title
        self.columns = columns
        self.rows = []

    def add(self, *values):
        if len(values) != len(self.columns):
            raise ValueError(f"{self.name}: {len(values)} values")
        self.rows.append(list(values))

    def index(self, column):
        return [name for name, _ in self.columns].index(column)

    def value(self, column, **where):
        """Of the row in which the other columns have these values."""
        for row in self.rows:
            if all(row[self.index(name)] == value for name, value in where.items()):
                return row[self.index(column)]
        raise KeyError(f"{self.name}: {where}")

    def points(self, x, y, **where):
        """Pairs of two columns, of the rows where others have these values."""
        return [(row[self.index(x)], row[self.index(y)]) for row in self.rows
                if all(row[self.index(name)] == value for name, value in where.items())
                and row[self.index(y)] is not None]


class Result:
    """Of one bench. text: what was done. meaning: what the figures mean, and what
    they do not."""

    def __init__(self, bench, title, text, meaning=""):
        self.bench = bench
        self.title = title
        self.text = text
        self.meaning = meaning
        self.tables = []
        self.plots = []
        self.checks = []

    def table(self, name, title, columns):
        self.tables.append(Table(name, title, columns))
        return self.tables[-1]

    def check(self, text, ok, found=""):
        """One that must hold; found: what was seen instead."""
        self.checks.append((text, bool(ok), str(found)))

    def equal(self, text, expected, value):
        self.check(text, expected == value, f"{value} instead of {expected}")

    @property
    def failed(self):
        return [check for check in self.checks if not check[1]]

    def as_json(self):
        return {
            "bench": self.bench,
            "title": self.title,
            "text": self.text,
            "meaning": self.meaning,
            "machine": machine.describe(),
            "kernels": machine.kernels(),
            "tables": [{"name": table.name, "title": table.title,
                        "columns": [{"name": name, "text": text}
                                    for name, text in table.columns],
                        "rows": table.rows} for table in self.tables],
            "plots": [{"file": plot.name, "title": plot.title} for plot in self.plots],
            "checks": [{"text": text, "ok": ok, "found": "" if ok else found}
                       for text, ok, found in self.checks],
        }

    def write(self, directory=paths.RESULTS):
        """NAME.json, NAME.csv and the plots; Failed if a check failed, after that."""
        os.makedirs(directory, exist_ok=True)
        base = os.path.join(directory, self.bench)
        for plot in self.plots:
            plot.draw(directory)
        with open(base + ".json.new", "w", encoding="utf-8") as out:
            out.write(to_json(self.as_json()))
        os.replace(base + ".json.new", base + ".json")
        with open(base + ".csv.new", "w", encoding="utf-8", newline="") as out:
            self._write_csv(csv.writer(out, lineterminator="\n"))
        os.replace(base + ".csv.new", base + ".csv")
        if self.failed:
            raise Failed("\n".join(f"{self.bench}: {text}: {found}" if found else
                                   f"{self.bench}: {text}"
                                   for text, _, found in self.failed))

    def _write_csv(self, out):
        """One table with the columns of all of them; the first is the table."""
        names = list(dict.fromkeys(name for table in self.tables
                                   for name, _ in table.columns))
        out.writerow(["table"] + names)
        for table in self.tables:
            mine = [name for name, _ in table.columns]
            for row in table.rows:
                fields = dict(zip(mine, row))
                out.writerow([table.name] + [
                    "" if fields.get(name) is None else fields[name] for name in names])


def to_json(value):
    """As json.dumps(indent=1), but a row of a table on one line."""
    rows = []

    def marked(item):
        if isinstance(item, list):
            return [marked(part) for part in item]
        if not isinstance(item, dict):
            return item
        return {key: [mark(row) for row in part] if key == "rows" else marked(part)
                for key, part in item.items()}

    def mark(row):
        rows.append(json.dumps(row, ensure_ascii=False))
        return f"@@{len(rows) - 1}@@"

    text = json.dumps(marked(value), indent=1, ensure_ascii=False)
    for number, row in enumerate(rows):
        text = text.replace(f'"@@{number}@@"', row, 1)
    return text + "\n"
