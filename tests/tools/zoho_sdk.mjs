// Drives a Zoho with Zoho's own Node SDK for CRM v7, unchanged, and prints the result of each step as one line of JSON.
//
// argv[2] is the SDK's main file. stdin contains one JSON object: `accounts_url` and `api_url`, credentials, a `folder`
// for the SDK's files, and the ids of the steps. If the SDK cannot parse a response, its exception ends the script.

import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const sdk = await import(pathToFileURL(process.argv[2]));
const input = JSON.parse(fs.readFileSync(0, "utf8"));
const { Record: records, Coql: coql, Fields: fieldsApi, Modules: modulesApi } = sdk;
const tokenUrl = `${input.accounts_url}/oauth/v2/token`;

/** A value of the SDK without its wrappers. */
function plain(value) {
  if (value instanceof sdk.Choice) return plain(value.getValue());
  if (value instanceof records.Record) return plain(value.getKeyValues());
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, inner]) => [key, plain(inner)]));
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Date) return value.toISOString();
  if (value === null || value === undefined || typeof value !== "object") return value ?? null;
  return value.constructor.name;
}

/** The content of an entry, a success or an error. */
function entry(one) {
  return {
    class: one.constructor.name,
    status: plain(one.getStatus()),
    code: plain(one.getCode()),
    message: plain(one.getMessage()),
    details: plain(one.getDetails()),
  };
}

let calls = 0;

