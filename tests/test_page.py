"""The page, in real Chromium: what it shows is what Python answers, by hand, by microphone and by keyboard."""

import copy
import io
import json
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

pytest.importorskip("fastapi")

from chromium import browser, page_at, until
from model_files import MEL_MODEL, write_tiny_model
from serving import Here, served
from soundfold.audio import resample
from soundfold.cli import main
from soundfold.errors import AudioError
from soundfold.formats import AudacityLabels
from soundfold.runtime import Calibration, Joining, Model, Span, Stream, load
from soundfold.runtime.events import EventJoiner
from soundfold.runtime.verdict import judge, span_of
from soundfold.serve.served_card import told_card
from soundfold.serve.web_folder import ORT_FILES, ORT_VERSION

ORT = Path(__file__).parents[1] / "src" / "soundfold" / "serve" / "onnxruntime_web"
needs_ort = pytest.mark.skipif(
    not all((ORT / name).is_file() for name in ORT_FILES), reason="needs onnxruntime-web: make onnxruntime-web"
)
MODEL = load(MEL_MODEL)


def street(seconds: float = 2.3, rate: int = 44_100, channels: int = 1) -> np.ndarray:
    """Return (samples, channels) that change: a rising tone over noise that swells."""
    draw = np.random.default_rng(5)
    time = np.arange(round(seconds * rate)) / rate
    tone = 0.4 * np.sin(2 * np.pi * (200 + 700 * time) * time)
    noise = draw.normal(size=(len(time), channels)) * (0.02 + 0.1 * time / seconds)[:, np.newaxis]
    return (tone[:, np.newaxis] + noise).astype(np.float32)


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sounds") / "street.wav"
    soundfile.write(path, street(4.0), 44_100, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def chromium(wav: Path) -> Iterator[Any]:
    with browser(wav) as opened:
        yield opened


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    with served({"mel": MODEL}) as url:
        yield url


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("web") / "folder"
    assert main(["export", str(MEL_MODEL), "--to", "web", "--out", str(out)]) == 0
    return out


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def hosted(folder: Path) -> Iterator[tuple[str, ThreadingHTTPServer]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def judging_by(calibration: Calibration) -> Model:
    """Return the model as it would be with a calibration."""
    model = copy.copy(MODEL)
    model.card = MODEL.card.model_copy(update={"calibration": calibration})
    return model


def give(page: Any, path: Path) -> dict:
    page.evaluate("soundfold.answer = null")
    page.set_input_files("#file", path)
    until(page, "soundfold.answer || document.getElementById('error').textContent")
    assert page.inner_text("#error") == ""
    return page.evaluate("soundfold.answer")


def same(answer: dict, expected: dict) -> None:
    assert answer["label"] == expected["label"]
    assert answer["duration_s"] == pytest.approx(expected["duration_s"], abs=1e-3)
    assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-3)
    for one, other in zip(answer.get("timeline", []), expected.get("timeline", []), strict=True):
        assert (one["start_s"], one["label"]) == (other["start_s"], other["label"])
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-3)
    same_events(answer["events"], expected["events"])


def same_events(told: list[dict], expected: list[dict], tolerance: float = 1e-3) -> None:
    assert [(one["label"], one["start_s"], one["end_s"]) for one in told] == [
        (one["label"], pytest.approx(one["start_s"], abs=1e-6), pytest.approx(one["end_s"], abs=1e-6))
        for one in expected
    ]
    for key in ("probability", "peak"):
        assert [one[key] for one in told] == pytest.approx([one[key] for one in expected], abs=tolerance)


