// The model runs on the server that this page came from.

export const WHERE = "Sounds are sent to this server, answered from memory, and not kept.";
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
export function stream(rate, model, onSpan, onError) {
  return new Promise((resolve, reject) => {
    const address = new URL("v1/stream", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    let ended = null;
    let over = false;
    const close = (error) => {
      if (over) return;
      over = true;
      if (ended) ended(error);
      else if (error) { reject(error); onError(error); }
    };
    socket.onopen = () => socket.send(JSON.stringify({ format: "f32le", sample_rate: rate, model, token }));
    socket.onclose = () => close(new Error("The server closed the stream. Start it again."));
    socket.onmessage = ({ data }) => {
      const told = JSON.parse(data);
      if (told.error) close(new Error(told.error));
      else if (told.end) close(null);
      else if (told.ready) resolve({
        send: (block) => socket.readyState === WebSocket.OPEN && socket.send(block),
        finish: () => new Promise((done, broken) => {
          ended = (error) => (error ? broken(error) : done());
          if (over || socket.readyState !== WebSocket.OPEN) done();
          else socket.send(JSON.stringify({ end: true }));
        }),
      });
      else if (!told.lost) onSpan(told);
    };
  });
}
