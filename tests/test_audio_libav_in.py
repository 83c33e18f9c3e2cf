"""Decoding what soundfile does not know, through PyAV: M4A, AAC, Opus, WebM, video."""

import io
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
import soundfile

from soundfold.audio import load, probe, read, stream
from soundfold.audio.arriving import ArrivingSound
from soundfold.audio.libav_in import opened_with_libav
from soundfold.errors import AudioError

pytestmark = pytest.mark.runtime

RATE = 48_000

# name: (muxer, codec, container and codec as probed, silence that the encoder puts in front and FFmpeg leaves there)
KINDS = {
    "m4a": ("ipod", "aac", "MP4", "aac", 0),
    "alac": ("ipod", "alac", "MP4", "alac", 0),
    "adts": ("adts", "aac", "AAC", "aac", 1_024),
    "webm": ("webm", "libopus", "Matroska", "opus", 0),
    "opus": ("ogg", "libopus", "OGG", "opus", 0),
    "opus in mp4": ("mp4", "libopus", "MP4", "opus", 0),
    "mka": ("matroska", "pcm_s16le", "Matroska", "pcm_s16le", 0),
    "mp4": ("mp4", "aac", "MP4", "aac", 0),
}


def tone(seconds: float) -> np.ndarray:
    """Return 400 Hz on the left, 800 Hz and half as loud on the right."""
    time = np.arange(round(seconds * RATE)) / RATE
    return np.stack([0.4 * np.sin(2 * np.pi * 400 * time), 0.2 * np.sin(2 * np.pi * 800 * time)]).astype(np.float32)


def encode(muxer: str, codec: str | None, seconds: float = 3.0, pictures: bool = False) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as container:
        video = container.add_stream("mpeg4", rate=10) if pictures else None
        audio = container.add_stream(codec, rate=RATE, layout="stereo") if codec else None
        if audio is not None:
            audio.bit_rate = 256_000
        if video is not None:
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            for shade in range(10):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade * 20, np.uint8), format="rgb24")
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if audio is not None:
            sound = av.AudioFrame.from_ndarray(tone(seconds), format="fltp", layout="stereo")
            sound.sample_rate, sound.pts = RATE, 0
            size = audio.codec_context.frame_size or 1_024
            fitting = av.AudioResampler(audio.codec_context.format, "stereo", RATE, frame_size=size)
            for piece in [*fitting.resample(sound), *fitting.resample(None)]:
                container.mux(audio.encode(piece))
            container.mux(audio.encode(None))
    return file.getvalue()


def one_line_or_samples(call, *args, **options) -> bool:
    """Tell whether a call gives samples, or an AudioError of one line; any other exception goes through."""
    try:
        call(*args, **options)
    except AudioError as error:
        return "\n" not in str(error) and "Error opening" not in str(error)
    return True


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {name: encode(muxer, codec, pictures=name == "mp4") for name, (muxer, codec, _, _, _) in KINDS.items()}


@pytest.mark.parametrize("name", KINDS)
def test_the_samples_come_back(files, name):
    _, _, container, codec, priming = KINDS[name]
    waveform, rate = read(files[name])
    assert rate == RATE
    assert waveform.dtype == np.float32
    assert waveform.shape[0] == 2
    assert 0 <= waveform.shape[1] - priming - 3 * RATE < 1_500  # encoders fill their last frame
    middle = slice(RATE, 2 * RATE)
    found, expected = waveform[:, priming:][:, middle], tone(3)[:, middle]
    error = np.sqrt(np.mean((found - expected) ** 2, axis=1) / np.mean(expected**2, axis=1))
    assert (error < 0.01).all()  # one sample of delay alone would be 0.05 on the left and 0.1 on the right
    info = probe(files[name])
    assert (info.sample_rate, info.channels, info.container, info.codec) == (RATE, 2, container, codec)
    assert info.duration_s == pytest.approx(3.0, abs=0.2)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("rate", [RATE, 16_000])
def test_a_stream_equals_load(files, name, rate):
    whole = load(files[name], rate, 1, downmix="mean")
    for block_s in (0.013, 0.5, 30.0):
        blocks = list(stream(files[name], rate, 1, downmix="mean", block_s=block_s))
        assert np.array_equal(np.concatenate(blocks, axis=1), whole)


