"""Answers for sounds by the million, as Parquet: what is done stays done, whatever ends the work.

listing.py    which sounds there are: a tree, walked as the work goes on, or a list
journal.py    which part holds which sounds, and by what settings
table.py      answers as rows, and parts of them on the disk
hearing.py    from sounds to rows, in processes of this machine
cluster.py    the same on a Ray cluster
running.py    all of it together
"""

from soundfold.bulk.running import BulkResult, bulk

__all__ = ["BulkResult", "bulk"]
