package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// index notes who reads what, across modules.
func (s *codebase) index() {
	s.uses, s.members, s.methods = map[*binding][]*node{}, map[string][]*node{}, map[string][]*function{}
	for _, path := range slices.Sorted(maps.Keys(s.modules)) {
		m := s.modules[path]
		for _, fn := range m.functions {
			if fn.class != nil {
				s.methods[fn.method] = append(s.methods[fn.method], fn)
			}
		}
		m.body.walk(func(n *node) bool {
			switch {
			case n.kind == kMember:
				s.members[n.text] = append(s.members[n.text], n)
				if found := s.definition(n); found.binding != nil && found.binding.module != m {
					s.uses[found.binding] = append(s.uses[found.binding], n)
				}
			case n.kind == kName && n.read && n.binding != nil:
				if found := s.definition(n); found.binding != nil {
					s.uses[found.binding] = append(s.uses[found.binding], n)
				}
			}
			return true
		})
	}
}

// definition is what a name stands for once imports are followed: at most one of its fields is set.
type definition struct {
	binding  *binding // a name of the module that declares it
	value    *node    // an export without a name
	whole    *module  // import * as …
	external string   // a package's name, which is not followed
	name     string   // with external: what the package calls it; default, *, or the exported name
}

// definition follows a name, or a member of a whole imported module.
func (s *codebase) definition(n *node) definition {
	switch {
	case n.is(kName) && n.binding != nil:
		return s.follow(n.binding)
	case n.is(kMember):
		if object := n.kids[0]; object.is(kName) && object.binding != nil && object.binding.role == anImport {
			switch of := s.follow(object.binding); {
			case of.whole != nil:
				return s.exportOf(of.whole, n.text, 0)
			case of.external != "":
				return definition{external: of.external, name: n.text}
			}
		}
	}
	return definition{}
}

func (s *codebase) follow(b *binding) definition {
	if b.role != anImport {
		return definition{binding: b}
	}
	return s.importOf(b.module, b.from, b.imported, 0)
}

// maxHops bounds how far names are followed through modules that only pass them on; some do so in circles.
const maxHops = 12

func (s *codebase) importOf(importer *module, from, name string, hops int) definition {
	target := s.imported(importer, from)
	switch {
	case hops > maxHops:
		return definition{}
	case target == nil:
		return definition{external: from, name: name}
	case name == "*":
		return definition{whole: target}
	default:
		return s.exportOf(target, name, hops+1)
	}
}

func (s *codebase) exportOf(m *module, name string, hops int) definition {
	if what, known := m.exports[name]; known {
		switch {
		case what.from != "":
			return s.importOf(m, what.from, what.name, hops+1)
		case what.value != nil:
			if what.value.is(kName) && what.value.binding != nil {
				return s.follow(what.value.binding)
			}
			return definition{value: what.value}
		}
		own := m.top.names[what.local]
		switch {
		case own == nil:
			return definition{}
		case own.role == anImport && hops <= maxHops:
			return s.importOf(m, own.from, own.imported, hops+1)
		default:
			return definition{binding: own}
		}
	}
	for _, from := range m.stars {
		if target := s.imported(m, from); target != nil && hops <= maxHops {
			if found := s.exportOf(target, name, hops+1); found != (definition{}) {
				return found
			}
		}
	}
	return definition{}
}

// imported is the module of the app that an import names, or nil.
func (s *codebase) imported(importer *module, from string) *module {
	for _, candidate := range candidates(importer.path, from) {
		if found := s.modules[candidate]; found != nil {
			return found
		}
	}
	return nil
}

// valueOf follows names that have exactly one value: const x = …, an import of one, a function or class of that name. It
// returns n itself when there is nothing to follow.
func (s *codebase) valueOf(n *node) *node {
	for range maxHops {
		switch n.kind {
		case kAwait:
			n = n.kids[0]
			continue
		case kName, kMember:
		default:
			return n
		}
		found := s.definition(n)
		switch b := found.binding; {
		case found.value != nil:
			n = found.value
		case b == nil:
			return n
		case b.node != nil:
			return b.node
		case b.role == aVariable && len(b.writes) == 1 && b.writes[0].how == whole && len(b.writes[0].path) == 0:
			n = b.writes[0].value
		default:
			return n
		}
	}
	return n
}