def test_a_file_is_answered_shown_played_and_saved(chromium, where, wav, tmp_path):
    with page_at(chromium, where) as page:
        answer = give(page, wav)
        expected = MODEL.predict(wav).as_dict()
        same(answer, expected)
        assert page.inner_text("#label") == expected["label"]
        assert page.inner_text("#bars li:first-child b") == f"{100 * expected['probability']:.1f} %"
        assert page.evaluate("document.querySelector('#mel').getContext('2d').getImageData(5, 200, 1, 1).data[0]") > 11
        first = page.locator("#list button").first
        first.click()
        until(page, "document.querySelector('#list button').classList.contains('playing')")
        for button, suffix in (("#csv", ".csv"), ("#audacity", ".txt")):
            with page.expect_download() as download:
                page.click(button)
            download.value.save_as(tmp_path / suffix)
            assert download.value.suggested_filename == f"street{suffix}"
        rows = (tmp_path / ".csv").read_text("utf-8").splitlines()
        assert rows[0] == "start_s,end_s,label,probability"
        events = expected["events"]
        assert len(events) >= 1
        assert [row.split(",") for row in rows[1:]] == [
            [f"{one['start_s']:.3f}", f"{one['end_s']:.3f}", one["label"], f"{one['probability']:.4f}"]
            for one in events
        ]
        labels = AudacityLabels().sound("street", MODEL.predict(wav))
        assert (tmp_path / ".txt").read_text("utf-8") == labels
        assert page.locator("#list button").count() == page.locator("#lanes button").count() == len(events)
        assert page.locator("#ribbon i").count() == len(expected["timeline"])


DROP = """(bytes) => { const data = new DataTransfer();
if (bytes) data.items.add(new File([new Uint8Array(bytes)], "dropped.wav")); else data.setData("text/plain", "no file");
for (const kind of ["dragenter", "dragover", "drop"])
  document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true })); }"""
COLOURS = """(() => { const canvas = document.querySelector("#mel");
const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
return new Set(new Uint32Array(data.buffer)).size; })()"""


def test_a_file_may_be_dropped_and_text_is_none(chromium, where, wav):
    with page_at(chromium, where) as page:
        page.evaluate(DROP, None)
        assert page.inner_text("#error") == ""
        page.evaluate(DROP, list(wav.read_bytes()))
        until(page, "soundfold.answer || document.getElementById('error').textContent")
        same(page.evaluate("soundfold.answer"), MODEL.predict(wav).as_dict())
        assert "dropped.wav" in page.inner_text("main")


def test_where_all_is_unknown_the_page_says_so(chromium, wav):
    deaf = judging_by(Calibration(temperature=1.0, thresholds=dict.fromkeys(MODEL.labels, 1.1)))
    with served({"deaf": deaf}, workers=Here(deaf)) as url, page_at(chromium, url) as page:
        answer = give(page, wav)
        assert answer["label"] == "unknown"
        assert page.locator("#ribbon i.unknown").count() == len(answer["timeline"])
        assert page.locator("#list button").count() == page.locator("#lanes button").count() == 0
        assert page.inner_text("#quiet").startswith("None: all of it is unknown to this model. The strip")
        assert page.is_disabled("#csv")


def test_where_nothing_is_likely_enough_the_page_says_so(chromium, tmp_path, wav):
    unsure = load(write_tiny_model(tmp_path / "unsure.onnx", labels="abcdefgh"))
    with served({"unsure": unsure}) as url, page_at(chromium, url) as page:
        assert give(page, wav)["events"] == []
        assert page.inner_text("#quiet").startswith("None: no label was likely enough for long enough. The strip")


@pytest.mark.long
def test_a_recording_is_answered_as_python_answers_it(chromium, where, tmp_path):
    with page_at(chromium, where) as page:
        page.evaluate(
            """() => { const send = window.fetch; window.fetch = async (path, options) => {
            if (options?.body) window.sent = Array.from(new Uint8Array(await options.body.get("file").arrayBuffer()));
            return send(path, options); }; }"""
        )
        page.click("#record")
        until(page, "/Recording, [1-9]/.test(document.getElementById('status').textContent)")
        assert page.get_attribute("#record", "aria-pressed") == "true"
        assert page.is_disabled("#live")
        page.click("#record")
        until(page, "soundfold.answer")
        recorded = bytes(page.evaluate("window.sent"))
        expected = MODEL.predict(recorded).as_dict()
        assert expected["duration_s"] > 0.9
        same(page.evaluate("soundfold.answer"), expected)


