package main

// binding is one thing that a module has a name for.
type binding struct {
	name   string
	module *module
	role   role
	// from and imported say what an import is of.
	from, imported string
	// node is the kFunction or kClass that it was declared as.
	node *node
	// fn and index say which parameter of which function it is, or is a part of.
	fn    *function
	index int
	// writes are all values that it can get besides what a call or an import gives it.
	writes []write
}

// role is what a name was declared as.
type role int

const (
	aVariable role = iota
	anImport
	aFunction
	aClass
	aParameter
	aCaught // by catch
)

// write is one value that a variable gets.
type write struct {
	value *node
	path  []string // which part of the value; "" for one that is not known by name
	how   how
}

type how int

const (
	whole    how = iota // the value, or the part that path names
	appended            // the value is put after what was there
	element             // an element of the value
	key                 // a key of the value
	aNumber             // a number
)

// scope is what names mean in one block or function.
type scope struct {
	outer *scope
	names map[string]*binding
}

func (s *scope) find(name string) *binding {
	for ; s != nil; s = s.outer {
		if found := s.names[name]; found != nil {
			return found
		}
	}
	return nil
}

func (s *scope) declare(m *module, name string, as role) *binding {
	if known := s.names[name]; known != nil {
		return known // var and function may be declared again
	}
	made := &binding{name: name, module: m, role: as}
	s.names[name] = made
	return made
}

// resolveScopes finds out what each name of a module stands for, and lists its functions.
func resolveScopes(m *module) {
	r := resolver{module: m}
	m.top = newScope(nil)
	for _, one := range m.imports {
		made := m.top.declare(m, one.local, anImport)
		made.from, made.imported = one.from, one.name
	}
	r.hoist(m.body, m.top)
	r.blockNames(m.body.kids, m.top)
	for _, statement := range m.body.kids {
		r.resolve(statement, m.top)
	}
}

type resolver struct{ module *module }

func newScope(outer *scope) *scope { return &scope{outer: outer, names: map[string]*binding{}} }

// hoist declares every var below n that belongs to its function.
func (r *resolver) hoist(n *node, into *scope) {
	n.walk(func(below *node) bool {
		if below.kind == kDeclare && below.text == "var" {
			for _, declarator := range below.kids {
				targets(declarator.kids[0], nil, func(name *node, _ []string) { into.declare(r.module, name.text, aVariable) })
			}
		}
		return below.kind != kFunction && below.kind != kClass
	})
}

// blockNames declares what a block's own statements declare.
func (r *resolver) blockNames(statements []*node, into *scope) {
	for _, statement := range statements {
		switch {
		case statement == nil:
		case statement.kind == kDeclare && statement.text != "var":
			for _, declarator := range statement.kids {
				targets(declarator.kids[0], nil, func(name *node, _ []string) { into.declare(r.module, name.text, aVariable) })
			}
		case statement.kind == kDeclareFn:
			into.declare(r.module, statement.kids[0].text, aFunction).node = statement.kids[1]
		case statement.kind == kDeclareType:
			into.declare(r.module, statement.kids[0].text, aClass).node = statement.kids[1]
		}
	}
}

// targets visits every name in a pattern, with the path to its part of the value.
func targets(n *node, path []string, visit func(name *node, path []string)) {
	if n == nil {
		return
	}
	below := func(step string) []string { return append(path[:len(path):len(path)], step) }
	switch n.kind {
	case kName:
		visit(n, path)
	case kDefault:
		targets(n.kids[0], path, visit)
	case kSpread:
		targets(n.kids[0], below(""), visit)
	case kProperty:
		targets(n.kids[0], below(n.text), visit)
	case kIndexed:
		targets(n.kids[1], below(""), visit)
	case kObjectPattern:
		for _, kid := range n.kids {
			targets(kid, path, visit)
		}
	case kArrayPattern:
		for i, kid := range n.kids {
			if kid.is(kSpread) {
				targets(kid.kids[0], below(""), visit)
				continue
			}
			targets(kid, below(itoa(i)), visit)
		}
	default: // a member of something has no name of its own
	}
}

