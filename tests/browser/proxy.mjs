// Serves the files of the page from disk, and passes everything else on to a console that runs: for work on the page.
//
//   masshook serve --console 127.0.0.1:8081
//   node tests/browser/proxy.mjs 8082 http://127.0.0.1:8081    then open http://127.0.0.1:8082/#token=…

import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const [port = '8082', target = 'http://127.0.0.1:8081'] = process.argv.slice(2);
const web = fileURLToPath(new URL('../../src/console/web', import.meta.url));
const types = { '.html': 'text/html; charset=utf-8', '.css': 'text/css', '.js': 'text/javascript', '.svg': 'image/svg+xml' };

createServer(async (from, to) => {
  const { pathname } = new URL(from.url, 'http://localhost');
  const file = pathname === '/' ? '/index.html' : normalize(pathname);
  const content = await readFile(join(web, file)).catch(() => null);
  const headers = { ...from.headers, host: new URL(target).host };
  delete headers.origin;
  const onward = request(target + from.url, { method: from.method, headers }, (answer) => {
    if (content) {
      answer.resume();
      to.writeHead(200, { ...answer.headers, 'content-type': types[extname(file)], 'content-length': content.length });
      to.end(content);
    } else {
      to.writeHead(answer.statusCode, answer.headers);
      answer.pipe(to);
    }
  });
  onward.on('error', () => to.destroy());
  to.on('close', () => onward.destroy());
  from.pipe(onward);
}).listen(Number(port), '127.0.0.1');
