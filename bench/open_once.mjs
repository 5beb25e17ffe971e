// One run of `open.ts`: imports the given module, opens a mesh or binds a socket, and prints how long each took, in
// milliseconds. It is JavaScript, so that it needs no compilation.
import process from "node:process";

const start = performance.now();
const module = await import(process.argv[2]);
const imported = performance.now();
const opened = "openMesh" in module
  ? module.openMesh({ port: 0, interface: "127.0.0.1" })
  : bound(module.createSocket("udp4"));
const { close } = await opened.then((it) => ({ close: () => it.close() }));
const end = performance.now();
console.log(JSON.stringify({ import: imported - start, open: end - imported }));
await close();

function bound(socket) {
  return new Promise((resolve) => socket.bind(0, "127.0.0.1", () => resolve(socket)));
}