func (r *resolver) resolve(n *node, in *scope) {
	if n == nil {
		return
	}
	switch n.kind {
	case kName:
		n.binding, n.read = in.find(n.text), true
	case kFunction:
		r.function(n, in)
	case kClass:
		inside := newScope(in)
		if n.text != "" && in.find(n.text) == nil {
			inside.declare(r.module, n.text, aClass).node = n
		}
		r.all(n.kids, inside)
	case kBlock:
		inside := newScope(in)
		r.blockNames(n.kids, inside)
		r.all(n.kids, inside)
	case kSwitch:
		r.resolve(n.kids[0], in)
		inside := newScope(in)
		for _, one := range n.kids[1:] {
			r.blockNames(one.kids[1:], inside)
		}
		r.all(n.kids[1:], inside)
	case kLoop:
		inside := newScope(in)
		r.blockNames(n.kids[:1], inside)
		r.all(n.kids, inside)
	case kForEach:
		r.forEach(n, in)
	case kTry:
		r.resolve(n.kids[0], in)
		inside := newScope(in)
		targets(n.kids[1], nil, func(name *node, _ []string) { inside.declare(r.module, name.text, aCaught) })
		r.target(n.kids[1], inside)
		r.resolve(n.kids[2], inside)
		r.resolve(n.kids[3], in)
	case kDeclareFn, kDeclareType:
		n.kids[0].binding = in.find(n.kids[0].text)
		r.resolve(n.kids[1], in)
	case kDeclarator:
		r.target(n.kids[0], in)
		r.resolve(n.kids[1], in)
		if n.kids[1] != nil {
			r.writes(n.kids[0], n.kids[1], whole)
		}
	case kAssign:
		r.assign(n, in)
	case kUpdate:
		r.resolve(n.kids[0], in)
		if target := n.kids[0]; target.is(kName) && target.binding != nil {
			target.binding.writes = append(target.binding.writes, write{value: n, how: aNumber})
		}
	default:
		r.all(n.kids, in)
	}
}

func (r *resolver) all(kids []*node, in *scope) {
	for _, kid := range kids {
		r.resolve(kid, in)
	}
}

func (r *resolver) function(n *node, in *scope) {
	fn := n.fn
	r.module.functions = append(r.module.functions, fn)
	inside := newScope(in)
	if fn.name != "" && n.parent != nil && !n.parent.is(kDeclareFn) && !n.parent.is(kProperty) {
		own := inside.declare(r.module, fn.name, aFunction)
		own.node = n
	}
	parameters := newScope(inside)
	for i, param := range fn.params {
		targets(param, nil, func(name *node, _ []string) {
			made := parameters.declare(r.module, name.text, aParameter)
			made.fn, made.index = fn, i
		})
	}
	for _, param := range fn.params {
		r.target(param, parameters)
	}
	r.hoist(fn.body, parameters)
	r.resolve(fn.body, parameters)
}

// target resolves the names in a pattern without counting them as read, and what else stands in it.
func (r *resolver) target(n *node, in *scope) {
	if n == nil {
		return
	}
	switch n.kind {
	case kName:
		n.binding = in.find(n.text)
	case kDefault:
		r.target(n.kids[0], in)
		r.resolve(n.kids[1], in)
		r.writes(n.kids[0], n.kids[1], whole)
	case kIndexed:
		r.resolve(n.kids[0], in)
		r.target(n.kids[1], in)
	case kSpread, kProperty, kArrayPattern, kObjectPattern:
		for _, kid := range n.kids {
			r.target(kid, in)
		}
	default: // a member of something
		r.resolve(n, in)
	}
}

func (r *resolver) writes(pattern, value *node, as how) {
	targets(pattern, nil, func(name *node, path []string) {
		if name.binding != nil {
			name.binding.writes = append(name.binding.writes, write{value: value, path: path, how: as})
		}
	})
}

func (r *resolver) assign(n *node, in *scope) {
	target, value := n.kids[0], n.kids[1]
	r.target(target, in)
	if n.text != "=" && target.is(kName) && target.binding != nil {
		target.read = true
	}
	r.resolve(value, in)
	switch n.text {
	case "=", "||=", "&&=", "??=":
		r.writes(target, value, whole)
	case "+=":
		r.writes(target, value, appended)
	default:
		r.writes(target, n, aNumber)
	}
}

func (r *resolver) forEach(n *node, in *scope) {
	inside := newScope(in)
	target := n.kids[0]
	if target.is(kDeclare) {
		r.blockNames(n.kids[:1], inside)
		target = target.kids[0].kids[0]
	}
	r.target(target, inside)
	r.resolve(n.kids[1], in)
	as := element
	if n.text == "in" {
		as = key
	}
	r.writes(target, n.kids[1], as)
	r.resolve(n.kids[2], inside)
}