def live(page: Any) -> tuple[dict, np.ndarray]:
    """Listen live for two seconds; return what the page has heard and told, and the samples."""
    page.click("#live")
    until(page, "/Listening, [2-9]/.test(document.getElementById('status').textContent)")
    page.click("#live")
    until(page, "soundfold.live")
    told = page.evaluate("({...soundfold.live, samples: Array.from(soundfold.live.samples)})")
    return told, np.array(told["samples"], np.float32)


def same_live(told: dict, samples: np.ndarray) -> None:
    assert np.abs(samples).max() > 0.05
    hop_s = 0.25  # the windows last a second or less
    spans, events = [], []
    for heard in Stream(MODEL, round(told["rate"]), hop_s=hop_s, joining=Joining()).hear([samples]):
        (spans if isinstance(heard, Span) else events).append(heard)
    assert len(spans) == len(told["spans"]) >= 4
    for one, other in zip(told["spans"], spans, strict=True):
        assert one["start_s"] == pytest.approx(other.start_s)
        assert one["label"] == other.label
        assert one["probabilities"] == pytest.approx(other.probabilities, abs=1e-3)
    same_events(told["events"], sorted((one.as_dict() for one in events), key=lambda one: one["start_s"]))


def test_live_listening_is_answered_as_python_answers_it(chromium, where):
    with page_at(chromium, where) as page:
        told, samples = live(page)
        same_live(told, samples)
        assert page.evaluate(COLOURS) > 50  # the spectrogram was drawn as the sound came
        # where in its file the microphone begins is chance, and so is how many events there are
        assert page.locator("#list button").count() == len(told["events"])
        for button in page.locator("#list button").all():
            button.click()


SLOW_MICROPHONE = """() => { window.tracks = []; const devices = navigator.mediaDevices;
const ask = devices.getUserMedia.bind(devices);
devices.getUserMedia = async (what) => {
  await new Promise((resolve) => setTimeout(resolve, 400));
  const media = await ask(what);
  tracks.push(...media.getTracks());
  return media; }; }"""
CLICKED = "([button, times]) => { while (times--) document.querySelector(button).click(); }"
STATE = "[...tracks.map((it) => it.readyState), document.getElementById('meter').hidden]"


@pytest.mark.parametrize("button", ["#record", "#live"])
def test_a_microphone_that_is_stopped_before_it_opens_is_off(chromium, where, button):
    with page_at(chromium, where) as page:
        page.evaluate(SLOW_MICROPHONE)
        word = page.inner_text(f"{button} .word")
        page.evaluate(CLICKED, [button, 2])
        until(page, "tracks.length === 1")
        until(page, f"{STATE}.join() === 'ended,true'", patience_s=3)
        assert (page.inner_text(f"{button} .word"), page.get_attribute(button, "aria-pressed")) == (word, "false")
        assert page.inner_text("#status") == ("" if button == "#record" else "Stopped")
        assert page.is_hidden("#picture")
        # begun, stopped and begun again before the first one opens: the second goes on
        page.evaluate(CLICKED, [button, 3])
        until(page, "tracks.length === 3")
        until(page, f"{STATE}.join() === 'ended,ended,live,false'", patience_s=3)
        assert page.inner_text(f"{button} .word") == "Stop"
        until(page, "/^(Recording|Listening)/.test(document.getElementById('status').textContent)")
        page.click(button)
        until(page, f"{STATE}.join() === 'ended,ended,ended,true'", patience_s=3)


def test_live_listening_with_the_server_gone_tells_of_the_server(chromium, where):
    with page_at(chromium, where) as page:
        page.evaluate(
            "() => { AudioWorklet.prototype.addModule = () => Promise.reject(new DOMException('x', 'AbortError')); }"
        )
        page.click("#live")
        until(page, "document.getElementById('error').textContent")
        assert "this page's server does not answer" in page.inner_text("#error")
        assert page.inner_text("#live .word") == "Listen live"


