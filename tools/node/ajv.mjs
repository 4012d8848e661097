// Other people's validator over schemas/: `node ajv.mjs FOLDER` compiles every schema in strict mode and validates every
// example against the schema of its type. One line for each fault; exit 1 if there is one.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";

const load = createRequire(join(process.cwd(), "package.json"));
const Ajv = load("ajv/dist/2020").default;
const addFormats = load("ajv-formats").default;

const folder = process.argv[2];
const below = (name) =>
  readdirSync(join(folder, name), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".json"))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
const read = (path) => JSON.parse(readFileSync(path, "utf8"));

const ajv = new Ajv({ strict: true, strictTypes: true, strictRequired: false, allErrors: true });
addFormats(ajv);

const faults = [];
const ids = new Map();
for (const path of [...below("requests"), ...below("events")]) {
  const name = relative(folder, path);
  const schema = read(path);
  try {
    ajv.addSchema(schema);
    ids.set(name, schema.$id);
  } catch (error) {
    faults.push(`${name}: ${error.message}`);
  }
}
const validators = new Map(); // compiled when all are known: the types of events refer to the schema of all events
for (const [name, id] of ids) {
  try {
    validators.set(name, ajv.getSchema(id));
  } catch (error) {
    faults.push(`${name}: ${error.message}`);
  }
}

let examples = 0;
const judge = (path, schema, value) => {
  examples += 1;
  const validate = validators.get(schema);
  if (validate === undefined) faults.push(`${relative(folder, path)}: no schema ${schema}`);
  else if (!validate(value)) faults.push(`${relative(folder, path)}: ${ajv.errorsText(validate.errors)} (${schema})`);
};
for (const path of below("examples/requests")) {
  const message = read(path);
  judge(path, `requests/${message.type}/v1.json`, message);
}
for (const path of below("examples/events")) {
  const message = read(path);
  judge(path, `events/${message.type}/v1.json`, message.data);
  judge(path, "events/v1.json", message.data);
}

for (const fault of faults) console.log(fault);
console.log(`${validators.size} schemas, ${examples} examples, ${faults.length} faults`);
process.exit(faults.length === 0 && validators.size > 0 && examples > 0 ? 0 : 1);
