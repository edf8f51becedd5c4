// Requests with JSON both ways. What goes wrong is either a Refusal, with what the server said, or a Cut: nobody knows how far it got.

const SECONDS = 15;

export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.description ?? `The server answered ${status}.`);
    this.status = status;
    this.code = problem.code ?? "";
  }

  // Whether the same request may be granted later.
  get isPassing() {
    return this.status >= 500 || this.status === 429 || this.code === "http:error:idempotency-in-flight";
  }
}

export class Cut extends Error {
  isPassing = true;
}

export async function request(method, path, {body, token, key} = {}) {
  const headers = {Accept: "application/json"};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (key) headers["Idempotency-Key"] = key;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer, text;
  try {
    answer = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store", signal: AbortSignal.timeout(SECONDS * 1000),
    });
    text = await answer.text();
  } catch (error) {
    throw new Cut(`The server cannot be reached: ${error.message}`);
  }
  const parsed = parse(text);
  if (!answer.ok) throw new Refusal(answer.status, parsed ?? {});
  if (parsed === undefined) throw new Cut("The answer was not complete.");
  return parsed;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a proxy's page, or half an answer: the status tells what matters
  }
}
