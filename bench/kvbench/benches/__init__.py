# SPDX-License-Identifier: GPL-2.0
"""The benches. Each module has NAME, TITLE, jobs() and evaluate(jobs), which gives a
Result; jobs that it gets there are its own, done."""