@pytest.mark.parametrize("name", KINDS)
def test_ranges_are_exact_to_the_sample(files, name):
    whole, _ = read(files[name])
    for start, stop in ((0, 100), (1, 5_000), (30_011, 47_003), (120_001, 140_000), (143_990, 144_000)):
        part = load(files[name], RATE, 2, start_s=start / RATE, end_s=stop / RATE)
        # AAC fills noise bands with random numbers, which a seek begins anew; a sample of delay would be 0.02.
        tolerance = {"m4a": 2e-3, "mp4": 2e-3, "opus": 1e-6}.get(name, 0)
        np.testing.assert_allclose(part, whole[:, start:stop], atol=tolerance, strict=True)
        again = list(stream(files[name], RATE, 2, start_s=start / RATE, end_s=stop / RATE, block_s=0.02))
        assert np.array_equal(np.concatenate(again, axis=1), part)


@pytest.mark.parametrize("seconds", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("muxer", ["ipod", "mp4", "mov"])
def test_what_the_encoder_filled_an_mp4_up_with_is_left_out(muxer, seconds):
    content = encode(muxer, "aac", seconds)
    assert read(content)[0].shape[1] == round(seconds * RATE)
    assert sum(block.shape[1] for block in stream(content, RATE, 1, block_s=0.02)) == round(seconds * RATE)
    part = load(content, RATE, 1, start_s=seconds / 2)
    assert part.shape[1] == round(seconds * RATE) - round(seconds / 2 * RATE)


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
def test_opus_is_read_at_its_own_rate_whatever_the_encoder_was_given(rate):
    file = io.BytesIO()
    sound = 0.4 * np.sin(2 * np.pi * 400 * np.arange(2 * rate) / rate)
    soundfile.write(file, sound, rate, format="OGG", subtype="OPUS")
    waveform, found = read(file.getvalue())
    assert (found, waveform.shape) == (RATE, (1, 2 * RATE))
    expected = 0.4 * np.sin(2 * np.pi * 400 * np.arange(2 * RATE) / RATE)
    # the coding alone costs up to a tenth of a percent; one sample of delay would cost as much
    assert np.corrcoef(waveform[0, 1_000:-1_000], expected[1_000:-1_000])[0, 1] > 0.998


def test_opus_whose_stream_begins_late_has_no_lead_in():
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:  # without times, PyAV counts on from the lead-in
        audio = container.add_stream("libopus", rate=RATE, layout="stereo")
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(tone(3).T).reshape(1, -1), format="flt", layout="stereo"
        )
        frame.sample_rate = RATE
        for piece in av.AudioResampler("flt", "stereo", RATE, frame_size=960).resample(frame):
            container.mux(audio.encode(piece))
        container.mux(audio.encode(None))
    waveform, _ = read(file.getvalue())
    np.testing.assert_allclose(waveform[:, RATE : 2 * RATE], tone(3)[:, RATE : 2 * RATE], atol=0.02)


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "7.1"])
@pytest.mark.parametrize("muxer", ["webm", "ogg"])
def test_what_arrives_piece_by_piece_is_what_the_file_holds(muxer, layout):
    file, channels = io.BytesIO(), av.AudioLayout(layout).nb_channels
    with av.open(file, "w", format=muxer) as container:
        track = container.add_stream("libopus", rate=RATE, layout=layout, options={"application": "voip"})
        wave = np.ascontiguousarray(np.repeat(tone(1.0)[:1], channels, axis=0).T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(wave, format="flt", layout=layout)
        frame.sample_rate, frame.pts = RATE, 0
        for piece in av.AudioResampler("flt", layout, RATE, frame_size=960).resample(frame):
            container.mux(track.encode(piece))
        container.mux(track.encode(None))
    content = file.getvalue()
    arriving, blocks = ArrivingSound(), []
    for at in range(0, len(content), 700):
        blocks += arriving.feed(content[at : at + 700])
    blocks += arriving.finish()
    arriving.close()
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), read(content)[0])


def test_paths_and_file_objects(files, tmp_path):
    path = tmp_path / "звук 🎧.m4a"
    path.write_bytes(files["m4a"])
    whole = load(files["m4a"], 16_000, 1)
    assert np.array_equal(load(path, 16_000, 1), whole)
    with path.open("rb") as file:
        for _ in range(2):
            assert np.array_equal(load(file, 16_000, 1), whole)


