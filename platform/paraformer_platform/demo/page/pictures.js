// The pictures: spectrogram, weights and tokens over one time axis, and the attention of a head.

const MAGMA = ["#000004", "#180f3e", "#451077", "#721f81", "#9f2f7f", "#cd4071", "#f1605d", "#fd9567", "#feca8d", "#fcfdbf"];
const RAMP = makeRamp();
const ROW = { spectrogram: 150, weights: 92, tokens: 32, axis: 24, gap: 10, left: 8 };
const PIXELS_PER_SECOND = 110;

function makeRamp() {
  const stops = MAGMA.map((colour) => [1, 3, 5].map((place) => parseInt(colour.slice(place, place + 2), 16)));
  return Array.from({ length: 256 }, (_, value) => {
    const place = (value / 255) * (stops.length - 1);
    const below = Math.min(stops.length - 2, Math.floor(place));
    return stops[below].map((part, index) => part + (place - below) * (stops[below + 1][index] - part));
  });
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const visible = (token) => token.replaceAll(" ", "␣");

/** Bytes in base64 as a picture of so many columns. */
function heatmap(pixels, columns, rows) {
  const bytes = Uint8Array.from(atob(pixels), (letter) => letter.charCodeAt(0));
  const canvas = new OffscreenCanvas(columns, rows);
  const image = new ImageData(columns, rows);
  bytes.forEach((value, place) => image.data.set([...RAMP[value], 255], 4 * place));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** A canvas of this size in CSS pixels, sharp on any screen. */
function prepared(canvas, width, height) {
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(density, density);
  pen.font = `12px ${colour("sans")}`;
  return pen;
}

/** Draw what is over time; returns how to get from seconds to pixels and back. */
export function drawTime(canvas, heard, room) {
  const { predictor, seconds } = heard;
  const width = Math.max(room, Math.min(12000, ROW.left * 2 + seconds * PIXELS_PER_SECOND));
  const across = width - 2 * ROW.left;
  const x = (time) => ROW.left + (time / seconds) * across;
  const rows = { weights: ROW.spectrogram + ROW.gap };
  rows.tokens = predictor ? rows.weights + ROW.weights + ROW.gap : rows.weights;
  rows.axis = rows.tokens + ROW.tokens + 4;
  const pen = prepared(canvas, width, rows.axis + ROW.axis);
  drawSpectrogram(pen, heard.spectrogram, x);
  if (predictor) drawWeights(pen, predictor, rows.weights, x, across);
  for (const time of predictor?.fires ?? []) {
    line(pen, x(time), 0, ROW.spectrogram, "rgba(255,255,255,.85)");
    line(pen, x(time), rows.weights, rows.tokens + ROW.tokens, colour("fire"));
  }
  drawTokens(pen, heard.tokens, rows.tokens, x);
  drawAxis(pen, seconds, rows.axis, x, across);
  return { x, time: (pixel) => Math.max(0, Math.min(seconds, ((pixel - ROW.left) / across) * seconds)) };
}

function drawSpectrogram(pen, picture, x) {
  const end = x(picture.columns * picture.shift);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(heatmap(picture.pixels, picture.columns, picture.rows), x(0), 0, end - x(0), ROW.spectrogram);
}

function drawWeights(pen, predictor, top, x) {
  const highest = Math.max(1e-6, ...predictor.weights);
  pen.fillStyle = colour("wash");
  predictor.weights.forEach((weight, frame) => {
    const height = (weight / highest) * ROW.weights;
    const from = x(frame * predictor.shift);
    pen.fillRect(from, top + ROW.weights - height, Math.max(1, x((frame + 1) * predictor.shift) - from - 0.5), height);
  });
  line(pen, x(0), top + ROW.weights, top + ROW.weights, colour("rule"), x(predictor.weights.length * predictor.shift));
}

function drawTokens(pen, tokens, top, x) {
  pen.textBaseline = "middle";
  pen.textAlign = "center";
  let taken = -Infinity;
  tokens.forEach((token) => {
    if (token.end === null) return;
    const text = visible(token.text);
    const half = pen.measureText(text).width / 2;
    const [from, to] = [x(token.start), x(token.end)];
    pen.fillStyle = token.confidence < 0.6 ? colour("doubt") : token.confidence < 0.9 ? colour("fair") : colour("ink");
    pen.fillRect(from + 0.5, top + 3, Math.max(1, to - from - 1), 2);
    const middle = Math.max((from + to) / 2, half);
    if (middle - half < taken + 1) return; // no room; the table has every token
    pen.fillText(text, middle, top + 5 + ROW.tokens / 2);
    taken = middle + half;
  });
}

function drawAxis(pen, seconds, top, x, across) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10];
  const step = steps.find((one) => (one / seconds) * across >= 56) ?? 10;
  pen.fillStyle = colour("muted");
  pen.textBaseline = "alphabetic";
  for (let place = 0; place * step <= seconds + 1e-9; place++) {
    const time = place * step;
    line(pen, x(time), top, top + 5, colour("wash"));
    pen.textAlign = place === 0 ? "left" : x(time) > x(seconds) - 16 ? "right" : "center";
    pen.fillText(`${+time.toFixed(1)}${place === 0 ? " s" : ""}`, x(time), top + 18);
  }
}

function line(pen, x, from, to, stroke, right = x) {
  pen.strokeStyle = stroke;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(x, from);
  pen.lineTo(right, to);
  pen.stroke();
}

/** A head's attention without axes. */
export function drawThumbnail(canvas, head, side) {
  canvas.width = canvas.height = 104;
  const pen = canvas.getContext("2d");
  pen.drawImage(heatmap(head.pixels, side, side), 0, 0, 104, 104);
}

/** A head's attention with axes: from top to bottom who looks, from left to right what at. */
export function drawHead(canvas, head, side, seconds, room) {
  const size = Math.min(room, 480);
  const left = 44;
  const bottom = 40;
  const inner = size - left - 2;
  const pen = prepared(canvas, size, inner + bottom + 2);
  pen.imageSmoothingEnabled = inner < side;
  pen.drawImage(heatmap(head.pixels, side, side), left, 0, inner, inner);
  pen.fillStyle = colour("muted");
  pen.textBaseline = "middle";
  const step = [0.2, 0.5, 1, 2, 5, 10].find((one) => (one / seconds) * inner >= 44) ?? 10;
  for (let time = 0; time <= seconds + 1e-9; time += step) {
    const place = (time / seconds) * inner;
    pen.textAlign = "right";
    pen.fillText(+time.toFixed(1), left - 5, Math.max(7, place));
    pen.textAlign = time === 0 ? "left" : "center";
    if (time > 0) pen.fillText(+time.toFixed(1), Math.min(left + place, size - 12), inner + 12);
  }
  pen.textAlign = "center";
  pen.fillText("looked at, seconds", left + inner / 2, inner + 30);
  pen.translate(9, inner / 2);
  pen.rotate(-Math.PI / 2);
  pen.fillText("looking, seconds", 0, 0);
}
