"""Microphones, through sounddevice and PortAudio: which there are, and one of them as a source of live sound.

sounddevice comes with the extra `live`. It loads PortAudio when it is imported, so it is imported where it is used.
"""

from typing import Any, NamedTuple

import numpy as np

from soundfold.errors import AudioError, MissingExtraError, did_you_mean, needs_extra
from soundfold.runtime.intake import Intake

__all__ = ["Device", "Microphone", "find_device", "input_devices"]

_BLOCKS_A_SECOND = 100


class Device(NamedTuple):
    """An input that sound can be taken from; its number is PortAudio's."""

    number: int
    name: str
    system: str
    channels: int
    sample_rate: int
    is_default: bool


def input_devices() -> list[Device]:
    """Return the inputs that there are now.

    Raises:
        MissingExtraError: sounddevice or PortAudio is missing.
        AudioError: PortAudio cannot say.
    """
    sounddevice = _sounddevice()
    try:
        default = sounddevice.default.device[0]
        systems = [entry["name"] for entry in sounddevice.query_hostapis()]
        return [
            Device(
                number, entry["name"], systems[entry["hostapi"]], entry["max_input_channels"],
                round(entry["default_samplerate"]), number == default,
            )
            for number, entry in enumerate(sounddevice.query_devices())
            if entry["max_input_channels"] > 0
        ]  # fmt: skip
    except sounddevice.PortAudioError as error:
        raise AudioError(
            f"microphones: cannot be listed ({_reason(error)}). Look into the system's settings"
        ) from error


def find_device(asked: str | None) -> Device:
    """Return the input that a number or a part of a name means; None for the system's own choice.

    Raises:
        AudioError: there is none, or the name fits several.
    """
    devices = input_devices()
    if not devices:
        raise AudioError("microphone: there is none on this machine. Plug one in, or play a file with --from FILE")
    if asked is None:
        return next((device for device in devices if device.is_default), devices[0])
    exact = [device for device in devices if asked in (str(device.number), device.name)]
    found = exact or [device for device in devices if asked.casefold() in device.name.casefold()]
    if len(found) == 1:
        return found[0]
    if found:
        told = ", ".join(f"{device.number} ({device.name})" for device in found)
        raise AudioError(f"device must be one microphone, got '{asked}', which fits {told}. Say its number")
    near = did_you_mean(asked, [device.name for device in devices])
    raise AudioError(
        f"device must be the number or the name of a microphone, got '{asked}'.{near} See them with --list"
    )


class Microphone:
    """A microphone that speaks into an `Intake`, in a thread of PortAudio's.

    Args:
        device: which one.

    Attributes:
        name: what it is called.
        sample_rate: the device's own, so that the system need not resample.
        patience_s: for so long it may give nothing before it is taken for dead.
    """

    patience_s = 3.0

    def __init__(self, device: Device) -> None:
        self.name, self.sample_rate = device.name, device.sample_rate
        self._device = device
        self._stream: Any = None
        self._due: float | None = None  # when, by the device's clock, the next sample was to be heard

    def start(self, intake: Intake) -> None:
        """Open the device.

        Raises:
            AudioError: it is taken, or cannot be opened.
        """
        sounddevice = _sounddevice()

        def heard(frames: np.ndarray, _count: int, clock: Any, status: Any) -> None:
            begun = float(getattr(clock, "inputBufferAdcTime", 0.0))
            lost = 0
            if status.input_overflow and self._due:
                lost = max(0, round((begun - self._due) * self.sample_rate))
            self._due = begun + len(frames) / self.sample_rate if begun else None
            intake.put(np.array(frames.T, np.float32, order="C"), lost=lost)  # PortAudio uses its memory again

        try:
            self._stream = sounddevice.InputStream(
                device=self._device.number,
                channels=min(self._device.channels, 2),
                samplerate=self.sample_rate,
                blocksize=max(1, self.sample_rate // _BLOCKS_A_SECOND),
                dtype="float32",
                latency="low",
                callback=heard,
                # also called when PortAudio gives a device up that was unplugged
                finished_callback=lambda: intake.end(f"{self.name}: gives no more sound. Was it unplugged?"),
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            raise AudioError(
                f"{self.name}: cannot be opened ({_reason(error)}). Close what else uses it, or see --list"
            ) from error

    def stop(self) -> None:
        """Close the device."""
        if self._stream is not None:
            self._stream.close(ignore_errors=True)

    def is_alive(self) -> bool:
        """Tell whether sound may still come."""
        return self._stream is not None and bool(self._stream.active)


def _sounddevice() -> Any:
    with needs_extra("live", "soundfold listen"):
        try:
            import sounddevice
        except OSError as error:  # it is raised where the library that it loads is missing
            raise MissingExtraError(
                f"soundfold listen needs the library PortAudio ({error}). Install it with: "
                f"apt install libportaudio2 (Debian, Ubuntu), dnf install portaudio (Fedora), "
                f"pacman -S portaudio (Arch), brew install portaudio (macOS), "
                f"pip install --force-reinstall sounddevice (Windows)"
            ) from error
    return sounddevice


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())
