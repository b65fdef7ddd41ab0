// The clients that others use, unmodified, against a running server: each follows orders, loses its
// connection, and comes back to where it was.
//
//     OMS_URL=http://127.0.0.1:8080/graphql OMS_KEY=oms_… OMS_ORDER='{…}' node follow.js
//
// OMS_ORDER is the input of an orderSubmit that is accepted; each order gets a key of its own.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import net from "node:net";
import { createClient as createSse } from "graphql-sse";
import { createClient as createWs } from "graphql-ws";
import older from "subscriptions-transport-ws";
import WebSocket from "ws";

const url = new URL(process.env.OMS_URL);
const authorization = `Bearer ${process.env.OMS_KEY}`;
const query = `subscription Follow($after: String) {
  orderUpdates(after: $after) { kind seq cursor orderId } }`;

async function place() {
  const input = { ...JSON.parse(process.env.OMS_ORDER), idempotencyKey: randomUUID() };
  const mutation = `mutation Place($input: OrderSubmitInput!) {
    orderSubmit(input: $input) { order { id } userErrors { code message } } }`;
  const answer = await fetch(url, {
    method: "POST",
    headers: { authorization, "content-type": "application/json" },
    body: JSON.stringify({ query: mutation, variables: { input } }),
  });
  const { data, errors } = await answer.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  assert.deepEqual(data.orderSubmit.userErrors, []);
  return data.orderSubmit.order.id;
}

// A connection that can be lost: what goes through it is cut, and nobody is let in until it opens.
async function line() {
  const open = new Set();
  let closed = false;
  const server = net.createServer((client) => {
    if (closed) return client.destroy();
    const upstream = net.connect(Number(url.port), url.hostname);
    for (const [one, other] of [[client, upstream], [upstream, client]]) {
      open.add(one);
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => { open.delete(one); other.destroy(); });
    }
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    host: `127.0.0.1:${server.address().port}`,
    cut() { closed = true; open.forEach((socket) => socket.destroy()); },
    mend() { closed = false; },
    close() { server.close(); open.forEach((socket) => socket.destroy()); },
  };
}

// Each begins to follow, hands every result to `next`, and returns how to stop. To resume, the
// variables are changed as results come in: a client sends them again when it comes back.
const clients = {
  "graphql-ws": (host, variables, next, error) => {
    const client = createWs({
      url: `ws://${host}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization },
      retryAttempts: 100,
      retryWait: () => new Promise((done) => setTimeout(done, 20)),
      shouldRetry: () => true,
    });
    client.subscribe({ query, variables }, { next, error, complete() {} });
    return () => client.dispose();
  },
  "graphql-sse": (host, variables, next, error) => {
    const client = createSse({
      url: `http://${host}/graphql`,
      headers: { authorization },
      retryAttempts: 100,
      retry: () => new Promise((done) => setTimeout(done, 20)),
    });
    client.subscribe({ query, variables }, { next, error, complete() {} });
    return () => client.dispose();
  },
  "subscriptions-transport-ws": (host, variables, next, error) => {
    const client = new older.SubscriptionClient(
      `ws://${host}/graphql/ws`,
      { reconnect: true, connectionParams: { authorization }, minTimeout: 2000 },
      WebSocket,
    );
    client.request({ query, variables }).subscribe({ next, error });
    return () => client.close();
  },
};

async function follow(name, start) {
  const connection = await line();
  const variables = {};
  const heard = [];
  let stir = () => {};
  let failed;
  const stop = start(
    connection.host,
    variables,
    (result) => {
      if (result.errors) failed = result.errors;
      else {
        const item = result.data.orderUpdates;
        heard.push(item);
        if (item.kind !== "SNAPSHOT") variables.after = item.cursor;
      }
      stir();
    },
    (error) => { failed = error; stir(); },
  );
  const until = async (what, found) => {
    const late = setTimeout(() => { failed ??= new Error(`${name}: never ${what}`); stir(); }, 20_000);
    while (!found() && !failed) await new Promise((resolve) => { stir = resolve; });
    clearTimeout(late);
    if (failed) throw failed;
  };
  const of = (id) => heard.filter((item) => item.orderId === id && item.kind === "UPSERT").length;

  await until("a snapshot", () => heard.some((item) => item.kind === "SNAPSHOT_END"));
  const first = await place();
  await until("the first order", () => of(first) > 0);
  connection.cut();
  const missed = await place();
  connection.mend();
  await until("the order that it missed", () => of(missed) > 0);
  const last = await place();
  await until("the last order", () => of(last) > 0);
  stop();
  connection.close();

  const kinds = heard.map((item) => item.kind);
  const changes = heard.slice(kinds.indexOf("SNAPSHOT_END") + 1);
  for (const item of changes) assert.ok(["UPSERT", "HEARTBEAT"].includes(item.kind), item.kind);
  const seqs = changes.filter((item) => item.kind === "UPSERT").map((item) => item.seq);
  for (let i = 1; i < seqs.length; i += 1) {
    assert.ok(seqs[i] > seqs[i - 1], `${name}: ${seqs[i]} after ${seqs[i - 1]}`);
  }
  console.log(`${name}: ${heard.length} items, resumed without a gap or a repetition`);
}

for (const [name, start] of Object.entries(clients)) await follow(name, start);
process.exit(0);
