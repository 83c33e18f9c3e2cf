"""A module for each form in which a data set lies on disk: it tells whether a folder is one, and reads it as rows.

`reading.py` chooses among them, `rows.py` checks what they read.
"""
