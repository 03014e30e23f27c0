// Bundles app.js into ../npm.js, with the packages of browser/: node examples/site/npm/build.mjs
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const packages = here("../../../browser/node_modules");
const { build } = createRequire(here("../../../browser/package.json"))("esbuild");

await build({
  entryPoints: [here("app.js")],
  outfile: here("../npm.js"),
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2019",
  nodePaths: [packages],
  legalComments: "eof",
  logLevel: "warning",
});
