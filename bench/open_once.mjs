// Imports what it is told to, opens a mesh or binds a socket, and says how long each took, in milliseconds. JavaScript, so
// that nothing has to be made of it first.
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
