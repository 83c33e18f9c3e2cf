// The microphone as blocks of samples, by an AudioWorklet, and a WAV file of them.

export class Microphone {
  constructor(onBlock) {
    this.onBlock = onBlock;
    this.blocks = [];
    this.dropped = 0; // samples that were let go of at the beginning
    this.most = Infinity;
    this.held = 0;
    this.stopped = false;
  }

  // Returns whether it is on: it may have been stopped while a person was still asked, or while it opened.
  async start() {
    try {
      await this.open();
    } catch (error) {
      if (!this.stopped) throw error;
    }
    if (this.stopped) await this.release();
    return !this.stopped;
  }

  async open() {
    if (!navigator.mediaDevices) throw new Error("browsers give it to pages of https and of this machine alone");
    // as it is: what makes speech clearer takes from a sound what a model was trained on
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    this.media = await navigator.mediaDevices.getUserMedia({ audio: plain });
    if (this.stopped) return;
    this.context = new AudioContext();
    this.rate = this.context.sampleRate;
    await this.context.audioWorklet.addModule("worklet.js").catch((error) => {
      throw Object.assign(error, { unreachable: true });
    });
    if (this.stopped) return;
    const source = this.context.createMediaStreamSource(this.media);
    this.node = new AudioWorkletNode(this.context, "blocks", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    this.node.port.onmessage = ({ data }) => {
      if (data === null) this.drained?.();
      else this.take(data);
    };
    source.connect(this.node);
    await this.context.resume();
  }

  take(block) {
    this.blocks.push(block);
    this.held += block.length;
    while (this.held - this.blocks[0].length > this.most * this.rate) {
      this.dropped += this.blocks[0].length;
      this.held -= this.blocks.shift().length;
    }
    this.onBlock(block, this.rate);
  }

  keep(most) {
    this.most = most;
  }

  async stop() {
    this.stopped = true;
    if (this.node) {
      const drained = new Promise((resolve) => { this.drained = resolve; });
      this.node.port.postMessage("stop");
      await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, 500))]);
      this.node.disconnect();
    }
    await this.release();
  }

  async release() {
    this.media?.getTracks().forEach((track) => track.stop());
    const { context } = this;
    this.context = null;
    await context?.close();
  }

  samples() {
    const joined = new Float32Array(this.held);
    let at = 0;
    for (const block of this.blocks) {
      joined.set(block, at);
      at += block.length;
    }
    return joined;
  }
}

// 32-bit floats: what is shown, sent and heard again is the same to the bit.
export function wavOf(samples, rate) {
  const file = new DataView(new ArrayBuffer(44 + 4 * samples.length));
  const write = (at, word) => [...word].forEach((sign, place) => file.setUint8(at + place, sign.charCodeAt(0)));
  write(0, "RIFF"); file.setUint32(4, 36 + 4 * samples.length, true); write(8, "WAVEfmt ");
  file.setUint32(16, 16, true); file.setUint16(20, 3, true); file.setUint16(22, 1, true);
  file.setUint32(24, rate, true); file.setUint32(28, 4 * rate, true); file.setUint16(32, 4, true); file.setUint16(34, 32, true);
  write(36, "data"); file.setUint32(40, 4 * samples.length, true);
  for (let place = 0; place < samples.length; place += 1) file.setFloat32(44 + 4 * place, samples[place], true);
  return file.buffer;
}
