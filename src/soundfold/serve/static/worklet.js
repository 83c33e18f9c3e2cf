// Gathers the 128 samples of each call into blocks of a twentieth of a second.
class Blocks extends AudioWorkletProcessor {
  constructor() {
    super();
    this.size = Math.round(sampleRate / 20);
    this.block = new Float32Array(this.size);
    this.filled = 0;
    this.stopped = false;
    this.port.onmessage = () => {
      this.stopped = true;
      if (this.filled) this.port.postMessage(this.block.slice(0, this.filled));
      this.port.postMessage(null);
    };
  }

  process([input]) {
    if (this.stopped) return false;
    const samples = input[0];
    for (let at = 0; samples && at < samples.length; ) {
      const taken = Math.min(this.size - this.filled, samples.length - at);
      this.block.set(samples.subarray(at, at + taken), this.filled);
      this.filled += taken;
      at += taken;
      if (this.filled === this.size) {
        this.port.postMessage(this.block);
        this.block = new Float32Array(this.size);
        this.filled = 0;
      }
    }
    return true;
  }
}
registerProcessor("blocks", Blocks);
