// Recording, and recordings as mono WAV of 32-bit samples, for what the server cannot decode itself.

/** Decode any audio the browser knows, as mono samples at `rate`; null where it cannot. */
export async function decode(blob, rate) {
  const context = new OfflineAudioContext(1, 1, rate);
  let heard;
  try {
    heard = await context.decodeAudioData(await blob.arrayBuffer()); // resamples to `rate`
  } catch {
    return null;
  }
  const mono = new Float32Array(heard.length);
  for (let channel = 0; channel < heard.numberOfChannels; channel++) {
    const samples = heard.getChannelData(channel);
    for (let place = 0; place < mono.length; place++) mono[place] += samples[place] / heard.numberOfChannels;
  }
  return mono;
}

/** Samples as a WAV file. */
export function toWav(samples, rate) {
  const bytes = new DataView(new ArrayBuffer(44 + 4 * samples.length));
  const text = (place, letters) => [...letters].forEach((one, step) => bytes.setUint8(place + step, one.charCodeAt(0)));
  text(0, "RIFF");
  bytes.setUint32(4, 36 + 4 * samples.length, true);
  text(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true); // length of what follows
  bytes.setUint16(20, 3, true); // floating point
  bytes.setUint16(22, 1, true); // one channel
  bytes.setUint32(24, rate, true);
  bytes.setUint32(28, 4 * rate, true);
  bytes.setUint16(32, 4, true);
  bytes.setUint16(34, 32, true);
  text(36, "data");
  bytes.setUint32(40, 4 * samples.length, true);
  samples.forEach((sample, place) => bytes.setFloat32(44 + 4 * place, sample, true));
  return new Blob([bytes], { type: "audio/wav" });
}

/** A recording in the making; tells of its level and time until `stop` gives its sound. */
export class Recording {
  static async start(mostSeconds, onProgress, onFull) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("this browser lets pages record at 127.0.0.1 or over https only; choose a file instead");
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      const reasons = { NotAllowedError: "the browser was not allowed to use the microphone", NotFoundError: "there is no microphone" };
      throw new Error(`${reasons[error.name] ?? error.message}; choose a file instead, or mend that and try again`);
    }
    return new Recording(stream, mostSeconds, onProgress, onFull);
  }

  constructor(stream, mostSeconds, onProgress, onFull) {
    this.stream = stream;
    this.recorder = new MediaRecorder(stream);
    this.parts = [];
    this.recorder.ondataavailable = (event) => this.parts.push(event.data);
    this.recorder.start();
    this.context = new AudioContext();
    const listener = this.context.createAnalyser();
    this.context.createMediaStreamSource(stream).connect(listener);
    const samples = new Float32Array(listener.fftSize);
    const begun = performance.now();
    this.timer = setInterval(() => {
      listener.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      const seconds = (performance.now() - begun) / 1000;
      onProgress(seconds, Math.min(1, 4 * Math.sqrt(power)));
      if (seconds >= mostSeconds - 0.1) onFull();
    }, 60);
  }

  stop() {
    clearInterval(this.timer);
    return new Promise((done) => {
      this.recorder.onstop = () => {
        this.stream.getTracks().forEach((track) => track.stop());
        this.context.close();
        done(new Blob(this.parts, { type: this.recorder.mimeType }));
      };
      this.recorder.stop();
    });
  }
}
