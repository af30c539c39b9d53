// Receives masshook's callbacks. The types come from its OpenAPI document:
//
//   npm install --save-dev typescript openapi-typescript @types/node
//   masshook schema --openapi > masshook.json
//   npx openapi-typescript masshook.json --output masshook.ts
//   npx tsc
//
// Run it with the key that verifies callbacks: `whsec_…` (HMAC) or, better, the public key `whpk_…` (Ed25519):
//
//   CALLBACK_KEY=whpk_… PORT=8090 node receiver.js

import { createHmac, createPublicKey, timingSafeEqual, verify } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import type { components } from "./masshook.js";

export type Callback = components["schemas"]["Callback"];
type Job = Callback["data"];

const TOLERANCE_SECONDS = 300;

/** Whether one of the signatures of a callback is by `key`, and recent. */
export function isSigned(headers: IncomingHttpHeaders, body: Buffer, key: string, now = Date.now()): boolean {
  const { "webhook-id": id, "webhook-timestamp": time, "webhook-signature": signatures } = headers;
  if (typeof id !== "string" || typeof time !== "string" || typeof signatures !== "string") return false;
  if (!(Math.abs(now / 1000 - Number(time)) <= TOLERANCE_SECONDS)) return false;
  const signed = Buffer.concat([Buffer.from(`${id}.${time}.`), body]);
  return signatures.split(" ").some((signature) => {
    const [version, base64 = ""] = signature.split(",");
    const bytes = Buffer.from(base64, "base64");
    if (version === "v1a" && key.startsWith("whpk_")) {
      const x = Buffer.from(key.slice("whpk_".length), "base64").toString("base64url");
      const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
      return verify(null, signed, publicKey, bytes);
    }
    if (version === "v1" && key.startsWith("whsec_")) {
      const secret = Buffer.from(key.slice("whsec_".length), "base64");
      const expected = createHmac("sha256", secret).update(signed).digest();
      return bytes.length === expected.length && timingSafeEqual(bytes, expected);
    }
    return false;
  });
}

/** What a callback reports, in one line. The compiler checks that every type is handled. */
export function describe({ type, data }: Callback): string {
  switch (type) {
    case "job.queued":
    case "job.running":
      return `${data.id}: ${data.counts.pending} of ${data.counts.total} records to go`;
    case "job.succeeded":
      return `${data.id}: ${data.counts.updated} records updated`;
    case "job.partially_succeeded":
    case "job.failed":
      return `${data.id}: ${data.counts.failed} records failed: ${causes(data)}`;
  }
}

function causes(job: Job): string {
  const codes = job.failures.map((failure) => failure.code);
  return [...new Set(job.error ? [job.error.code, ...codes] : codes)].join(", ");
}

/** Answers one callback: 204 if it is genuine. */
function start(key: string, port: number): void {
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts);
    if (!isSigned(request.headers, body, key)) {
      response.writeHead(401).end();
      return;
    }
    console.log(describe(JSON.parse(body.toString("utf8")) as Callback));
    response.writeHead(204).end();
  });
  server.listen(port);
}

const { CALLBACK_KEY, PORT } = process.env;
if (CALLBACK_KEY && PORT) start(CALLBACK_KEY, Number(PORT));
