"""What training varies at random: batched, on the device, with draw and apply apart. Needs torch."""

from soundfold.augment.chain import Draws, apply_draws, draw
from soundfold.augment.masks import draw_strips, hide
from soundfold.augment.time_shift import draw_place, draw_time_shift, time_shift

__all__ = ["Draws", "apply_draws", "draw", "draw_place", "draw_strips", "draw_time_shift", "hide", "time_shift"]
