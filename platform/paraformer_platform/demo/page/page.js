// The page: from a recording to text and pictures.

import { decode, Recording, toWav } from "./sound.js";
import { drawHead, drawThumbnail, drawTime } from "./pictures.js";

const $ = (id) => document.getElementById(id);
const state = { model: null, recording: null, heard: null, sent: null, scale: null, attention: null, head: 0, until: null, turn: 0 };
const SURE = 0.9;
const FAIR = 0.6;
const UNREADABLE = 415; // the server's answer to what it cannot decode
const percent = (share) => `${Math.round(100 * share)} %`;

/** Ask the server; its own words where it refuses. */
async function ask(address, body) {
  let answer;
  try {
    answer = await fetch(address, body ? { method: "POST", body, headers: { "Content-Type": "application/octet-stream" } } : {});
  } catch {
    throw new Error("the server does not answer; is `paraformer demo-page` still running?");
  }
  if (answer.headers.get("Content-Type")?.startsWith("application/octet-stream")) return answer.blob();
  const values = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(values.error), { status: answer.status });
  return values;
}

function say(text, busy = false) {
  $("status").textContent = text;
  document.body.classList.toggle("busy", busy);
}

function complain(message, id = "error") {
  $(id).textContent = message ?? "";
  $(id).hidden = !message;
}

// --- a recording comes in ---

async function take(blob, name, said = null) {
  const turn = ++state.turn; // a later recording overtakes this one
  complain(null);
  $("result").hidden = true;
  say("Listening", true);
  try {
    const { heard, sent } = await understand(blob, name);
    if (turn !== state.turn) return;
    show(heard, sent, blob, said);
    say("");
    await showAttention();
  } catch (error) {
    if (turn !== state.turn) return;
    say("");
    complain(error.message);
  }
}

/** Ask with the file as it is, which is then read as in training; what the server cannot decode, the browser may. */
async function understand(blob, name) {
  const { rate, most_bytes: bytes } = state.model;
  if (blob.size === 0) throw new Error(`${name} is empty (0 bytes)`);
  if (blob.size > bytes) throw new Error(`${name} has ${Math.round(blob.size / 2 ** 20)} MB, more than the ${bytes / 2 ** 20} MB allowed here`);
  try {
    return { heard: await ask("/api/hear", blob), sent: blob };
  } catch (error) {
    const samples = error.status === UNREADABLE ? await decode(blob, rate) : null;
    if (samples === null) throw error;
    const sent = toWav(samples, rate);
    return { heard: await ask("/api/hear", sent), sent };
  }
}

// --- what was heard ---

function show(heard, sent, blob, said) {
  Object.assign(state, { heard, sent, attention: null });
  URL.revokeObjectURL($("player").src);
  $("player").src = URL.createObjectURL(blob);
  $("result").hidden = false;
  showText(heard);
  $("said").textContent = said ? `What was said: ${said}` : "";
  $("said").hidden = !said;
  showTable(heard);
  redraw();
}

function showText(heard) {
  const line = $("transcript");
  line.replaceChildren();
  line.classList.toggle("empty", heard.tokens.length === 0);
  if (heard.tokens.length === 0) line.textContent = "Nothing was understood.";
  for (const word of words(heard)) {
    if (line.childNodes.length && word.spaced) line.append(" ");
    line.append(wordButton(word));
  }
}

/** Tokens by word: a space begins one, and so does every character of a script without spaces. */
function words({ text, tokens }) {
  const found = [];
  let place = 0;
  for (const token of tokens) {
    const blank = /^\s*$/.test(token.text);
    const gap = text.slice(place).match(/^\s+/)?.[0].length ?? 0;
    const spaced = gap > 0 || blank || /^\s/.test(token.text);
    place += gap;
    if (blank) {
      found.push(null);
      continue;
    }
    place += text.startsWith(token.text.trim(), place) ? token.text.trim().length : 0;
    const last = found.at(-1);
    if (!last || spaced || /[\u3040-\u30ff\u3400-\u9fff]/.test(token.text)) found.push({ tokens: [token], spaced: spaced || last === null });
    else last.tokens.push(token);
  }
  return found.filter(Boolean);
}

