"""What every front end promises, whatever its kind; and the transform and the mel spectrogram themselves."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from soundfold.errors import RecipeError
from soundfold.export import PARITY_BOUND, export_model
from soundfold.features import (
    AudiosetMel,
    LogMel,
    MatmulDft,
    MelPower,
    build_features,
    frame,
    log_mel,
    mel_filters,
    power_spectrum_fft,
    power_to_db,
    power_to_log,
    with_deltas,
)
from soundfold.models import build_classifier
from soundfold.recipe import Recipe, load_recipe
from soundfold.runtime import FORMAT_VERSION, ModelCard

RECIPE = Recipe()
SMALL = ("sample_rate=8000", "length_s=0.5", "n_fft=256", "hop_length=128", "n_mels=20", "n_mfcc=12")
# deltas are added to what the front end gives; with kind=audioset none may be, as pretrained networks know one picture
KINDS = {
    "log_mel": (),
    "log_mel, Slaney, natural log": ("mel_scale=slaney", "mel_norm=slaney", "scale=log", "top_db=100"),
    "log_mel, Kaldi, odd hop": ("mel_scale=kaldi", "n_fft=200", "hop_length=77", "fmin_hz=20", "fmax_hz=3600"),
    "log_mel, short window": ("win_length=150", "hop_length=100", "n_fft=257", "channels=1"),
    "mfcc": ("kind=mfcc",),
    "mfcc of logarithms, one channel": ("kind=mfcc", "channels=1", "scale=log"),
    "pcen": ("kind=pcen",),
    "pcen with other numbers": ("kind=pcen", "pcen_gain=0.8", "pcen_bias=10", "pcen_power=0.25"),
    "audioset": ("kind=audioset", "sample_rate=32000", "channels=1", "length_s=0.25"),
    "log_mel, slopes": ("deltas=1",),
    "log_mel, natural log, slopes of slopes": ("scale=log", "deltas=2"),
    "mfcc, slopes of slopes, one channel": ("kind=mfcc", "channels=1", "deltas=2"),
    "pcen, slopes": ("kind=pcen", "deltas=1"),
}


def recipe_of(kind: str) -> Recipe:
    return load_recipe("tutorial", (*SMALL, *KINDS[kind]))


class WithDeltas(nn.Module):
    """A front end and the slopes of what it gives, as a classifier joins them."""

    def __init__(self, front_end: nn.Module, orders: int) -> None:
        super().__init__()
        self.front_end, self.orders = front_end, orders
        channels, *picture = front_end.shape
        self.shape = (channels * (orders + 1), *picture)

    def forward(self, waveform: Tensor) -> Tensor:
        return with_deltas(self.front_end(waveform), self.orders)


def build(recipe: Recipe, *, portable: bool = False) -> nn.Module:
    front_end = build_features(recipe, portable=portable)
    return WithDeltas(front_end, recipe.features.deltas) if recipe.features.deltas else front_end


def frames_of(recipe: Recipe, samples: int) -> int:
    if recipe.features.kind == "audioset":  # its pre-emphasis takes the first sample
        return (samples - 1) // AudiosetMel.hop_length + 1
    return samples // recipe.features.hop_length + 1


def noise(recipe: Recipe, clips: int = 4, seed: int = 0) -> Tensor:
    """Return noise in which every clip is as loud as another, and one is silent and one clipped."""
    generator = torch.Generator().manual_seed(seed)
    batch = 0.1 * torch.randn(clips, recipe.sound.channels, recipe.sound.window, generator=generator)
    batch[1] *= 1e-3
    batch[2] = 0
    batch[3] = (batch[3] * 100).clamp(-1, 1)
    return batch


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestContract:
    """Every kind, in one place: shape, independence, gradients, awkward sound, both forms, moves, export."""

    def test_shape_and_dtype_are_as_declared(self, kind: str) -> None:
        recipe = recipe_of(kind)
        front_end = build(recipe)
        features = front_end(noise(recipe))
        assert features.shape == (4, *front_end.shape)
        assert front_end.shape[0] == recipe.sound.channels * (recipe.features.deltas + 1)
        assert front_end.shape[2] == frames_of(recipe, recipe.sound.window)
        assert features.dtype == torch.float32

    def test_clips_do_not_influence_each_other(self, kind: str) -> None:
        recipe = recipe_of(kind)
        front_end, batch = build(recipe), noise(recipe)
        together = front_end(batch)
        for row in range(4):
            torch.testing.assert_close(together[row : row + 1], front_end(batch[row : row + 1]), rtol=1e-5, atol=1e-4)

    def test_awkward_sound_stays_finite_and_so_do_its_gradients(self, kind: str) -> None:
        recipe = recipe_of(kind)
        batch = noise(recipe)
        batch[0] = 0.5  # nothing but an offset
        batch.requires_grad_()
        features = build(recipe)(batch)
        assert torch.isfinite(features).all()
        assert float(features[3].detach().std()) > 0
        features.square().sum().backward()
        assert batch.grad is not None
        assert torch.isfinite(batch.grad).all()
        assert (batch.grad[3].abs().amax(dim=-1) > 0).all()

    def test_portable_form_gives_the_same_values(self, kind: str) -> None:
        recipe = recipe_of(kind)
        time_s = torch.arange(recipe.sound.window) / recipe.sound.sample_rate
        batch = torch.cat([noise(recipe), torch.sin(2 * torch.pi * 440 * time_s).expand(1, recipe.sound.channels, -1)])
        portable = build(recipe, portable=True)
        torch.testing.assert_close(portable(batch), build(recipe)(batch), rtol=1e-3, atol=5e-3)
        assert portable.shape == build(recipe).shape

    def test_same_sound_same_values(self, kind: str) -> None:
        recipe = recipe_of(kind)
        front_end, batch = build(recipe), noise(recipe)
        expected = front_end(batch)
        assert torch.equal(front_end(batch), expected)
        assert torch.equal(build(recipe)(batch), expected)
        assert torch.equal(copy.deepcopy(front_end)(batch), expected)
        assert torch.equal(front_end.train()(batch), expected)

    @pytest.mark.parametrize("portable", [False, True])
    def test_nothing_to_learn_and_nothing_to_save(self, kind: str, portable: bool) -> None:
        front_end = build(recipe_of(kind), portable=portable)
        assert front_end.state_dict() == {}
        assert list(front_end.parameters()) == []

    @pytest.mark.parametrize("portable", [False, True])
    def test_goes_where_it_is_sent(self, kind: str, portable: bool) -> None:
        recipe = recipe_of(kind)
        front_end, batch = build(recipe, portable=portable), noise(recipe)
        expected = front_end(batch)
        double = front_end.double()(batch.double())
        assert double.dtype == torch.float64
        torch.testing.assert_close(double.float(), expected, rtol=1e-3, atol=5e-3)
        if torch.cuda.is_available():
            moved = front_end.float().to("cuda")(batch.to("cuda"))
            torch.testing.assert_close(moved.cpu(), expected, rtol=1e-3, atol=5e-3)
        front_end.float().to("meta")
        with NothingStaysBehind():
            moved = front_end(batch.to("meta"))
        assert (moved.device.type, moved.shape, moved.dtype) == ("meta", expected.shape, torch.float32)

    def test_mixed_precision_leaves_it_alone(self, kind: str) -> None:
        recipe = recipe_of(kind)
        front_end, batch = build(recipe, portable=True), noise(recipe)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = front_end(batch)
        assert torch.equal(mixed, front_end(batch))

    def test_longer_and_shorter_sounds_are_taken_too(self, kind: str) -> None:
        recipe = recipe_of(kind)
        front_end, batch = build(recipe), noise(recipe)
        for samples in (recipe.sound.window - 1000, recipe.sound.window + 500):
            features = front_end(nn.functional.pad(batch, (0, samples - recipe.sound.window)))
            assert features.shape[-1] == frames_of(recipe, samples)

    @pytest.mark.filterwarnings("ignore")  # the exporter's own
    def test_runtime_computes_the_same_with_a_network_behind(self, kind: str) -> None:
        recipe = recipe_of(kind)
        batch = noise(recipe)
        portable = WithNetwork(build(recipe, portable=True)).eval()
        program = torch.onnx.export(
            portable, (batch[:2],), dynamo=True, verbose=False, opset_version=20,
            dynamic_shapes=[{0: torch.export.Dim("batch", min=1, max=1024)}],
        )  # fmt: skip
        assert program is not None
        session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
        features, logits = session.run(None, {session.get_inputs()[0].name: batch.numpy()})
        expected, _ = portable(batch)
        np.testing.assert_allclose(features, expected.numpy(), rtol=1e-4, atol=1e-3)
        expected = build(recipe)(batch)
        np.testing.assert_allclose(features, expected.numpy(), rtol=1e-3, atol=5e-3)
        np.testing.assert_allclose(logits, portable.network(expected / 20).detach().numpy(), rtol=0, atol=1e-3)


class NothingStaysBehind(TorchFunctionMode):
    """Refuses every tensor that is made on another device than `meta`, where a test needs no accelerator."""

    def __torch_function__(
        self, func: Callable[..., object], types: object, args: tuple[object, ...] = (), kwargs: object = None
    ) -> object:
        made = func(*args, **(kwargs or {}))
        assert not isinstance(made, Tensor) or made.device.type == "meta", f"{func} made a tensor on {made.device}"
        return made


class WithNetwork(nn.Module):
    """Features, and what a small network makes of them."""

    def __init__(self, front_end: nn.Module) -> None:
        super().__init__()
        self.front_end = front_end
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = nn.Sequential(nn.Conv2d(front_end.shape[0], 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        features = self.front_end(waveform)
        return features, self.network(features / 20)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("log_mel, Slaney, natural log", ()), ("mfcc", ("deltas=2",)), ("pcen", ("deltas=1",))],
)
def test_model_file_of_another_kind_answers_as_torch(kind: str, changes: tuple[str, ...], tmp_path: Path) -> None:
    recipe = load_recipe("tutorial", (*SMALL, *KINDS[kind], *changes))
    classifier = build_classifier(recipe, 3, 0).eval()
    features = classifier.features(noise(recipe))
    classifier.standardise.set_statistics(float(features.mean()), float(features.std()))
    card = ModelCard(
        format_version=FORMAT_VERSION, soundfold_version="0", labels=("a", "b", "c"),
        sample_rate=recipe.sound.sample_rate, channels=recipe.sound.channels, downmix=recipe.sound.downmix,
        window=recipe.sound.window, recipe=recipe.as_dict(),
    )  # fmt: skip
    assert export_model(classifier, recipe, card, tmp_path / "m.onnx", noise(recipe).numpy()) <= PARITY_BOUND


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("kind=mfcc", "n_mels=16"), r"features\.n_mfcc must be at most features\.n_mels = 16, got 40\. Lower "),
        (("scale=log", "kind=pcen"), r"features\.scale must stay db with features\.kind = pcen, .* got log\. Leave "),
        (("deltas=3",), r"features\.deltas must be 0, 1 or 2, got 3"),
        (("mel_scale=bark",), r"features\.mel_scale must be 'htk', 'slaney' or 'kaldi', got 'bark'"),
        (("pcen_bias=0",), r"features\.pcen_bias must be greater than 0, got 0"),
    ],
)
def test_settings_that_cannot_be_are_told_in_one_line(changes: tuple[str, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe("tutorial", changes)
    assert "\n" not in str(caught.value)


def test_equals_torchaudio(golden: Path) -> None:
    stored = np.load(golden / "torchaudio_2_11.npz")
    waveform = torch.from_numpy(stored["waveform"])[None]
    spectrogram = LogMel(RECIPE.sound, RECIPE.features)(waveform)[0].numpy()
    np.testing.assert_allclose(spectrogram, stored["mel_db_top80"], rtol=1e-4, atol=1e-4)
    power = MelPower(RECIPE.sound, RECIPE.features)(waveform)[0].numpy()
    np.testing.assert_allclose(power, stored["mel_power"], rtol=1e-4, atol=1e-10 * stored["mel_power"].max())


def test_portable_form_equals_torchaudio(golden: Path) -> None:
    stored = np.load(golden / "torchaudio_2_11.npz")
    spectrogram = LogMel(RECIPE.sound, RECIPE.features, portable=True)(torch.from_numpy(stored["waveform"])[None])[0]
    # float32 products leave noise 140 dB under the loudest bin, which shows in bands that hold nothing else
    np.testing.assert_allclose(spectrogram.numpy(), stored["mel_db_top80"], rtol=1e-4, atol=0.01)


SIZES = [16, 17, 31, 64, 100, 256, 400, 441, 512, 882, 1000, 1024, 2048]


@pytest.mark.parametrize("n_fft", SIZES)
def test_matmul_dft_equals_fft(n_fft: int) -> None:
    frames = torch.randn(2, 3, 5, n_fft, generator=torch.Generator().manual_seed(n_fft))
    expected = power_spectrum_fft(frames)
    result = MatmulDft(n_fft)(frames)
    assert result.shape == expected.shape == (2, 3, 5, n_fft // 2 + 1)
    torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-4 * float(expected.max()))


@pytest.mark.parametrize("n_fft", SIZES)
def test_reordered_filters_sum_every_bin_once(n_fft: int) -> None:
    generator = torch.Generator().manual_seed(n_fft)
    transform = MatmulDft(n_fft)
    frames, filters = torch.randn(4, n_fft, generator=generator), torch.rand(n_fft // 2 + 1, 6, generator=generator)
    expected = torch.matmul(power_spectrum_fft(frames), filters)
    result = torch.matmul(transform.unordered(frames), transform.reorder(filters))
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4 * float(expected.max()))


def test_frames_are_centred_on_multiples_of_the_hop() -> None:
    waveform = torch.zeros(1, 1, 1000)
    waveform[0, 0, 300] = 1.0
    frames = frame(waveform, 64, 50)
    assert frames.shape == (1, 1, 1000 // 50 + 1, 64)
    assert frames[0, 0, 6, 32] == 1.0


def test_ends_are_mirrored_without_repeating_the_last_sample() -> None:
    frames = frame(torch.arange(10.0)[None, None], 4, 3)
    assert frames[0, 0].tolist() == [[2, 1, 0, 1], [1, 2, 3, 4], [4, 5, 6, 7], [7, 8, 9, 8]]


@given(samples=st.integers(20, 300), n_fft=st.integers(1, 38), hop=st.integers(1, 60))
def test_portable_frames_are_the_same_samples(samples: int, n_fft: int, hop: int) -> None:
    waveform = torch.arange(float(samples)).expand(2, 1, -1)
    assert torch.equal(frame(waveform, n_fft, hop, portable=True), frame(waveform, n_fft, hop))


def test_tone_lights_the_band_it_belongs_to() -> None:
    recipe = load_recipe("tutorial", ["sample_rate=16000", "channels=1", "length_s=0.5"])
    for scale in ("htk", "slaney", "kaldi"):
        features = recipe.features.model_copy(update={"mel_scale": scale})
        filters = mel_filters(16_000, 1024, 64, 0.0, 8_000.0, scale=scale)
        for frequency_hz in (500.0, 1_000.0, 4_000.0):
            time_s = torch.arange(recipe.sound.window) / 16_000
            tone = torch.sin(2 * torch.pi * frequency_hz * time_s)[None, None]
            loudest = int(log_mel(tone, recipe.sound, features)[0, 0].mean(dim=1).argmax())
            assert loudest == int(filters[round(frequency_hz / 16_000 * 1024)].argmax())


def test_floor_is_under_the_loudest_value_of_all_channels() -> None:
    power = torch.tensor([[[[1.0, 1e-20]], [[1e-4, 1e-20]]]])
    db = power_to_db(power, top_db=80.0)
    assert db.amax() == 0.0
    assert db.amin() == -80.0
    assert power_to_db(power).amin() == -100.0


def test_silence_is_flat() -> None:
    spectrogram = build_features(RECIPE)(torch.zeros(1, 2, RECIPE.sound.window))
    assert torch.equal(spectrogram, torch.full_like(spectrogram, -100.0))


def test_a_long_window_taken_in_parts_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    transform, batch = MelPower(RECIPE.sound, RECIPE.features), 0.1 * torch.randn(1, 2, RECIPE.sound.window)
    whole = transform(batch)
    monkeypatch.setattr("soundfold.features.mel_power._SAMPLES", 100 * 1024)
    torch.testing.assert_close(transform(batch), whole)


@pytest.mark.parametrize("norm", ["none", "slaney"])
def test_full_scale_is_what_a_loud_sine_brings(norm: str) -> None:
    recipe = load_recipe("tutorial", ["sample_rate=16000", "channels=1", "length_s=0.5", f"mel_norm={norm}"])
    transform = MelPower(recipe.sound, recipe.features)
    time_s = torch.arange(recipe.sound.window) / 16_000
    tones = torch.stack([torch.sin(2 * torch.pi * k * 16_000 / 1024 * time_s) for k in range(8, 60)])[:, None]
    loudest = float(transform(tones)[..., 2:-2].amax())
    # a Hann window brings a quarter of the bin's power into each neighbour, which the band hears too
    assert 0.9 * transform.full_scale < loudest < 1.6 * transform.full_scale


def test_natural_logarithm_has_the_same_floor_for_loud_and_faint_clips() -> None:
    recipe = load_recipe("tutorial", [*SMALL, "scale=log", "top_db=60"])
    features = recipe.features
    quiet = noise(recipe)[:1]
    silence, faint, loud = (log_mel(quiet * gain, recipe.sound, features) for gain in (0.0, 0.01, 1.0))
    full_scale = MelPower(recipe.sound, features).full_scale
    torch.testing.assert_close(silence, torch.full_like(silence, float(np.log(full_scale * 1e-6))))
    heard = loud > silence + 7  # far above the soft floor a hundredth is exactly that
    assert heard.float().mean() > 0.0
    power = MelPower(recipe.sound, features)(quiet)
    torch.testing.assert_close(faint, power_to_log(power * 1e-4, full_scale * 1e-6), rtol=1e-4, atol=1e-4)
    assert (faint >= silence).all()


def test_decibels_and_logarithm_agree_far_above_the_floor() -> None:
    power = torch.logspace(-2, 3, 50)[None, None, None]
    torch.testing.assert_close(power_to_log(power, 1e-9), power_to_db(power, 80.0) * (np.log(10) / 10))