def test_ranges_and_limits(files):
    with pytest.raises(AudioError, match=r"^x: lasts longer than the limit of 2 s\."):
        load(files["m4a"], 16_000, 1, max_s=2, name="x")
    assert load(files["m4a"], 16_000, 1, max_s=2, start_s=1.5, end_s=2.5).shape == (1, 16_000)
    message = r"^x: the range from 2\.500 to 9\.000 s lies outside it, it holds 3\.\d* s of sound\.$"
    with pytest.raises(AudioError, match=message):
        load(files["m4a"], 16_000, 1, start_s=2.5, end_s=9.0, name="x")
    message = r"^x: the range from 8\.000 to its end lies outside it, it holds 3\.\d* s of sound\.$"
    for name in ("webm", "m4a"):
        with pytest.raises(AudioError, match=message):
            load(files[name], 16_000, 1, start_s=8.0, name="x")


def test_pictures_without_sound():
    with pytest.raises(AudioError, match=r"^x\.mp4: holds no sound, only pictures\. Remove it\.$"):
        load(encode("mp4", None, pictures=True), 16_000, 1, name="x.mp4")


@pytest.mark.parametrize("name", ["m4a", "mp4", "adts"])
def test_damage_in_the_middle_tells_its_time(files, name, capfd):
    changed = bytearray(files[name])
    middle = len(changed) // 2
    changed[middle : middle + 400] = np.random.default_rng(0).bytes(400)
    with pytest.raises(AudioError, match=r"^x: is damaged at [12]\.\d s \(.+\)\. Fetch it again or remove it\.$"):
        load(bytes(changed), RATE, 2, name="x")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", KINDS)
def test_a_file_cut_anywhere_gives_samples_or_an_audio_error(name, capfd):
    muxer, codec, *_ = KINDS[name]
    file = encode(muxer, codec, seconds=0.2, pictures=name == "mp4")
    step = 37 if len(file) < 10_000 else 370
    for size in range(1, len(file), step):
        assert one_line_or_samples(load, file[:size], 16_000, 1)
    assert capfd.readouterr().err == ""


def test_playlists_open_no_other_files(files, tmp_path):
    (tmp_path / "x.aac").write_bytes(files["adts"])
    playlist = tmp_path / "list.m4a"
    playlist.write_text(f"\n#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{tmp_path}/x.aac\n#EXT-X-ENDLIST\n")
    with pytest.raises(AudioError, match="is not a sound that can be decoded: it begins with text"):
        load(playlist, 16_000, 1)


def test_eight_threads_get_the_same_answer(files):
    alone = {name: load(file, 16_000, 1) for name, file in files.items()}
    with ThreadPoolExecutor(8) as pool:
        jobs = [(name, pool.submit(load, files[name], 16_000, 1)) for name in list(files) * 6]
    assert all(np.array_equal(job.result(), alone[name]) for name, job in jobs)


@pytest.mark.parametrize("name", ["m4a", "webm", "alac"])
def test_a_range_may_end_a_little_after_the_sound(files, name):
    whole = load(files[name], RATE, 1)
    length_s = whole.shape[1] / RATE
    part = load(files[name], RATE, 1, start_s=0.5, end_s=length_s + 0.02)
    assert part.shape[1] == whole.shape[1] - RATE // 2
    blocks = stream(files[name], RATE, 1, start_s=0.5, end_s=length_s + 0.02, block_s=0.3)
    assert np.array_equal(np.concatenate(list(blocks), axis=1), part)
    with pytest.raises(
        AudioError, match=r"^x: the range from 0\.500 to 3\.\d* s lies outside it, it holds [23]\.\d* s of"
    ):
        load(files[name], RATE, 1, start_s=0.5, end_s=length_s + 0.2, name="x")
    with pytest.raises(AudioError, match="lies outside it"):
        load(files[name], RATE, 1, start_s=length_s + 0.01, end_s=length_s + 0.02)


@pytest.mark.parametrize("channels", [6, 7, 8, 9, 16])
def test_many_channels_are_read_and_do_not_end_the_process(channels):
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, (channels, 4_000)).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, wave.T, 8_000, format="CAF", subtype="FLOAT")
    with opened_with_libav(file, "x") as sound:
        assert sound.channels == channels
        blocks = np.concatenate(list(sound.blocks(0, None, 1_000)), axis=1)
    np.testing.assert_array_equal(blocks, wave)


def test_a_header_that_points_to_nowhere_is_told():
    file = io.BytesIO()
    soundfile.write(file, np.zeros(4_000), 8_000, format="CAF", subtype="PCM_16")
    content = bytearray(file.getvalue())
    content[content.index(b"free") + 4 : content.index(b"free") + 12] = (2**63 - 4_096).to_bytes(8, "big")
    with pytest.raises(AudioError, match=r"^x: is not a sound that can be decoded: its CAF header is damaged"):
        load(bytes(content), 8_000, 1, name="x")