function wordButton(word) {
  const button = document.createElement("button");
  button.type = "button";
  const confidence = Math.min(...word.tokens.map((token) => token.confidence));
  for (const token of word.tokens) {
    const part = document.createElement("span");
    part.textContent = token.text.trim();
    if (token.confidence < FAIR) part.className = "doubtful";
    else if (token.confidence < SURE) part.className = "fair";
    button.append(part);
  }
  const from = word.tokens[0].start;
  const to = word.tokens.at(-1).end;
  const when = from === null ? "" : `, ${from.toFixed(2)} to ${to.toFixed(2)} s`;
  button.title = `${percent(confidence)} sure${when}`;
  button.setAttribute("aria-label", `${button.textContent}: ${button.title}`);
  if (from !== null) button.addEventListener("click", () => play(from, to, button));
  return button;
}

function play(from, to, button) {
  document.querySelectorAll(".playing").forEach((one) => one.classList.remove("playing"));
  button.classList.add("playing");
  const player = $("player");
  player.currentTime = Math.max(0, from - 0.05);
  state.until = to + 0.05;
  player.play();
}

function showTable(heard) {
  const shown = (value) => (value === null ? "" : value.toFixed(2));
  $("tokens").replaceChildren(
    ...heard.tokens.map((token) => {
      const row = document.createElement("tr");
      [token.text.replaceAll(" ", "␣"), percent(token.confidence), shown(token.start), shown(token.end)].forEach((text, place) => {
        const cell = row.insertCell();
        cell.textContent = text;
        if (place > 0) cell.className = "number";
      });
      return row;
    }),
  );
  const { text, tokens, seconds, predictor } = heard;
  $("download").href = URL.createObjectURL(new Blob([JSON.stringify({ text, seconds, tokens, predictor }, null, 1)], { type: "application/json" }));
}

// --- pictures ---

function redraw() {
  if (!state.heard) return;
  const { predictor, tokens, seconds } = state.heard;
  state.scale = drawTime($("time"), state.heard, $("time-scroll").clientWidth);
  const fired = predictor ? ` The predictor's weights come to ${predictor.count.toFixed(2)} tokens; it fired ${predictor.fires.length} times.` : "";
  $("time").setAttribute("aria-label", `Spectrogram of ${seconds.toFixed(2)} seconds with ${tokens.length} tokens.${fired}`);
  $("time-note").textContent = predictor
    ? `Above: what the model hears. Below: the weight of every frame, together ${predictor.count.toFixed(2)} tokens. A line: the predictor fires, a token is complete (${predictor.fires.length} of them). Click to listen from there.`
    : "What the model hears. Its decoder writes token by token and has no predictor.";
  redrawHead();
}

function redrawHead() {
  if (!state.attention) return;
  const { heads, side, seconds, layer } = state.attention;
  const head = heads[state.head];
  const reach = `${Math.round(1000 * head.reach)} ms`;
  drawHead($("head"), head, side, seconds, $("attention").clientWidth);
  $("head").setAttribute("aria-label", `Attention of head ${state.head} in layer ${layer}; it looks ${reach} far on average`);
  $("head-note").textContent = `Layer ${layer}, head ${state.head}: it looks ${reach} far on average. A diagonal is a head for the surroundings; upright stripes are frames that everybody looks at.`;
}

async function showAttention() {
  complain(null, "attention-error");
  const { sent } = state;
  try {
    const seen = await ask(`/api/attention?layer=${$("layer").value}`, sent);
    if (sent !== state.sent) return;
    state.attention = seen;
  } catch (error) {
    state.attention = null;
    complain(error.message, "attention-error");
  }
  $("attention").hidden = $("heads").hidden = !state.attention;
  if (!state.attention) return;
  state.head = Math.min(state.head, state.attention.heads.length - 1);
  $("heads").replaceChildren($("heads").firstElementChild, ...state.attention.heads.map(headChoice));
  redrawHead();
}

