package runtime

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVectorizeAndAI(t *testing.T) {
	t.Parallel()
	r := newTestRuntime(t, newMemStore())
	version := tinyVersion(1, idOne, `export default { async fetch(request, env) {
		const failed = async (f) => { try { return { answered: await f() } } catch (e) { return e.name + ": " + e.message } };
		await env.VECTORS.insert([{ id: "east", values: new Float32Array([1, 0]), metadata: { a: "b" } }, { id: "north", values: [0, 1] }]);
		return Response.json({
			found: await env.VECTORS.query([1, 0.5], { topK: 1, returnMetadata: "all" }),
			described: await env.VECTORS.describe(),
			refused: await failed(() => env.VECTORS.query([1, 0, 0])),
			absent: await failed(() => env.NONE.query([1])),
			ai: await failed(() => env.AI.run("@cf/meta/llama-3.1-8b-instruct", { prompt: "hi" })),
		});
	} }`)
	version.Bindings = []Binding{
		{Type: "vectorize", Name: "VECTORS", IndexName: "vectors"}, {Type: "vectorize", Name: "NONE", IndexName: "none"}, {Type: "ai", Name: "AI"},
	}
	apply(t, r, Script{Name: "app", Versions: []Version{version}, Shares: []Share{{idOne, 100}}})
	got := getJSON[map[string]any](t, serve(t, r, "app"))
	want := map[string]any{
		"found": map[string]any{"count": 1.0, "matches": []any{map[string]any{
			"id": "east", "score": 0.8944271909999159, "metadata": map[string]any{"a": "b"},
		}}},
		"described": map[string]any{"dimensions": 2.0, "vectorCount": 2.0},
		"refused":   "Error: VECTOR_QUERY_ERROR: invalid query vector, expected 2 dimensions, and got 3 dimensions",
		"absent":    "Error: VECTOR_QUERY_ERROR: the index none does not exist",
		"ai": "AiError: 501: there is no Workers AI on this machine, so @cf/meta/llama-3.1-8b-instruct cannot answer; " +
			"deploy to a Cloudflare account to use it",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer differs (-want +got):\n%s", diff)
	}
}
