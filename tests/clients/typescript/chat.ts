// What a program in TypeScript does with the types that are made of the document. It is compiled, and not run.

import createClient from "openapi-fetch";
import type {components, paths} from "./api";

type Event = components["schemas"]["Event"];

export async function chat(token: string): Promise<Event[]> {
  const client = createClient<paths>({baseUrl: "https://example.com", headers: {Authorization: `Bearer ${token}`}});
  const created = await client.POST("/beta/conversations", {body: {display_name: "Support"}});
  if (!created.data) throw new Error(created.error.description);
  const path = {conversation_id: created.data.id};
  await client.POST("/beta/conversations/{conversation_id}/members", {params: {path}, body: {action: "join", user_name: "ana"}});
  await client.POST("/beta/conversations/{conversation_id}/events", {params: {path}, body: {type: "text", body: {text: "Hello"}}});
  const {data = []} = await client.GET("/beta/conversations/{conversation_id}/events", {params: {path, query: {order: "desc", page_size: 5}}});
  // @ts-expect-error -- there is no such order
  await client.GET("/beta/conversations/{conversation_id}/events", {params: {path, query: {order: "random"}}});
  // @ts-expect-error -- an event has a type
  await client.POST("/beta/conversations/{conversation_id}/events", {params: {path}, body: {body: {text: "Hello"}}});
  return data.filter(({type, body}) => type === "text" && body.text !== undefined);
}