/** Prints one line: the status of a response and the class that the SDK gives it. */
function report(step, response, more = {}) {
  const line = { step, ...more };
  if (response) {
    calls += 1;
    const object = response.getObject();
    line.status = response.getStatusCode();
    line.class = object ? object.constructor.name : null;
    if (line.class === "APIException") line.error = entry(object);
  }
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** A builder of tokens for the client. */
function client() {
  return new sdk.OAuthBuilder().clientId(input.client_id).clientSecret(input.client_secret);
}

/** Initializes the SDK with a token store and a resource folder of its own. */
async function initialize(name, token) {
  const folder = path.join(input.folder, `node-${name}`);
  fs.mkdirSync(folder, { recursive: true });
  const environment = new sdk.Environment(input.api_url, tokenUrl, input.api_url);
  const store = new sdk.FileStore(path.join(folder, "tokens.csv"));
  const initializer = await new sdk.InitializeBuilder();
  await initializer.environment(environment).token(token).store(store).resourcePath(folder).initialize();
  return token;
}

async function parameters(pairs) {
  const map = new sdk.ParameterMap();
  for (const [parameter, value] of pairs) await map.add(parameter, value);
  return map;
}

function record(values) {
  const made = new records.Record();
  for (const [name, value] of Object.entries(values)) made.addKeyValue(name, value);
  return made;
}

/** A mass update of `ids` or of a view. */
async function massUpdate(step, values, selector, module = "Leads") {
  const body = new records.MassUpdateBodyWrapper();
  await body.setData([record(values)]);
  if (selector.ids) await body.setIds(selector.ids);
  if (selector.cvid) await body.setCvid(selector.cvid);
  if (selector.territory) {
    const territory = new records.MassUpdateTerritory();
    await territory.setId(BigInt(selector.territory));
    await territory.setIncludeChild(true);
    await body.setTerritory(territory);
  }
  if (selector.over_write !== undefined) await body.setOverWrite(selector.over_write);
  const response = await new records.RecordOperations(module).massUpdateRecords(body);
  const object = response.getObject();
  const entries = object.getData ? await object.getData() : [];
  report(step, response, { entries: entries.map(entry) });
  return entries;
}

/** The records of a response. */
async function found(response) {
  const object = response.getObject();
  const data = object && object.getData ? await object.getData() : [];
  return data.map((one) => ({ ...plain(one), id: plain(one.getId()) }));
}

const choice = (value) => new sdk.Choice(value);
const leads = new records.RecordOperations("Leads");

// A grant code is exchanged once. The SDK can exchange one only before it has another user.
const granted = await initialize("grant", client().grantToken(input.grant_code).build());
report("grant", null, { refresh_token: granted.getRefreshToken() !== null });
const again = client().grantToken(input.grant_code).build();
const refusal = await again.generateAccessToken(again, tokenUrl).then(() => null, (error) => error);
report("grant_again", null, { error: `${refusal?.code} ${refusal?.message}` });

// A refresh.
const token = await initialize("refresh", client().refreshToken(input.refresh_token).build());
report("token", null, { user: token.getUserSignature()?.getName() ?? null, api_domain: token.getAPIDomain() });

// Modules, one by its id, and fields.
const listed = await new modulesApi.ModulesOperations().getModules();
const modules = await listed.getObject().getModules();
report("modules", listed, { names: modules.map((module) => module.getAPIName()) });
const accounts = modules.find((module) => module.getAPIName() === "Accounts");
const one = await new modulesApi.ModulesOperations().getModule(accounts.getId());
report("module", one, { names: (await one.getObject().getModules()).map((module) => module.getAPIName()) });
for (const module of input.modules) {
  const response = await new fieldsApi.FieldsOperations().getFields(
    await parameters([[fieldsApi.GetFieldsParam.MODULE, module]]),
  );
  const fields = await response.getObject().getFields();
  const formulas = fields.filter((field) => field.getDataType() === "formula");
  const lookups = fields.filter((field) => field.getDataType() === "lookup");
  report(`fields ${module}`, response, {
    count: fields.length,
    formulas: formulas.map((field) => field.getFormula()?.getReturnType() ?? null),
    lookups: lookups.map((field) => field.getLookup()?.getModule()?.getAPIName() ?? null),
  });
}

// By ids: successes, a partial success, and errors only.
await massUpdate("ids", { Lead_Source: choice("Webinar") }, { ids: input.ids });
await massUpdate("append", { Topics: [choice("CRM")] }, { ids: input.ids, over_write: false });
await massUpdate("over_write", { Topics: [choice("CRM"), choice("Billing")] }, { ids: input.ids, over_write: true });
await massUpdate("mixed", { City: "Bonn" }, { ids: [input.ids[0], "1"] });
await massUpdate("all_failed", { City: "Bonn" }, { ids: ["1", input.locked] });

// By view and territory, and the state of the job.
const scheduled = await massUpdate("view", { Lead_Status: choice("Contacted") }, { cvid: input.cvid, territory: input.territory });
const jobId = plain(scheduled[0].getDetails()).job_id;
const statusOf = async (id) => leads.getMassUpdateStatus(await parameters([[records.GetMassUpdateStatusParam.JOB_ID, id]]));
const status = await statusOf(jobId);
const job = (await status.getObject().getData())[0];
report("status", status, {
  job: plain(job.getStatus()),
  total: job.getTotalCount(),
  sum: job.getUpdatedCount() + job.getNotUpdatedCount() + job.getFailedCount(),
});
await massUpdate("already", { Lead_Status: choice("Contacted") }, { cvid: input.cvid });
report("no_such_job", await statusOf("1"));

// Tags and owners.
async function changeTags(step, operation, names, ids, overWrite) {
  const isNew = overWrite !== undefined;
  const body = isNew ? new sdk.Tags.NewTagRequestWrapper() : new sdk.Tags.ExistingTagRequestWrapper();
  const made = names.map((name) => {
    const tag = isNew ? new sdk.Tags.Tag() : new sdk.Tags.ExistingTag();
    tag.setName(name);
    return tag;
  });
  await body.setTags(made);
  await body.setIds(ids);
  if (isNew) await body.setOverWrite(overWrite);
  const response = await new sdk.Tags.TagsOperations()[operation]("Leads", body, new sdk.ParameterMap());
  const entries = await response.getObject().getData();
  report(step, response, { entries: entries.map(entry), success_count: plain(response.getObject().getSuccessCount()) });
}
await changeTags("add_tags", "addTagsToMultipleRecords", ["Webinar", "Hot"], input.ids, false);
await changeTags("remove_tags", "removeTagsFromMultipleRecords", ["Hot"], [input.ids[0], input.locked]);
const owner = new sdk.ChangeOwner.Owner();
owner.setId(BigInt(input.owner));
const change = new sdk.ChangeOwner.MassWrapper();
await change.setIds(input.ids);
await change.setOwner(owner);
await change.setNotify(false);
const changed = await new sdk.ChangeOwner.ChangeOwnerOperations("Leads").massUpdate(change);
report("change_owner", changed, { entries: (await changed.getObject().getData()).map(entry) });
const viewOwner = new sdk.MassChangeOwner.Owner();
viewOwner.setId(BigInt(input.owner));
const viewChange = new sdk.MassChangeOwner.BodyWrapper();
await viewChange.setCvid(BigInt(input.owner_cvid));
await viewChange.setOwner(viewOwner);
const owners = new sdk.MassChangeOwner.MassChangeOwnerOperations("Leads");
const ofView = await owners.changeOwner(viewChange);
const ofViewEntries = await ofView.getObject().getData();
report("mass_change_owner", ofView, { entries: ofViewEntries.map(entry) });
const ownerJob = plain(ofViewEntries[0].getDetails()).job_id;
const ownerStatus = await owners.checkStatus(await parameters([[sdk.MassChangeOwner.CheckStatusParam.JOB_ID, ownerJob]]));
const ownerState = (await ownerStatus.getObject().getData())[0];
report("owner_status", ownerStatus, {
  job: plain(ownerState.getStatus()),
  total: ownerState.getTotalCount(),
  sum: ownerState.getUpdatedCount() + ownerState.getNotUpdatedCount() + ownerState.getFailedCount(),
});

// Lists of records, to the end, and one record.
const list = records.GetRecordsParam;
let pages = 0;
let pageToken = null;
const seen = [];
do {
  const pairs = [[list.FIELDS, "Last_Name,Email"], [list.PER_PAGE, 200]];
  if (pageToken) pairs.push([list.PAGE_TOKEN, pageToken]);
  const response = await leads.getRecords(await parameters(pairs));
  const info = await response.getObject().getInfo();
  seen.push(...(await found(response)).map((row) => row.id));
  pageToken = info.getMoreRecords() ? info.getNextPageToken() : null;
  pages += 1;
  report(`list ${pages}`, response);
} while (pageToken);
report("list", null, { pages, records: new Set(seen).size });
const since = new sdk.HeaderMap();
await since.add(records.GetRecordsHeader.IF_MODIFIED_SINCE, new Date(input.future));
report("unmodified", await leads.getRecords(await parameters([[list.FIELDS, "Email"]]), since));
const single = await leads.getRecord(BigInt(input.ids[0]));
report("record", single, { found: await found(single) });
report("no_record", await leads.getRecord(1n));

// Look-ups.
for (const [step, query] of Object.entries(input.queries)) {
  const body = new coql.BodyWrapper();
  await body.setSelectQuery(query);
  const response = await new coql.CoqlOperations().getRecords(body);
  report(step, response, { found: await found(response) });
}
const searchParameters = records.SearchRecordsParam;
for (const [step, given] of Object.entries(input.searches)) {
  const pairs = Object.entries(given).map(([name, value]) => {
    const isNumber = name === "page" || name === "per_page";
    return [searchParameters[name.toUpperCase()], isNumber ? Number(value) : value];
  });
  const response = await leads.searchRecords(await parameters(pairs));
  report(step, response, { found: await found(response) });
}

// Record updates: several with their own values, and one by its path.
const body = new records.BodyWrapper();
const first = record({ Email: "new@example.com", Description: "two\nlines" });
first.setId(BigInt(input.ids[0]));
const second = record({ Company: "Ours" });
second.setId(1n);
await body.setData([first, second]);
const updated = await leads.updateRecords(body);
report("update", updated, { entries: (await updated.getObject().getData()).map(entry) });
const alone = new records.BodyWrapper();
await alone.setData([record({ City: "Cologne" })]);
const updatedOne = await leads.updateRecord(BigInt(input.ids[1]), alone);
report("update_one", updatedOne, { entries: (await updatedOne.getObject().getData()).map(entry) });

// Records that are created, and found the next time.
for (const step of ["upsert", "upsert_again"]) {
  const rows = new records.BodyWrapper();
  await rows.setData([record({ Email: "created@example.com", City: "Bonn", Last_Name: "New", Company: "Acme" })]);
  await rows.setDuplicateCheckFields(["Email"]);
  const upserted = await leads.upsertRecords(rows);
  const entries = await upserted.getObject().getData();
  const actions = entries.map((one) => [plain(one.getAction()), plain(one.getDuplicateField())]);
  report(step, upserted, { entries: entries.map(entry), actions });
}

// Refusals.
await massUpdate("not_allowed", { Email: "a@example.com" }, { ids: input.ids });
await massUpdate("no_such_view", { City: "Bonn" }, { cvid: "1" });

// The refresh token of the grant is revoked. The SDK calls a method on the parsed response that JSON objects do not have, after Zoho has answered.
const revoked = granted.revokeRefreshToken(granted.getRefreshToken(), `${tokenUrl}/revoke`);
report("revoked", null, { outcome: await revoked.then(String, (error) => error.constructor.name) });
report("calls", null, { calls });
