package main

import (
	"fmt"
	"slices"
	"strings"
)

// What is known of JavaScript's own functions, as far as they pass input on or only look at it.
var (
	// looking are methods that tell something about a value and do not give it away.
	looking = []string{
		"includes", "has", "hasOwn", "indexOf", "lastIndexOf", "startsWith", "endsWith", "test", "localeCompare", "hasOwnProperty", "every", "some",
		"isArray", "isInteger", "isSafeInteger", "isFinite", "isNaN", "is", "search", "forEach",
	}
	// adding are methods that put their arguments into what they are called on.
	adding = []string{"push", "unshift", "add", "set", "append", "splice"}
	// passing are global functions, and those of global objects, whose result is made of their arguments.
	passing        = []string{"String", "Number", "BigInt", "parseInt", "parseFloat", "decodeURIComponent", "encodeURIComponent", "decodeURI", "encodeURI", "atob", "btoa", "structuredClone", "escape", "unescape", "Symbol"}
	passingObjects = []string{"JSON", "Object", "Array", "Number", "Math", "String", "Promise", "URL", "Date"}
	// passingClasses are those whose objects hold what they are made of.
	passingClasses = []string{"URL", "URLSearchParams", "Map", "Set", "Array", "Object", "String", "Number", "Date", "FormData", "Blob", "File", "Uint8Array", "Promise"}
)

func (f *flow) call(n *node) value {
	callee := n.kids[0]
	if fn := f.app.functionOf(callee); fn != nil {
		return f.ownCall(fn, n)
	}
	if !callee.is(kMember) {
		f.eval(callee)
		return f.plainCall(n)
	}
	object := f.eval(callee.kids[0])
	if v, ok := f.reading(object, callee.text, n); ok {
		f.callbacks(n, something)
		return v
	}
	switch root := callee.kids[0]; {
	case root.isGlobal("console"), root.isGlobal("crypto"), root.isGlobalMember("crypto", "subtle"), isLog(root):
		f.arguments(n)
		return value{}
	case root.is(kName) && root.binding == nil && slices.Contains(passingObjects, root.text):
		return f.globalMethod(n)
	case f.app.isCheck(callee):
		return f.check(n.arguments(), f.arguments(n))
	case f.isCodec(root):
		return f.coded(n)
	}
	if v, ok := f.method(object, n); ok {
		return v
	}
	return f.unknownCall(n, object)
}

// arguments evaluates a call's arguments; functions among them are run with nothing known of their parameters.
func (f *flow) arguments(n *node) []value {
	values := make([]value, 0, len(n.kids))
	for _, argument := range n.arguments() {
		if argument.is(kFunction) {
			f.run(argument.fn, nil)
		}
		values = append(values, f.asInput(f.eval(argument), argument))
	}
	return values
}

// callbacks runs the functions among a call's arguments.
func (f *flow) callbacks(n *node, with value) value {
	made := value{}
	for _, argument := range n.arguments() {
		made = mixed(made, f.callback(argument, with))
	}
	return made
}

// callback returns what a function that is handed over returns when it is given these values.
func (f *flow) callback(argument *node, values ...value) value {
	switch fn := f.app.functionOf(argument); {
	case fn != nil:
		return f.run(fn, values)
	case f.app.isCheck(argument):
		return value{}
	case argument.is(kFunction), argument.is(kPlain):
		return value{}
	case argument.isGlobalMember("JSON", "parse"), argument.is(kName) && argument.binding == nil && slices.Contains(passing, argument.text):
		return from(values...)
	case argument.isGlobal("Boolean"):
		return something
	}
	f.use(from(values...), use{at: argument, how: "is handed to " + quoted(argument)})
	return value{}
}

// ownCall runs one of the app's own functions.
func (f *flow) ownCall(fn *function, n *node) value {
	if n.kids[0].is(kMember) {
		f.eval(n.kids[0].kids[0])
	}
	values := make([]value, 0, len(n.kids))
	for _, argument := range n.arguments() {
		v := f.eval(argument)
		if argument.is(kSpread) {
			v = from(v)
		}
		values = append(values, v)
	}
	if !f.isWorth(fn, values) {
		return value{}
	}
	key, keyed := f.keyOf(fn, values)
	if keyed {
		if known, found := f.known[key]; found {
			return f.anchored(known, n, values)
		}
	}
	made := f.run(fn, values)
	if keyed {
		f.known[key] = made
	}
	return f.anchored(made, n, values)
}

// keyOf names a call by what it is given. Calls that are given input have none, as they may check it.
func (f *flow) keyOf(fn *function, values []value) (callKey, bool) {
	if fn.node.enclosing() != nil || slices.Contains(f.within, fn) || len(f.within) >= maxDepth/2 {
		return callKey{}, false // it sees more than its arguments, or may not be run to its end
	}
	var args strings.Builder
	for _, v := range values {
		if len(v.raw) > 0 || v.parts != nil {
			return callKey{}, false
		}
		fmt.Fprintf(&args, "%d%t ", v.is, v.known)
	}
	return callKey{fn, args.String()}, true
}

