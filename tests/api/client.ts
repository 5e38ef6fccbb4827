// A program over the generated client: it compiles only while the document says what it uses, and it runs against a controller.
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/hms.js";

declare const process: { env: Record<string, string | undefined> };

const given = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};

const hms = createClient<paths>({
  baseUrl: given("HMS_URL"),
  headers: { Authorization: `Bearer ${given("HMS_TOKEN")}` },
});

type Problem = components["schemas"]["Details"];

let used = 0;

/** What an operation answered; the error, where it is the wanted one. */
const took = <T>(answer: { data?: T; error?: unknown; response: Response }): T => {
  used += 1;
  if (answer.data === undefined) {
    throw new Error(`${answer.response.url}: ${answer.response.status} ${JSON.stringify(answer.error)}`);
  }
  return answer.data;
};

const refused = (answer: { error?: Problem; response: Response }, status: number, code: string): void => {
  used += 1;
  if (answer.response.status !== status || answer.error?.code !== code) {
    throw new Error(`${answer.response.url}: ${answer.response.status} ${JSON.stringify(answer.error)}`);
  }
};

const key = (): { "Idempotency-Key": string } => ({ "Idempotency-Key": crypto.randomUUID() });

const health = took(await hms.GET("/api/health"));
if (!health.database) throw new Error("the database does not answer");
const host = took(await hms.GET("/api/hosts")).hosts?.[0]?.name ?? "";
took(await hms.GET("/api/hosts/{host}", { params: { path: { host } } }));
took(await hms.GET("/api/account"));
const me = took(await hms.GET("/api/account/whoami"));
if (me.role !== "admin") throw new Error(`the token is ${me.role}`);
took(await hms.GET("/api/account/explain", { params: { query: { method: "UnitService/Restart", host } } }));
took(await hms.GET("/api/sessions"));
took(await hms.GET("/api/tokens"));
took(await hms.GET("/api/users"));
took(await hms.GET("/api/users/{user}", { params: { path: { user: "admin" } } }));
took(await hms.GET("/api/audit", { params: { query: { limit: 2 } } }));
const table = await hms.GET("/api/audit/records", { headers: { Accept: "text/csv" }, parseAs: "text" });
if (!String(took(table)).startsWith("seq,time,actor,")) throw new Error("the audit is no table");
took(await hms.GET("/api/apps"));
took(await hms.GET("/api/deployments", { params: { query: { limit: 1 } } }));
took(await hms.GET("/api/scripts"));
took(await hms.GET("/api/schedules"));
took(await hms.GET("/api/warnings"));
took(await hms.GET("/api/runs", { params: { query: { limit: 1 } } }));
took(await hms.GET("/api/configs/nginx", { params: { query: { host } } }));
took(await hms.GET("/api/logs", { params: { query: { lines: 5 } } }));

refused(await hms.GET("/api/apps/{app}", { params: { path: { app: "tobacco" } } }), 404, "not_found");
refused(
  await hms.POST("/api/users", {
    params: { header: key() },
    body: { username: "grace", role: "viewer", scope: { all: true } },
  }),
  403,
  "denied",
);

const header = key();
const add = () => hms.POST("/api/hosts", { params: { header }, body: { name: "by-client", address: "192.0.2.7" } });
const first = took(await add());
const again = await add();
if (took(again).join_token !== first.join_token) throw new Error("the second answer is another one");
if (again.response.headers.get("idempotency-replayed") !== "true") throw new Error("it was done twice");
const named = { params: { path: { host: "by-client" }, header: key() } };
took(await hms.PATCH("/api/hosts/{host}/labels", { ...named, body: { add: ["env=test"], remove: [] } }));
const removed = await hms.DELETE("/api/hosts/{host}", { params: { path: { host: "by-client" }, header: key() } });
used += 1;
if (removed.response.status !== 204) throw new Error(`removing: ${removed.response.status}`);

console.log(JSON.stringify({ used }));