def test_by_keyboard_alone(chromium, where, wav):
    with page_at(chromium, where) as page:
        page.on("filechooser", lambda _: None)  # choosers are caught from now on; asked for later, it may be too late
        reached = []
        for _ in range(6):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        assert reached[:4] == ["skip", "file", "record", "live"]
        page.focus("#file")
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Space")
        chooser.value.set_files(wav)
        until(page, "soundfold.answer")
        page.focus("#play")
        page.keyboard.press("Enter")
        until(page, "document.getElementById('play').textContent === 'Stop'")
        page.keyboard.press("Enter")
        until(page, "document.getElementById('play').textContent === 'Play all'")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "csv"
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        until(page, "document.activeElement.classList.contains('playing')")
        assert re.match(r"Play \w+, 0\.0 to ", page.evaluate("document.activeElement.ariaLabel"))


@pytest.mark.long
def test_what_cannot_be_heard_is_told(chromium, where, tmp_path):
    nonsense = tmp_path / "x <b>y.wav"
    nonsense.write_text("no sound")
    with page_at(chromium, where) as page:
        page.set_input_files("#file", nonsense)
        until(page, "document.getElementById('error').textContent")
        assert "is not a sound that can be decoded" in page.inner_text("#error")
        assert page.locator("#error b").count() == 0
        assert page.is_hidden("#picture")  # there is nothing to show
        assert page.locator("#axis span").count() == 0


@pytest.mark.long
def test_a_token_is_asked_for(chromium, wav):
    with served({"mel": MODEL}, token="much secret") as where:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(where)
        page.wait_for_selector("#token", state="visible")
        assert page.inner_text("#error") == ""
        for offered in ("#file", "#record", "#live"):
            assert page.is_disabled(offered)
        page.evaluate(DROP, list(wav.read_bytes()))  # not taken either
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        until(page, "document.getElementById('error').textContent")
        assert page.inner_text("#error") == "The token is not the server's. Type it again."
        page.fill("#token", "much secret")
        page.keyboard.press("Enter")
        until(page, "document.getElementById('status').textContent === 'Ready'")
        same(give(page, wav), MODEL.predict(wav).as_dict())
        context.close()


@pytest.mark.parametrize("scheme", [pytest.param("light", marks=pytest.mark.long), "dark"])
def test_a_phone_shows_all_of_its_width_and_words_stand_out(chromium, where, wav, scheme):
    with page_at(chromium, where, viewport={"width": 360, "height": 740}, color_scheme=scheme) as page:
        give(page, wav)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        ground, ink, soft = page.evaluate(
            """() => [getComputedStyle(document.querySelector(".card")).backgroundColor,
            ...["#label", "#heading"].map((id) => getComputedStyle(document.querySelector(id)).color)]"""
        )
        for words in (ink, soft):
            assert contrast(words, ground) >= 4.5


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as the web's guidelines for accessibility define it."""

    def luminance(colour: str) -> float:
        channels = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
        linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


# ---- in the browser


@needs_ort
@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [("a.wav", 44_100, 1), ("b.flac", 48_000, 2), ("c.wav", 8_000, 1), ("d.wav", 11_025, 2)],
)
def test_the_exported_folder_answers_as_python_does(chromium, hosted, tmp_path, name, rate, channels):
    path = tmp_path / name
    soundfile.write(path, street(1.3, rate, channels), rate)
    with page_at(chromium, hosted[0]) as page:
        same(give(page, path), MODEL.predict(path).as_dict())


