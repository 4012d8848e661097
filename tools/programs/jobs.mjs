// A service in Node with kafkajs: submits batch jobs and SQL in binary mode and as plain JSON, and follows their events.
// node jobs.mjs BOOTSTRAP REQUESTS EVENTS CLUSTER; prints one JSON text: request id -> list of [sequence, type, id].
import { Kafka, logLevel } from "kafkajs";

const [bootstrap, requests, events, cluster] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "node-service", brokers: [bootstrap], logLevel: logLevel.ERROR });
const last = new Set(["rejected", "succeeded", "failed", "cancelled", "unknown"]);

const binary = (id, type, data) => ({
  key: cluster,
  value: JSON.stringify(data),
  headers: {
    "content-type": "application/json",
    ce_specversion: "1.0",
    ce_id: id,
    ce_source: "/node",
    ce_type: type,
    ce_correlationid: "run-7",
  },
});
const plain = (id, type, data) => ({ key: cluster, value: JSON.stringify({ id, source: "/node", type, data }) });

const job = (name) => ({ cluster, job: { job_type: "SparkSubmit", job_name: name, arguments: ["obs://b/a.py"] } });
const messages = [
  binary("n-1", "mrs.job.submit", job("node")),
  plain("n-2", "mrs.job.submit", job("will-fail")),
  binary("n-3", "mrs.sql.submit", { cluster, engine: "presto", statement: "show tables" }),
  plain("n-4", "mrs.sql.submit", { cluster, engine: "oracle", statement: "select 1" }),
];

const stories = Object.fromEntries(messages.map((_, number) => [`n-${number + 1}`, []]));
const open = new Set(Object.keys(stories));
const consumer = kafka.consumer({ groupId: `node-${process.pid}`, maxWaitTimeInMs: 100 });
await consumer.connect();
await consumer.subscribe({ topics: [events], fromBeginning: true });
const ended = new Promise((resolve) => {
  consumer.run({
    eachMessage: async ({ message }) => {
      const attribute = (name) => message.headers[name]?.toString();
      const data = JSON.parse(message.value.toString());
      const id = data.request.id;
      if (data.request.source !== "/node" || !(id in stories)) return;
      stories[id].push([data.sequence, attribute("ce_type"), attribute("ce_id"), attribute("ce_correlationid")]);
      if (last.has(data.state)) open.delete(id);
      if (open.size === 0) resolve();
    },
  });
});

const producer = kafka.producer({ idempotent: true });
await producer.connect();
await producer.send({ topic: requests, messages, acks: -1 });
await producer.disconnect();
await ended;
await consumer.disconnect();
console.log(JSON.stringify(stories));
