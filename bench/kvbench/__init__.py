# SPDX-License-Identifier: GPL-2.0
"""What bench/run is made of: see the modules."""
