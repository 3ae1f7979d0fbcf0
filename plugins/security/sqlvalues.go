package main

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// What is known of JavaScript's own functions, as far as strings are built with them.
var (
	// derived are methods whose text comes from what they are called on and nothing else.
	derived = []string{
		"trim", "trimStart", "trimEnd", "toUpperCase", "toLowerCase", "toLocaleUpperCase", "toLocaleLowerCase", "slice", "substring", "substr",
		"repeat", "normalize", "toString", "valueOf", "at", "charAt", "split", "filter", "sort", "reverse", "toSorted", "toReversed", "flat",
		"find", "findLast", "pop", "shift", "keys", "values", "entries",
	}
	// combined are methods whose text comes from what they are called on and from their arguments.
	combined = []string{"concat", "padStart", "padEnd", "push", "with", "toSpliced"}
	// numeric are methods that give numbers or truth values.
	numeric = []string{
		"indexOf", "lastIndexOf", "findIndex", "includes", "startsWith", "endsWith", "has", "test", "every", "some", "getTime", "toFixed", "charCodeAt",
		"codePointAt", "localeCompare", "search", "forEach",
	}
	// numericGlobals give numbers or truth values whatever they are given.
	numericGlobals = []string{"Number", "parseInt", "parseFloat", "Boolean", "BigInt", "isNaN", "isFinite"}
)

func (r *reader) member(n *node) text {
	if n.text == "length" || n.text == "size" {
		return harmless
	}
	object := n.kids[0]
	if object.isGlobal("Math") || object.isGlobal("Number") {
		return harmless
	}
	found := r.source.definition(n)
	switch {
	case found.value != nil:
		return r.guarded(found.value, n, func() text { return r.read(found.value) })
	case found.binding != nil:
		return r.bound(found.binding, n)
	case isBundledText(found.external):
		return harmless
	case object.is(kThis):
		return r.field(owner(n), n)
	}
	if value := r.source.property(object, n.text); value != nil {
		return r.guarded(value, n, func() text { return append(r.read(value), r.addedToMembers(n)...) })
	}
	value := r.source.valueOf(object)
	switch {
	case value.is(kCall) && r.source.functionOf(value.kids[0]) != nil && !value.kids[0].is(kFunction):
		return append(r.part(value, []string{n.text}, n), r.addedToMembers(n)...)
	case value.is(kClass):
		return r.field(value, n)
	case value.is(kCall) && value.kids[0].is(kFunction):
		return r.enum(value, n)
	}
	return r.fixedElements(object, n)
}

// field returns what a field of a class can hold: what it starts with and what this.field is set to.
func (r *reader) field(class, n *node) text {
	if !class.is(kClass) {
		return open(n)
	}
	return r.guarded([2]any{class, n.text}, n, func() text {
		all := text{}
		for _, kid := range class.kids[1:] {
			if kid.is(kProperty) && kid.text == n.text && !(kid.kids[0].is(kPlain) && kid.kids[0].text == "undefined") {
				if kid.kids[0].is(kFunction) {
					return open(n) // a getter
				}
				all = append(all, r.read(kid.kids[0])...)
			}
		}
		all = append(all, r.addedToMembers(n)...)
		if len(all) == 0 {
			return open(n)
		}
		return all
	})
}

// addedToMembers returns what properties of that name are set to, and what is put into them, anywhere in the module: whose
// property it is cannot always be told, and one too many is looked at rather than one too few.
func (r *reader) addedToMembers(n *node) text {
	all := text{}
	for _, member := range r.source.members[n.text] {
		above := member.parent
		if member.module != n.module || (member.kids[0].is(kThis) && n.kids[0].is(kThis) && owner(member) != owner(n)) {
			continue
		}
		switch {
		case above.is(kAssign) && above.kids[0] == member:
			value := r.read(above.kids[1])
			if above.text == "+=" {
				value = value.within(above.kids[1])
			}
			all = append(all, value...)
		case above.is(kMember) && slices.Contains(adders, above.text) && above.parent.is(kCall) && above.parent.kids[0] == above:
			all = append(all, r.readAll(above.parent.arguments())...)
		case above.is(kIndex) && above.kids[0] == member && above.parent.is(kAssign) && above.parent.kids[0] == above:
			all = append(all, r.read(above.parent.kids[1])...)
		}
	}
	return all
}

// enum reads what TypeScript makes of an enum: a function that fills the object it is given.
func (r *reader) enum(call, n *node) text {
	fn := call.kids[0].fn
	if len(fn.params) != 1 || !fn.params[0].is(kName) || len(fn.returns) != 1 || !fn.returns[0].is(kName) || fn.returns[0].binding != fn.params[0].binding {
		return open(n)
	}
	return r.added(fn.params[0].binding, n)
}

// keys returns what the keys of an object can be.
func (r *reader) keys(of, n *node) text {
	value := r.source.valueOf(of)
	if !value.is(kObject) {
		return open(n)
	}
	all := text{}
	for _, kid := range value.kids {
		switch kid.kind {
		case kProperty:
			all = append(all, piece{text: kid.text})
		case kIndexed:
			all = append(all, r.read(kid.kids[0])...)
		default:
			all = append(all, r.keys(kid.kids[0], n)...)
		}
	}
	if found := r.source.addedKeys(of); found {
		return open(n)
	}
	return all
}

// addedKeys reports whether an object gets keys that are not written out after it was made.
func (s *codebase) addedKeys(of *node) bool {
	return of.is(kName) && of.binding != nil && slices.ContainsFunc(s.uses[of.binding], func(use *node) bool {
		return use.parent.is(kIndex) && use.parent.kids[0] == use && use.parent.parent.is(kAssign) && use.parent.parent.kids[0] == use.parent
	})
}

