import { createSocket } from "node:dgram";

// Below the ports that systems give out by themselves, from 32,768 or 49,152 on: no socket of a test gets one of these by
// chance between this look and its use.
const FIRST = 10_000;
const COUNT = 22_000;

let last = Math.floor(Math.random() * COUNT);

/** A UDP port that nobody uses now, and that this process has not been given before. */
export async function freePort(): Promise<number> {
  while (true) {
    last = (last + 1) % COUNT;
    const port = FIRST + last;
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    socket.once("error", (error: NodeJS.ErrnoException) => {
      socket.close();
      // Windows has ports that nobody may use.
      if (error.code === "EADDRINUSE" || error.code === "EACCES") resolve(false);
      else reject(error);
    });
    socket.bind({ port, exclusive: true }, () => socket.close(() => resolve(true)));
  });
}