def encoded(kind: str, codec: str, samples: np.ndarray, rate: int) -> bytes:
    """Return a sound as FFmpeg encodes it."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        track = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis].astype(np.float32), "fltp", "mono")
        frame.sample_rate = rate
        size = track.codec_context.frame_size or 960
        fitting = av.AudioResampler(track.codec_context.format, "mono", rate, frame_size=size)
        for piece in [*fitting.resample(frame), *fitting.resample(None)]:
            container.mux(track.encode(piece))
        container.mux(track.encode(None))
    return file.getvalue()


def written(kind: str, rate: int, channels: int = 1, subtype: str | None = None, seconds: float = 1.0) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, street(seconds, rate, channels), rate, format=kind, subtype=subtype)
    return file.getvalue()


@needs_ort
def test_the_exported_folder_decodes_as_python_does(chromium, hosted, tmp_path):
    sounds = {
        "u8.wav": written("WAV", 22_050, subtype="PCM_U8"),
        "slow.wav": written("WAV", 2_000, subtype="PCM_32"),
        "six.wav": written("WAV", 44_100, 6, "PCM_24"),
        "many.wav": written("WAV", 8_000, 40, "FLOAT"),
        "large.wav": written("RF64", 16_000),
        "tagged.flac": b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + written("FLAC", 22_050),
        "adts.aac": encoded("adts", "aac", street(1.0, 44_100)[:, 0], 44_100),
        "tail.m4a": encoded("ipod", "aac", street(0.1, 44_100)[:, 0], 44_100),
        "late.ogg": encoded("ogg", "libopus", street(1.0, 48_000)[:, 0], 48_000),
        "speech.opus": written("OGG", 16_000, subtype="OPUS"),
        "vorbis.ogg": written("OGG", 44_100, 2, "VORBIS"),
        "browser.webm": encoded("webm", "libopus", street(1.0, 48_000)[:, 0], 48_000),
        "short.wav": written("WAV", 4_000, seconds=0.003),
        "zeros.mp3": bytes(70_000) + written("MP3", 22_050),
    }
    with page_at(chromium, hosted[0]) as page:
        for name, content in sounds.items():
            path = tmp_path / name
            path.write_bytes(content)
            same(give(page, path), MODEL.predict(path).as_dict())


@needs_ort
def test_the_exported_folder_tells_no_class_of_silence(chromium, hosted, folder, tmp_path):
    rate, told = MODEL.card.sample_rate, folder / "model.json"
    before = told.read_text()
    told.write_text(json.dumps(json.loads(before) | {"silence_is_unknown": True}))
    model = copy.copy(MODEL)
    model.card = MODEL.card.model_copy(update={"silence_is_unknown": True})
    heard = []
    try:
        with page_at(chromium, hosted[0]) as page:
            for place, sounding in enumerate((slice(0), slice(20_000, 40_000), slice(None))):
                samples = np.zeros(3 * rate, np.float32)
                samples[sounding] = street(3.0, rate)[sounding, 0]
                path = tmp_path / f"{place}.wav"
                soundfile.write(path, samples, rate, subtype="FLOAT")
                heard.append(model.predict(path))
                answer = give(page, path)
                same(answer, heard[-1].as_dict())
                assert [one.get("silent", False) for one in answer["timeline"]] == [
                    one.silent for one in heard[-1].timeline
                ]
    finally:
        told.write_text(before)
    assert heard[0].label == "unknown" != heard[1].label
    assert [all(one.silent for one in answer.timeline) for answer in heard] == [True, False, False]
    assert any(one.silent for one in heard[1].timeline)


@needs_ort
def test_the_exported_folder_refuses_what_python_refuses(chromium, hosted, tmp_path):
    nan, infinite = street(1.0, 8_000), street(1.0, 8_000)
    nan[2_000], infinite[4_000] = np.nan, -np.inf
    for name, samples in (("nan.wav", nan), ("infinite.wav", infinite), ("huge.wav", street(1.0, 8_000) * 1e30)):
        soundfile.write(tmp_path / name, samples, 8_000, subtype="FLOAT")
    flac, wav = written("FLAC", 44_100), written("WAV", 8_000)
    (tmp_path / "cut.flac").write_bytes(flac[: len(flac) // 2])
    (tmp_path / "none.wav").write_bytes(wav[:40] + bytes(4) + wav[44:])
    (tmp_path / "adpcm.wav").write_bytes(written("WAV", 8_000, subtype="MS_ADPCM"))
    told = {
        "nan.wav": "holds NaN at 0.250 s. Repair it or remove it.",
        "infinite.wav": "holds infinity at 0.500 s. Repair it or remove it.",
        "huge.wav": "its samples are too large for an answer. Scale them to -1 … 1",
        "cut.flac": "is damaged or cut off at ",
        "none.wav": "holds no samples after its header. Remove it or fetch it again.",
    }
    with page_at(chromium, hosted[0]) as page:
        for name, words in {**told, "adpcm.wav": "decode. Convert it to 16-bit WAV"}.items():
            page.set_input_files("#file", tmp_path / name)
            until(page, f"document.getElementById('error').textContent.startsWith('{name}')")
            assert words in page.inner_text("#error")
            if name in told:
                with pytest.raises(AudioError, match=re.escape(words)):
                    MODEL.predict(tmp_path / name)
        heard = page.evaluate(
            """async () => { const { stream } = await import("./backend.js");
            return new Promise((told) => stream(48000, null, 1, told, (error) => told(error.message))
              .then((it) => it.send(Float32Array.of(0, NaN)))); }"""
        )
        assert "must hold finite numbers, got NaN or infinity" in heard


def test_the_page_resamples_as_python_does(chromium, where):
    rates = [(2_000, 32_000), (4_000, 32_000), (8_000, 32_000), (22_050, 32_000), (48_000, 32_000), (48_000, 8_000)]
    with page_at(chromium, where) as page:
        for rate, wanted in rates:
            samples = street(0.5, rate)[:, 0]
            told = page.evaluate(
                """([samples, rate, wanted]) => import("./resample.js").then(
                (it) => Array.from(it.resample(Float32Array.from(samples), rate, wanted)))""",
                [samples.tolist(), rate, wanted],
            )
            expected = resample(samples[np.newaxis], rate, wanted)[0]
            assert len(told) == len(expected)
            assert np.abs(np.array(told) - expected).max() < 3e-4


def test_the_exported_folder_judges_as_python_does(chromium, where):
    draw = np.random.default_rng(3)
    rows = draw.dirichlet((0.5, 0.5, 0.5), 40)
    fields = {"temperature": 1.0, "thresholds": {"a": 0.6}}
    rule = {"centre": [0.1, 0, 0], "spread": [1, 2, 1], "linear": [0.3, 0, 0], "square": [-1, -0.5, 0], "threshold": -2}
    with page_at(chromium, where) as page:
        rule |= {"false_alarms_per_hour": 1.0}
        products = {"product": [0.8, -0.5, 0.4]}
        for more in ({"rejection": rule}, {"rejection": rule | products}, {}, {"labels": ("constructor", "b", "c")}):
            update = {"calibration": Calibration.model_validate({**fields, **more}), **more}
            update.pop("rejection", None)
            card = MODEL.card.model_copy(update=update)
            told = page.evaluate(
                "([card, rows]) => import('./verdict.js').then((it) => rows.map((row) => it.verdict(card, row)))",
                [told_card(card, "x"), rows.tolist()],
            )
            expected = [judge(card, row) for row in rows]
            assert [(one["label"], one.get("nearest")) for one in told] == [
                (one.label, one.nearest) for one in expected
            ]
            assert {one.label for one in expected} > ({"b", "c"} if "labels" in more else {"unknown"})


def test_windows_become_the_events_that_python_makes_of_them(chromium, where):
    draw = np.random.default_rng(8)
    rule = {"centre": [0, 0, 0], "spread": [1, 1, 1], "linear": [0.3, 0, 0], "square": [-0.3, -0.2, 0], "threshold": -4}
    fields = {"temperature": 1.0, "thresholds": {"a": 0.4}, "rejection": {**rule, "false_alarms_per_hour": 1.0}}
    cards = [
        MODEL.card.model_copy(update={"answer": answer, "calibration": calibration})
        for calibration in (None, Calibration.model_validate(fields))
        for answer in ("one", "several")
    ]
    given, expected = [], []
    for place in range(80):
        card = cards[place % 4]
        joiner = EventJoiner(card)
        # side by side, overlapping, with gaps between them, several at once, shorter ones at the end
        starts = np.cumsum(draw.integers(0, draw.choice([30, 120]), 40))
        stops = starts + draw.choice([60, 100], 40)
        stops[-1] -= 50
        sure = draw.choice([0.1, 1.0])
        rows = draw.dirichlet([sure] * 3, 40) if card.answer == "one" else draw.beta(sure, sure, (40, 3))
        events, answers = [], []
        for start, stop, row, silent in zip(starts.tolist(), stops.tolist(), rows, draw.random(40) < 0.2, strict=True):
            events += joiner.add(start, stop, row, silent=silent)
            answers.append(span_of(card, start, stop, row, silent=silent).as_dict())
        expected.append([event.as_dict() for event in [*events, *joiner.finish()]])
        given.append([told_card(card, "x"), starts.tolist(), stops.tolist(), rows.tolist(), answers])
    assert sum(map(len, expected)) > 500
    with page_at(chromium, where) as page:
        told = page.evaluate(
            """async (given) => { const { EventJoiner } = await import("./joiner.js");
            return given.map(([card, starts, stops, rows, answers]) => {
              const joiner = new EventJoiner(card);
              const over = rows.flatMap((row, place) => {
                if (place % 7 === 0) joiner.underWay(); // which must change nothing
                return joiner.add(starts[place], stops[place], row, answers[place].silent);
              });
              return [...over, ...joiner.finish()];
            }); }""",
            given,
        )
    for one, other in zip(told, expected, strict=True):
        same_events(one, other, 1e-9)


def test_who_has_no_onnxruntime_web_is_told_what_to_fetch(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("soundfold.serve.web_folder._OWN", tmp_path)
    assert main(["export", str(MEL_MODEL), "--to", "web", "--out", str(tmp_path / "out")]) == 2
    root = Path(__file__).parents[1]
    fetched = f"npm pack onnxruntime-web@{ORT_VERSION} && tar xzf onnxruntime-web-{ORT_VERSION}.tgz"
    assert fetched in capsys.readouterr().err
    assert fetched in (root / "docs" / "export.md").read_text("utf-8")
    assert f"ORT_WEB := {ORT_VERSION}\n" in (root / "Makefile").read_text("utf-8")


@pytest.mark.long
@needs_ort
def test_the_exported_folder_hears_live_with_its_server_gone(chromium, hosted, wav):
    where, server = hosted
    with page_at(chromium, where) as page:
        page.evaluate("fetch('worklet.js')")
        same(give(page, wav), MODEL.predict(wav).as_dict())
        same_live(*live(page))
        server.shutdown()
        server.server_close()
        same(give(page, wav), MODEL.predict(wav).as_dict())


def test_the_exported_folder_is_whole_or_not_there(tmp_path, capsys):
    ort = tmp_path / "package" / "dist"
    ort.mkdir(parents=True)
    for name in ORT_FILES:
        (ort / name).write_bytes(b"x")
    tiny = write_tiny_model(
        tmp_path / "tiny.onnx", card={"calibration": {"temperature": 1, "thresholds": {"low": 0.7}}}
    )
    command = ["export", str(tiny), "--to", "web", "--onnxruntime-web", str(tmp_path / "package"), "--out"]
    out = tmp_path / "out"
    for _ in range(2):  # an earlier export is replaced
        assert main([*command, str(out)]) == 0
    told = json.loads((out / "model.json").read_text("utf-8"))
    assert (told["name"], told["labels"], told["thresholds"]) == ("tiny", ["low", "high"], {"low": 0.7})
    assert (out / "model.onnx").read_bytes() == tiny.read_bytes()
    assert "MIT" in (out / "LICENSES.txt").read_text("utf-8")
    page = (out / "index.html").read_text("utf-8")
    assert "connect-src 'self'" in page
    assert not re.search(r"https?://(?!www\.w3\.org)", page + (out / "page.js").read_text("utf-8"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    for wrong in (tmp_path / "mine", tiny):
        assert main([*command, str(wrong)]) == 2
        assert "is in the way" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "out"), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"out", "model", "bytes"}
    for more in (
        ["--precision", "float32"],
        ["--max-loss", "0.1"],
        ["--where", "fold=1"],
        ["--calibration-clips", "8"],
    ):
        assert main([*command, str(tmp_path / "new"), *more]) == 2
        assert f"--to web must have the model as it is, got {more[0]} too" in capsys.readouterr().err
    assert main(["export", str(tiny), "--out", str(tmp_path / "x.onnx"), "--onnxruntime-web", str(ort)]) == 2
    assert "--onnxruntime-web must come with --to web" in capsys.readouterr().err
    (ort / ORT_FILES[0]).unlink()
    assert main([*command, str(tmp_path / "new")]) == 2
    assert "must hold ort.wasm.min.mjs" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out", "package", "tiny.onnx"]
