"""The command line: one thin module a verb, each importing what it needs when it runs.

stdout carries the answer, stderr everything else. Status 0: done; 1: our fault; 2: something the user can mend, told in
one line; 130: interrupted.
"""

from soundfold.cli.main import main

__all__ = ["main"]
