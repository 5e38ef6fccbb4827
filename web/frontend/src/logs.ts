// The page of the logs: a window over as many rows as there are, live, with keys. Without this it is a plain page.
import { $ } from "./dom";
import { Details } from "./logs/details";
import { Feed } from "./logs/feed";
import { Find } from "./logs/find";
import { startForm } from "./logs/form";
import { Histogram } from "./logs/histogram";
import { startKeys } from "./logs/keys";
import { List } from "./logs/list";
import { startTools } from "./logs/tools";

startForm();
const root = $("#log");
if (root) {
  const list = new List(root);
  const find = new Find(list);
  const details = new Details(list, root.dataset["query"] ?? "");
  const histogram = new Histogram(root.dataset["query"] ?? "", root.dataset["live"] === "true");
  const feed = new Feed(list, root, () => histogram.soon());
  startTools(list, root);
  startKeys(list, find, details);
  list.start();
  feed.start();
}
