package main

import (
	"slices"
	"strconv"
	"strings"
)

// text is what a string can consist of: its pieces in the order in which they were met. Where there are several
// possibilities, the pieces of all of them follow each other: what matters is whether one of them is open.
type text []piece

// piece is a part of a text.
type piece struct {
	text string // of a constant
	// open is the expression whose value nobody can know from the source; nil for what is constant or harmless.
	open *node
	// holder is where an open piece is put into a longer text; nil when it is the whole of it.
	holder *node
}

// harmless is a value that cannot carry SQL: a number or a truth value.
var harmless = text{{}}

func constant(s string) text { return text{{text: s}} }

func open(n *node) text { return text{{open: n}} }

// isFixed reports whether no piece is open.
func (t text) isFixed() bool {
	return !slices.ContainsFunc(t, func(p piece) bool { return p.open != nil })
}

// within marks the open pieces as put into a longer text at holder, unless they already are in one.
func (t text) within(holder *node) text {
	marked := slices.Clone(t)
	for i := range marked {
		if marked[i].open != nil && marked[i].holder == nil {
			marked[i].holder = holder
		}
	}
	return marked
}

// constants are the constant pieces, one after the other.
func (t text) constants() string {
	var all strings.Builder
	for _, p := range t {
		all.WriteString(p.text)
	}
	return all.String()
}

// reader finds out what strings consist of. It goes by the code alone: a value is known when every way to it is seen.
type reader struct {
	source *codebase
	// known are the values of parameters while a function is looked at for one call.
	known map[*binding]text
	// busy are the bindings and functions that are being looked at: one that depends on itself adds nothing to itself.
	busy  map[any]bool
	steps int
}

// maxSteps bounds the work on one string; what takes longer is open.
const maxSteps = 20000

func (s *codebase) read(n *node) text {
	r := reader{source: s, known: map[*binding]text{}, busy: map[any]bool{}}
	return r.read(n)
}

// read returns what a value can consist of. Of arrays, objects, maps and sets it returns what their elements can.
func (r *reader) read(n *node) text {
	if r.steps++; r.steps > maxSteps {
		return open(n)
	}
	switch n.kind {
	case kText:
		return constant(n.text)
	case kNumber:
		return constant(n.text)
	case kPlain, kUpdate, kRegexp, kFunction, kClass:
		return harmless
	case kUnary:
		return harmless // !, -, typeof and their like give no text but fixed words
	case kTemplate:
		return r.template(n)
	case kTagged:
		if n.kids[0].isGlobalMember("String", "raw") {
			return r.template(n.kids[1])
		}
		return open(n)
	case kBinary:
		if n.text != "+" {
			return harmless
		}
		return slices.Concat(r.read(n.kids[0]).within(n.kids[0]), r.read(n.kids[1]).within(n.kids[1]))
	case kLogical:
		if n.text == "&&" {
			return r.read(n.kids[1]) // or something falsy, which carries nothing
		}
		return slices.Concat(r.read(n.kids[0]), r.read(n.kids[1]))
	case kConditional:
		return slices.Concat(r.read(n.kids[1]), r.read(n.kids[2]))
	case kSequence:
		return r.read(n.kids[len(n.kids)-1])
	case kAssign:
		return r.read(n.kids[1])
	case kAwait, kSpread:
		return r.read(n.kids[0])
	case kArray:
		return r.readAll(n.kids)
	case kObject:
		return r.object(n)
	case kName:
		return r.name(n)
	case kMember:
		return r.member(n)
	case kIndex:
		return r.fixedElements(n.kids[0], n)
	case kCall:
		return r.call(n)
	case kNew:
		return r.construction(n)
	default:
		return open(n)
	}
}

func (r *reader) readAll(nodes []*node) text {
	all := text{}
	for _, n := range nodes {
		all = append(all, r.read(n)...)
	}
	return all
}

