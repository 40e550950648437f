#!/usr/bin/env node
// What gambit asks of a native solc: `--ast-compact-json FILE --output-dir DIR --overwrite`, from the JavaScript build.
// Run in the repository's root; writes DIR/NAME.sol_json.ast, the syntax tree of FILE alone.
"use strict";

const fs = require("fs");
const path = require("path");
const solc = require("solc");

const options = process.argv.slice(2);
const file = options[options.indexOf("--ast-compact-json") + 1];
const folder = options[options.indexOf("--output-dir") + 1];
if (!options.includes("--ast-compact-json") || !options.includes("--output-dir")) {
  console.error("unrecognised options: " + options.join(" "));
  process.exit(1);
}

const unit = path.relative(process.cwd(), path.resolve(file));
const read = (name) => fs.readFileSync(name.startsWith("@") ? path.join("node_modules", name) : name, "utf8");
const request = {
  language: "Solidity",
  sources: { [unit]: { content: read(unit) } },
  settings: { evmVersion: "shanghai", outputSelection: { "*": { "": ["ast"] } } },
};
const answer = JSON.parse(
  solc.compile(JSON.stringify(request), {
    import: (name) => {
      try {
        return { contents: read(name) };
      } catch (error) {
        return { error: String(error) };
      }
    },
  }),
);
const errors = (answer.errors || []).filter((problem) => problem.severity === "error");
if (errors.length > 0) {
  console.error(errors.map((problem) => problem.formattedMessage).join("\n"));
  process.exit(1);
}
fs.mkdirSync(folder, { recursive: true });
fs.writeFileSync(path.join(folder, path.basename(unit) + "_json.ast"), JSON.stringify(answer.sources[unit].ast));
