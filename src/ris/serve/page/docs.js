// Draws /openapi.json as a page to read.

import { h } from "./dom.js";

const api = await (await fetch("/openapi.json")).json();
const main = document.getElementById("main");

const named = (reference) => reference.split("/").pop();
const resolved = (schema) => (schema?.$ref ? api.components.schemas[named(schema.$ref)] : schema);

function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) return named(schema.$ref);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf) return schema.anyOf.map(kind).join(" | ");
  if (schema.type === "array") return `[${kind(schema.items)}]`;
  if (schema.contentMediaType || schema.format === "binary") return "a file";
  const bounds = [
    schema.minimum !== undefined && `≥ ${schema.minimum}`,
    schema.maximum !== undefined && `≤ ${schema.maximum}`,
    schema.exclusiveMaximum !== undefined && `< ${schema.exclusiveMaximum}`,
  ].filter(Boolean);
  return [schema.type, ...bounds].join(" ");
}

function table(rows) {
  return h("table", {}, h("tbody", {}, rows.map(([name, type, text]) =>
    h("tr", {}, h("th", { scope: "row" }, h("code", {}, name)), h("td", {}, h("code", {}, type)), h("td", {}, text ?? "")))));
}

function fields(schema) {
  const { properties = {}, required = [] } = resolved(schema) ?? {};
  return Object.entries(properties).map(([name, one]) => [required.includes(name) ? name : `${name}?`, kind(one), one.description]);
}

function example(method, path, operation) {
  const needed = (operation.parameters ?? []).filter((one) => one.in === "query" && one.required);
  const query = needed.length ? `?${needed.map((one) => `${one.name}=${one.schema.examples?.[0] ?? 0}`).join("&")}` : "";
  const parts = ["curl"];
  if (method !== "get" && method !== "post") parts.push(`-X ${method.toUpperCase()}`);
  if (operation.security) parts.push("-H 'Authorization: Bearer TOKEN'");
  if (operation.requestBody) parts.push("-F picture=@query.jpg");
  else if (method === "post") parts.push("-X POST");
  return [...parts, `'${location.origin}${path.replace(/\{\w+\}/g, "0")}${query}'`].join(" ");
}

function drawn(method, path, operation) {
  const parameters = (operation.parameters ?? []).map((one) => [
    one.required ? one.name : `${one.name}?`,
    kind(one.schema),
    one.description ?? one.schema.description,
  ]);
  const body = operation.requestBody?.content["multipart/form-data"]?.schema;
  const answers = Object.entries(operation.responses).map(([status, one]) => [
    status,
    Object.entries(one.content ?? {}).map(([type, content]) => kind(content.schema) || type).join(", "),
    one.description,
  ]);
  return h(
    "details",
    { class: "operation" },
    h("summary", {}, h("span", { class: `method ${method}` }, method.toUpperCase()), h("code", {}, path), h("span", { class: "note" }, operation.summary ?? "")),
    h("p", {}, operation.description ?? ""),
    h("pre", { tabindex: "0" }, example(method, path, operation)),
    parameters.length > 0 && [h("h3", {}, "Parameters"), table(parameters)],
    body && [h("h3", {}, "Form"), table(fields(body))],
    h("h3", {}, "Answers"),
    table(answers),
  );
}

const tags = new Map();
for (const [path, operations] of Object.entries(api.paths))
  for (const [method, operation] of Object.entries(operations)) {
    const tag = operation.tags?.[0] ?? "more";
    tags.set(tag, [...(tags.get(tag) ?? []), drawn(method, path, operation)]);
  }
main.append(
  h("p", {}, api.info.description),
  ...[...tags].map(([tag, operations]) => h("section", {}, h("h2", {}, tag), operations)),
  h(
    "section",
    {},
    h("h2", {}, "Answers in detail"),
    ...Object.entries(api.components.schemas)
      .filter(([, schema]) => schema.type === "object")
      .map(([name, schema]) =>
        h("details", { class: "operation" }, h("summary", {}, h("code", {}, name), h("span", { class: "note" }, schema.description ?? "")), table(fields(schema))),
      ),
  ),
);
