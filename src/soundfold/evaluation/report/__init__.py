"""The report: runs as one HTML page that needs nothing beside it. What is on it comes ready; nothing is read here.

material.py   what a page is made of: runs, their curves, the clips with their sounds
markup.py     elements and tables, everything that users named escaped
charts.py     bars, intervals and curves as SVG
measured.py   what a run is scored by: accuracy, or mean average precision
verdict.py    a run's score in one sentence
scores.py     the sections on scores: in all, by fold, by class, leaks
confusion.py  who is taken for whom
sounds.py     a waveform as a player's sound and as a spectrogram
mistakes.py   the clips a model was surest and wrong about
account.py    the recipe, and what the run took
overview.py   several runs side by side
page.py       the whole page, and its rules for browsers
page.html, report.css
"""

from soundfold.evaluation.measured import is_of_several_labels, measured
from soundfold.evaluation.report.material import CURVE_LINES, Curve, ReportClip, ReportRun, Sound
from soundfold.evaluation.report.mistakes import surest_mistakes
from soundfold.evaluation.report.page import is_ours, render_page
from soundfold.evaluation.report.sounds import RATE_HZ, embed_sound

__all__ = [
    "CURVE_LINES",
    "RATE_HZ",
    "Curve",
    "ReportClip",
    "ReportRun",
    "Sound",
    "embed_sound",
    "is_of_several_labels",
    "is_ours",
    "measured",
    "render_page",
    "surest_mistakes",
]