// functionOf is the app's own function that a callee stands for, or nil.
func (s *codebase) functionOf(callee *node) *function {
	value := s.valueOf(callee)
	if value.is(kFunction) {
		if callee.is(kName) && strings.HasPrefix(callee.text, "__") && value.place() == (location{}) {
			return nil // esbuild's own, which hides what it is given
		}
		return value.fn
	}
	if !value.is(kMember) {
		return nil
	}
	object := value.kids[0]
	if object.is(kThis) {
		return s.memberFunction(owner(value), value.text)
	}
	of := s.valueOf(object)
	if of.is(kNew) {
		of = s.valueOf(of.kids[0])
	}
	return s.memberFunction(of, value.text)
}

// memberFunction looks for a method in a class, in what that extends, or in an object.
func (s *codebase) memberFunction(of *node, name string) *function {
	for range maxHops {
		if !of.is(kClass) && !of.is(kObject) {
			return nil
		}
		for _, kid := range of.kids {
			if kid.is(kProperty) && kid.text == name {
				if value := s.valueOf(kid.kids[0]); value.is(kFunction) {
					return value.fn
				}
			}
		}
		if of.kind == kObject || of.kids[0] == nil {
			return nil
		}
		of = s.valueOf(of.kids[0])
	}
	return nil
}

// owner is the class or object that this means at n.
func owner(n *node) *node {
	for above := n.parent; above != nil; above = above.parent {
		switch {
		case above.kind == kClass:
			return above
		case above.kind == kObject && above.isMethodOf(n):
			return above
		}
	}
	return nil
}

// isMethodOf reports whether n stands in a function of the object, not just among its values.
func (n *node) isMethodOf(below *node) bool {
	for ; below != nil && below != n; below = below.parent {
		if below.kind == kFunction && below.parent.is(kProperty) && below.parent.parent == n {
			return true
		}
	}
	return false
}

// constructorOf is the function that new runs, or nil.
func (s *codebase) constructorOf(class *node) *function {
	return s.memberFunction(class, "constructor")
}

// callers are the calls of a function that can be seen. known is false when it may be called from elsewhere too: by name it
// is handed to something, or it is a method of something that is handed on.
func (s *codebase) callers(fn *function) (calls []*node, known bool) {
	at := fn.node.parent
	switch {
	case at.is(kCall) && at.kids[0] == fn.node:
		return []*node{at}, true
	case at.is(kDeclareFn):
		return s.callsOf(at.kids[0].binding)
	case at.is(kDeclarator) && at.kids[0].is(kName) && at.kids[0].binding != nil && len(at.kids[0].binding.writes) == 1:
		return s.callsOf(at.kids[0].binding)
	case fn.class != nil && fn.method == "constructor":
		return s.constructions(fn.class)
	case at.is(kProperty):
		return s.callsOfMember(fn, at.text)
	default:
		return nil, false
	}
}

func (s *codebase) callsOf(b *binding) (calls []*node, known bool) {
	if b == nil {
		return nil, false
	}
	known = true
	for _, use := range s.uses[b] {
		switch call := use.parent; {
		case (call.is(kCall) || call.is(kNew)) && call.kids[0] == use:
			calls = append(calls, call)
		case call.is(kClass): // extends it
		case call != nil:
			known = false
		}
	}
	return calls, known
}

func (s *codebase) constructions(class *node) (calls []*node, known bool) {
	if declared := class.parent; declared.is(kDeclareType) {
		return s.callsOf(declared.kids[0].binding)
	}
	if declared := class.parent; declared.is(kDeclarator) && declared.kids[0].is(kName) {
		return s.callsOf(declared.kids[0].binding)
	}
	return nil, false
}

// callsOfMember goes by the method's name, as there are no types: x.find(…) counts as a call of every find, unless x is
// known to be something else.
func (s *codebase) callsOfMember(fn *function, name string) (calls []*node, known bool) {
	known = !s.isRemote(fn.class)
	for _, member := range s.members[name] {
		call := member.parent
		exact := s.functionOf(member)
		switch {
		case exact != nil && exact != fn:
		case call.is(kCall) && call.kids[0] == member:
			calls = append(calls, call)
		case exact == fn:
			known = false // this.find handed on
		}
	}
	return calls, known
}

// isRemote reports whether a class is one of those that the runtime, or another Worker, calls the methods of.
func (s *codebase) isRemote(class *node) bool {
	for range maxHops {
		if !class.is(kClass) || class.kids[0] == nil {
			return false
		}
		if s.definition(class.kids[0]).external == "cloudflare:workers" {
			return true
		}
		class = s.valueOf(class.kids[0])
	}
	return false
}
