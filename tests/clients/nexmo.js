// Drives the published client, as it is, and prints a report in JSON: for each call its arguments, the status, and what the callback got.
//
//   node nexmo.js APPLICATION PRIVATE_PEM OTHER_PRIVATE_PEM PORT
"use strict";

const http = require("http");
const Nexmo = require("nexmo");

const [application, key, otherKey, port] = process.argv.slice(2);
const report = { calls: [] };
let statuses = [];

// The client's host is fixed and its transport is an option: the requests stay what they are, and only their way is another one.
const transport = {
  request(options) {
    const request = http.request({ ...options, lookup: toThisMachine });
    request.on("response", (response) => statuses.push(response.statusCode));
    return request;
  },
};

function toThisMachine(hostname, options, callback) {
  report.host = hostname;
  if (options.all) callback(null, [{ address: "127.0.0.1", family: 4 }]);
  else callback(null, "127.0.0.1", 4);
}

function makeClient(privateKey) {
  return new Nexmo({ apiKey: "", apiSecret: "", applicationId: application, privateKey }, { port: Number(port), http: transport });
}

// Calls resource.method(...parameters, callback), and resolves to the result.
function call(nexmo, name, ...parameters) {
  return new Promise((resolve) => {
    const [holder, method] = name.split(/\.(?=[^.]*$)/);
    const resource = holder.split(".").reduce((object, key) => object[key], nexmo);
    statuses = [];
    const returned = resource[method](...parameters, (error, result) => {
      const told = error && { statusCode: error.statusCode, body: error.body, message: error.message };
      report.calls.push({ name, parameters, statuses, error: told, result, returned: typeof returned });
      resolve(result || {});
    });
  });
}

async function main() {
  const nexmo = makeClient(key);
  const stranger = makeClient(otherKey);
  const app = { type: "app" };
  const claims = JSON.parse(Buffer.from(nexmo.generateJwt().split(".")[1], "base64url"));
  report.claims = Object.keys(claims).sort();

  const ana = await call(nexmo, "users.create", { name: "ana", display_name: "Ana", image_url: "https://example.com/ana.png" });
  const bo = await call(nexmo, "users.create", { name: "bo" });
  const cy = await call(nexmo, "users.create", { name: "cy" });
  await call(nexmo, "users.create", { name: "ana" });
  await call(nexmo, "users.get", ana.id);
  await call(nexmo, "users.get", {});
  await call(nexmo, "users.get", { page_size: 1, record_index: 1, order: "desc" });
  await call(nexmo, "users.get", "USR-nobody");
  await call(nexmo, "users.update", ana.id, { display_name: "Ana B." });
  await call(nexmo, "users.get", ana.id);

  const room = await call(nexmo, "conversations.create", { name: "room", display_name: "The Room", properties: { ttl: 3600 } });
  const second = await call(nexmo, "conversations.create", { display_name: "Another" });
  await call(nexmo, "conversations.create", { name: "room" });
  await call(nexmo, "conversations.create", { name: 5 });
  await call(nexmo, "conversations.get", room.id);
  await call(nexmo, "conversations.get", {});
  await call(nexmo, "conversations.get", { page_size: 1, record_index: 1 });
  await call(nexmo, "conversations.get", "CON-nowhere");
  await call(nexmo, "conversations.update", room.id, { display_name: "The Hall" });
  await call(nexmo, "conversations.record", room.id, { action: "start" });

  const members = "conversations.members";
  const anaThere = await call(nexmo, `${members}.create`, room.id, { action: "join", user_id: ana.id, channel: app });
  const boThere = await call(nexmo, `${members}.create`, room.id, { action: "invite", user_name: "bo", channel: app });
  const cyThere = await call(nexmo, `${members}.add`, room.id, { action: "join", user_id: cy.id, channel: app });
  await call(nexmo, `${members}.create`, room.id, { action: "join", user_id: ana.id, channel: app });
  await call(nexmo, `${members}.get`, room.id, boThere.id);
  await call(nexmo, `${members}.update`, room.id, boThere.id, { action: "join", channel: app });
  await call(nexmo, `${members}.delete`, room.id, cyThere.id);
  await call(nexmo, `${members}.get`, room.id, {});
  await call(nexmo, `${members}.get`, room.id, { page_size: 1, record_index: 2 });
  await call(nexmo, `${members}.get`, room.id, "MEM-nobody");

  const events = "conversations.events";
  const text = await call(nexmo, `${events}.create`, room.id, { type: "text", from: anaThere.id, body: { text: "Grüße 🎈" } });
  await call(nexmo, `${events}.create`, room.id, { type: "text:seen", from: boThere.id, body: { event_id: text.id } });
  await call(nexmo, `${events}.create`, room.id, { type: "custom:note", from: boThere.id, to: anaThere.id, body: { n: 1 } });
  await call(nexmo, `${events}.create`, room.id, { type: "text", from: cyThere.id, body: { text: "I am not there." } });
  await call(nexmo, `${events}.get`, room.id, text.id);
  await call(nexmo, `${events}.get`, room.id, {});
  await call(nexmo, `${events}.get`, room.id, { start_id: 3, end_id: 5, order: "desc" });
  await call(nexmo, `${events}.delete`, room.id, text.id);
  await call(nexmo, `${events}.get`, room.id, text.id);
  await call(nexmo, `${events}.get`, room.id, "99");
  await call(nexmo, `${events}.delete`, room.id, "99");

  await call(nexmo, "users.getConversations", bo.id);
  await call(nexmo, "users.getConversations", cy.id);
  await call(nexmo, "conversations.get", room.id);

  await call(stranger, "conversations.get", room.id);
  await call(stranger, "users.create", { name: "dee" });

  await call(nexmo, "users.delete", bo.id);
  await call(nexmo, "users.get", bo.id);
  await call(nexmo, "conversations.delete", room.id);
  await call(nexmo, "conversations.get", room.id);
  await call(nexmo, "conversations.delete", room.id);
  await call(nexmo, "conversations.delete", second.id);
  await call(nexmo, "conversations.get", {});
}

main()
  .catch((error) => {
    report.crash = String(error.stack || error);
  })
  .then(() => console.log(JSON.stringify(report)));
