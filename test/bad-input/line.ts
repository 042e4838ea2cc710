/** A connection on which a test says exactly what it wants to say, also what no HTTP client would. */
import { connect } from "node:net";
import type { Socket } from "node:net";

const patienceMs = 10_000;

/** An open connection that collects what comes back. */
export class Line {
  readonly socket: Socket;
  text = "";
  closed = false;
  #news = Promise.withResolvers<void>();

  constructor(port: number) {
    this.socket = connect(port, "127.0.0.1");
    this.socket.on("data", (chunk) => this.#happened(() => (this.text += chunk.toString("latin1"))));
    this.socket.on("close", () => this.#happened(() => (this.closed = true)));
    // A reset is a close like any other; what matters is what came before it.
    this.socket.on("error", () => undefined);
  }

  #happened(change: () => unknown): void {
    change();
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  /** Sends text or bytes; resolves when they are on their way, or when nobody takes them any more. */
  async say(...what: readonly (string | Uint8Array)[]): Promise<void> {
    for (const part of what) await new Promise<void>((resolve) => void this.socket.write(part, () => resolve()));
  }

  /** Waits until what has come matches. Fails when the connection closes before. */
  until(pattern: RegExp): Promise<void> {
    return this.#wait(() => {
      if (pattern.test(this.text)) return true;
      if (this.closed) throw new Error(`closed before ${pattern}: ${this.text.slice(0, 2_000)}`);
      return false;
    });
  }

  /** Waits until so many answers have begun. Fails when the connection closes before. */
  answers(count: number): Promise<void> {
    return this.#wait(() => {
      if (this.statuses.length >= count) return true;
      if (this.closed) throw new Error(`closed before answer ${count}: ${this.text.slice(-2_000)}`);
      return false;
    });
  }

  /** Waits until the connection is closed. */
  end(): Promise<void> {
    return this.#wait(() => this.closed);
  }

  async #wait(isOver: () => boolean): Promise<void> {
    const late = setTimeout(() => this.socket.destroy(new Error("waited too long")), patienceMs);
    try {
      while (!isOver()) await this.#news.promise;
    } finally {
      clearTimeout(late);
    }
  }

  /** The status of every answer so far, in order. */
  get statuses(): readonly number[] {
    return [...this.text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
  }
}

/** The head of a request with these headers and no others. */
export function head(method: string, target: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n`;
}