function headChoice(head, number) {
  const label = document.createElement("label");
  const choice = Object.assign(document.createElement("input"), { type: "radio", name: "head", value: number, checked: number === state.head });
  choice.setAttribute("aria-label", `head ${number}`);
  choice.addEventListener("change", () => {
    state.head = number;
    redrawHead();
  });
  const picture = document.createElement("canvas");
  drawThumbnail(picture, head, state.attention.side);
  label.append(choice, picture);
  return label;
}

// --- the microphone ---

async function toggleRecording() {
  if (state.recording) {
    const { recording } = state;
    state.recording = null;
    const blob = await recording.stop();
    showRecording(false);
    take(blob, "the recording");
    return;
  }
  complain(null);
  $("record").disabled = true;
  try {
    state.recording = await Recording.start(state.model.most_seconds, showProgress, toggleRecording);
    showRecording(true);
  } catch (error) {
    complain(error.message);
  }
  $("record").disabled = false;
}

function showRecording(on) {
  $("record").classList.toggle("recording", on);
  $("level").hidden = !on;
  $("choose").disabled = on;
  if (!on) $("record-label").textContent = "Record";
  else showProgress(0, 0);
}

function showProgress(seconds, level) {
  if (!state.recording && seconds > 0) return;
  $("record-label").textContent = `Stop, ${seconds.toFixed(1)} s`;
  $("level-bar").style.transform = `scaleX(${level})`;
}

// --- playing ---

function followPlayer() {
  const { currentTime: time, paused } = $("player");
  if (state.until !== null && time >= state.until) {
    $("player").pause();
    state.until = null;
  }
  if (paused) document.querySelectorAll(".playing").forEach((one) => one.classList.remove("playing"));
  $("playhead").hidden = !state.scale || (paused && time === 0);
  if (state.scale) $("playhead").style.left = `${state.scale.x(Math.min(time, state.heard.seconds))}px`;
  if (!paused) requestAnimationFrame(followPlayer);
}

// --- beginning ---

function listen() {
  $("record").addEventListener("click", toggleRecording);
  $("choose").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    const [file] = $("file").files;
    if (file) take(file, file.name);
    $("file").value = "";
  });
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      $("drop").classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => $("drop").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) take(file, file.name);
  });
  $("layer").addEventListener("change", showAttention);
  for (const name of ["play", "pause", "seeked", "timeupdate"]) $("player").addEventListener(name, followPlayer);
  $("time").addEventListener("click", (event) => {
    state.until = null;
    $("player").currentTime = state.scale.time(event.offsetX);
    $("player").play();
  });
  window.addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

async function begin() {
  try {
    state.model = await ask("/api/model");
  } catch (error) {
    complain(error.message);
    return;
  }
  const { name, parameters, encoder, layers, heads, strategy, most_seconds: most, examples } = state.model;
  const size = parameters >= 1e6 ? `${(parameters / 1e6).toFixed(1)} million` : parameters.toLocaleString("en");
  $("about").textContent = `${name}: ${size} parameters, ${layers} ${encoder} layers with ${heads} heads, decoding ${strategy}`;
  $("hint").textContent = `or drop a recording here, up to ${most} s. Nothing leaves this machine.`;
  $("layer").replaceChildren(...Array.from({ length: layers }, (_, layer) => new Option(layer, layer)));
  $("examples").hidden = examples.length === 0;
  examples.forEach(({ text }, number) => {
    const item = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: text || `recording ${number + 1}` });
    button.addEventListener("click", async () => {
      try {
        await take(await ask(`/api/examples/${number}`), "the example", text);
      } catch (error) {
        complain(error.message);
      }
    });
    item.append(button);
    $("examples").querySelector("ul").append(item);
  });
  listen();
  $("record").disabled = $("choose").disabled = false;
}

begin();
