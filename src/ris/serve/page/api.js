// The server's answers. A query is {row}, {file}, {url} or, to find what words name, {text}.

export class Refused extends Error {}

async function answered(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server does not answer. Is it still running?");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => null);
  throw new Refused(problem?.detail ?? `The server answered ${response.status}.`);
}

function address(path, parameters) {
  const pairs = Object.entries(parameters ?? {}).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).filter((one) => one !== null && one !== undefined).map((one) => [name, one]),
  );
  return pairs.length ? `${path}?${new URLSearchParams(pairs)}` : path;
}

export async function get(path, parameters, signal) {
  return (await answered(address(path, parameters), { signal })).json();
}

function request(path, query, parameters, signal) {
  if (query.row !== undefined) return answered(address(path, { ...parameters, row: query.row }), { signal });
  if (query.text) return answered(address(path, { ...parameters, text: query.text }), { signal });
  const body = new FormData();
  if (query.file) body.append("picture", query.file, "picture");
  else body.append("url", query.url);
  return answered(address(path, parameters), { method: "POST", body, signal });
}

export async function ask(path, query, parameters, signal) {
  return (await request(path, query, parameters, signal)).json();
}

export async function preview(query, signal) {
  return (await request("/api/preview", query, {}, signal)).blob();
}

export async function whenReady(path, tell, signal) {
  for (;;) {
    const response = await answered(path, { signal });
    if (response.status !== 202) return response;
    tell(await response.json());
    await new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, 500);
      signal?.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(new DOMException("stopped", "AbortError"));
      });
    });
  }
}
