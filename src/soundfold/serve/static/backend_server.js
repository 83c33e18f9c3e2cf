// The model runs on the server that this page came from.

export const WHERE = "Sounds are sent to this server, answered from memory, and not kept.";
const MOST_BEHIND_S = 15; // how late answers may be, before it is told and no more sound sent
const TOO_SLOW = "The server is too busy to hear this model live. Try later, or record.";
let token = "";

export function setToken(given) {
  token = given;
}

async function asked(path, options = {}) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The server cannot be reached. Is it still running?");
  }
  const told = await response.json().catch(() => null);
  if (response.ok) return told;
  throw Object.assign(new Error(told?.error ?? `The server answered with status ${response.status}.`), { status: response.status });
}

export const models = () => asked("v1/models");

export async function predict(file, bytes, model) {
  const form = new FormData();
  form.append("file", file, file.name || "sound");
  const [answer] = await asked(`v1/predict?model=${encodeURIComponent(model)}`, { method: "POST", body: form });
  return answer;
}

// Opens a stream; onSpan gets each window's answer, onError what ends it before its time.
export function stream(rate, model, hop_s, onSpan, onError) {
  return new Promise((resolve, reject) => {
    const address = new URL("v1/stream", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    const pace = hop_s < model.window_s ? { hop_s } : {}; // windows side by side may be shorter than any hop
    let sent = 0;
    let answered_s = 0;
    let ended = null;
    let over = false;
    const close = (error) => {
      if (over) return;
      over = true;
      if (ended) ended(error);
      else if (error) { reject(error); onError(error); }
    };
    socket.onopen = () => socket.send(JSON.stringify({ format: "f32le", sample_rate: rate, model: model.name, token, ...pace }));
    socket.onclose = () => close(new Error("The server closed the stream. Start it again."));
    socket.onmessage = ({ data }) => {
      const told = JSON.parse(data);
      if (told.error) close(new Error(told.error));
      else if (told.end) close(null);
      else if (told.ready) resolve({
        send: (block) => {
          if (over || socket.readyState !== WebSocket.OPEN) return;
          socket.send(block);
          sent += block.length;
          if (sent / rate - answered_s > model.window_s + MOST_BEHIND_S) close(new Error(TOO_SLOW));
        },
        finish: () => new Promise((done, broken) => {
          ended = (error) => (error ? broken(error) : done());
          if (over || socket.readyState !== WebSocket.OPEN) done();
          else socket.send(JSON.stringify({ end: true }));
        }),
      });
      else {
        answered_s = told.end_s;
        onSpan(told);
      }
    };
  });
}