// anchored says that input which a function read and returned comes in where it was called: that is where it lacks a
// schema, and each caller answers for itself.
func (f *flow) anchored(made value, call *node, arguments []value) value {
	given := from(arguments...).raw
	reanchor := func(reads []*read) []*read {
		var moved []*read
		for _, r := range reads {
			if f.now.checked[r] {
				continue
			}
			if !slices.Contains(given, r) && r.at.enclosing() != call.enclosing() {
				moved = append(moved, f.readAt(call, r.what).raw...)
				continue
			}
			moved = append(moved, r)
		}
		return distinct(moved)
	}
	result := made
	result.raw = reanchor(made.raw)
	if made.parts != nil {
		result.parts = map[string]value{}
		for name, part := range made.parts {
			result.parts[name] = f.anchored(part, call, arguments)
		}
	}
	return result
}

// plainCall is a call of what is no member: a global function, an import of a package, a parameter.
func (f *flow) plainCall(n *node) value {
	callee := n.kids[0]
	switch {
	case f.app.isCheck(callee):
		return f.check(n.arguments(), f.arguments(n))
	case callee.is(kName) && callee.binding == nil && slices.Contains(passing, callee.text):
		return from(f.arguments(n)...)
	case callee.isGlobal("Boolean"), callee.isGlobal("isNaN"), callee.isGlobal("isFinite"):
		f.arguments(n)
		return something
	case callee.is(kName) && (callee.text == "timingSafeEqual" || strings.HasPrefix(callee.text, "__")), callee.is(kOther):
		// import(…), super(…), and what esbuild put there, pass on what they are given.
		return from(f.arguments(n)...)
	case callee.is(kName) && isValidatorName(callee.text) && n.kid(1).is(kText):
		return f.validator(n)
	}
	return f.unknownCall(n, value{})
}

// validator looks into Hono's validator('json', (value, c) => …): what it returns counts as checked from there on.
func (f *flow) validator(n *node) value {
	for _, argument := range n.arguments() {
		fn := f.app.functionOf(argument)
		if fn == nil || len(fn.params) == 0 {
			continue
		}
		made := f.run(fn, []value{f.readAt(fn.params[0], target(n.kids[1].text))})
		f.use(made, use{at: argument, how: "is returned as valid"})
	}
	return value{}
}

// globalMethod is a call of JSON.parse, Object.entries, Promise.all and their like.
func (f *flow) globalMethod(n *node) value {
	values := f.arguments(n)
	switch method := n.kids[0].text; {
	case slices.Contains(looking, method):
		return something
	case n.kids[0].kids[0].isGlobal("Promise") && (method == "all" || method == "resolve" || method == "allSettled" || method == "race") && len(values) == 1:
		return values[0]
	case method == "freeze" && len(values) == 1:
		return values[0]
	case method == "assign" && len(values) > 0:
		if target := n.kids[1]; target.is(kName) && target.binding != nil {
			f.now.values[target.binding] = mixed(f.now.values[target.binding], from(values[1:]...))
		}
	case method == "from" && len(values) > 1:
		return f.callback(n.kids[2], values[0].element())
	}
	return from(values...)
}

// isCodec reports whether something is a TextEncoder or TextDecoder, by what it is or by its name.
func (f *flow) isCodec(n *node) bool {
	made := f.app.valueOf(n)
	if made.is(kNew) {
		return made.kids[0].isGlobal("TextDecoder") || made.kids[0].isGlobal("TextEncoder")
	}
	return n.is(kName) && strings.HasSuffix(strings.ToLower(n.text), "coder")
}

// coded decodes a body's bytes into text, which is a read, and encodes text into bytes, as signatures are checked over.
func (f *flow) coded(n *node) value {
	values := f.arguments(n)
	if n.kids[0].text == "decode" && len(values) > 0 && values[0].is&itsBytes != 0 {
		return mixed(f.readAt(n, targetText), from(values...))
	}
	if n.kids[0].text == "encode" {
		return value{}
	}
	return from(values...)
}

// isLog reports whether something is a logger by its name.
func isLog(n *node) bool {
	if n.is(kMember) || n.is(kName) {
		switch strings.ToLower(n.text) {
		case "log", "logger", "console":
			return true
		}
	}
	return false
}

