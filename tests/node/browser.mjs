// Opens a page in headless Chromium and says what became of it, as JSON on stdout.
//
//   node tests/node/browser.mjs CHROMIUM ORDER
//
// ORDER is JSON: {
//   "url":        what to open,
//   "evaluate":   an expression of JavaScript, its value is told (optional),
//   "dark":       whether the user prefers dark pages (optional),
//   "width":      of the window (optional, 1280),
//   "screenshot": a file for a picture of the whole page, PNG (optional),
//   "pdf":        a file for the page as it is printed (optional)
// }
//
// Told are: {"value": ..., "trouble": [...], "requests": [...]}. Trouble is whatever the console got to hear, what was
// thrown and not caught, and what the browser itself complains about, such as a request that the page's policy does not
// allow. Requests are the addresses of everything that was asked for, the page included.
//
// It speaks the DevTools protocol with the browser over two pipes (--remote-debugging-pipe): that needs no port and,
// beside Node, no package.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [chromium, order] = process.argv.slice(2);
const { url, evaluate, dark = false, width = 1280, screenshot, pdf } = JSON.parse(order);

const profile = mkdtempSync(join(tmpdir(), "browser-"));
const args = ["--headless=new", "--remote-debugging-pipe", `--user-data-dir=${profile}`, "--no-first-run",
  "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--disable-extensions", "--hide-scrollbars", "about:blank"];
// Root may not use the sandbox.
if (process.getuid?.() === 0) args.unshift("--no-sandbox");
const browser = spawn(chromium, args, { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"] });

let said = "";
browser.stderr.on("data", (chunk) => { said += chunk; });
const gone = new Promise((resolve) => browser.on("exit", resolve));
browser.on("error", fail);

const [, , , toBrowser, fromBrowser] = browser.stdio;
const waiting = new Map();
const listeners = [];
let number = 0;
let rest = "";
fromBrowser.on("data", (chunk) => {
  rest += chunk;
  const messages = rest.split("\0");
  rest = messages.pop();
  for (const message of messages.map((text) => JSON.parse(text))) {
    if (message.id === undefined) {
      listeners.forEach((listener) => listener(message));
      continue;
    }
    const { resolve, reject } = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error) reject(new Error(JSON.stringify(message.error)));
    else resolve(message.result);
  }
});
fromBrowser.on("close", () => {
  const error = new Error(`the browser went away: ${said}`);
  waiting.forEach(({ reject }) => reject(error));
});

function call(method, params = {}, sessionId = undefined) {
  number += 1;
  const id = number;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    toBrowser.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
  });
}

function fail(error) {
  process.stderr.write(`${error.message ?? error}\n`);
  browser.kill("SIGKILL");
  process.exitCode = 1;
}

function event(method) {
  return new Promise((resolve) => {
    listeners.push((message) => message.method === method && resolve(message.params));
  });
}

async function look() {
  const { targetId } = await call("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true });
  const page = (method, params) => call(method, params, sessionId);

  const trouble = [];
  const requests = [];
  listeners.push(({ method, params }) => {
    if (method === "Runtime.consoleAPICalled") {
      const words = params.args.map((value) => value.value ?? value.description ?? value.type);
      trouble.push(`console.${params.type}: ${words.join(" ")}`);
    } else if (method === "Runtime.exceptionThrown") {
      const { text, exception } = params.exceptionDetails;
      trouble.push(`thrown: ${exception?.description ?? text}`);
    } else if (method === "Log.entryAdded") {
      trouble.push(`${params.entry.source} ${params.entry.level}: ${params.entry.text}`);
    } else if (method === "Network.requestWillBeSent") {
      requests.push(params.request.url);
    }
  });
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await page(`${domain}.enable`);
  await page("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: false });
  const features = [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }];
  await page("Emulation.setEmulatedMedia", { features });

  const loaded = event("Page.loadEventFired");
  const { errorText } = await page("Page.navigate", { url });
  if (errorText) throw new Error(`${url}: ${errorText}`);
  await loaded;
  // Two frames: what the page's script does at once is done, and drawn.
  const drawn = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))";
  await page("Runtime.evaluate", { expression: drawn, awaitPromise: true });

  let value = null;
  if (evaluate) {
    const answer = await page("Runtime.evaluate", { expression: evaluate, returnByValue: true, awaitPromise: true });
    if (answer.exceptionDetails) {
      throw new Error(answer.exceptionDetails.exception?.description ?? answer.exceptionDetails.text);
    }
    value = answer.result.value ?? null;
  }
  if (screenshot) {
    const { data } = await page("Page.captureScreenshot", { format: "png", captureBeyondViewport: true });
    writeFileSync(screenshot, Buffer.from(data, "base64"));
  }
  if (pdf) {
    const { data } = await page("Page.printToPDF", { preferCSSPageSize: true, printBackground: false });
    writeFileSync(pdf, Buffer.from(data, "base64"));
  }
  // Whatever it was told of before is told by then.
  await page("Runtime.evaluate", { expression: "0" });
  return { value, trouble, requests };
}

try {
  const told = await look();
  await call("Browser.close").catch(() => {});
  process.stdout.write(JSON.stringify(told));
} catch (error) {
  fail(error);
}
await gone;
rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
