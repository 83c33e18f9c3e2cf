"""Benchmarks: how fast soundfold is, beside the tutorial's pipeline and beside what the machine could do at most.

Run from the repository's root; `--quick` first, to see at a small size that every row runs:

    python -m benchmarks --quick
    python -m benchmarks

What lies where:

    peer.py        the tutorial's pipeline, rebuilt
    floor.py       what the machine could do at most: bytes over bandwidth, operations over peak
    probes.py      what is measured inside a process of its own
    processes.py   starting such a process; its time, its answer and its memory
    timing.py      taking turns, median and spread, how cost grows
    machine.py     hardware and versions
    workspace.py   the data, and all that is kept between rows
    results.py     what a row found, kept as JSON
    rows/          one function a row
    page.py        docs/benchmarks.md from the kept results
"""
