// node drive.js DIST CONFIG ORTHANC-PORT CHROMIUM: serves OHIF with Orthanc's DICOMweb behind the same address, opens Chromium on it,
// and does what each line of standard input says (JSON: {"do": WORD, ...}); one line of JSON is the answer to each. Ends with its input.
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');
const readline = require('readline');
const { chromium } = require('playwright-core');

const [dist, config, orthanc, executablePath] = process.argv.slice(2);
const TYPES = {
  '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm',
  '.json': 'application/json', '.svg': 'image/svg+xml', '.png': 'image/png', '.woff2': 'font/woff2',
};
const ISOLATED = {  // what SharedArrayBuffer asks for
  'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp', 'cross-origin-resource-policy': 'same-origin',
};
// Software rendering: there is no graphics card, and pixels are the same on every machine.
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--disable-dev-shm-usage', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist',
  '--force-color-profile=srgb',
];

function ask(request, response) {
  const onward = http.request(
    { host: '127.0.0.1', port: orthanc, path: request.url, method: request.method, headers: request.headers },
    answer => { response.writeHead(answer.statusCode, answer.headers); answer.pipe(response); });
  onward.on('error', () => { if (!response.headersSent) response.writeHead(502); response.end(); });
  request.pipe(onward);
}

function serve(request, response) {
  const asked = decodeURIComponent(new URL(request.url, 'http://viewer').pathname);
  if (asked.startsWith('/dicom-web') || asked.startsWith('/wado')) return ask(request, response);
  let file = asked === '/app-config.js' ? config : path.join(dist, path.normalize(asked));
  if (!fs.existsSync(file) || fs.statSync(file).isDirectory()) file = path.join(dist, 'index.html');
  response.writeHead(200, { 'content-type': TYPES[path.extname(file)] || 'application/octet-stream', ...ISOLATED });
  return fs.createReadStream(file).pipe(response);
}

async function start(faults) {
  const server = http.createServer(serve);
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  const address = `http://127.0.0.1:${server.address().port}`;
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'overread-viewer-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath, headless: true, viewport: { width: 1500, height: 900 }, args: FLAGS, timeout: 120000,
  });
  const page = context.pages()[0] || await context.newPage();
  page.setDefaultTimeout(120000);
  page.on('pageerror', error => faults.push(`page error: ${String(error).slice(0, 600)}`));
  page.on('crash', () => faults.push('the page crashed'));
  page.on('response', answer => { if (answer.status() >= 400) faults.push(`${answer.status()} for ${answer.url().slice(0, 300)}`); });
  // Nothing outside is reached: fonts and the like that a page may want are no part of what is tested.
  await page.route(url => url.protocol.startsWith('http') && url.origin !== address, route => route.abort());
  const end = async () => {
    await context.close();
    server.closeAllConnections();
    server.close();
    fs.rmSync(profile, { recursive: true, force: true });
  };
  return { page, address, end };
}

async function main() {
  const faults = [];
  const { page, address, end } = await start(faults);
  const DEEDS = {
    open: order => page.goto(address + order.path, { waitUntil: 'domcontentloaded', timeout: 120000 }).then(() => null),
    evaluate: order => page.evaluate(`(${order.script})(${JSON.stringify(order.given ?? null)})`),
    click: order => page.mouse.click(order.x, order.y, { clickCount: order.count || 1 }).then(() => null),
    press: order => page.keyboard.press(order.key).then(() => null),
    picture: async order => { await page.screenshot({ path: order.path, type: order.type || 'png', quality: order.quality, clip: order.clip }); },
    faults: async () => faults.splice(0),
  };
  console.log(JSON.stringify({ answer: address }));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    try {
      console.log(JSON.stringify({ answer: (await DEEDS[order.do](order)) ?? null }));
    } catch (error) {
      console.log(JSON.stringify({ fault: String(error).slice(0, 2000) }));
    }
  }
  await end();
}

main().catch(error => { console.error(error); process.exit(1); });
