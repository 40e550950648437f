#!/usr/bin/env node
// The JavaScript build of solc behind the two options of a native `solc` that we need: --version and --standard-json.
"use strict";

const solc = require(process.env.STRATA_SOLJSON_PACKAGE || "solc");
const options = process.argv.slice(2);

if (options.includes("--version")) {
  console.log("solc, the solidity compiler commandline interface (JavaScript build)");
  console.log("Version: " + solc.version());
} else if (options.includes("--standard-json")) {
  const chunks = [];
  process.stdin.on("data", (chunk) => chunks.push(chunk));
  process.stdin.on("end", () => process.stdout.write(solc.compile(Buffer.concat(chunks).toString("utf8"))));
} else {
  console.error("unrecognised option '" + options.join(" ") + "'");
  process.exit(1);
}
