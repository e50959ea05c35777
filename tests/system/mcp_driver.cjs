// SPDX-License-Identifier: MIT
//
// The MCP SDK's own client, driven by a test: a command a line on stdin, an answer a line on stdout.
//
//   node mcp_driver.cjs FOLDER sdk|client      FOLDER/node_modules holds the package
//
//   {"id": 1, "do": "connect", "command": "…", "args": […], "env": {…}, "version": …}
//                                    → {"id": 1, "ok": {"server": …, "version": …, "instructions": …}}
//   {"id": 2, "do": "call", "name": "…", "arguments": {…}, "progress": true}
//                 → {"id": 2, "progress": {…}} as often as there is any, then {"id": 2, "ok": result}
//   {"id": 3, "do": "cancel", "of": 2}, {"do": "tools"}, {"do": "ping"}, {"do": "close"}
//   {"do": "validate", "schema": {…}, "value": …} → {"ok": {"valid": …, "why": …}}
//
// What goes wrong is {"id": …, "error": {"code", "message", "data"}}. Commands are carried out side
// by side.
'use strict';
const { createRequire } = require('node:module');
const { createInterface } = require('node:readline');

const [folder, generation] = process.argv.slice(2);
const load = createRequire(`${folder}/package.json`);
const packages = {
	sdk: {
		client: '@modelcontextprotocol/sdk/client/index.js',
		stdio: '@modelcontextprotocol/sdk/client/stdio.js',
		validation: '@modelcontextprotocol/sdk/validation/ajv',
	},
	client: {
		client: '@modelcontextprotocol/client',
		stdio: '@modelcontextprotocol/client/stdio',
		validation: '@modelcontextprotocol/client/validators/ajv',
	},
}[generation];
const { Client } = load(packages.client);
const { StdioClientTransport } = load(packages.stdio);
const { AjvJsonSchemaValidator } = load(packages.validation);

const validator = new AjvJsonSchemaValidator();
const aborts = new Map();
let client;

function say(message) {
	process.stdout.write(JSON.stringify(message) + '\n');
}

const jobs = {
	async connect({ command, args, env, version }) {
		const options = { capabilities: {} };
		// The first generation knows no other way than the handshake.
		if (version)
			options.versionNegotiation = { mode: version === 'auto' ? 'auto' : { pin: version } };
		client = new Client({ name: 'driver', version: '1' }, options);
		client.onerror = (error) => say({ id: null, odd: String(error) });
		await client.connect(new StdioClientTransport({ command, args, env, stderr: 'inherit' }));
		return {
			server: client.getServerVersion(),
			version: client.getNegotiatedProtocolVersion?.(),
			instructions: client.getInstructions(),
		};
	},
	async tools() {
		return (await client.listTools()).tools;
	},
	async call({ id, name, arguments: given, progress }) {
		const abort = new AbortController();
		const options = { signal: abort.signal, timeout: 120000 };

		if (progress)
			options.onprogress = (what) => say({ id, progress: what });
		aborts.set(id, abort);
		const params = { name, arguments: given };
		return generation === 'sdk' ? client.callTool(params, undefined, options)
					    : client.callTool(params, options);
	},
	async cancel({ of }) {
		aborts.get(of).abort('the test wants it so');
		return {};
	},
	async ping() {
		return client.ping();
	},
	async validate({ schema, value }) {
		const { valid, errorMessage } = validator.getValidator(schema)(value);
		return { valid, why: errorMessage };
	},
	async close() {
		await client.close();
		return {};
	},
};

createInterface({ input: process.stdin }).on('line', (line) => {
	const command = JSON.parse(line);
	const { id } = command;

	jobs[command.do](command).then(
		(ok) => say({ id, ok }),
		(error) => say({ id, error: { code: error.code, message: error.message, data: error.data } }),
	);
}).on('close', () => client?.close().finally(() => process.exit(0)) ?? process.exit(0));