func (r *reader) template(n *node) text {
	all := constant(n.texts[0])
	for i, kid := range n.kids {
		part := r.read(kid)
		if len(n.kids) > 1 || n.texts[0] != "" || n.texts[len(n.kids)] != "" {
			part = part.within(kid)
		}
		all = append(append(all, part...), piece{text: n.texts[i+1]})
	}
	return all
}

func (r *reader) object(n *node) text {
	all := text{}
	for _, kid := range n.kids {
		switch kid.kind {
		case kIndexed:
			all = append(all, r.read(kid.kids[1])...)
		default:
			all = append(all, r.read(kid.kids[0])...)
		}
	}
	return all
}

// fixedElements returns what an element can be when all are known, whichever is taken.
func (r *reader) fixedElements(container, n *node) text {
	if elements := r.read(container); elements.isFixed() {
		return elements
	}
	return open(n)
}

func (r *reader) name(n *node) text {
	if n.binding == nil {
		return open(n)
	}
	if n.binding.role == anImport {
		found := r.source.definition(n)
		switch {
		case found.value != nil:
			return r.guarded(found.value, n, func() text { return r.read(found.value) })
		case found.binding != nil:
			return r.bound(found.binding, n)
		case isBundledText(found.external):
			return harmless
		default:
			return open(n)
		}
	}
	return r.bound(n.binding, n)
}

// guarded does something once: when it comes back to itself, what it adds is known already.
func (r *reader) guarded(what any, n *node, do func() text) text {
	if r.busy[what] {
		return text{}
	}
	r.busy[what] = true
	defer delete(r.busy, what)
	if len(r.busy) > 100 {
		return open(n)
	}
	return do()
}

// bound returns what a variable or a parameter can hold.
func (r *reader) bound(b *binding, n *node) text {
	if value, known := r.known[b]; known {
		return value
	}
	switch b.role {
	case aFunction, aClass:
		return harmless
	case aCaught, anImport:
		return open(n)
	case aParameter:
		return r.guarded(b, n, func() text { return append(r.parameter(b, n), r.written(b, n)...) })
	default:
		return r.guarded(b, n, func() text {
			if len(b.writes) == 0 {
				return harmless // never set: undefined
			}
			return append(r.written(b, n), r.added(b, n)...)
		})
	}
}

// written returns all that is assigned to a variable.
func (r *reader) written(b *binding, n *node) text {
	all := text{}
	for _, w := range b.writes {
		switch w.how {
		case whole:
			all = append(all, r.part(w.value, w.path, n)...)
		case appended:
			all = append(all, r.read(w.value).within(w.value)...)
		case element:
			if r.source.valueOf(w.value).is(kObject) {
				all = append(all, piece{open: n}) // it says itself what it gives, one after the other
				continue
			}
			all = append(all, r.fixedElements(w.value, n)...)
		case key:
			all = append(all, r.keys(w.value, n)...)
		case aNumber:
			all = append(all, piece{})
		}
	}
	return all
}

// part returns what the named part of a value can be, also of what one of the app's functions returns.
func (r *reader) part(value *node, path []string, n *node) text {
	for i, step := range path {
		if found := r.source.property(value, step); found != nil {
			value = found
			continue
		}
		made, rest := r.source.valueOf(value), path[i:]
		if made.is(kCall) {
			if fn := r.source.functionOf(made.kids[0]); fn != nil && rest[0] != "" {
				return r.running(fn, n, r.argumentsOf(made), func(returned *node) text { return r.part(returned, rest, n) })
			}
		}
		return r.fixedElements(value, n)
	}
	return r.read(value)
}

// property is the value of a property of an object, or of an element of an array, that is written out, or nil.
func (s *codebase) property(of *node, name string) *node {
	value := s.valueOf(of)
	if i, err := strconv.Atoi(name); err == nil && value.is(kArray) && i < len(value.kids) {
		if slices.ContainsFunc(value.kids[:i+1], func(kid *node) bool { return kid.is(kSpread) }) {
			return nil
		}
		return value.kids[i]
	}
	if name == "" || !value.is(kObject) {
		return nil
	}
	var found *node
	for _, kid := range value.kids {
		switch {
		case kid.kind == kProperty && kid.text == name:
			found = kid.kids[0]
		case kid.kind != kProperty:
			return nil // it may be hidden in there
		}
	}
	return found
}

