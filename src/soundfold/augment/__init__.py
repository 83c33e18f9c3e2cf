"""What training varies at random: batched, on the device, with draw and apply apart. Needs torch."""

from soundfold.augment.chain import Draws, apply_and_mix, apply_draws, draw
from soundfold.augment.decibels import Scale
from soundfold.augment.equaliser import add_level, amplify, draw_curve, draw_gain, equalise
from soundfold.augment.masks import draw_strips, hide
from soundfold.augment.mixing import Mixing, draw_mixing, mix, mix_waveforms
from soundfold.augment.mixstyle import Style, draw_style, mix_style
from soundfold.augment.noise import Noise, add_noise, draw_noise
from soundfold.augment.partners import Partners, draw_partners
from soundfold.augment.speed import change_speed, draw_pitch, shift_pitch
from soundfold.augment.stretch import band_shift, draw_band_shift, draw_rate, time_stretch
from soundfold.augment.time_shift import draw_place, draw_time_shift, time_shift
from soundfold.augment.wave_chain import WaveDraws, apply_and_mix_waveforms, apply_wave_draws, draw_waveform
from soundfold.augment.wave_noise import (
    Background,
    WaveNoise,
    add_background,
    add_wave_noise,
    draw_background,
    draw_wave_noise,
)

__all__ = [
    "Background",
    "Draws",
    "Mixing",
    "Noise",
    "Partners",
    "Scale",
    "Style",
    "WaveDraws",
    "WaveNoise",
    "add_background",
    "add_level",
    "add_noise",
    "add_wave_noise",
    "amplify",
    "apply_and_mix",
    "apply_and_mix_waveforms",
    "apply_draws",
    "apply_wave_draws",
    "band_shift",
    "change_speed",
    "draw",
    "draw_background",
    "draw_band_shift",
    "draw_curve",
    "draw_gain",
    "draw_mixing",
    "draw_noise",
    "draw_partners",
    "draw_pitch",
    "draw_place",
    "draw_rate",
    "draw_strips",
    "draw_style",
    "draw_time_shift",
    "draw_wave_noise",
    "draw_waveform",
    "equalise",
    "hide",
    "mix",
    "mix_style",
    "mix_waveforms",
    "shift_pitch",
    "time_shift",
    "time_stretch",
]
