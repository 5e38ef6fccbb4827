// Builds the files of the browser into the folder given, with the hash of their content in their names, and lists them
// for the Rust side in `assets.in`.
import { build } from "esbuild";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import icons from "./icons.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "../dist");
const assets = join(out, "assets");
const MIME = {
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".woff2": "font/woff2",
  ".svg": "image/svg+xml",
};

/** One class an icon. A mask takes the colour of the text, costs no request, and keeps fragments small. */
function iconClasses() {
  const mask = (name, svg) => {
    const small = svg
      .replace(/<!--.*?-->/gs, "")
      .replace(/\s(class|width|height)="[^"]*"/g, (whole, attribute) => (attribute === "class" ? "" : whole))
      .replace(/\s+/g, " ")
      .replace(/> </g, "><")
      .trim();
    const url = small.replace(/[%#<>"]/g, (char) => (char === '"' ? "'" : encodeURIComponent(char)));
    return `.${name}{--shape:url("data:image/svg+xml,${url}")}`;
  };
  const lucide = join(here, "node_modules/lucide-static/icons");
  const shared = Object.entries(icons).map(([name, file]) =>
    mask(`icon-${name}`, readFileSync(join(lucide, `${file}.svg`), "utf8")),
  );
  const own = readdirSync(join(here, "icons"))
    .filter((file) => file.startsWith("state-"))
    .map((file) => mask(basename(file, ".svg"), readFileSync(join(here, "icons", file), "utf8")));
  return [...shared, ...own].join("\n");
}

rmSync(assets, { recursive: true, force: true });
mkdirSync(assets, { recursive: true });
const iconPlugin = {
  name: "icons",
  setup(build) {
    build.onResolve({ filter: /^icons$/ }, () => ({ path: "icons", namespace: "icons" }));
    build.onLoad({ filter: /.*/, namespace: "icons" }, () => ({ contents: iconClasses(), loader: "css" }));
  },
};
const result = await build({
  absWorkingDir: here,
  entryPoints: {
    app: "src/app.ts",
    theme: "src/theme.ts",
    configs: "src/configs.ts",
    logs: "src/logs.ts",
    "app-css": "styles/app.css",
    "configs-css": "styles/configs.css",
    icon: "icons/icon.svg",
  },
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome123", "firefox120", "safari17.5"],
  outdir: assets,
  entryNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  publicPath: "/static",
  loader: { ".woff2": "file", ".svg": "copy" },
  plugins: [iconPlugin],
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});

const rows = [];
for (const file of Object.keys(result.metafile.outputs)) {
  const path = basename(file);
  const bytes = readFileSync(join(here, file));
  const name = path.replace(/-[A-Z0-9]{8}(?=\.)/, "").replace("-css.css", ".css");
  const zipped = gzipSync(bytes, { level: 9 });
  const keep = zipped.length < bytes.length * 0.95;
  if (keep) writeFileSync(join(assets, `${path}.gz`), zipped);
  const literal = (text) => JSON.stringify(text);
  const include = (at) => `include_bytes!(${literal(at)})`;
  rows.push(
    `Asset { name: ${literal(name)}, path: ${literal(path)}, mime: ${literal(MIME[extname(path)])}, ` +
      `bytes: ${include(join(assets, path))}, gzip: ${keep ? `Some(${include(join(assets, `${path}.gz`))})` : "None"} },`,
  );
}
writeFileSync(join(out, "assets.in"), `&[\n${rows.sort().join("\n")}\n]\n`);