// adders are methods that put their arguments into what they are called on.
var adders = []string{"push", "unshift", "splice", "fill", "add", "set", "concat"}

// added returns what is put into an array, an object, a map or a set after it was made.
func (r *reader) added(b *binding, n *node) text {
	all := text{}
	for _, use := range r.source.uses[b] {
		above := use.parent
		switch {
		case (above.is(kMember) || above.is(kIndex)) && above.parent.is(kAssign) && above.parent.kids[0] == above && above.kids[0] == use:
			all = append(all, r.read(above.parent.kids[1])...)
		case above.is(kMember) && slices.Contains(adders, above.text) && above.parent.is(kCall) && above.parent.kids[0] == above:
			all = append(all, r.readAll(above.parent.arguments())...)
		case above.is(kCall) && above.kids[0] != use:
			all = append(all, r.addedIn(above, use, n)...)
		case above.is(kDeclarator) && above.kids[1] == use && above.kids[0].is(kName) && above.kids[0].binding != nil:
			other := above.kids[0].binding // another name for the same
			all = append(all, r.guarded([2]any{other, "added"}, n, func() text { return r.added(other, n) })...)
		}
	}
	return all
}

// addedIn returns what a function of the app puts into an argument. Functions of packages are taken to leave it alone.
func (r *reader) addedIn(call, argument, n *node) text {
	fn := r.source.functionOf(call.kids[0])
	if fn == nil {
		return nil
	}
	position := slices.Index(call.arguments(), argument)
	if position < 0 || position >= len(fn.params) || !fn.params[position].is(kName) {
		return nil
	}
	parameter := fn.params[position].binding
	return r.guarded([2]any{parameter, "added"}, n, func() text { return r.added(parameter, n) })
}

// parameter returns what a function's callers hand to it.
func (r *reader) parameter(b *binding, n *node) text {
	if callback, known := r.callbackParameter(b, n); known {
		return callback
	}
	calls, known := r.source.callers(b.fn)
	if !known || len(calls) == 0 {
		return open(n)
	}
	all := text{}
	param := b.fn.params[b.index]
	for _, call := range calls {
		arguments := call.arguments()
		if slices.ContainsFunc(arguments[:min(len(arguments), b.index+1)], func(a *node) bool { return a.is(kSpread) }) || param.is(kSpread) {
			return open(n)
		}
		if b.index >= len(arguments) {
			continue // undefined, or the default, which counts as written
		}
		var path []string
		targets(param, nil, func(name *node, at []string) {
			if name.binding == b {
				path = at
			}
		})
		all = append(all, r.part(arguments[b.index], path, n)...)
	}
	return all
}

// eachElement are methods that call a function with each element and its number.
var eachElement = []string{"map", "flatMap", "forEach", "filter", "find", "findLast", "some", "every"}

// callbackParameter knows the parameters of functions that are handed to map and its like.
func (r *reader) callbackParameter(b *binding, n *node) (text, bool) {
	call := b.fn.node.parent
	if !call.is(kCall) || len(call.kids) < 2 || call.kids[0] == b.fn.node || !b.fn.params[b.index].is(kName) {
		return nil, false
	}
	callee := call.kids[0]
	var from *node
	switch {
	case callee.isGlobalMember("Array", "from") && call.kid(2) == b.fn.node:
		from = call.kids[1]
	case callee.is(kMember) && slices.Contains(eachElement, callee.text) && call.kids[1] == b.fn.node:
		from = callee.kids[0]
	default:
		return nil, false
	}
	if b.index == 1 {
		return harmless, true
	}
	return r.fixedElements(from, n), true
}