// method is a call of a method on input, or on something that holds it; ok is false for others.
func (f *flow) method(object value, n *node) (made value, ok bool) {
	method := n.kids[0].text
	switch method {
	case "then", "catch", "finally":
		return f.settled(object, n), true
	case "call", "apply", "bind":
		return value{}, false
	}
	if len(object.reads()) == 0 {
		switch {
		case slices.Contains(looking, method):
			f.arguments(n)
			return something, true
		case slices.Contains(adding, method):
			return f.adding(n)
		case method == "exec" && !f.app.isDatabase(n.kids[0].kids[0]): // of a regular expression
			return from(f.arguments(n)...), true
		}
		return value{}, false
	}
	element := object.element()
	switch method {
	case "map", "flatMap":
		return f.callbacks(n, element), true
	case "forEach", "every", "some":
		f.callbacks(n, element)
		return something, true
	case "reduce", "reduceRight":
		start := from(f.valuesOf(n.kids[2:])...)
		return mixed(start, f.callback(n.kids[1], mixed(start, element), element)), true
	}
	if slices.Contains(looking, method) {
		f.arguments(n)
		return something, true
	}
	return from(append(f.arguments(n), object)...), true
}

func (f *flow) valuesOf(nodes []*node) []value {
	var values []value
	for _, n := range nodes {
		values = append(values, f.eval(n))
	}
	return values
}

// settled is what a promise's then, catch or finally gives.
func (f *flow) settled(object value, n *node) value {
	if n.kids[0].text == "then" && len(n.kids) > 1 {
		made := f.callback(n.kids[1], object)
		if len(n.kids) > 2 {
			made = mixed(made, f.callback(n.kids[2], value{}))
		}
		return made
	}
	return mixed(object, f.callbacks(n, value{}))
}

// adding puts arguments into an array, a map or a set that the function made itself.
func (f *flow) adding(n *node) (value, bool) {
	object := n.kids[0].kids[0]
	if !object.is(kName) || object.binding == nil || object.binding.role != aVariable {
		return value{}, false
	}
	held := f.now.values[object.binding]
	if !held.known {
		return value{}, false
	}
	f.now.values[object.binding] = mixed(held, value{known: true, raw: from(f.arguments(n)...).raw})
	return something, true
}

func (f *flow) construction(n *node) value {
	class := n.kids[0]
	if class.is(kName) && class.binding == nil {
		values := f.arguments(n)
		switch {
		case class.text == "URL" && len(values) > 0:
			if values[0].is&itsAddress != 0 {
				return value{is: itsAddress}
			}
			return value{known: true, raw: from(values...).raw}
		case class.text == "URLSearchParams" && len(values) > 0 && values[0].is&(itsSearch|itsQuery) != 0:
			return value{is: itsQuery}
		case class.text == "Request" && len(values) > 0 && values[0].is&theRequest != 0:
			return value{is: theRequest}
		case class.text == "Response" && len(values) > 0 && values[0].is&itsBytes != 0:
			return value{is: itsBytes} // new Response(request.body).json()
		case slices.Contains(passingClasses, class.text):
			return value{known: true, raw: from(values...).raw}
		case strings.HasSuffix(class.text, "Error"):
			return something
		}
		f.use(from(values...), use{at: n, how: "goes into " + quoted(n)})
		return something
	}
	values := f.arguments(n)
	if strings.HasSuffix(class.text, "Error") || strings.HasSuffix(class.text, "Exception") {
		return something
	}
	if made := f.app.valueOf(class); made.is(kClass) {
		if constructor := f.app.constructorOf(made); constructor != nil {
			f.run(constructor, values)
			return something
		}
	}
	f.use(from(values...), use{at: n, how: "goes into " + quoted(n)})
	return something
}

// unknownCall is a call of what cannot be followed: input that is given to it is used.
func (f *flow) unknownCall(n *node, object value) value {
	callee := n.kids[0]
	values := f.arguments(n)
	given := from(values...)
	if len(given.raw) == 0 {
		return value{}
	}
	if callee.is(kMember) {
		if candidates := f.app.methodsNamed(callee.text); len(candidates) > 0 && len(object.reads()) == 0 && !isBinding(callee.kids[0]) {
			made := value{}
			for _, fn := range candidates {
				made = mixed(made, f.run(fn, values))
			}
			return f.anchored(made, n, values)
		}
	}
	f.use(given, use{at: n, how: "is given to " + quoted(n), unclear: f.app.mayBeCheck(callee)})
	return value{}
}

// isBinding reports whether something is one of the Worker's bindings: env.KV, c.env.DB, this.env.QUEUE.
func isBinding(n *node) bool {
	return n.is(kMember) && ((n.kids[0].is(kName) || n.kids[0].is(kMember)) && n.kids[0].text == "env")
}

// methodsNamed are the methods of that name in the app's classes, when they are so few that a call can mean each.
func (s *codebase) methodsNamed(name string) []*function {
	if found := s.methods[name]; len(found) <= 3 {
		return found
	}
	return nil
}