func (r *reader) call(n *node) text {
	callee, arguments := n.kids[0], n.arguments()
	if fn := r.source.functionOf(callee); fn != nil {
		return r.returned(fn, n)
	}
	switch {
	case callee.is(kName) && callee.binding == nil:
		return r.globalCall(callee.text, n)
	case callee.is(kMember):
	default:
		return open(n)
	}
	object := callee.kids[0]
	switch {
	case object.isGlobal("Math"), object.isGlobal("Number"), callee.isGlobalMember("Date", "now"), callee.isGlobalMember("Array", "isArray"):
		return harmless
	case callee.isGlobalMember("Array", "from") && len(arguments) > 0:
		if len(arguments) > 1 {
			return r.result(arguments[1], n, r.fixedElements(arguments[0], n), harmless)
		}
		return r.fixedElements(arguments[0], n)
	case callee.isGlobalMember("Array", "of"):
		return r.readAll(arguments)
	case object.isGlobal("Object") && len(arguments) > 0:
		switch callee.text {
		case "keys":
			return r.keys(arguments[0], n)
		case "values", "freeze", "seal":
			return r.read(arguments[0])
		case "entries":
			return slices.Concat(r.keys(arguments[0], n), r.read(arguments[0]))
		}
		return open(n)
	}
	return r.methodCall(callee.text, object, n)
}

func (r *reader) methodCall(method string, object, n *node) text {
	arguments := n.arguments()
	switch {
	case slices.Contains(numeric, method):
		return harmless
	case slices.Contains(derived, method):
		return r.read(object)
	case slices.Contains(combined, method):
		all := r.read(object)
		for _, argument := range arguments {
			all = append(all, r.read(argument).within(argument)...)
		}
		return all
	}
	if len(arguments) == 0 {
		if method == "join" {
			return r.read(object).within(n)
		}
		return open(n)
	}
	switch method {
	case "join":
		return slices.Concat(r.read(object), r.read(arguments[0])).within(n)
	case "fill":
		return r.read(arguments[0])
	case "map", "flatMap":
		return r.result(arguments[0], n, r.fixedElements(object, n), harmless)
	case "replace", "replaceAll":
		if len(arguments) != 2 {
			return open(n)
		}
		return slices.Concat(r.read(object), r.result(arguments[1], n, r.fixedElements(object, n)))
	case "reduce":
		start := slices.Concat(r.readAll(arguments[1:]), r.fixedElements(object, n))
		return slices.Concat(start, r.result(arguments[0], n, start, r.fixedElements(object, n), harmless))
	case "get":
		return r.fixedElements(object, n) // of a map that is written out
	}
	return open(n)
}

func (r *reader) globalCall(name string, n *node) text {
	switch {
	case slices.Contains(numericGlobals, name):
		return harmless
	case name == "Array": // so many holes, or these elements
		return r.readAll(n.arguments())
	case name == "String" && len(n.kids) > 1:
		return r.read(n.kids[1])
	}
	return open(n)
}

func (r *reader) construction(n *node) text {
	switch callee := n.kids[0]; {
	case callee.isGlobal("Array"), callee.isGlobal("Map"), callee.isGlobal("Set"):
		return r.readAll(n.arguments())
	}
	return open(n)
}

// result returns what a function that is handed to map and its like can return, with values for its parameters; anything
// else than a function is a value.
func (r *reader) result(callback, n *node, values ...text) text {
	if fn := r.source.functionOf(callback); fn != nil {
		return r.running(fn, n, values, r.read)
	}
	switch {
	case callback.isGlobal("String") && len(values) > 0:
		return values[0]
	case callback.isGlobal("Number"), callback.isGlobal("Boolean"):
		return harmless
	}
	return r.read(callback)
}

// running returns what a function can return when it is given these values; further parameters are whatever callers give.
// pick reads what is wanted of a returned value.
func (r *reader) running(fn *function, n *node, values []text, pick func(*node) text) text {
	if fn.generator {
		return open(n)
	}
	if r.busy[fn] { // it calls itself: what it is given this time is all that can be new
		all := text{}
		for _, value := range values {
			all = append(all, value...)
		}
		return all
	}
	return r.guarded(fn, n, func() text {
		outer := r.known
		r.known = maps.Clone(outer)
		defer func() { r.known = outer }()
		for i, param := range fn.params {
			target := param
			if param.is(kDefault) {
				target = param.kids[0]
			}
			if target.is(kName) && target.binding != nil && i < len(values) {
				r.known[target.binding] = slices.Concat(values[i], r.written(target.binding, n))
			}
		}
		all := text{}
		for _, value := range fn.returns {
			if value != nil {
				all = append(all, pick(value)...)
			}
		}
		return all
	})
}

// returned returns what one call of one of the app's functions can return.
func (r *reader) returned(fn *function, call *node) text {
	values := r.argumentsOf(call)
	if len(fn.returns) == 0 && !fn.generator {
		return harmless
	}
	return r.running(fn, call, values, r.read)
}

// argumentsOf are the values of a call's arguments up to the first that is several, from which on they are not known one by
// one.
func (r *reader) argumentsOf(call *node) []text {
	var values []text
	for _, argument := range call.arguments() {
		if argument.is(kSpread) {
			break
		}
		values = append(values, r.read(argument))
	}
	return values
}

// isBundledText reports whether an import is of a file that the bundler puts into the Worker as it is: constant, like the
// source itself.
func isBundledText(from string) bool {
	if !strings.HasPrefix(from, ".") && !strings.HasPrefix(from, "@/") && !strings.HasPrefix(from, "~/") {
		return false
	}
	file, query, _ := strings.Cut(from, "?")
	switch path.Ext(file) {
	case ".sql", ".txt", ".json":
		return true
	default:
		return query == "raw"
	}
}
