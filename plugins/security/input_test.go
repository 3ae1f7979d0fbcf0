package main

import (
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestInputSnippets(t *testing.T) { gatetest.Try(t, inputGate{}, snippets(t, "input")) }

func TestInput(t *testing.T) {
	of := func(files ...string) gates.Request { return gates.Request{SourceDir: appOf(t, files...)} }
	bad := "export default {\n  async fetch(request: Request, env: Env) {\n    const body = await request.json<any>();\n    await env.KV.put('a', body.name);\n  },\n};\n"

	gatetest.Try(t, inputGate{}, []gatetest.Case{{
		Name: "unchecked", Request: of("src/index.ts", bad), Want: gates.Fail,
		Check: gatetest.All(gatetest.Says("without a schema in 1 place (1 read of bodies and queries in 1 file)"), gatetest.Finds(gates.Finding{
			Level: gates.LevelError, Rule: "input-unchecked", File: "src/index.ts", Line: 3, Column: 24,
			Message: "`request.json()` is given to `env.KV.put(\"a\", body.name)` before a schema has checked it",
			Detail:  "parse it first: const body = bodySchema.parse(await request.json())\nit takes effect at src/index.ts:4:11",
		})),
	}, {
		Name: "checked", Want: gates.Pass,
		Request: of("src/index.ts", "import { z } from 'zod';\nconst schema = z.object({});\nexport default { fetch: async (request: Request) => Response.json(schema.parse(await request.json())) };\n"),
		Check:   gatetest.Measures("reads", 1),
	}, {
		Name: "reads nothing", Request: of("src/index.ts", "export default { fetch: () => new Response('ok') };\n"), Want: gates.Pass, Check: gatetest.Says("0 reads"),
	}, {
		Name: "not given the source", Want: gates.Inconclusive,
	}, {
		Name: "no source", Request: of("README.md", "x"), Want: gates.Inconclusive,
	}, {
		Name: "a file that cannot be parsed", Request: of("src/a.ts", "export default {};\n", "src/b.tsx", "const a = <div>;\n"), Want: gates.Inconclusive,
		Check: gatetest.Says("1 file could not be parsed"),
	}, {
		Name: "left out", Config: `{"exclude": ["src/legacy/**"]}`, Request: of("src/a.ts", "export default {};\n", "src/legacy/index.ts", bad), Want: gates.Pass,
	}})
}
